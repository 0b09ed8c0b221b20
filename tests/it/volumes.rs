//! What operators do with shards and logins, over the API alone.
//!
//! Contract: 001/FR-013, 001/FR-019.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use crypto_box::{SecretKey, aead::OsRng};
use moorline_proto::v1::{self, command::Command as Asked, command_result::Result as Answer, connect_request};

use crate::{
    gate::{answer, checked, command},
    support::{
        ScriptedWorker, TestApp,
        app::request,
        eventually, kind,
        scripted_worker::{check, shard_hello},
    },
};

const VOLUME: &str = "codex_auth_1";

fn good() -> v1::Preflight {
    check("w", 1, v1::PreflightStatus::Passed, "Logged in")
}

async fn shard(app: &TestApp, queue: &str) -> v1::Shard {
    let request = v1::GetShardRequest { queue: queue.to_owned() };
    app.shards().get_shard(request).await.unwrap().into_inner().shard.unwrap()
}

fn submit(feature: &str) -> v1::CreateRunRequest {
    v1::CreateRunRequest {
        force_phase: v1::Phase::Submit.into(),
        codex_queue: "codex-1".to_owned(),
        ..request(feature)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_shard_takes_nothing_new_until_it_is_activated_whatever_its_worker_does() {
    let app = TestApp::start().await;
    let mut worker = ScriptedWorker::shard_worker(&app, "w", 1).await;
    let drain = v1::DrainShardRequest {
        queue: "codex-1".to_owned(),
        reason: "the account moves".to_owned(),
    };
    let drained = app.shards().drain_shard(drain.clone()).await.unwrap().into_inner().shard.unwrap();
    assert_eq!(
        (drained.status(), drained.hold_reason(), drained.drain_reason.as_str()),
        (v1::ShardStatus::Draining, v1::HoldReason::ShardDraining, "the account moves")
    );
    let run = app.create_with(submit("001-a")).await.unwrap();
    let again = worker.again(&[]);
    worker.leave().await;
    worker = ScriptedWorker::connect(&app, again).await.unwrap();
    worker.credit("codex-1", 1).await;
    assert_eq!(shard(&app, "codex-1").await.status(), v1::ShardStatus::Draining);
    let waiting = app.get(&run.run_id).await.jobs;
    assert_eq!(waiting[0].hold_reason(), v1::HoldReason::ShardDraining);

    let activate = v1::ActivateShardRequest {
        queue: "codex-1".to_owned(),
    };
    let active = app.shards().activate_shard(activate).await.unwrap().into_inner().shard.unwrap();
    assert_eq!((active.status(), active.drain_reason.as_str()), (v1::ShardStatus::Active, ""));
    assert_eq!(worker.offer().await.run_id, run.run_id);

    let unknown = v1::DrainShardRequest {
        queue: "codex-9".to_owned(),
        ..drain
    };
    assert_eq!(
        kind(&app.shards().drain_shard(unknown).await.unwrap_err()),
        "NotFound SHARD_NOT_FOUND"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn more_shards_take_new_runs_and_fewer_leave_the_old_ones_theirs() {
    let app = TestApp::start().await;
    let resize = async |count| app.shards().set_shard_count(v1::SetShardCountRequest { count }).await;
    let shards = resize(5).await.unwrap().into_inner().shards;
    let told: Vec<_> = shards
        .iter()
        .map(|shard| (shard.queue.as_str(), shard.hash_modulo, shard.routed))
        .collect();
    assert_eq!(
        told,
        [
            ("codex-0", 3, true),
            ("codex-1", 3, true),
            ("codex-2", 3, true),
            ("codex-3", 5, true),
            ("codex-4", 5, true),
            ("gemini", 0, true)
        ]
    );
    assert_eq!(shards[4].volume.clone().unwrap().name, "codex_auth_4");
    let run = app.create("001-a").await;
    assert_eq!(run.hash_modulo, Some(5));
    let shards = resize(1).await.unwrap().into_inner().shards;
    assert_eq!(shards.iter().filter(|shard| shard.routed).count(), 2, "codex-0 and gemini");
    assert_eq!(app.create("001-b").await.codex_queue, "codex-0");
    assert_eq!(app.get(&run.run_id).await.run.unwrap().hash_modulo, Some(5));
    for count in [0, 1025] {
        assert_eq!(kind(&resize(count).await.unwrap_err()), "InvalidArgument INVALID_SHARD_COUNT");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_is_made_by_the_worker_that_holds_the_volume_and_no_other() {
    let app = TestApp::start().await;
    let ask = async |volume: &str, probe| {
        let request = v1::CheckVolumeRequest {
            volume: volume.to_owned(),
            probe,
        };
        app.shards().check_volume(request).await
    };
    assert_eq!(kind(&ask("nobody's", false).await.unwrap_err()), "NotFound VOLUME_NOT_FOUND");
    assert_eq!(kind(&ask(VOLUME, false).await.unwrap_err()), "FailedPrecondition VOLUME_NOT_HELD");
    let mut worker = ScriptedWorker::shard_worker(&app, "w", 1).await;
    let (found, ()) = tokio::join!(ask(VOLUME, true), async {
        let asked = command(&mut worker).await;
        assert!(matches!(&asked.command, Some(Asked::CheckVolume(check)) if check.probe));
        answer(&worker, asked, checked(check("w", 1, v1::PreflightStatus::Failed, "log in again"))).await;
    });
    let found = found.unwrap().into_inner();
    assert_eq!(found.preflight.unwrap().message, "log in again");
    assert_eq!(found.volume.unwrap().status(), v1::VolumeStatus::NeedsAuth);
    let (refused, ()) = tokio::join!(ask(VOLUME, false), async {
        let asked = command(&mut worker).await;
        let failure = v1::Failure {
            code: "VOLUME_IN_USE".to_owned(),
            message: "job 1 uses it: wait".to_owned(),
            ..v1::Failure::default()
        };
        answer(&worker, asked, Answer::Failure(failure)).await;
    });
    assert_eq!(kind(&refused.unwrap_err()), "FailedPrecondition VOLUME_IN_USE");

    let page = async |token: &str, status: v1::PreflightStatus| {
        let request = v1::ListPreflightsRequest {
            volume: VOLUME.to_owned(),
            status: status.into(),
            page_size: 1,
            page_token: token.to_owned(),
            ..v1::ListPreflightsRequest::default()
        };
        app.shards().list_preflights(request).await.unwrap().into_inner()
    };
    let first = page("", v1::PreflightStatus::Unspecified).await;
    assert_eq!(first.preflights[0].message, "log in again");
    let second = page(&first.next_page_token, v1::PreflightStatus::Unspecified).await;
    assert_eq!(
        (second.preflights[0].message.as_str(), second.next_page_token.as_str()),
        ("Logged in", "")
    );
    assert_eq!(page("", v1::PreflightStatus::Passed).await.preflights[0].message, "Logged in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runs_login_is_checked_when_that_is_needed_and_the_run_and_its_volume_agree() {
    let app = TestApp::start().await;
    let mut worker = ScriptedWorker::shard_worker(&app, "w", 1).await;
    let run = app.create_with(submit("001-a")).await.unwrap();
    let ask = async |force_refresh| {
        let request = v1::PreflightRunRequest {
            run_id: run.run_id.clone(),
            force_refresh,
            ..v1::PreflightRunRequest::default()
        };
        app.shards().preflight_run(request).await.map(tonic::Response::into_inner)
    };
    let known = ask(false).await.unwrap();
    assert!(known.reused, "the check of the worker's start is recent enough");
    let (forced, ()) = tokio::join!(ask(true), async {
        let asked = command(&mut worker).await;
        answer(&worker, asked, checked(check("w", 1, v1::PreflightStatus::Failed, "log in again"))).await;
    });
    let forced = forced.unwrap();
    let noted = forced.run.unwrap();
    let message = forced.preflight.unwrap().message;
    assert_eq!((forced.reused, message.as_str()), (false, "log in again"));
    assert_eq!(noted.codex_preflight_message, message);
    assert_eq!(shard(&app, "codex-1").await.volume.unwrap().status_message, message);
    // The run's policy is to fail, and its job waited.
    assert_eq!(app.finished(&run.run_id).await.run.unwrap().failure.unwrap().message, message);

    let (_, ()) = tokio::join!(ask(true), async {
        let asked = command(&mut worker).await;
        answer(&worker, asked, checked(good())).await;
    });
    let run = app.create_with(submit("001-b")).await.unwrap();
    worker.credit("codex-1", 1).await;
    let offer = worker.offer().await;
    worker.accept(&offer).await;
    let request = v1::PreflightRunRequest {
        run_id: run.run_id.clone(),
        ..v1::PreflightRunRequest::default()
    };
    let refused = eventually("the job runs", async || app.shards().preflight_run(request.clone()).await.err()).await;
    assert_eq!(kind(&refused), "FailedPrecondition RUN_IN_SUBMIT");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_login_shows_what_to_do_and_ends_with_the_check_and_waiting_runs_go_on() {
    let app = TestApp::start().await;
    let mut worker = ScriptedWorker::shard_worker(&app, "w", 1).await;
    let request = v1::LoginVolumeRequest {
        volume: VOLUME.to_owned(),
        ..v1::LoginVolumeRequest::default()
    };
    let before = shard(&app, "codex-1").await.volume.unwrap().generation;
    let mut steps = app.shards().login_volume(request).await.unwrap().into_inner();
    assert_eq!(steps.message().await.unwrap().unwrap().state(), v1::LoginState::Starting);
    let asked = command(&mut worker).await;
    let Some(Asked::LoginVolume(login)) = &asked.command else {
        panic!("no login: {asked:?}")
    };
    assert!(matches!(login.method, Some(v1::login_volume_command::Method::Device(_))));
    let progress = |progress| {
        connect_request::Frame::CommandProgress(v1::CommandProgress {
            command_id: asked.command_id.clone(),
            progress: Some(progress),
        })
    };
    let code = v1::DeviceCode {
        verification_url: "https://auth.example/codex/device".to_owned(),
        user_code: "ABCD-EFGH".to_owned(),
        expires_in: Some(prost_types::Duration { seconds: 900, nanos: 0 }),
    };
    worker.send(progress(v1::command_progress::Progress::DeviceCode(code))).await;
    let step = steps.message().await.unwrap().unwrap();
    assert_eq!(
        (step.state(), step.user_code.as_str()),
        (v1::LoginState::WaitingForUser, "ABCD-EFGH")
    );
    assert!((880..=900).contains(&step.expires_in.unwrap().seconds));
    worker
        .send(progress(v1::command_progress::Progress::LoginStored(v1::LoginStored {})))
        .await;
    assert_eq!(steps.message().await.unwrap().unwrap().state(), v1::LoginState::Checking);
    answer(&worker, asked.clone(), checked(good())).await;
    let done = steps.message().await.unwrap().unwrap();
    assert_eq!(
        (done.state(), done.preflight.unwrap().status()),
        (v1::LoginState::Done, v1::PreflightStatus::Passed)
    );
    let volume = done.volume.unwrap();
    assert_eq!((volume.status(), volume.generation), (v1::VolumeStatus::Ready, before + 1));
    assert!(steps.message().await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_nobody_waits_for_any_more_is_stopped() {
    let app = TestApp::start().await;
    let mut worker = ScriptedWorker::shard_worker(&app, "w", 1).await;
    let request = v1::LoginVolumeRequest {
        volume: VOLUME.to_owned(),
        ..v1::LoginVolumeRequest::default()
    };
    let steps = app.shards().login_volume(request.clone()).await.unwrap().into_inner();
    let asked = command(&mut worker).await;
    drop(steps);
    let stop = command(&mut worker).await;
    assert!(matches!(&stop.command, Some(Asked::Stop(stop)) if stop.command_id == asked.command_id));

    let mut steps = app.shards().login_volume(request).await.unwrap().into_inner();
    let asked = command(&mut worker).await;
    let denied = v1::Failure {
        code: "LOGIN_DENIED".to_owned(),
        message: "device login is not allowed: enable it in the workspace's settings".to_owned(),
        ..v1::Failure::default()
    };
    answer(&worker, asked, Answer::Failure(denied)).await;
    let refused = loop {
        match steps.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the login ended well"),
            Err(refused) => break refused,
        }
    };
    assert_eq!(kind(&refused), "FailedPrecondition LOGIN_DENIED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_reaches_its_worker_sealed_and_is_in_no_row() {
    const KEY: &str = "sk-recognisable-0123456789";
    let app = TestApp::start().await;
    let secret = SecretKey::generate(&mut OsRng);
    let hello = v1::Hello {
        sealing_key: secret.public_key().as_bytes().to_vec().into(),
        ..shard_hello("w", 1)
    };
    let mut worker = ScriptedWorker::connect(&app, hello).await.unwrap();
    let request = v1::LoginVolumeRequest {
        volume: VOLUME.to_owned(),
        method: v1::LoginMethod::ApiKey.into(),
        api_key: KEY.to_owned(),
    };
    let _steps = app.shards().login_volume(request.clone()).await.unwrap().into_inner();
    let asked = command(&mut worker).await;
    let Some(Asked::LoginVolume(v1::LoginVolumeCommand {
        method: Some(v1::login_volume_command::Method::ApiKey(key)),
        ..
    })) = &asked.command
    else {
        panic!("no API key: {asked:?}")
    };
    assert_eq!(secret.unseal(&key.sealed).unwrap(), KEY.as_bytes());
    let client = app.database.connect().await.unwrap();
    let rows = async || {
        let rows = client
            .query("select to_jsonb(worker_commands)::text from worker_commands", &[])
            .await
            .unwrap();
        rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join("\n")
    };
    let sealed = BASE64.encode(&key.sealed);
    assert!(rows().await.contains(&sealed) && !rows().await.contains(KEY));
    answer(&worker, asked.clone(), checked(good())).await;
    eventually("the sealed key is forgotten", async || {
        (!rows().await.contains(&sealed)).then_some(())
    })
    .await;

    let without = v1::LoginVolumeRequest {
        api_key: " ".to_owned(),
        ..request.clone()
    };
    assert_eq!(
        kind(&app.shards().login_volume(without).await.unwrap_err()),
        "InvalidArgument API_KEY_MISSING"
    );
    worker.leave().await;
    let _old = ScriptedWorker::shard_worker(&app, "w", 1).await;
    assert_eq!(
        kind(&app.shards().login_volume(request).await.unwrap_err()),
        "FailedPrecondition WORKER_TOO_OLD"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_stay_and_whoever_watches_shards_sees_what_changes() {
    let app = TestApp::start().await;
    let mut seen = app.shards().watch_shards(v1::WatchShardsRequest {}).await.unwrap().into_inner();
    let mut next = async || seen.message().await.unwrap().unwrap().shard.unwrap();
    for queue in ["codex-0", "codex-1", "codex-2", "gemini"] {
        assert_eq!(next().await.queue, queue);
    }
    let note = |notes: &str| v1::UpdateVolumeNotesRequest {
        volume: VOLUME.to_owned(),
        notes: notes.to_owned(),
    };
    let noted = app.shards().update_volume_notes(note("Ann's account")).await.unwrap().into_inner();
    assert_eq!(noted.volume.unwrap().notes, "Ann's account");
    let told = next().await;
    assert_eq!(
        (told.queue.as_str(), told.volume.unwrap().notes.as_str()),
        ("codex-1", "Ann's account")
    );
    let _worker = ScriptedWorker::shard_worker(&app, "w", 1).await;
    // On the way there may be more that has changed, such as who holds the volume.
    let active = async { while next().await.status() != v1::ShardStatus::Active {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), active)
        .await
        .expect("the shard becomes active");
    let refused = app.shards().update_volume_notes(note(&"x".repeat(4097))).await.unwrap_err();
    assert_eq!(kind(&refused), "InvalidArgument TOO_LONG");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_and_a_clean_up_are_the_workers_work_and_show_on_the_volume() {
    let app = TestApp::start().await;
    let mut worker = ScriptedWorker::shard_worker(&app, "w", 1).await;
    let clean = v1::CleanVolumeRequest { volume: VOLUME.to_owned() };
    let mut shards = app.shards();
    let (cleaned, ()) = tokio::join!(shards.clean_volume(clean), async {
        let asked = command(&mut worker).await;
        let seen = v1::VolumeDiagnostics {
            volume: VOLUME.to_owned(),
            exists: true,
            session_bytes: 7,
            ..v1::VolumeDiagnostics::default()
        };
        let result = Answer::VolumeCleaned(v1::VolumeCleaned {
            freed_bytes: 1234,
            diagnostics: Some(seen),
        });
        answer(&worker, asked, result).await;
    });
    let cleaned = cleaned.unwrap().into_inner();
    assert_eq!(cleaned.freed_bytes, 1234);
    assert_eq!(cleaned.volume.unwrap().diagnostics.unwrap().session_bytes, 7);
    let logout = v1::LogoutVolumeRequest { volume: VOLUME.to_owned() };
    let mut shards = app.shards();
    let (out, ()) = tokio::join!(shards.logout_volume(logout), async {
        let asked = command(&mut worker).await;
        answer(
            &worker,
            asked,
            checked(check("w", 1, v1::PreflightStatus::Failed, "nobody is logged in")),
        )
        .await;
    });
    assert_eq!(out.unwrap().into_inner().volume.unwrap().status(), v1::VolumeStatus::NeedsAuth);
}
