//! Recorded answers of the real CLI, and what they must be taken for.

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use moorline_proto::v1::{FailureClass as Class, PreflightRung as Rung};

use super::{super::Turn, Agent, Codex, CredentialFile, Transcript};
use crate::engine::Exit;

fn codex() -> Codex {
    Codex {
        program: "codex".to_owned(),
        model: Some("gpt-5.5-codex".to_owned()),
        profile: Some("ci".to_owned()),
        settings: vec!["openai_base_url=\"http://10.0.0.5/v1\"".to_owned()],
        issuer: None,
        environment: std::collections::BTreeMap::new(),
    }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn file(content: &str) -> CredentialFile {
    CredentialFile::Content(content.as_bytes().to_vec().into())
}

fn chatgpt(exp: i64, refresh: &str) -> String {
    let part = |json: String| URL_SAFE_NO_PAD.encode(json);
    let jwt = format!(
        "{}.{}.{}",
        part("{}".to_owned()),
        part(format!("{{\"exp\":{exp}}}")),
        part("s".to_owned())
    );
    format!(
        r#"{{"auth_mode":"chatgpt","OPENAI_API_KEY":null,"tokens":{{"id_token":"{jwt}","access_token":"{jwt}","refresh_token":"{refresh}","account_id":"a"}},"last_refresh":"2025-01-01T00:00:00Z"}}"#
    )
}

fn rung(code: i32, output: &str, file: &CredentialFile) -> Rung {
    codex().login(code, output, file, now()).rung
}

const API_KEY: &str = r#"{"auth_mode":"apikey","OPENAI_API_KEY":"sk-test-0123456789abcdefghij"}"#;
const WITH_KEY: &str = "Logged in using an API key - sk-test-***fghij\n";
const WITH_CHATGPT: &str = "Logged in using ChatGPT\n";

#[test]
fn a_stored_login_is_worth_what_its_file_says() {
    let later = now().timestamp() + 60;
    let earlier = now().timestamp() - 60;
    for (output, content, expected) in [
        (WITH_KEY, API_KEY.to_owned(), Rung::Present),
        ("API key configured - sk-test-***fghij\nx\n", API_KEY.to_owned(), Rung::Present),
        (WITH_KEY, r#"{"OPENAI_API_KEY":"sk-x"}"#.to_owned(), Rung::Present),
        (WITH_CHATGPT, chatgpt(later, "rt"), Rung::Unexpired),
        (WITH_CHATGPT, chatgpt(earlier, "rt"), Rung::Present),
        (WITH_CHATGPT, chatgpt(earlier, ""), Rung::Expired),
        // The CLI's false positives.
        (WITH_CHATGPT, "{}".to_owned(), Rung::Corrupt),
        (WITH_CHATGPT, r#"{"tokens":null}"#.to_owned(), Rung::Corrupt),
        (WITH_CHATGPT, "".to_owned(), Rung::Corrupt),
        (WITH_KEY, r#"{"auth_mode":"apikey","OPENAI_API_KEY":" "}"#.to_owned(), Rung::Corrupt),
        (WITH_KEY, API_KEY[..30].to_owned(), Rung::Corrupt),
        (WITH_CHATGPT, r#"{"auth_mode":"agentIdentity"}"#.to_owned(), Rung::Unknown),
    ] {
        assert_eq!(rung(0, output, &file(&content)), expected, "{content}");
    }
    assert_eq!(rung(0, WITH_KEY, &CredentialFile::Missing), Rung::Unknown);
    assert_eq!(rung(0, WITH_KEY, &CredentialFile::Unusable("a link".to_owned())), Rung::Unknown);
}

#[test]
fn each_refusal_of_the_cli_is_told_apart() {
    let warning = "WARNING: proceeding, even though we could not create PATH aliases: Read-only file system (os error 30)\n";
    for (code, output, expected) in [
        (1, "Not logged in\n".to_owned(), Rung::NotLoggedIn),
        (1, format!("{warning}Not logged in\n"), Rung::NotLoggedIn),
        (
            1,
            "Error checking login status: EOF while parsing a value at line 1 column 0".to_owned(),
            Rung::Corrupt,
        ),
        (
            1,
            "Error checking login status: invalid ID token format x".to_owned(),
            Rung::Corrupt,
        ),
        (
            1,
            "Error checking login status: invalid credential JSON (Data at line 1 column 31)".to_owned(),
            Rung::Corrupt,
        ),
        (
            1,
            "Error checking login status: Permission denied (os error 13)".to_owned(),
            Rung::Unreadable,
        ),
        (
            1,
            "Error loading configuration: Failed to read config file /x/config.toml: Permission denied (os error 13)".to_owned(),
            Rung::Unreadable,
        ),
        (
            1,
            "Error loading configuration: /x/config.toml:1:11: expected `=`".to_owned(),
            Rung::EnvironmentBroken,
        ),
        (127, "sh: 1: codex: not found".to_owned(), Rung::EnvironmentBroken),
        (1, format!("{warning}Something new"), Rung::Unknown),
        (1, "Error checking login status: the moon is full".to_owned(), Rung::Unknown),
        (2, "error: unrecognized subcommand 'status'".to_owned(), Rung::Unknown),
        (139, String::new(), Rung::Unknown),
    ] {
        assert_eq!(rung(code, &output, &file(API_KEY)), expected, "{output}");
    }
}

#[test]
fn a_login_tells_whose_it_is_to_the_worker_alone() {
    use secrecy::ExposeSecret;
    let login = codex().judge(&file(&chatgpt(1_800_000_060, "rt-very-secret")), now());
    let exposed = |secret: &Option<secrecy::SecretString>| secret.as_ref().map(|secret| secret.expose_secret().to_owned());
    assert_eq!(exposed(&login.identity.account).as_deref(), Some("a"));
    assert_eq!(exposed(&login.identity.refresh_token).as_deref(), Some("rt-very-secret"));
    let claims = URL_SAFE_NO_PAD.encode(r#"{"https://api.openai.com/auth":{"chatgpt_account_id":"acct-1"}}"#);
    let claimed = format!(r#"{{"tokens":{{"id_token":"h.{claims}.s","access_token":"x","refresh_token":"r"}}}}"#);
    assert_eq!(
        exposed(&codex().judge(&file(&claimed), now()).identity.account).as_deref(),
        Some("acct-1")
    );
    let keyed = codex().judge(&file(API_KEY), now()).identity;
    assert!(keyed.account.is_none() && keyed.refresh_token.is_none());
}

#[test]
fn only_what_is_surely_the_same_login_is_put_back() {
    let (old, new) = (chatgpt(1_800_000_060, "rt-old"), chatgpt(1_800_009_999, "rt-new"));
    let restorable = |damaged: &str, snapshot: &str| codex().restorable(&file(damaged), &file(snapshot));
    assert!(restorable(&old[..old.len() - 1], &old));
    assert!(restorable(&old[..old.len() / 2], &old));
    assert!(!restorable(&old, &old), "it is not cut off");
    assert!(!restorable(&new[..new.len() / 2], &old), "the issuer has rotated it");
    assert!(!restorable("", &old), "who knows what was about to be written");
    assert!(!restorable(&old[..70], &old), "a rotated login begins like this, too");
    assert!(restorable("", API_KEY) && restorable("{", API_KEY));
    assert!(!restorable("", "{}") && !codex().restorable(&CredentialFile::Missing, &file(API_KEY)));
}

#[test]
fn what_is_known_of_a_login_holds_no_secret() {
    let known = codex().login(0, WITH_CHATGPT, &file(&chatgpt(1_800_000_060, "rt-very-secret")), now());
    assert_eq!((known.method, known.expires_at.unwrap().timestamp()), ("chatgpt", 1_800_000_060));
    let keyed = codex().login(0, WITH_KEY, &file(API_KEY), now());
    assert_eq!((keyed.method, keyed.expires_at), ("api_key", None));
    let shown = format!("{known:?} {keyed:?} {:?}", file(API_KEY));
    assert!(
        !shown.contains("rt-very-secret") && !shown.contains("eyJ") && !shown.contains("fghij"),
        "{shown}"
    );
}

#[test]
fn work_is_asked_for_without_questions_and_without_traces_in_the_volume() {
    insta::assert_snapshot!(codex().work_command(Path::new("/work/runs/r 1/repo"), Path::new("/work/runs/r 1/home")).join("\n"), @r#"
    codex
    -a
    never
    exec
    --json
    --skip-git-repo-check
    --ephemeral
    -s
    danger-full-access
    --disable
    plugins
    --disable
    unbounded_connection_retries
    -m
    gpt-5.5-codex
    -p
    ci
    -c
    projects={"/work/runs/r 1/repo"={trust_level="untrusted"}}
    -c
    log_dir="/work/runs/r 1/home"
    -c
    openai_base_url="http://10.0.0.5/v1"
    -
    "#);
}

/// Reads a recorded log; what people see of it, too.
fn recorded(name: &str) -> (Transcript, Vec<String>) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("src/agent/codex/fixtures")
        .join(name);
    let mut transcript = Transcript::default();
    let log = std::fs::read_to_string(path).unwrap();
    let lines = log
        .lines()
        .filter_map(|line| codex().read_line(line, Path::new("/run/repo"), &mut transcript));
    let lines = lines.collect();
    (transcript, lines)
}

#[test]
fn a_log_of_work_tells_thread_tokens_and_what_was_done() {
    let (transcript, lines) = recorded("command.jsonl");
    assert_eq!(transcript.turn, Some(Turn::Completed));
    assert_eq!(transcript.thread_id, "01a1f859-d658-7760-ac19-d5fd21b6e0b2");
    assert_eq!((transcript.input_tokens, transcript.output_tokens), (20, 10));
    assert_eq!(lines, [r"$ printf '%s\\n' 'hello from the fake model' > hello.txt"]);
    let (_, lines) = recorded("file_change.jsonl");
    assert_eq!(lines, ["changed: add hello.txt"]);
}

#[test]
fn what_is_no_event_is_passed_over() {
    let mut transcript = Transcript::default();
    for line in ["", "not json", "[1]", "{\"type\":3}", "{}", "\u{fffd}"] {
        assert_eq!(codex().read_line(line, Path::new("/"), &mut transcript), None);
    }
    assert_eq!(transcript, Transcript::default());
    codex().read_line(r#"{"type":"brand.new","x":[]}"#, Path::new("/"), &mut transcript);
    assert_eq!(transcript.events, 1);
}

#[test]
fn each_recorded_failure_has_its_code() {
    for (log, code, class) in [
        ("401.jsonl", "REVOKED", Class::Login),
        ("refresh_token_reused.jsonl", "REVOKED", Class::Login),
        ("429.jsonl", "RATE_LIMITED", Class::Login),
        ("rate_limit_exceeded.jsonl", "RATE_LIMITED", Class::Login),
        ("insufficient_quota.jsonl", "RATE_LIMITED", Class::Login),
        ("400.jsonl", "AGENT_FAILED", Class::Job),
        ("500.jsonl", "AGENT_FAILED", Class::Job),
        ("connection_refused.jsonl", "AGENT_FAILED", Class::Job),
    ] {
        let (transcript, _) = recorded(log);
        let fault = codex().verdict(Exit::Code(1), &transcript, "").unwrap_err();
        assert_eq!((fault.code, fault.class), (code, class), "{log}: {fault:?}");
        assert!(fault.detail.contains("exit code 1"), "{fault:?}");
        assert_eq!(fault.retry_after, None, "{fault:?}");
    }
}

#[test]
fn a_rate_limit_tells_how_long_it_lasts() {
    let transcript = Transcript {
        events: 1,
        turn: Some(Turn::Failed("You've hit your usage limit. Try again in 3 days 4 hours.".to_owned())),
        ..Transcript::default()
    };
    let fault = codex().verdict(Exit::Code(1), &transcript, "").unwrap_err();
    assert_eq!((fault.code, fault.retry_after.unwrap().as_secs()), ("RATE_LIMITED", 273_600));
}

#[test]
fn a_turn_counts_only_if_it_was_completed_and_the_exit_code_is_zero() {
    let (done, _) = recorded("command.jsonl");
    let stderr = "2026 ERROR codex_login: Failed to refresh token: your refresh token was already used.";
    let code = |exit, transcript: &Transcript, stderr| codex().verdict(exit, transcript, stderr).err().map(|fault| fault.code);
    assert_eq!(code(Exit::Code(0), &done, stderr), None, "it did its work all the same");
    assert_eq!(code(Exit::Code(1), &done, ""), Some("AGENT_FAILED"));
    assert_eq!(code(Exit::TimedOut, &done, ""), Some("AGENT_TIMED_OUT"));
    assert_eq!(code(Exit::OutOfMemory, &done, ""), Some("AGENT_OUT_OF_MEMORY"));
    assert_eq!(code(Exit::Signal(9), &done, ""), Some("AGENT_KILLED"));
    let none = Transcript::default();
    assert_eq!(code(Exit::Code(0), &none, ""), Some("AGENT_NO_OUTPUT"));
    assert_eq!(
        code(Exit::Code(127), &none, "sh: 1: exec: codex: not found"),
        Some("AGENT_CLI_MISSING")
    );
    let cut = Transcript { turn: None, ..done };
    assert_eq!(code(Exit::Code(0), &cut, ""), Some("AGENT_FAILED"));
}

#[test]
fn a_refresh_that_was_refused_is_told_from_one_without_an_answer() {
    let refused = "2026 ERROR codex_login: Failed to refresh token: your refresh token was already used. Please log out and sign in again.";
    let fault = codex().refresh_fault(&format!("WARNING: x\n{refused}\n")).unwrap();
    assert_eq!(
        (fault.code, fault.detail.as_str()),
        ("REVOKED", &refused["2026 ERROR codex_login: ".len()..])
    );
    let no_answer = "ERROR codex_login: Failed to refresh token: error sending request for url (https://auth.openai.com/oauth/token)";
    assert_eq!(codex().refresh_fault(no_answer), None);
    let (failed, _) = recorded("500.jsonl");
    assert_eq!(codex().verdict(Exit::Code(1), &failed, no_answer).unwrap_err().code, "AGENT_FAILED");
}

#[test]
fn an_error_at_the_start_is_told_without_its_stack_trace() {
    let stderr = "Error: Model provider `nope` not found\n\nStack backtrace:\n   0: <unknown>\n";
    let fault = codex().verdict(Exit::Code(1), &Transcript::default(), stderr).unwrap_err();
    assert_eq!(
        fault.detail,
        "codex printed no events and ended with exit code 1: Error: Model provider `nope` not found"
    );
}

#[test]
fn what_an_agent_makes_up_is_kept_short_and_without_control_characters() {
    let mut transcript = Transcript::default();
    let mut read = |event: serde_json::Value| codex().read_line(&event.to_string(), Path::new("/repo"), &mut transcript);
    let long = format!("a\0b\nc{}", "x".repeat(3 << 20));
    read(serde_json::json!({"type": "thread.started", "thread_id": long}));
    let tokens = serde_json::json!({"input_tokens": i64::MAX, "output_tokens": -5});
    read(serde_json::json!({"type": "turn.completed", "usage": tokens}));
    read(serde_json::json!({"type": "turn.completed", "usage": tokens}));
    let seen = read(serde_json::json!({"type": "error", "message": long})).unwrap();
    read(serde_json::json!({"type": "turn.failed", "error": {"message": long}}));
    let error = transcript.last_error.unwrap();
    for (text, most) in [(&transcript.thread_id, 128), (&seen, 8000), (&error, 8000)] {
        assert!(text.starts_with("ab c") && !text.contains(char::is_control) && text.chars().count() == most);
    }
    assert_eq!((transcript.input_tokens, transcript.output_tokens), (i64::MAX, 0));
}
