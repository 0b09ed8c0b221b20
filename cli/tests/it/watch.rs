//! Following a run: the stream survives what happens to it, and the exit code tells how the run ended.

use std::io::{self, Write};

use moorline::{console::Stream, exit::Exit};
use moorline_proto::v1::RunStatus;
use tokio_util::sync::CancellationToken;

use crate::{
    fake::{Fake, Watch},
    moorline, proxy,
    samples::{self, RUN},
};

fn sequences(out: &str) -> Vec<i64> {
    let lines = out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a line of JSON"));
    lines.map(|event| event["sequence"].as_i64().expect("a sequence")).collect()
}

#[tokio::test]
async fn events_are_lines_for_people_and_the_run_follows() {
    let server = Fake::with_run(samples::succeeded(), samples::events()).start().await;
    let seen = moorline(&server.url, &format!("run watch {RUN}")).await;
    assert_eq!(seen.exit, Exit::Ok);
    insta::assert_snapshot!(seen.out, @"
    2026-01-02 03:04:06Z  run        running (phase submit)
    2026-01-02 03:04:07Z  submit     queued on codex-1, held: SHARD_OFFLINE, skill speckit
    2026-01-02 03:04:08Z  submit     running on w1
    2026-01-02 03:04:09Z  preflight  passed (UNEXPIRED): Logged in using ChatGPT
    2026-01-02 03:04:10Z  logins     codex expires_soon, github scope_missing: GITHUB_TOKEN of worker w1 may not open pull requests: give it the scope repo [31m
    2026-01-02 03:04:11Z  submit     edits [2J src/login.rs
    2026-01-02 03:04:12Z  run        succeeded (phase complete)

    run id        019a0000-0000-7000-8000-000000000001
    status        succeeded
    phase         complete
    repository    acme/site
    feature       001-login
    base          main
    branch        moorline/001-login/000000000001
    pull request  https://github.com/acme/site/pull/7
    agent         codex
    affinity key  acme/site|001-login
    queue         codex-1
    volume        codex_auth_1
    preflight     passed
    login check   Logged in using ChatGPT
    stages by     skill speckit (policy 3)
    created       2026-01-02 03:04:05Z
    took          1m 15s

    credentials  codex expires_soon, github scope_missing: GITHUB_TOKEN of worker w1 may not open pull requests: give it the scope repo [31m
    looked at    2026-01-02 03:04:17Z

    STAGE     ATTEMPT  STATUS     QUEUE    WORKER  TOOK  WAY                                          RESULT
    discover  1        succeeded  default  w0      10s   skill speckit                                phase 2: Foundational (1 task)
    submit    1        succeeded  codex-1  w1      10s   direct_fallback from speckit (SKILL_FAILED)  2 files, +30 -4
    publish   1        succeeded  default  w0      10s   skill speckit, shadow drift                  commit deadbeef, https://github.com/acme/site/pull/7

    ARTIFACT     ID                                    BYTES
    codex_patch  019a0000-0000-7000-8000-0000000000b1  5
    ");
    assert_eq!(seen.err, "");
}

#[tokio::test]
async fn events_are_json_lines_for_programs() {
    let server = Fake::with_run(samples::succeeded(), samples::events()).start().await;
    let seen = moorline(&server.url, &format!("run watch {RUN} --output json")).await;
    insta::assert_snapshot!(seen.out, @r#"
    {"run_id":"019a0000-0000-7000-8000-000000000001","sequence":1,"created_at":"2026-01-02T03:04:06Z","event":"run_changed","data":{"status":"running","phase":"submit","failure":null,"reason":null}}
    {"run_id":"019a0000-0000-7000-8000-000000000001","sequence":2,"created_at":"2026-01-02T03:04:07Z","event":"job_changed","data":{"job_id":"019a0000-0000-7000-8000-0000000000a1","stage":"submit","attempt":1,"status":"queued","queue":"codex-1","worker_name":null,"hold_reason":"SHARD_OFFLINE","failure":null,"decision":{"stage":"submit","selected_skill":"speckit","execution_path":"skill","use_skills":true,"fallback_enabled":true,"shadow_mode":false,"source":"default","replaced_skill":null,"direct_reason":null,"canary_percent":100,"canary_bucket":42,"policy_version":3,"repository_skill":false},"execution":null}}
    {"run_id":"019a0000-0000-7000-8000-000000000001","sequence":3,"created_at":"2026-01-02T03:04:08Z","event":"job_changed","data":{"job_id":"019a0000-0000-7000-8000-0000000000a1","stage":"submit","attempt":1,"status":"running","queue":"codex-1","worker_name":"w1","hold_reason":null,"failure":null,"decision":null,"execution":null}}
    {"run_id":"019a0000-0000-7000-8000-000000000001","sequence":4,"created_at":"2026-01-02T03:04:09Z","event":"preflight","data":{"status":"passed","rung":"UNEXPIRED","message":"Logged in using ChatGPT","exit_code":0,"checked_at":"2026-01-02T03:04:17Z","duration_seconds":0.25,"volume":"codex_auth_1","queue":"codex-1","worker_name":"w1","retry_after_seconds":null,"run_id":null}}
    {"run_id":"019a0000-0000-7000-8000-000000000001","sequence":5,"created_at":"2026-01-02T03:04:10Z","event":"credential_audit","data":{"codex_status":"expires_soon","github_status":"scope_missing","checked_at":"2026-01-02T03:04:17Z","notes":"GITHUB_TOKEN of worker w1 may not open pull requests: give it the scope repo\u001b[31m"}}
    {"run_id":"019a0000-0000-7000-8000-000000000001","sequence":6,"created_at":"2026-01-02T03:04:11Z","event":"progress","data":{"job_id":"019a0000-0000-7000-8000-0000000000a1","stage":"submit","message":"edits\u001b[2J src/login.rs"}}
    {"run_id":"019a0000-0000-7000-8000-000000000001","sequence":7,"created_at":"2026-01-02T03:04:12Z","event":"run_changed","data":{"status":"succeeded","phase":"complete","failure":null,"reason":null}}
    "#);
}

/// Cuts the line as soon as it has seen the second event.
struct CutAfterSecond {
    text: Vec<u8>,
    cut: CancellationToken,
}

impl Write for CutAfterSecond {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        if String::from_utf8_lossy(&self.text).contains("\"sequence\":2,") {
            self.cut.cancel();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for CutAfterSecond {
    fn is_terminal(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn a_cut_line_is_opened_again_after_the_last_event_seen() {
    let fake = Fake {
        watches: vec![Watch::Silence(2)],
        ..Fake::with_run(samples::succeeded(), samples::events())
    };
    let server = fake.start().await;
    let cut = CancellationToken::new();
    let url = proxy::start(server.port, cut.clone()).await;

    let mut out = CutAfterSecond { text: Vec::new(), cut };
    let mut err = Vec::new();
    let words = ["moorline", "--server", &url, "run", "watch", RUN, "--output", "json"].map(Into::into);
    let exit = moorline::run(words, &mut out, &mut err).await;

    assert_eq!(exit, Exit::Ok);
    assert_eq!(sequences(&String::from_utf8_lossy(&out.text)), [1, 2, 3, 4, 5, 6, 7]);
    let requests = server.fake.requests.lock().expect("unpoisoned");
    assert!(requests[1].contains("after_sequence: 2"), "{requests:?}");
}

#[tokio::test]
async fn a_server_that_goes_away_is_tried_again_and_people_are_told() {
    let fake = Fake {
        watches: vec![Watch::Farewell(1), Watch::End(2)],
        // The run isn't over where the second stream ends.
        ..Fake::with_run(samples::succeeded(), samples::events())
    };
    let server = fake.start().await;
    let seen = moorline(&server.url, &format!("run watch {RUN}")).await;
    assert_eq!(seen.exit, Exit::Ok);
    assert_eq!(
        seen.out.matches("2026-01-02 03:04:").count(),
        // The table below has two more.
        samples::events().len() + 2,
        "{}",
        seen.out
    );
    insta::assert_snapshot!(seen.err, @"
    connection lost (the server is shutting down), trying again
    connection lost (the server ended the stream too early), trying again
    ");
}

#[tokio::test]
async fn patience_has_an_end() {
    let watches = vec![Watch::Farewell(0); 100];
    let server = Fake {
        watches,
        ..Fake::with_run(samples::succeeded(), samples::events())
    }
    .start()
    .await;
    let seen = moorline(&server.url, &format!("run watch {RUN} --reconnect-for 200ms")).await;
    assert_eq!(seen.exit, Exit::Unreachable);
    insta::assert_snapshot!(seen.err, @"
    connection lost (the server is shutting down), trying again
    error: the server is shutting down
    next: try again in a moment
    ");
}

#[tokio::test]
async fn watching_what_has_ended_already_tells_its_end() {
    let server = Fake::with_run(samples::succeeded(), samples::events()).start().await;
    let seen = moorline(&server.url, &format!("run watch {RUN} --after 7 --output json")).await;
    assert_eq!((seen.exit, seen.out.as_str()), (Exit::Ok, ""));
}

#[tokio::test]
async fn the_exit_code_tells_how_the_run_ended() {
    let ends = [
        (RunStatus::Succeeded, Exit::Ok),
        (RunStatus::NoWork, Exit::Ok),
        (RunStatus::Failed, Exit::RunFailed),
        (RunStatus::Cancelled, Exit::RunCancelled),
    ];
    for (status, exit) in ends {
        let server = Fake::with_run(samples::succeeded(), samples::ending(status, None)).start().await;
        let seen = moorline(&server.url, &format!("run watch {RUN}")).await;
        assert_eq!(seen.exit, exit, "{status:?}");
    }
}

#[tokio::test]
async fn a_run_is_created_and_followed_in_one_command() {
    let events = samples::ending(RunStatus::Failed, Some(samples::not_logged_in()));
    let server = Fake::with_run(samples::failed(), events).start().await;
    let line = "run create --repository acme/site --feature 001-login --agent-timeout 30m --force-phase submit --priority -5 --on-auth-failure wait --not-before 2026-01-02T03:04:05Z --queue-timeout 2h --watch";
    let seen = moorline(&server.url, line).await;
    assert_eq!(seen.exit, Exit::RunFailed);
    insta::assert_snapshot!(format!("{}\n---\n{}", seen.out.lines().next().expect("a line"), seen.err), @"
    2026-01-02 03:04:06Z  run        failed (phase submit): NOT_LOGGED_IN: volume codex_auth_1 of shard codex-1 has no login: log in on worker w1 [31m
    ---
    Run 019a0000-0000-7000-8000-000000000002 is created.

    Once the cause is mended: moorline run retry 019a0000-0000-7000-8000-000000000002
    ");
    insta::assert_snapshot!(server.fake.requests.lock().expect("unpoisoned")[0], @r#"CreateRunRequest { repository: "acme/site", feature_key: "001-login", affinity_key: "", base_ref: "", task_id: "", codex_queue: "", force_phase: Submit, agent: Unspecified, notes: "", idempotency_key: "", options: Some(RunOptions { priority: -5, on_shard_unavailable: Unspecified, on_auth_failure: Wait, agent_timeout: Some(Duration { seconds: 1800, nanos: 0 }), not_before: Some(Timestamp { seconds: 1767323045, nanos: 0 }), queue_timeout: Some(Duration { seconds: 7200, nanos: 0 }), stage_skills: [] }) }"#);
}

#[tokio::test]
async fn logs_are_printed_once_though_the_stream_breaks() {
    let server = Fake::with_run(samples::succeeded(), Vec::new()).start().await;
    let seen = moorline(&server.url, &format!("run logs {RUN} --follow --stage submit")).await;
    assert_eq!(seen.out, "hello world\n");
    insta::assert_snapshot!(seen.err, @"
    == submit, attempt 1
    connection lost (the server is shutting down), trying again
    ");

    let server = Fake::default().start().await;
    let seen = moorline(&server.url, &format!("run logs {RUN} --output json")).await;
    insta::assert_snapshot!(seen.out, @r#"
    {"job_id":"019a0000-0000-7000-8000-0000000000a1","stage":"submit","attempt":1,"offset":0,"content":"hello "}
    {"job_id":"019a0000-0000-7000-8000-0000000000a1","stage":"submit","attempt":1,"offset":6,"content":"world\n"}
    "#);
}

#[tokio::test]
async fn followed_logs_end_with_the_run_and_not_with_the_server() {
    let fake = Fake {
        watches: vec![Watch::End(1)],
        ends_after: 2,
        ..Fake::with_run(samples::succeeded(), Vec::new())
    };
    let server = fake.start().await;
    let seen = moorline(&server.url, &format!("run logs {RUN} --follow")).await;
    assert_eq!((seen.exit, seen.out.as_str()), (Exit::Ok, "hello world\n"));
    insta::assert_snapshot!(seen.err, @"
    == submit, attempt 1
    connection lost (the server ended the stream too early), trying again
    ");
}

#[tokio::test]
async fn shards_are_followed_without_repeating_what_is_known() {
    // The stream breaks off after the first two, begins anew with all, and the server is then away for good.
    let watches = [vec![Watch::End(2)], vec![Watch::Farewell(4)], vec![Watch::Farewell(0); 100]].concat();
    let server = Fake {
        watches,
        ..Fake::default()
    }
    .start()
    .await;
    let seen = moorline(&server.url, "shard watch --reconnect-for 200ms").await;
    assert_eq!(seen.exit, Exit::Unreachable);
    // The time of this machine goes before each line.
    let lines: Vec<_> = seen
        .out
        .lines()
        .filter_map(|line| line.split_once("Z  "))
        .map(|(_, line)| line)
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    codex-0 active; worker w0; 4 queued, 1 running; codex_auth_0 ready (PROVEN)
    codex-1 draining, held: SHARD_DRAINING; no worker; 2 queued, 0 running; codex_auth_1 error (RATE_LIMITED): the account of volume codex_auth_1 is rate-limited: wait, or add a shard with another account
    codex-0 active; worker w0; 4 queued, 0 running; codex_auth_0 ready (PROVEN)
    ");

    let watches = [vec![Watch::Farewell(4)], vec![Watch::Farewell(0); 100]].concat();
    let server = Fake {
        watches,
        ..Fake::default()
    }
    .start()
    .await;
    let seen = moorline(&server.url, "shard watch --reconnect-for 200ms --output json").await;
    let shards: Vec<serde_json::Value> = seen.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let told: Vec<_> = shards.iter().map(|shard| shard["queue"].as_str().expect("a queue")).collect();
    assert_eq!(told, ["codex-0", "codex-1", "codex-0", "codex-0"]);
}
