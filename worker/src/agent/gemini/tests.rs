use std::path::PathBuf;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use moorline_proto::v1::FailureClass as Class;
use secrecy::ExposeSecret;

use super::*;
use crate::{agent::Turn, engine::SecretVec};

const API_KEY: &str = "GEMINI_API_KEY=AIza-very-secret-key\n";

fn gemini() -> Gemini {
    Gemini {
        program: "gemini".to_owned(),
        model: "gemini-2.5-pro".to_owned(),
        base_url: "http://10.0.0.5".to_owned(),
        api_key: None,
        environment: [("HTTPS_PROXY".to_owned(), "http://10.0.0.1:3128".into())].into(),
    }
}

fn with_key() -> Gemini {
    Gemini {
        api_key: Some("AIza-the-workers-own".into()),
        ..gemini()
    }
}

fn file(content: &str) -> CredentialFile {
    CredentialFile::Content(SecretVec::from(content.as_bytes().to_vec()))
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn google(expires: Option<i64>, refresh: &str) -> String {
    let id = format!("h.{}.s", URL_SAFE_NO_PAD.encode(r#"{"sub":"1234","email":"a@b.c"}"#));
    let expires = expires.map(|at| format!(r#","expiry_date":{}"#, at * 1000)).unwrap_or_default();
    format!(
        r#"{{"access_token":"ya29.very-secret","scope":"x","token_type":"Bearer","id_token":"{id}"{expires},"refresh_token":"{refresh}"}}"#
    )
}

fn rung(agent: &Gemini, code: i32, output: &str, file: &CredentialFile) -> Rung {
    agent.login(code, output, file, now()).rung
}

#[test]
fn each_state_of_the_files_has_its_rung() {
    for (content, expected) in [
        (API_KEY.to_owned(), Rung::Present),
        ("export GEMINI_API_KEY=\"AIza-k\"\r\n".to_owned(), Rung::Present),
        (" GEMINI_API_KEY = 'AIza-k'\n".to_owned(), Rung::Present),
        ("GEMINI_API_KEY=\"\"\r\n".to_owned(), Rung::Corrupt),
        (format!("# mine\nGOOGLE_CLOUD_PROJECT=x\n{API_KEY}"), Rung::Present),
        ("GEMINI_API_KEY=\n".to_owned(), Rung::Corrupt),
        ("GOOGLE_CLOUD_PROJECT=x\n".to_owned(), Rung::Corrupt),
        (String::new(), Rung::Corrupt),
        (google(Some(1_800_000_060), "1//r"), Rung::Unexpired),
        (google(Some(1_799_999_940), "1//r"), Rung::Present),
        (google(None, "1//r"), Rung::Present),
        (google(Some(1_799_999_940), ""), Rung::Expired),
        (google(None, ""), Rung::Corrupt),
        ("{}".to_owned(), Rung::Corrupt),
        (google(None, "1//r")[..60].to_owned(), Rung::Corrupt),
    ] {
        assert_eq!(rung(&gemini(), 0, "", &file(&content)), expected, "{content}");
    }
    assert_eq!(rung(&gemini(), 0, "", &CredentialFile::Missing), Rung::NotLoggedIn);
    assert_eq!(
        rung(&gemini(), 0, "", &CredentialFile::Unusable("a pipe".to_owned())),
        Rung::Unknown
    );
}

#[test]
fn a_look_that_failed_says_why() {
    let key = file(API_KEY);
    assert_eq!(rung(&gemini(), 127, "cannot find gemini\n", &key), Rung::EnvironmentBroken);
    assert_eq!(rung(&gemini(), 13, "/v/.env: Permission denied\n", &key), Rung::Unreadable);
    assert_eq!(rung(&gemini(), 1, "", &key), Rung::Unknown);
}

#[test]
fn the_workers_own_key_counts_only_where_the_volume_holds_nothing() {
    let own = with_key().login(0, "", &CredentialFile::Missing, now());
    assert_eq!((own.rung, own.method), (Rung::Present, "api_key"));
    assert_eq!(
        rung(&with_key(), 0, "", &file("GEMINI_API_KEY=\n")),
        Rung::Corrupt,
        "somebody wanted another"
    );
    assert_eq!(
        rung(&with_key(), 127, "cannot find gemini", &CredentialFile::Missing),
        Rung::EnvironmentBroken
    );
    let given = with_key().environment();
    assert_eq!(given["GEMINI_API_KEY"].expose_secret(), "AIza-the-workers-own");
    assert!(!gemini().environment().contains_key("GEMINI_API_KEY"));
    assert!(
        own.detail.contains("GEMINI_API_KEY"),
        "what to unset for a logout to count: {}",
        own.detail
    );
    assert_eq!(given["HTTPS_PROXY"].expose_secret(), "http://10.0.0.1:3128");
}

#[test]
fn a_login_with_google_tells_whose_it_is_and_a_key_does_not() {
    let login = gemini().judge(&file(&google(Some(1_800_000_060), "1//refresh")), now());
    let exposed = |secret: &Option<SecretString>| secret.as_ref().map(|secret| secret.expose_secret().to_owned());
    assert_eq!(exposed(&login.identity.account).as_deref(), Some("1234"));
    assert_eq!(exposed(&login.identity.refresh_token).as_deref(), Some("1//refresh"));
    assert_eq!((login.method, login.expires_at.unwrap().timestamp()), ("google", 1_800_000_060));
    // Its refresh token is not used up, so nothing can be lost with it.
    assert!(!login.refresh_is_due(now(), std::time::Duration::from_secs(300)));
    let keyed = gemini().judge(&file(API_KEY), now());
    assert!(keyed.identity.account.is_none() && keyed.identity.refresh_token.is_none());
    let shown = format!("{login:?} {keyed:?} {:?} {:?}", file(API_KEY), with_key());
    for secret in ["very-secret", "1//refresh", "workers-own"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn only_what_is_surely_the_same_login_is_put_back() {
    let (one, other) = (google(Some(1_800_000_060), "1//one"), google(Some(1_800_000_999), "1//other"));
    let restorable = |damaged: &str, snapshot: &str| gemini().restorable(&file(damaged), &file(snapshot));
    assert!(restorable("", API_KEY) && restorable("GEMINI_", API_KEY));
    assert!(!restorable("GOOGLE_CLOUD_PROJECT=x\n", API_KEY), "somebody has put that there");
    assert!(restorable(&one[..one.len() - 5], &one));
    assert!(!restorable(&other[..other.len() - 5], &one));
    assert!(!restorable("{", "{}") && !gemini().restorable(&CredentialFile::Missing, &file(API_KEY)));
}

#[test]
fn the_secrets_of_a_file_are_known_to_what_must_not_show_them() {
    let secrets = |content: &str| {
        let secrets = gemini().secrets(&file(content));
        let secrets = secrets.iter().map(|secret| secret.expose_secret().to_owned());
        secrets.filter(|secret| !secret.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!(secrets("export GEMINI_API_KEY=\"my own key\"\r\n"), ["my own key"]);
    let google = secrets(&google(None, "1//refresh"));
    assert_eq!(
        (google[0].as_str(), google[1].as_str(), google.len()),
        ("ya29.very-secret", "1//refresh", 3)
    );
}

/// What the CLI is called with, by the files of a volume: the key, the project, and whether it is to use a key.
fn called_with(files: &[(&str, &str)]) -> [String; 3] {
    let folder = tempfile::tempdir().unwrap();
    let volume = folder.path().join("volume");
    std::fs::create_dir(&volume).unwrap();
    for (name, content) in files {
        std::fs::write(volume.join(name), content).unwrap();
    }
    let said =
        r#"printf '%s|%s|' "${GEMINI_API_KEY-}" "${GOOGLE_CLOUD_PROJECT-}"; grep -c gemini-api-key "$GEMINI_CLI_SYSTEM_SETTINGS_PATH""#;
    let output = std::process::Command::new("sh")
        .args(["-c", WORK, "sh", SETTINGS, "sh", "-c", said])
        .env("HOME", folder.path())
        .env("MOORLINE_GEMINI_HOME", &volume)
        .env("GEMINI_API_KEY", "spare")
        .env_remove("GOOGLE_CLOUD_PROJECT")
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let parts: Vec<&str> = said.trim().split('|').collect();
    [parts[0], parts[1], parts[2]].map(str::to_owned)
}

#[test]
fn the_cli_is_called_with_the_login_that_was_judged() {
    let google = ("oauth_creds.json", "{}");
    for (env, expected) in [
        ("GEMINI_API_KEY=k\n", ["k", "", "1"]),
        ("# mine\r\nexport GEMINI_API_KEY=\"k\"\r\nGEMINI_API_KEY=other\r\n", ["k", "", "1"]),
        (" GEMINI_API_KEY = 'k'\n", ["k", "", "1"]),
        ("GOOGLE_CLOUD_PROJECT=\"p\"\r\n", ["", "p", "0"]),
        ("GEMINI_API_KEY=''\nGOOGLE_CLOUD_PROJECT=p\n", ["", "p", "0"]),
    ] {
        assert_eq!(called_with(&[(".env", env), google]), expected, "{env}");
    }
    assert_eq!(called_with(&[]), ["spare", "", "1"]);
    assert_eq!(called_with(&[google]), ["", "", "0"]);
}

#[test]
fn work_is_asked_for_without_questions_and_without_a_secret_in_the_command() {
    let command = with_key().work_command(Path::new("/work/runs/r/repo"), Path::new("/work/runs/r/home"));
    let shown = command.join("\n").replace(WORK, "<work.sh>").replace(SETTINGS, "<settings>");
    insta::assert_snapshot!(shown, @r"
    sh
    -c
    <work.sh>
    moorline-gemini
    <settings>
    gemini
    --approval-mode
    yolo
    --skip-trust
    -o
    stream-json
    -m
    gemini-2.5-pro
    ");
    let settings: serde_json::Value = serde_json::from_str(SETTINGS).unwrap();
    assert_eq!(settings["general"]["maxAttempts"], 3);
}

/// Reads a recorded log; what people see of it, too.
fn recorded(name: &str) -> (Transcript, Vec<String>) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("src/agent/gemini/fixtures")
        .join(name);
    let mut transcript = Transcript::default();
    let log = std::fs::read_to_string(path).unwrap();
    let lines = log
        .lines()
        .filter_map(|line| gemini().read_line(line, Path::new("/run/repo"), &mut transcript));
    let lines = lines.collect();
    (transcript, lines)
}

#[test]
fn a_log_of_work_tells_session_tokens_and_what_was_done() {
    let (transcript, lines) = recorded("write.jsonl");
    assert_eq!(transcript.turn, Some(Turn::Completed));
    assert_eq!(transcript.thread_id, "712806ee-0d00-41ca-9d9f-5f37b4c54af7");
    assert_eq!((transcript.input_tokens, transcript.output_tokens, transcript.events), (20, 10, 6));
    assert_eq!(lines, ["changed: write hello.txt"]);
    let (_, lines) = recorded("shell.jsonl");
    assert_eq!(lines, ["$ echo sh > sh.txt; cat nothing-there"]);
}

#[test]
fn what_is_no_event_is_passed_over_and_what_is_made_up_is_kept_short() {
    let mut transcript = Transcript::default();
    for line in ["", "not json", "[1]", "{\"type\":3}", "{}", "YOLO mode is enabled."] {
        assert_eq!(gemini().read_line(line, Path::new("/"), &mut transcript), None);
    }
    assert_eq!(transcript, Transcript::default());
    let long = format!("a\0b\nc{}", "x".repeat(3 << 20));
    let mut read = |event: serde_json::Value| gemini().read_line(&event.to_string(), Path::new("/repo"), &mut transcript);
    read(serde_json::json!({"type": "init", "session_id": long}));
    let stats = serde_json::json!({"input_tokens": i64::MAX, "output_tokens": -5});
    read(serde_json::json!({"type": "result", "status": "success", "stats": stats}));
    read(serde_json::json!({"type": "result", "status": "error", "stats": stats, "error": {"message": long}}));
    let error = transcript.last_error.unwrap();
    for (text, most) in [(&transcript.thread_id, 128), (&error, 8000)] {
        assert!(text.starts_with("ab c") && !text.contains(char::is_control) && text.chars().count() == most);
    }
    assert_eq!((transcript.input_tokens, transcript.output_tokens), (i64::MAX, 0));
}

#[test]
fn each_recorded_failure_has_its_code() {
    for (log, exit, code, class) in [
        ("400_api_key_invalid.jsonl", 144, "REVOKED", Class::Login),
        ("401.jsonl", 145, "REVOKED", Class::Login),
        ("403.jsonl", 147, "REVOKED", Class::Login),
        ("404.jsonl", 1, "AGENT_FAILED", Class::Job),
        ("429_daily.jsonl", 173, "RATE_LIMITED", Class::Login),
        ("429_retry_after.jsonl", 173, "RATE_LIMITED", Class::Login),
    ] {
        let (transcript, _) = recorded(log);
        let fault = gemini().verdict(Exit::Code(exit), &transcript, "").unwrap_err();
        assert_eq!((fault.code, fault.class), (code, class), "{log}: {fault:?}");
        assert!(fault.detail.contains(&format!("exit code {exit}")), "{fault:?}");
        let told = (log == "429_retry_after.jsonl").then_some(400);
        assert_eq!(fault.retry_after.map(|after| after.as_secs()), told, "{fault:?}");
    }
}

#[test]
fn a_start_that_failed_is_told_by_its_code_and_its_words() {
    let fault = |code, stderr: &str| gemini().verdict(Exit::Code(code), &Transcript::default(), stderr).unwrap_err();
    let none = "Warning: 256-color support not detected.\nYOLO mode is enabled. All tool calls will be automatically approved.\n\
        Please set an Auth method in your /x/settings.json or specify one of the following environment variables before running: GEMINI_API_KEY\n";
    let told = fault(41, none);
    assert_eq!((told.code, told.class), ("NOT_LOGGED_IN", Class::Login));
    assert!(told.detail.ends_with("GEMINI_API_KEY"), "{}", told.detail);
    assert_eq!(fault(55, "not a trusted folder").code, "AGENT_NO_OUTPUT");
    assert_eq!(fault(127, "sh: 1: exec: gemini: not found").code, "AGENT_CLI_MISSING");
    assert_eq!(fault(1, "").detail, "gemini ended with exit code 1: it gave no reason");
}

#[test]
fn a_turn_counts_only_if_it_was_completed_and_the_exit_code_is_zero() {
    let (done, _) = recorded("write.jsonl");
    let code = |exit, transcript: &Transcript| gemini().verdict(exit, transcript, "").err().map(|fault| fault.code);
    assert_eq!(code(Exit::Code(0), &done), None);
    assert_eq!(code(Exit::Code(53), &done), Some("AGENT_FAILED"));
    assert_eq!(code(Exit::TimedOut, &done), Some("AGENT_TIMED_OUT"));
    assert_eq!(code(Exit::OutOfMemory, &done), Some("AGENT_OUT_OF_MEMORY"));
    assert_eq!(code(Exit::Signal(9), &done), Some("AGENT_KILLED"));
    assert_eq!(code(Exit::Code(0), &Transcript::default()), Some("AGENT_NO_OUTPUT"));
    let cut = Transcript { turn: None, ..done };
    assert_eq!(code(Exit::Code(0), &cut), Some("AGENT_FAILED"));
}
