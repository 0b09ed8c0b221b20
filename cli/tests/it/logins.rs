//! Logging a volume in and out: what a person sees, what programs read, and what never shows.

use std::{process::Stdio, time::Duration};

use moorline::exit::Exit;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{
    fake::{Fake, Login, Running},
    moorline, samples,
};

const KEY: &str = "sk-test-0123456789abcdef";

/// Longest time for a program to do what it should.
const PATIENCE: Duration = Duration::from_secs(60);

fn fake() -> Fake {
    Fake::with_run(samples::succeeded(), Vec::new())
}

/// The program as a process, with a standard input of its own.
fn process(server: &Running, line: &str, input: Stdio) -> Child {
    Command::new(env!("CARGO_BIN_EXE_moorline"))
        .args(line.split_whitespace())
        .env("MOORLINE_SERVER", &server.url)
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program")
}

/// Exit code, output and errors of the program when it is given this.
async fn given(server: &Running, line: &str, input: &str) -> (i32, String, String) {
    let mut child = process(server, line, Stdio::piped());
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(input.as_bytes()).await.expect("room in the pipe");
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output())
        .await
        .expect("in time")
        .expect("its end");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("a code"), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_person_sees_the_page_the_code_and_the_check() {
    let server = fake().start().await;
    let seen = moorline(&server.url, "volume login codex_auth_0").await;
    assert_eq!(seen.exit, Exit::Ok);
    insta::assert_snapshot!(seen.out, @"
    Open this page in a browser, on any machine:

        https://issuer.example/codex/device

    and enter this code there, for a login that you began yourself and for no other:

        ┌────────────────────────┐
        │                        │
        │     ABCD-12345 [2J     │
        │                        │
        └────────────────────────┘

    checked    2026-01-02 03:04:17Z
    result     passed
    found      UNEXPIRED
    message    Logged in using ChatGPT
    by worker  w1
    took       250ms
    exit code  0

    volume               codex_auth_0
    provider             codex
    status               ready
    known of it          PROVEN
    held by              w0
    generation           2
    jobs at once         1
    last verified        2026-01-02 03:04:17Z
    fresh until          2026-01-03 03:04:17Z
    on disk              directory, 1000:1000, 0700, 20.00 GiB free
    login made by        chatgpt
    credential           4.11 KiB, 0600, written 2026-01-02 03:04:15Z
    token expires        2026-01-02 04:04:05Z
    snapshot of          2026-01-02 03:04:16Z
    beside it            1.20 MiB sessions, 3.00 MiB logs, 12.00 KiB other, cleaned up above 1.00 GiB
    account fingerprint  3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f
    login fingerprint    a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9
    mended               mode of auth.json
    notes                account of the platform team
    ");
    insta::assert_snapshot!(seen.err, @"
    Device login must be allowed: in the security settings of the account, or by the admin of its workspace.
    Where it isn't, an API key does: moorline volume login codex_auth_0 --api-key-stdin

    The worker begins the login.
    The login is stored. It is being checked.
    ");
    insta::assert_snapshot!(server.fake.requests.lock().expect("unpoisoned").join("\n"), @r#"LoginVolumeRequest { volume: "codex_auth_0", method: Device, api_key: "" }"#);
}

#[tokio::test]
async fn a_program_reads_one_object_per_step() {
    let server = fake().start().await;
    let seen = moorline(&server.url, "volume login codex_auth_0 --output json").await;
    assert_eq!((seen.exit, seen.err.as_str()), (Exit::Ok, ""));
    let steps: Vec<serde_json::Value> = seen.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let states: Vec<_> = steps.iter().map(|step| step["state"].as_str().expect("a state")).collect();
    assert_eq!(states, ["starting", "waiting_for_user", "checking", "done"]);
    insta::assert_snapshot!(steps[1], @r#"{"expires_at":"2026-01-02T03:19:05Z","expires_in_seconds":900.0,"preflight":null,"state":"waiting_for_user","user_code":"ABCD-12345\u001b[2J","verification_url":"https://issuer.example/codex/device","volume":null}"#);
    assert_eq!(steps[3]["preflight"]["status"], "passed");
    assert_eq!(steps[3]["volume"]["name"], "codex_auth_0");
}

#[tokio::test]
async fn a_refused_login_says_how_to_go_on() {
    let server = Fake {
        login: Login::Denied,
        ..fake()
    }
    .start()
    .await;
    let seen = moorline(&server.url, "volume login codex_auth_0").await;
    assert_eq!(seen.exit, Exit::Refused);
    insta::assert_snapshot!(seen.err.lines().rev().take(2).collect::<Vec<_>>().join("\n"), @"
    next: begin again with `moorline volume login VOLUME`; with --api-key-stdin it takes a key instead
    error: the issuer refused the login of codex_auth_0 (LOGIN_DENIED)
    ");
}

#[tokio::test]
async fn an_api_key_goes_from_standard_input_to_the_server_and_nowhere_else() {
    let server = fake().start().await;
    for line in [
        "volume login codex_auth_0 --api-key-stdin",
        "volume login codex_auth_0 --api-key-stdin --output json",
    ] {
        let (code, out, err) = given(&server, line, &format!("{KEY}\n")).await;
        assert_eq!(code, 0, "{err}");
        assert!(!format!("{out}{err}").contains(KEY), "{out}{err}");
        assert!(!out.contains("Open this page"), "{out}");
    }
    let asked = server.fake.requests.lock().expect("unpoisoned").join("\n");
    assert!(asked.contains(&format!("method: ApiKey, api_key: {KEY:?}")), "{asked}");
}

#[tokio::test]
async fn what_is_no_api_key_is_refused_before_the_server_is_asked() {
    let server = fake().start().await;
    for (input, told) in [
        ("", "there is no API key"),
        (" \n", "there is no API key"),
        ("sk-one\nsk-two\n", "is no API key"),
    ] {
        let (code, _, err) = given(&server, "volume login codex_auth_0 --api-key-stdin", input).await;
        assert_eq!(code, 2, "{err}");
        assert!(err.contains(told) && !err.contains("sk-one"), "{err}");
    }
    assert!(server.fake.requests.lock().expect("unpoisoned").is_empty());
}

#[tokio::test]
async fn an_api_key_on_the_command_line_is_refused_and_not_repeated() {
    let server = fake().start().await;
    for line in [
        format!("volume login codex_auth_0 {KEY}"),
        format!("volume login codex_auth_0 --api-key {KEY}"),
        format!("volume login codex_auth_0 --api-key={KEY}"),
        format!("volume login codex_auth_0 --api-key-stdin {KEY}"),
        "volume login codex_auth_0 --api-key".to_owned(),
    ] {
        let seen = moorline(&server.url, &line).await;
        assert_eq!(seen.exit, Exit::Usage, "{line}");
        assert!(
            !seen.err.contains(KEY) && seen.err.contains("--api-key-stdin"),
            "{line}: {}",
            seen.err
        );
    }
    let seen = moorline(&server.url, &format!("volume login codex_auth_0 {KEY}")).await;
    insta::assert_snapshot!(seen.err, @"error: an API key is not taken from the command line, where every process of this machine can read it and the shell's history keeps it: if you gave one, replace it at its issuer, then run `moorline volume login codex_auth_0 --api-key-stdin` and give it on standard input");
    assert!(server.fake.requests.lock().expect("unpoisoned").is_empty());
}

#[tokio::test]
async fn ctrl_c_stops_the_login_on_the_worker() {
    let server = Fake {
        login: Login::Awaited,
        ..fake()
    }
    .start()
    .await;
    let mut child = process(&server, "volume login codex_auth_0", Stdio::null());
    let mut said = BufReader::new(child.stderr.take().expect("its notes")).lines();
    let mut wait = async |text: &str| {
        while let Some(line) = said.next_line().await.expect("a line") {
            if line.contains(text) {
                return;
            }
        }
        panic!("it never said {text:?}");
    };
    timeout(PATIENCE, wait("it is good for 15m")).await.expect("in time");
    assert!(!server.fake.login_stopped.is_cancelled());
    let pid = child
        .id()
        .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
        .expect("a process id");
    kill_process(pid, Signal::INT).expect("a signal");
    timeout(PATIENCE, server.fake.login_stopped.cancelled())
        .await
        .expect("the server hears that the client is gone");
    timeout(PATIENCE, wait("Stopped.")).await.expect("in time");
    let ended = timeout(PATIENCE, child.wait()).await.expect("in time").expect("its end");
    assert_eq!(ended.code(), Some(130));
}

#[tokio::test]
async fn a_logout_must_be_meant() {
    let server = fake().start().await;
    let (code, _, err) = given(&server, "volume logout codex_auth_0", "y\n").await;
    assert_eq!(code, 2);
    insta::assert_snapshot!(err, @"error: logging codex_auth_0 out makes its shard hold its jobs: give --yes if that is meant");
    assert!(server.fake.requests.lock().expect("unpoisoned").is_empty());

    let seen = moorline(&server.url, "volume logout codex_auth_0 --yes").await;
    assert_eq!(seen.exit, Exit::Ok);
    let told: Vec<_> = seen
        .out
        .lines()
        .filter(|line| line.contains("needs_auth") || line.starts_with("why"))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    status               needs_auth
    why                  nobody is logged in
    ");
    insta::assert_snapshot!(seen.err, @"Log in again with: moorline volume login codex_auth_0");
}
