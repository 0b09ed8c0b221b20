//! Volumes and shards as operators look after them.

use moorline::exit::Exit;
use moorline_proto::v1;

use crate::{
    fake::Fake,
    moorline,
    samples::{self, RUN},
};

async fn shown(line: &str) -> String {
    let server = Fake::with_run(samples::succeeded(), Vec::new()).start().await;
    let seen = moorline(&server.url, line).await;
    assert_eq!(seen.exit, Exit::Ok, "{}", seen.err);
    if seen.err.is_empty() {
        seen.out
    } else {
        format!("{}--- stderr\n{}", seen.out, seen.err)
    }
}

/// What the server was asked.
async fn asked(line: &str) -> String {
    let server = Fake::with_run(samples::succeeded(), Vec::new()).start().await;
    let seen = moorline(&server.url, line).await;
    assert_eq!(seen.exit, Exit::Ok, "{}", seen.err);
    server.fake.requests.lock().expect("unpoisoned").join("\n")
}

fn bad() -> Fake {
    Fake {
        found: Some(samples::bad_preflight()),
        ..Fake::with_run(samples::succeeded(), Vec::new())
    }
}

#[tokio::test]
async fn volumes_are_listed_with_their_shards() {
    insta::assert_snapshot!(shown("volume list").await, @"
    VOLUME        STATUS  FOUND         SHARD    WORKER  GENERATION  LAST VERIFIED         FRESH UNTIL
    codex_auth_0  ready   PROVEN        codex-0  w0      2           2026-01-02 03:04:17Z  2026-01-03 03:04:17Z
    codex_auth_1  error   RATE_LIMITED  codex-1          0
    ");
}

#[tokio::test]
async fn a_volume_is_shown_as_its_worker_saw_it() {
    insta::assert_snapshot!(shown("volume show codex_auth_0").await, @"
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

    shard      codex-0
    described  2026-01-02 03:04:18Z
    ");
    insta::assert_snapshot!(shown("volume show codex_auth_0 --output json").await, @r#"
    {
      "name": "codex_auth_0",
      "provider": "codex",
      "status": "ready",
      "rung": "PROVEN",
      "status_message": null,
      "worker_affinity": "w0",
      "owner_worker": "w0",
      "generation": 2,
      "capacity": 1,
      "last_verified_at": "2026-01-02T03:04:17Z",
      "fresh_until": "2026-01-03T03:04:17Z",
      "cooling_until": null,
      "notes": "account of the platform team",
      "diagnostics": {
        "exists": true,
        "driver": "directory",
        "owner": "1000:1000",
        "mode": "0700",
        "free_bytes": 21474836480,
        "quota_bytes": 1073741824,
        "credential_bytes": 4213,
        "session_bytes": 1258291,
        "log_bytes": 3145728,
        "other_bytes": 12288,
        "credential_mode": "0600",
        "credential_modified_at": "2026-01-02T03:04:15Z",
        "login_method": "chatgpt",
        "token_expires_at": "2026-01-02T04:04:05Z",
        "snapshot_at": "2026-01-02T03:04:16Z",
        "account_fingerprint": "3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f",
        "login_fingerprint": "a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9",
        "mended": [
          "mode of auth.json"
        ]
      },
      "queue": "codex-0",
      "reported_at": "2026-01-02T03:04:18Z"
    }
    "#);
}

#[tokio::test]
async fn a_volume_that_no_shard_has_is_not_found() {
    let server = Fake::default().start().await;
    let seen = moorline(&server.url, "volume show nonsense").await;
    assert_eq!(seen.exit, Exit::NotFound);
    insta::assert_snapshot!(seen.err, @"
    error: no shard has this volume (VOLUME_NOT_FOUND)
    next: list the volumes with `moorline volume list`
    ");
}

#[tokio::test]
async fn a_check_is_shown_with_the_volume_after_it() {
    insta::assert_snapshot!(shown("volume check codex_auth_0 --probe").await, @"
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
    insta::assert_snapshot!(asked("volume check codex_auth_0 --probe").await, @r#"CheckVolumeRequest { volume: "codex_auth_0", probe: true }"#);
}

#[tokio::test]
async fn the_exit_code_of_a_check_says_that_the_login_is_bad() {
    let server = bad().start().await;
    for line in [
        "volume check codex_auth_0",
        "volume login codex_auth_0",
        &format!("preflight {RUN}"),
    ] {
        for format in ["table", "json"] {
            let seen = moorline(&server.url, &format!("{line} --output {format}")).await;
            assert_eq!(seen.exit, Exit::LoginBad, "{line}: {}{}", seen.out, seen.err);
            assert!(seen.out.contains("RATE_LIMITED"), "{line}: {}", seen.out);
        }
    }
    let seen = moorline(&server.url, "volume check codex_auth_0").await;
    let check = seen.out.split("\n\n").next().expect("the check");
    insta::assert_snapshot!(check, @"
    checked      2026-01-02 03:04:25Z
    result       failed
    found        RATE_LIMITED
    message      the account of volume codex_auth_1 (shard codex-1, worker w1) is rate-limited: wait
    by worker    w1
    took         250ms
    exit code    1
    retry after  600s
    for run      019a0000-0000-7000-8000-000000000001
    ");
}

#[tokio::test]
async fn checks_are_listed_page_after_page() {
    insta::assert_snapshot!(shown("volume checks codex_auth_1").await, @"
    CHECKED               RESULT  FOUND         VOLUME        WORKER  TOOK   RUN                                   MESSAGE
    2026-01-02 03:04:25Z  failed  RATE_LIMITED  codex_auth_1  w1      250ms  019a0000-0000-7000-8000-000000000001  the account of volume codex_auth_1 (shard codex-1, worker w1) is rate-limited: wait
    2026-01-02 03:04:17Z  passed  UNEXPIRED     codex_auth_1  w1      250ms                                        Logged in using ChatGPT
    ");
    insta::assert_snapshot!(shown("volume checks --limit 1").await, @"
    CHECKED               RESULT  FOUND         VOLUME        WORKER  TOOK   RUN                                   MESSAGE
    2026-01-02 03:04:25Z  failed  RATE_LIMITED  codex_auth_1  w1      250ms  019a0000-0000-7000-8000-000000000001  the account of volume codex_auth_1 (shard codex-1, worker w1) is rate-limited: wait
    --- stderr

    There are more: raise --limit, or go on with --page-token 1
    ");
    insta::assert_snapshot!(asked(&format!("volume checks codex_auth_1 --run {RUN} --status failed --page-token 1")).await, @r#"ListPreflightsRequest { volume: "codex_auth_1", run_id: "019a0000-0000-7000-8000-000000000001", status: Failed, page_size: 50, page_token: "1" }"#);
    let text = shown("volume checks --output json").await;
    let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    insta::assert_snapshot!(document["preflights"][0], @r#"{"checked_at":"2026-01-02T03:04:25Z","duration_seconds":0.25,"exit_code":1,"message":"the account of volume codex_auth_1 (shard codex-1, worker w1) is rate-limited: wait","queue":"codex-1","retry_after_seconds":600.0,"run_id":"019a0000-0000-7000-8000-000000000001","rung":"RATE_LIMITED","status":"failed","volume":"codex_auth_1","worker_name":"w1"}"#);
}

#[tokio::test]
async fn the_login_of_a_run_is_checked() {
    insta::assert_snapshot!(shown(&format!("preflight {RUN}")).await, @"
    queue      codex-1
    volume     codex_auth_1
    checked    2026-01-02 03:04:17Z
    result     passed
    found      UNEXPIRED
    message    Logged in using ChatGPT
    by worker  w1
    took       250ms
    exit code  0
    reused     yes, an earlier check is recent enough; --force checks anew
    ");
    insta::assert_snapshot!(asked(&format!("preflight {RUN} --force --affinity-key other")).await, @r#"PreflightRunRequest { run_id: "019a0000-0000-7000-8000-000000000001", affinity_key: "other", force_refresh: true }"#);
    let text = shown(&format!("preflight {RUN} --force --output json")).await;
    let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (&document["reused"], &document["preflight"]["rung"], &document["run"]["run_id"]),
        (&false.into(), &"UNEXPIRED".into(), &RUN.into())
    );
}

#[tokio::test]
async fn notes_are_replaced_or_removed() {
    let text = shown("volume notes codex_auth_0 rotate-in-May").await;
    assert!(text.contains("rotate-in-May"), "{text}");
    insta::assert_snapshot!(asked("volume notes codex_auth_0 rotate-in-May").await, @r#"UpdateVolumeNotesRequest { volume: "codex_auth_0", notes: "rotate-in-May" }"#);
    insta::assert_snapshot!(asked("volume notes codex_auth_0 --clear").await, @r#"UpdateVolumeNotesRequest { volume: "codex_auth_0", notes: "" }"#);
    for line in ["volume notes codex_auth_0", "volume notes codex_auth_0 text --clear"] {
        assert_eq!(moorline("http://127.0.0.1:1", line).await.exit, Exit::Usage, "{line}");
    }
}

#[tokio::test]
async fn a_volume_is_cleaned_up() {
    insta::assert_snapshot!(shown("volume gc codex_auth_0").await, @"
    volume  codex_auth_0
    freed   4.00 MiB
    ");
}

#[tokio::test]
async fn a_shard_is_drained_and_activated() {
    let text = shown("shard drain codex-0 --reason kernel").await;
    let shard = text.split("\n\n").next().expect("the shard");
    insta::assert_snapshot!(shard, @"
    queue          codex-0
    status         draining
    jobs are held  SHARD_DRAINING
    drained        2026-01-02 03:04:35Z
    because        kernel
    new runs       yes
    hash modulo    3
    worker         w0
    host           host-a
    last heard     2026-01-02 03:05:15Z
    queued jobs    4
    running jobs   1
    latest run     019a0000-0000-7000-8000-000000000001
    its status     succeeded
    ");
    insta::assert_snapshot!(text.split("--- stderr\n").nth(1).expect("a note"), @"
    It has jobs to finish. Follow them with: moorline shard watch

    It stays so until: moorline shard activate codex-0
    ");
    insta::assert_snapshot!(asked("shard drain codex-0 --reason kernel").await, @r#"DrainShardRequest { queue: "codex-0", reason: "kernel" }"#);
    insta::assert_snapshot!(asked("shard activate codex-0").await, @r#"ActivateShardRequest { queue: "codex-0" }"#);
}

#[tokio::test]
async fn the_number_of_shards_is_set() {
    insta::assert_snapshot!(shown("shard resize 4").await, @"
    QUEUE    STATUS    HELD            NEW RUNS  VOLUME        LOGIN  FOUND         WORKER  QUEUED  RUNNING  LAST HEARD
    codex-0  active                    yes       codex_auth_0  ready  PROVEN        w0      4       1        2026-01-02 03:05:15Z
    codex-1  draining  SHARD_DRAINING  no        codex_auth_1  error  RATE_LIMITED          2       0
    --- stderr

    A new shard takes work once a worker holds its volume and its login has passed a check.
    ");
    insta::assert_snapshot!(asked("shard resize 4").await, @"SetShardCountRequest { count: 4 }");
    for line in ["shard resize 0", "shard resize 1025", "shard resize many"] {
        assert_eq!(moorline("http://127.0.0.1:1", line).await.exit, Exit::Usage, "{line}");
    }
}

#[tokio::test]
async fn a_held_shard_says_why() {
    insta::assert_snapshot!(shown("shard show codex-1").await, @"
    queue          codex-1
    status         draining
    jobs are held  SHARD_DRAINING
    drained        2026-01-02 03:04:35Z
    because        new kernel
    new runs       no, beyond the shard count: it serves the runs that it has
    hash modulo    3
    queued jobs    2
    running jobs   0

    volume         codex_auth_1
    status         error
    known of it    RATE_LIMITED
    why            the account of volume codex_auth_1 is rate-limited: wait, or add a shard with another account
    generation     0
    cooling until  2026-01-02 03:14:25Z

    checked      2026-01-02 03:04:25Z
    result       failed
    found        RATE_LIMITED
    message      the account of volume codex_auth_1 (shard codex-1, worker w1) is rate-limited: wait
    by worker    w1
    took         250ms
    exit code    1
    retry after  600s
    for run      019a0000-0000-7000-8000-000000000001
    ");
}

#[tokio::test]
async fn no_worker_to_ask_is_explained() {
    use tonic_types::{ErrorDetails, StatusExt as _};
    let details = ErrorDetails::with_error_info("VOLUME_NOT_HELD", "moorline", []);
    let refusal = tonic::Status::with_error_details(tonic::Code::FailedPrecondition, "no connected worker holds codex_auth_0", details);
    let server = Fake {
        refusal: Some(refusal),
        ..Fake::default()
    }
    .start()
    .await;
    let seen = moorline(&server.url, "volume check codex_auth_0").await;
    assert_eq!(seen.exit, Exit::Refused);
    insta::assert_snapshot!(seen.err, @"
    error: no connected worker holds codex_auth_0 (VOLUME_NOT_HELD)
    next: start the shard's worker; `moorline worker list` shows which are connected
    ");
}

#[tokio::test]
async fn what_a_run_knew_of_its_credentials_is_shown() {
    let text = shown(&format!("run get {RUN}")).await;
    let audit = text.split("\n\n").nth(1).expect("the audit");
    insta::assert_snapshot!(audit, @"
    credentials  codex expires_soon, github scope_missing: GITHUB_TOKEN of worker w1 may not open pull requests: give it the scope repo [31m
    looked at    2026-01-02 03:04:17Z
    ");
    let text = shown(&format!("run get {RUN} --output json")).await;
    let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    insta::assert_snapshot!(document["credential_audit"], @r#"{"checked_at":"2026-01-02T03:04:17Z","codex_status":"expires_soon","github_status":"scope_missing","notes":"GITHUB_TOKEN of worker w1 may not open pull requests: give it the scope repo\u001b[31m"}"#);
    let held = v1::Job {
        status: v1::JobStatus::Queued.into(),
        hold_reason: v1::HoldReason::CheckingLogin.into(),
        ..Default::default()
    };
    let server = Fake {
        jobs: Some(vec![held]),
        ..Fake::with_run(samples::succeeded(), Vec::new())
    }
    .start()
    .await;
    let seen = moorline(&server.url, &format!("run get {RUN}")).await;
    assert!(seen.out.contains("held: CHECKING_LOGIN"), "{}", seen.out);
}
