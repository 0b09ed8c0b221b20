//! What each command shows, for people and for programs.

use moorline::exit::Exit;
use moorline_proto::v1;

use crate::{
    fake::Fake,
    moorline,
    samples::{self, RUN},
};

async fn shown(fake: Fake, line: &str) -> String {
    let server = fake.start().await;
    let seen = moorline(&server.url, line).await;
    assert_eq!(seen.exit, Exit::Ok, "{}", seen.err);
    if seen.err.is_empty() {
        seen.out
    } else {
        format!("{}--- stderr\n{}", seen.out, seen.err)
    }
}

fn one() -> Fake {
    Fake::with_run(samples::succeeded(), Vec::new())
}

#[tokio::test]
async fn create_shows_the_run_and_how_to_follow_it() {
    insta::assert_snapshot!(shown(one(), "run create -r acme/site -f 001-login").await, @"
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
    --- stderr
    Run 019a0000-0000-7000-8000-000000000001 is created.

    Follow it with: moorline run watch 019a0000-0000-7000-8000-000000000001
    ");
}

#[tokio::test]
async fn get_shows_a_run_with_its_jobs_and_artifacts() {
    insta::assert_snapshot!(shown(one(), &format!("run get {RUN}")).await, @"
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
}

#[tokio::test]
async fn get_shows_why_a_run_failed() {
    let text = shown(Fake::with_run(samples::failed(), Vec::new()), &format!("run get {RUN}")).await;
    insta::assert_snapshot!(text.lines().take(4).collect::<Vec<_>>().join("\n"), @"
    run id        019a0000-0000-7000-8000-000000000002
    status        failed
    phase         submit
    failure       NOT_LOGGED_IN: volume codex_auth_1 of shard codex-1 has no login: log in on worker w1 [31m
    ");
}

#[tokio::test]
async fn get_gives_programs_one_document_with_the_domains_names() {
    insta::assert_snapshot!(shown(one(), &format!("run get {RUN} --output json")).await, @r#"
    {
      "run_id": "019a0000-0000-7000-8000-000000000001",
      "status": "succeeded",
      "phase": "complete",
      "repository": "acme/site",
      "feature_key": "001-login",
      "task_id": null,
      "affinity_key": "acme/site|001-login",
      "agent": "codex",
      "force_phase": null,
      "base_ref": "main",
      "branch_name": "moorline/001-login/000000000001",
      "pr_url": "https://github.com/acme/site/pull/7",
      "codex_queue": "codex-1",
      "codex_volume": "codex_auth_1",
      "codex_shard_index": 1,
      "hash_modulo": 3,
      "codex_task_id": null,
      "codex_preflight_status": "passed",
      "codex_preflight_message": "Logged in using ChatGPT",
      "codex_logs_path": null,
      "codex_patch_path": null,
      "artifacts_path": null,
      "requested_by": null,
      "notes": null,
      "idempotency_key": null,
      "options": {
        "priority": 0,
        "on_shard_unavailable": null,
        "on_auth_failure": "fail",
        "agent_timeout_seconds": 1800.0,
        "not_before": null,
        "queue_timeout_seconds": null
      },
      "failure": null,
      "created_at": "2026-01-02T03:04:05Z",
      "started_at": "2026-01-02T03:04:06Z",
      "finished_at": "2026-01-02T03:05:21Z",
      "updated_at": "2026-01-02T03:05:21Z",
      "last_event_sequence": 7,
      "skill_policy_version": 3,
      "stage_decisions": [
        {
          "stage": "discover",
          "selected_skill": "speckit",
          "execution_path": "skill",
          "use_skills": true,
          "fallback_enabled": true,
          "shadow_mode": false,
          "source": "default",
          "replaced_skill": null,
          "direct_reason": null,
          "canary_percent": 100,
          "canary_bucket": 42,
          "policy_version": 3,
          "repository_skill": false
        },
        {
          "stage": "submit",
          "selected_skill": "speckit",
          "execution_path": "skill",
          "use_skills": true,
          "fallback_enabled": true,
          "shadow_mode": false,
          "source": "default",
          "replaced_skill": null,
          "direct_reason": null,
          "canary_percent": 100,
          "canary_bucket": 42,
          "policy_version": 3,
          "repository_skill": false
        },
        {
          "stage": "publish",
          "selected_skill": "speckit",
          "execution_path": "skill",
          "use_skills": true,
          "fallback_enabled": true,
          "shadow_mode": false,
          "source": "default",
          "replaced_skill": null,
          "direct_reason": null,
          "canary_percent": 100,
          "canary_bucket": 42,
          "policy_version": 3,
          "repository_skill": false
        }
      ],
      "jobs": [
        {
          "job_id": "019a0000-0000-7000-8000-0000000000a1",
          "run_id": "019a0000-0000-7000-8000-000000000001",
          "stage": "discover",
          "attempt": 1,
          "queue": "default",
          "status": "succeeded",
          "hold_reason": null,
          "priority": 0,
          "worker_name": "w0",
          "failure": null,
          "result": {
            "base_ref": "main",
            "base_commit": "c0ffee",
            "phase": {
              "number": "2",
              "title": "Foundational",
              "tasks": [
                {
                  "task_id": "T004",
                  "description": "Add a login page",
                  "parallel": false,
                  "story": null,
                  "line": 12
                }
              ]
            }
          },
          "created_at": "2026-01-02T03:04:05Z",
          "not_before": null,
          "started_at": "2026-01-02T03:04:06Z",
          "finished_at": "2026-01-02T03:04:16Z",
          "expires_at": null,
          "decision": {
            "stage": "discover",
            "selected_skill": "speckit",
            "execution_path": "skill",
            "use_skills": true,
            "fallback_enabled": true,
            "shadow_mode": false,
            "source": "default",
            "replaced_skill": null,
            "direct_reason": null,
            "canary_percent": 100,
            "canary_bucket": 42,
            "policy_version": 3,
            "repository_skill": false
          },
          "execution": {
            "stage": "discover",
            "selected_skill": "speckit",
            "execution_path": "skill",
            "used_skills": true,
            "used_fallback": false,
            "shadow_mode_requested": false,
            "duration_ms": 9800,
            "skill_failure": null,
            "skill_digest": "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e",
            "shadow": null
          },
          "waits_for_skill": null
        },
        {
          "job_id": "019a0000-0000-7000-8000-0000000000a1",
          "run_id": "019a0000-0000-7000-8000-000000000001",
          "stage": "submit",
          "attempt": 1,
          "queue": "codex-1",
          "status": "succeeded",
          "hold_reason": null,
          "priority": 0,
          "worker_name": "w1",
          "failure": null,
          "result": {
            "codex_task_id": null,
            "base_commit": "c0ffee",
            "patch_artifact_id": null,
            "files_changed": 2,
            "insertions": 30,
            "deletions": 4,
            "input_tokens": 0,
            "output_tokens": 0
          },
          "created_at": "2026-01-02T03:04:05Z",
          "not_before": null,
          "started_at": "2026-01-02T03:04:06Z",
          "finished_at": "2026-01-02T03:04:16Z",
          "expires_at": null,
          "decision": {
            "stage": "submit",
            "selected_skill": "speckit",
            "execution_path": "skill",
            "use_skills": true,
            "fallback_enabled": true,
            "shadow_mode": false,
            "source": "default",
            "replaced_skill": null,
            "direct_reason": null,
            "canary_percent": 100,
            "canary_bucket": 42,
            "policy_version": 3,
            "repository_skill": false
          },
          "execution": {
            "stage": "submit",
            "selected_skill": "speckit",
            "execution_path": "direct_fallback",
            "used_skills": true,
            "used_fallback": true,
            "shadow_mode_requested": false,
            "duration_ms": 9800,
            "skill_failure": {
              "code": "SKILL_FAILED",
              "message": "the skill ended with 3\u001b[31m",
              "class": "job",
              "details": {}
            },
            "skill_digest": "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e",
            "shadow": null
          },
          "waits_for_skill": null
        },
        {
          "job_id": "019a0000-0000-7000-8000-0000000000a1",
          "run_id": "019a0000-0000-7000-8000-000000000001",
          "stage": "publish",
          "attempt": 1,
          "queue": "default",
          "status": "succeeded",
          "hold_reason": null,
          "priority": 0,
          "worker_name": "w0",
          "failure": null,
          "result": {
            "branch_name": "moorline/001-login/000000000001",
            "commit": "deadbeef",
            "pr_url": "https://github.com/acme/site/pull/7",
            "pr_existed": false
          },
          "created_at": "2026-01-02T03:04:05Z",
          "not_before": null,
          "started_at": "2026-01-02T03:04:06Z",
          "finished_at": "2026-01-02T03:04:16Z",
          "expires_at": null,
          "decision": {
            "stage": "publish",
            "selected_skill": "speckit",
            "execution_path": "skill",
            "use_skills": true,
            "fallback_enabled": true,
            "shadow_mode": false,
            "source": "default",
            "replaced_skill": null,
            "direct_reason": null,
            "canary_percent": 100,
            "canary_bucket": 42,
            "policy_version": 3,
            "repository_skill": false
          },
          "execution": {
            "stage": "publish",
            "selected_skill": "speckit",
            "execution_path": "skill",
            "used_skills": true,
            "used_fallback": false,
            "shadow_mode_requested": true,
            "duration_ms": 9800,
            "skill_failure": null,
            "skill_digest": "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e",
            "shadow": {
              "execution_path": "direct_only",
              "status": "drift",
              "files": 1,
              "artifact_id": "019a0000-0000-7000-8000-0000000000b1",
              "detail": "1 file differs",
              "duration_ms": 900
            }
          },
          "waits_for_skill": null
        }
      ],
      "artifacts": [
        {
          "artifact_id": "019a0000-0000-7000-8000-0000000000b1",
          "run_id": "019a0000-0000-7000-8000-000000000001",
          "type": "codex_patch",
          "path": "019a0000-0000-7000-8000-000000000001/submit.patch",
          "content_type": "text/x-diff",
          "size_bytes": 5,
          "digest": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
          "created_at": "2026-01-02T03:05:05Z"
        }
      ],
      "preflight": {
        "status": "passed",
        "rung": "UNEXPIRED",
        "message": "Logged in using ChatGPT",
        "exit_code": 0,
        "checked_at": "2026-01-02T03:04:17Z",
        "duration_seconds": 0.25,
        "volume": "codex_auth_1",
        "queue": "codex-1",
        "worker_name": "w1",
        "retry_after_seconds": null,
        "run_id": null
      },
      "credential_audit": {
        "codex_status": "expires_soon",
        "github_status": "scope_missing",
        "checked_at": "2026-01-02T03:04:17Z",
        "notes": "GITHUB_TOKEN of worker w1 may not open pull requests: give it the scope repo\u001b[31m"
      }
    }
    "#);
}

#[tokio::test]
async fn list_shows_runs() {
    let fake = Fake {
        runs: vec![samples::failed(), samples::succeeded()],
        ..Fake::default()
    };
    insta::assert_snapshot!(shown(fake, "run list").await, @"
    RUN ID                                STATUS     PHASE     REPOSITORY  FEATURE    QUEUE    STAGES BY      CREATED               TOOK
    019a0000-0000-7000-8000-000000000002  failed     submit    acme/site   001-login  codex-1  skill speckit  2026-01-02 03:04:05Z  1m 15s
    019a0000-0000-7000-8000-000000000001  succeeded  complete  acme/site   001-login  codex-1  skill speckit  2026-01-02 03:04:05Z  1m 15s
    ");
    insta::assert_snapshot!(shown(Fake::default(), "run list").await, @"No runs.");
}

#[tokio::test]
async fn list_follows_pages_up_to_the_limit() {
    let run = |n| v1::Run {
        run_id: format!("run-{n}"),
        ..samples::succeeded()
    };
    let server = Fake {
        runs: (0..1_200).map(run).collect(),
        ..Fake::default()
    }
    .start()
    .await;
    let seen = moorline(
        &server.url,
        "run list --limit 1100 --status failed --status no_work --created-after 2026-01-02T03:04:05Z",
    )
    .await;
    assert_eq!(seen.out.lines().count(), 1 + 1_100);
    assert!(
        seen.out.lines().last().expect("a line").starts_with(" run-1099 ") || seen.out.contains("run-1099"),
        "{}",
        seen.out
    );
    insta::assert_snapshot!(seen.err, @"
    There are more: raise --limit, or go on with --page-token 1100
    ");
    insta::assert_snapshot!(server.fake.requests.lock().expect("unpoisoned").join("\n"), @r#"
    ListRunsRequest { page_size: 500, page_token: "", statuses: [Failed, NoWork], repository: "", feature_key: "", codex_queue: "", created_after: Some(Timestamp { seconds: 1767323045, nanos: 0 }) }
    ListRunsRequest { page_size: 500, page_token: "500", statuses: [Failed, NoWork], repository: "", feature_key: "", codex_queue: "", created_after: Some(Timestamp { seconds: 1767323045, nanos: 0 }) }
    ListRunsRequest { page_size: 100, page_token: "1000", statuses: [Failed, NoWork], repository: "", feature_key: "", codex_queue: "", created_after: Some(Timestamp { seconds: 1767323045, nanos: 0 }) }
    "#);

    let seen = moorline(&server.url, "run list --limit 2 --page-token 1199 --output json").await;
    let list: serde_json::Value = serde_json::from_str(&seen.out).expect("a document");
    assert_eq!(list["runs"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&list["runs"][0]["run_id"], &list["next_page_token"]),
        (&"run-1199".into(), &serde_json::Value::Null)
    );
}

#[tokio::test]
async fn cancel_and_retry_show_the_run() {
    let cancelled = v1::Run {
        status: v1::RunStatus::Running.into(),
        ..samples::succeeded()
    };
    let text = shown(Fake::with_run(cancelled, Vec::new()), &format!("run cancel {RUN} --reason typo")).await;
    insta::assert_snapshot!(text.lines().rev().take(3).collect::<Vec<_>>().join("\n"), @"
    Its job is being stopped. Follow it with: moorline run watch 019a0000-0000-7000-8000-000000000001

    --- stderr
    ");

    let server = one().start().await;
    let seen = moorline(&server.url, &format!("run retry {RUN} --mode restart")).await;
    insta::assert_snapshot!(seen.err, @"Follow it with: moorline run watch 019a0000-0000-7000-8000-000000000001 --after 7");
    insta::assert_snapshot!(server.fake.requests.lock().expect("unpoisoned")[0], @r#"RetryRunRequest { run_id: "019a0000-0000-7000-8000-000000000001", mode: RestartFromDiscovery }"#);
}

#[tokio::test]
async fn shards_are_shown_with_their_logins() {
    insta::assert_snapshot!(shown(one(), "shard list").await, @"
    QUEUE    STATUS    HELD            NEW RUNS  VOLUME        LOGIN  FOUND         WORKER  QUEUED  RUNNING  LAST HEARD
    codex-0  active                    yes       codex_auth_0  ready  PROVEN        w0      4       1        2026-01-02 03:05:15Z
    codex-1  draining  SHARD_DRAINING  no        codex_auth_1  error  RATE_LIMITED          2       0
    ");
    insta::assert_snapshot!(shown(one(), "shard show codex-0").await, @"
    queue         codex-0
    status        active
    new runs      yes
    hash modulo   3
    worker        w0
    host          host-a
    last heard    2026-01-02 03:05:15Z
    queued jobs   4
    running jobs  1
    latest run    019a0000-0000-7000-8000-000000000001
    its status    succeeded

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

    checked    2026-01-02 03:04:17Z
    result     passed
    found      UNEXPIRED
    message    Logged in using ChatGPT
    by worker  w1
    took       250ms
    exit code  0
    ");
}

#[tokio::test]
async fn a_shard_is_a_document_for_programs() {
    insta::assert_snapshot!(shown(one(), "shard show codex-0 --output json").await, @r#"
    {
      "queue": "codex-0",
      "shard_index": 0,
      "status": "active",
      "hash_modulo": 3,
      "worker_hostname": "host-a",
      "last_heartbeat_at": "2026-01-02T03:05:15Z",
      "volume": {
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
        }
      },
      "queued_jobs": 4,
      "running_jobs": 1,
      "latest_run_id": "019a0000-0000-7000-8000-000000000001",
      "latest_run_status": "succeeded",
      "latest_preflight": {
        "status": "passed",
        "rung": "UNEXPIRED",
        "message": "Logged in using ChatGPT",
        "exit_code": 0,
        "checked_at": "2026-01-02T03:04:17Z",
        "duration_seconds": 0.25,
        "volume": "codex_auth_1",
        "queue": "codex-1",
        "worker_name": "w1",
        "retry_after_seconds": null,
        "run_id": null
      },
      "hold_reason": null,
      "drain_reason": null,
      "drained_at": null,
      "worker_name": "w0",
      "routed": true
    }
    "#);
}

#[tokio::test]
async fn artifacts_are_listed() {
    insta::assert_snapshot!(shown(one(), &format!("run artifacts {RUN}")).await, @"
    ARTIFACT ID                           TYPE         BYTES  PATH
    019a0000-0000-7000-8000-0000000000b1  codex_patch  5      019a0000-0000-7000-8000-000000000001/submit.patch
    ");
}

#[tokio::test]
async fn workers_are_shown_and_drained() {
    insta::assert_snapshot!(shown(one(), "worker list").await, @"
    NAME  STATUS    HOST    VERSION  QUEUES           JOBS  VOLUME        SERVER                LAST HEARD
    w0    draining  host-a  0.1.0    codex-0,default  1/4   codex_auth_0  host-s 10.0.0.1:7420  2026-01-02 03:05:15Z
    w1    away      host-b  0.1.0    default          0/2                                       2026-01-02 03:04:17Z
    ");
    insta::assert_snapshot!(shown(one(), "worker drain w0").await, @"
    worker        w0
    status        draining
    running jobs  2
    --- stderr

    It ends by itself when its jobs have. See how far it is with: moorline worker list
    ");
    let server = one().start().await;
    let seen = moorline(&server.url, "worker drain w0 --reason kernel --output json").await;
    insta::assert_snapshot!(seen.out, @r#"
    {
      "worker_name": "w0",
      "running_jobs": 2
    }
    "#);
    insta::assert_snapshot!(server.fake.requests.lock().expect("unpoisoned")[0], @r#"DrainWorkerRequest { worker_name: "w0", reason: "kernel" }"#);
}

#[tokio::test]
async fn a_worker_is_shown_with_what_it_has_checked() {
    let table = shown(one(), "worker show w0").await;
    for said in [
        "codex 0.163.0, speckit 1.2.3",
        "approval_policy = never (built-in)",
        "google, gemini-embedding-001, credential google_api_key, 3072 dimensions, by a real call",
        "412 ms",
        "failed",
        "review            not ready                    .agents/skills lacks it: copy it there",
        "speckit  1.0.0    ready      discover, submit  Works on a feature's folder.",
    ] {
        assert!(table.contains(said), "{said}: {table}");
    }
    assert!(!table.contains('\u{1b}'), "{table}");
    let text = shown(one(), "worker show w0 --output json").await;
    let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(document["worker"]["name"], "w0");
    assert_eq!(document["profile"]["checks"][1]["duration_ms"], 412);
    assert_eq!(document["profile"]["embedding"]["credential_source"], "google_api_key");
    assert_eq!(document["profile"]["skills"][1]["stages"][0]["kind"], "executable");
}

#[tokio::test]
async fn a_worker_is_a_document_for_programs() {
    let text = shown(one(), "worker list --output json").await;
    let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    insta::assert_snapshot!(document["workers"][1], @r#"{"connected_at":null,"hostname":"host-b","instance_id":"","last_heartbeat_at":"2026-01-02T03:04:17Z","name":"w1","queues":["default"],"running_jobs":0,"server":null,"slots":2,"status":"away","version":"0.1.0","volume":null}"#);
}
