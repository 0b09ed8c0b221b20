//! Gemini runs on real parts: the real worker, local processes, the real Gemini CLI with a scripted model.

use std::{fs, time::Duration};

use moorline_proto::v1;
use moorline_tests::repo::{FEATURE, SampleRepository};
use moorline_worker::config::{Config, EngineChoice};
use tokio::time::Instant;

use crate::support::{Fleet, eventually, fleet::repository, program, within};

/// Keys that tests would recognise wherever they turned up. The model takes the second for a wrong one.
const GOOD: &str = "AIza-test-moorline-recognisable-0123456789";
const BAD: &str = "AIza-test-moorline-wrong-0123456789";

/// A real agent on a busy machine.
const LONG: Duration = Duration::from_secs(120);

/// A fleet with a default worker and Gemini's, whose volume nobody has logged in.
async fn fleet(mode: &str) -> Fleet {
    let mut fleet = Fleet::new(mode).await;
    fleet.default_worker(|_| {}).await;
    join(&mut fleet, mode, |_| {}).await;
    fleet
}

/// Starts Gemini's worker.
async fn join(fleet: &mut Fleet, mode: &str, change: impl FnOnce(&mut Config)) {
    let mut config = Config {
        volume: Some(fleet.app.gemini_volume()),
        gemini_program: match fleet.engine {
            EngineChoice::Docker => "gemini".to_owned(),
            _ => program("MOORLINE_GEMINI_PROGRAM", "gemini"),
        },
        gemini_base_url: fleet.model.gemini_url(mode),
        gemini_api_key: None,
        ..fleet.config("gemini-1", "gemini")
    };
    change(&mut config);
    let engine = fleet.engine().await;
    engine
        .create_volume(&fleet.app.gemini_volume(), &config.job_user)
        .await
        .expect("a volume");
    fleet.worker(config).await.expect("Gemini's worker");
}

/// Logs in with a key over the API, as an operator does. Returns what the check of the new login said.
async fn log_in(fleet: &Fleet, key: &str) -> v1::Preflight {
    let request = v1::LoginVolumeRequest {
        volume: fleet.app.gemini_volume(),
        method: v1::LoginMethod::ApiKey.into(),
        api_key: key.to_owned(),
    };
    let mut steps = fleet.app.shards().login_volume(request).await.expect("a login").into_inner();
    let mut preflight = None;
    while let Some(step) = steps.message().await.expect("a step") {
        preflight = step.preflight.or(preflight);
    }
    preflight.expect("a check")
}

async fn shard(fleet: &Fleet) -> v1::Shard {
    let queue = "gemini".to_owned();
    let shard = fleet
        .app
        .shards()
        .get_shard(v1::GetShardRequest { queue })
        .await
        .expect("an answer");
    shard.into_inner().shard.expect("a shard")
}

fn request(origin: &SampleRepository) -> v1::CreateRunRequest {
    v1::CreateRunRequest {
        repository: format!("file://{}", origin.origin().display()),
        agent: v1::Agent::Gemini.into(),
        ..crate::support::app::request(FEATURE)
    }
}

async fn run(fleet: &Fleet, origin: &SampleRepository) -> v1::GetRunResponse {
    let run = fleet.app.create_with(request(origin)).await.expect("a run");
    ended(fleet, &run.run_id).await
}

async fn ended(fleet: &Fleet, run_id: &str) -> v1::GetRunResponse {
    tokio::time::timeout(LONG, fleet.app.finished(run_id)).await.expect("an end")
}

/// What the agent has printed, as clients read it.
async fn output(fleet: &Fleet, run_id: &str) -> String {
    let request = v1::StreamRunLogsRequest {
        run_id: run_id.to_owned(),
        ..Default::default()
    };
    let mut pieces = fleet.app.runs().stream_run_logs(request).await.unwrap().into_inner();
    let mut output = Vec::new();
    while let Some(piece) = pieces.message().await.unwrap() {
        output.extend_from_slice(&piece.content);
    }
    String::from_utf8(output).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gemini_run_goes_from_a_task_list_to_a_commit_on_a_branch() {
    let mut fleet = fleet("leak").await;
    let checked = log_in(&fleet, GOOD).await;
    assert_eq!(
        (checked.status(), checked.rung()),
        (v1::PreflightStatus::Passed, v1::PreflightRung::Present)
    );
    let origin = repository(SampleRepository::builder());
    let view = run(&fleet, &origin).await;
    let run = view.run.clone().unwrap();
    assert_eq!(run.status(), v1::RunStatus::Succeeded, "{:?}", run.failure);
    assert_eq!((run.codex_queue.as_str(), run.codex_volume.as_str()), ("gemini", "gemini_auth"));
    assert_eq!((run.codex_shard_index, run.hash_modulo), (None, None));
    assert_eq!(run.codex_preflight_status(), v1::PreflightStatus::Passed);
    assert!(!run.codex_task_id.is_empty(), "the agent's session id");
    let submit = view.jobs.iter().find(|job| job.stage() == v1::Stage::Submit).unwrap();
    assert_eq!((submit.worker_name.as_str(), submit.queue.as_str()), ("gemini-1", "gemini"));

    // Worked by the agent, and pushed: one commit, which ticks what it did.
    assert_eq!(origin.log(&run.branch_name).unwrap().len(), 2);
    let tasks = origin.show(&run.branch_name, &format!("specs/{FEATURE}/tasks.md")).unwrap();
    assert!(tasks.contains("- [x] T001") && tasks.contains("- [ ] T003"), "{tasks}");
    let types: Vec<_> = view.artifacts.iter().map(v1::Artifact::r#type).collect();
    for kind in [v1::ArtifactType::CodexLogs, v1::ArtifactType::CodexPatch, v1::ArtifactType::PushLog] {
        assert!(types.contains(&kind), "{kind:?} is missing in {types:?}");
    }
    let result = submit.result.clone().unwrap().result.unwrap();
    let v1::job_result::Result::Submit(submitted) = result else {
        panic!("{result:?}")
    };
    assert!(submitted.input_tokens >= 20 && submitted.output_tokens >= 10, "{submitted:?}");

    // It was asked with the volume's key, and that key is nowhere else, although the agent has printed what it could.
    let asked = fleet.model.requests();
    assert!(
        asked.iter().all(|asked| asked.authorization.as_deref() == Some(" …6789")),
        "{asked:?}"
    );
    let output = output(&fleet, &run.run_id).await;
    assert!(
        output.contains(r#""type":"init""#) && output.contains(r#""status":"success""#),
        "{output}"
    );
    let events = fleet.app.events(&run.run_id).await;
    assert!(!format!("{output}{view:?}{events:?}").contains(GOOD));
    assert!(output.contains("[redacted]"), "it was in the output: {output}");
    // Nothing of the conversation is left where the next run's agent could read it.
    let volume = fleet.root.path().join("volumes/gemini_auth");
    let mut left: Vec<_> = fs::read_dir(volume).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".env", ".moorline"]);
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_waits_for_the_login_of_geminis_volume_and_goes_on_by_itself() {
    let fleet = fleet("work").await;
    let origin = repository(SampleRepository::builder());
    // One that doesn't want to wait is told at once what to do.
    let failure = run(&fleet, &origin).await.run.unwrap().failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.class()), ("NOT_LOGGED_IN", v1::FailureClass::Login));
    for told in ["Gemini", "gemini_auth", "gemini-1", "moorline volume login gemini_auth"] {
        assert!(failure.message.contains(told), "{told} is missing in: {}", failure.message);
    }
    let status = shard(&fleet).await.volume.unwrap().status();
    assert_eq!(status, v1::VolumeStatus::NeedsAuth);
    let waits = v1::CreateRunRequest {
        options: Some(v1::RunOptions {
            on_auth_failure: v1::AuthFailurePolicy::Wait.into(),
            ..Default::default()
        }),
        ..request(&origin)
    };
    let waiting = fleet.app.create_with(waits).await.unwrap();
    eventually("the run waits", async || {
        let view = fleet.app.get(&waiting.run_id).await;
        let held = view.jobs.last().map(v1::Job::hold_reason);
        (held == Some(v1::HoldReason::WaitingAuth)).then_some(())
    })
    .await;
    assert!(fleet.model.requests().is_empty(), "the agent was started");
    assert_eq!(log_in(&fleet, GOOD).await.status(), v1::PreflightStatus::Passed);
    let run = ended(&fleet, &waiting.run_id).await.run.unwrap();
    assert_eq!(run.status(), v1::RunStatus::Succeeded, "{:?}", run.failure);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_google_refuses_takes_the_login_out_of_service_until_there_is_another() {
    let fleet = fleet("work").await;
    let origin = repository(SampleRepository::builder());
    // Nobody asks Google about a key before its first use.
    assert_eq!(log_in(&fleet, BAD).await.status(), v1::PreflightStatus::Passed);
    let failure = run(&fleet, &origin).await.run.unwrap().failure.unwrap();
    assert_eq!(
        (failure.code.as_str(), failure.class()),
        ("REVOKED", v1::FailureClass::Login),
        "{failure:?}"
    );
    assert!(failure.message.contains("API key not valid"), "{}", failure.message);
    assert!(!failure.message.contains(BAD));
    let volume = shard(&fleet).await.volume.unwrap();
    assert_eq!(
        (volume.status(), volume.rung()),
        (v1::VolumeStatus::Error, v1::PreflightRung::Revoked)
    );
    // The next run is refused without asking Google again.
    let asked = fleet.model.requests().len();
    let failure = run(&fleet, &origin).await.run.unwrap().failure.unwrap();
    assert_eq!((failure.code.as_str(), fleet.model.requests().len()), ("REVOKED", asked));
    assert_eq!(log_in(&fleet, GOOD).await.status(), v1::PreflightStatus::Passed);
    let run = run(&fleet, &origin).await.run.unwrap();
    assert_eq!(run.status(), v1::RunStatus::Succeeded, "{:?}", run.failure);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_holds_geminis_jobs_for_as_long_as_google_says() {
    let fleet = fleet("limited-600").await;
    log_in(&fleet, GOOD).await;
    let origin = repository(SampleRepository::builder());
    let failure = run(&fleet, &origin).await.run.unwrap().failure.unwrap();
    assert_eq!(failure.code, "RATE_LIMITED", "{failure:?}");
    let cooling = shard(&fleet).await.volume.unwrap().cooling_until.unwrap().seconds;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let left = cooling - i64::try_from(now).unwrap();
    assert!((500..=610).contains(&left), "{left} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workers_own_key_serves_where_the_volume_holds_no_login_and_another_counts_at_once() {
    let mut fleet = Fleet::new("work").await;
    fleet.default_worker(|_| {}).await;
    join(&mut fleet, "work", |config| config.gemini_api_key = Some(BAD.into())).await;
    let origin = repository(SampleRepository::builder());
    let failure = run(&fleet, &origin).await.run.unwrap().failure.unwrap();
    assert_eq!(failure.code, "REVOKED", "{failure:?}");
    let drain = v1::DrainWorkerRequest {
        worker_name: "gemini-1".to_owned(),
        ..Default::default()
    };
    fleet.app.fleet().drain_worker(drain).await.unwrap();
    eventually("the worker has gone", async || {
        (shard(&fleet).await.status() == v1::ShardStatus::Offline).then_some(())
    })
    .await;
    join(&mut fleet, "work", |config| {
        config.name = "gemini-2".to_owned();
        config.gemini_api_key = Some(GOOD.into());
    })
    .await;
    let view = run(&fleet, &origin).await;
    let run = view.run.clone().unwrap();
    assert_eq!(run.status(), v1::RunStatus::Succeeded, "{:?}", run.failure);
    let events = fleet.app.events(&run.run_id).await;
    assert!(!format!("{view:?}{events:?}{}", output(&fleet, &run.run_id).await).contains(GOOD));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_by_device_code_is_refused_with_what_to_do_instead_and_a_logout_leaves_nothing() {
    let fleet = fleet("work").await;
    log_in(&fleet, GOOD).await;
    let device = v1::LoginVolumeRequest {
        volume: "gemini_auth".to_owned(),
        method: v1::LoginMethod::Device.into(),
        api_key: String::new(),
    };
    let mut steps = fleet.app.shards().login_volume(device).await.unwrap().into_inner();
    let mut failure = None;
    let refused = loop {
        match steps.message().await {
            Ok(Some(step)) => failure = format!("{step:?}").contains("UNSUPPORTED").then(|| format!("{step:?}")).or(failure),
            Ok(None) => break failure.expect("a refusal"),
            Err(status) => break format!("{} {}", crate::support::kind(&status), status.message()),
        }
    };
    assert!(refused.contains("UNSUPPORTED") && refused.contains("--api-key-stdin"), "{refused}");
    let volume = fleet.root.path().join("volumes/gemini_auth");
    assert!(
        fs::read_to_string(volume.join(".env")).unwrap().contains(GOOD),
        "the login is still there"
    );

    // A login of the other kind, from another day, goes with it.
    fs::write(volume.join("oauth_creds.json"), "{}").unwrap();
    let out = v1::LogoutVolumeRequest {
        volume: "gemini_auth".to_owned(),
    };
    let logged_out = fleet.app.shards().logout_volume(out).await.unwrap().into_inner().volume.unwrap();
    assert_eq!(logged_out.status(), v1::VolumeStatus::NeedsAuth);
    assert!(!volume.join(".env").exists() && !volume.join("oauth_creds.json").exists());
    assert!(!volume.join(".moorline/snapshot").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_codex_run_beside_a_gemini_run_is_not_delayed() {
    let mut fleet = Fleet::start("work").await;
    join(&mut fleet, "slow-60", |_| {}).await;
    log_in(&fleet, GOOD).await;
    let (one, other) = (repository(SampleRepository::builder()), repository(SampleRepository::builder()));
    let gemini = fleet.app.create_with(request(&one)).await.unwrap();
    within(LONG, "Gemini at work", async || {
        let asked = fleet.model.requests();
        asked.iter().any(|asked| asked.path.contains("v1beta")).then_some(())
    })
    .await;
    let begun = Instant::now();
    let codex = fleet.run(&other).await.run.unwrap();
    assert_eq!(codex.status(), v1::RunStatus::Succeeded, "{:?}", codex.failure);
    let still = fleet.app.get(&gemini.run_id).await.run.unwrap();
    assert_eq!(still.status(), v1::RunStatus::Running, "after {:?}", begun.elapsed());
    let cancel = v1::CancelRunRequest {
        run_id: gemini.run_id.clone(),
        reason: "test".to_owned(),
    };
    fleet.app.runs().cancel_run(cancel).await.unwrap();
    assert_eq!(ended(&fleet, &gemini.run_id).await.run.unwrap().status(), v1::RunStatus::Cancelled);
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gemini_run_is_worked_in_a_container_with_its_volume_mounted() {
    let mut fleet = Fleet::in_docker("work").await;
    join(&mut fleet, "work", |_| {}).await;
    assert_eq!(log_in(&fleet, GOOD).await.status(), v1::PreflightStatus::Passed);
    let origin = repository(SampleRepository::builder());
    let run = run(&fleet, &origin).await.run.unwrap();
    let volume = shard(&fleet).await.volume.unwrap();
    fleet.stop().await;
    assert_eq!(run.status(), v1::RunStatus::Succeeded, "{:?}", run.failure);
    assert_eq!(origin.log(&run.branch_name).unwrap().len(), 2);
    let seen = volume.diagnostics.unwrap();
    assert_eq!((seen.owner.as_str(), seen.mode.as_str()), ("1000:1000", "0700"));
    assert_eq!((seen.credential_mode.as_str(), seen.login_method.as_str()), ("0600", "api_key"));
}
