//! A worker whose clock is an hour off: the database's time is the only one that counts.

use std::time::SystemTime;

use moorline_proto::v1::{self, PreflightStatus, report::News};

use crate::support::{
    ScriptedWorker, TestApp, promise,
    scripted_worker::{check, discovered, failed, finished, shard_hello},
};

const HOUR: i64 = 3600;

/// Seconds since 1970 of this machine, which is the database's too.
fn now() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// What a clock that is off by so much says.
fn said(off: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp {
        seconds: now() + off,
        nanos: 123_456_000,
    })
}

fn is_now(at: Option<prost_types::Timestamp>) -> bool {
    at.is_some_and(|at| (now() - at.seconds).abs() < 120)
}

async fn shard(app: &TestApp, queue: &str) -> v1::Shard {
    let request = v1::GetShardRequest { queue: queue.to_owned() };
    app.shards().get_shard(request).await.unwrap().into_inner().shard.unwrap()
}

async fn checks(app: &TestApp) -> i64 {
    let client = app.database.connect().await.unwrap();
    client.query_one("select count(*) from preflights", &[]).await.unwrap().get(0)
}

/// A worker of shard 1 whose clock is off by so many seconds, from its Hello to the end of a job.
async fn whose_clock_is_off_by(off: i64) {
    let app = TestApp::start().await;
    let mut hello = shard_hello("w", 1);
    let binding = hello.volume.as_mut().unwrap();
    binding.preflight.as_mut().unwrap().checked_at = said(off);
    let mut worker = ScriptedWorker::connect(&app, hello.clone()).await.unwrap();
    let volume = shard(&app, "codex-1").await.volume.unwrap();
    assert!(is_now(volume.last_verified_at), "{volume:?}");

    // The same check, told at each redial, is one.
    for _ in 0..3 {
        worker.vanish();
        worker = ScriptedWorker::connect(&app, hello.clone()).await.unwrap();
    }
    assert_eq!(checks(&app).await, 1);

    // Its job begins, is checked and ends in the database's time.
    let request = v1::CreateRunRequest {
        codex_queue: "codex-1".to_owned(),
        ..crate::support::app::request("001-a")
    };
    let run = app.create_with(request).await.unwrap();
    ScriptedWorker::default_worker(&app, "default-1")
        .await
        .work("default", discovered())
        .await;
    worker.credit("codex-1", 1).await;
    let offer = worker.offer().await;
    worker.accept(&offer).await;
    let checked = v1::Preflight {
        checked_at: said(off),
        ..check("w", 1, PreflightStatus::Passed, "Logged in")
    };
    worker.report(&offer, 1, News::Preflight(checked)).await;
    worker.report(&offer, 2, finished(failed("NO_CHANGES"))).await;
    assert_eq!((worker.acknowledged().await, worker.acknowledged().await), (Some(1), Some(2)));
    let view = app.finished(&run.run_id).await;
    let job = view.jobs.last().unwrap();
    assert!(
        [
            job.started_at,
            job.finished_at,
            view.run.unwrap().finished_at,
            view.preflight.unwrap().checked_at
        ]
        .into_iter()
        .all(is_now)
    );

    // A newer check is the one that counts, whatever an older one's clock had said.
    let failed = &mut hello.volume.as_mut().unwrap().preflight;
    *failed = Some(v1::Preflight {
        checked_at: said(-off),
        ..check("w", 1, PreflightStatus::Failed, "Not logged in")
    });
    worker.vanish();
    let _worker = ScriptedWorker::connect(&app, hello).await.unwrap();
    let shard = shard(&app, "codex-1").await;
    assert_eq!(shard.latest_preflight.unwrap().status(), PreflightStatus::Failed);
    assert_eq!(shard.volume.unwrap().status(), v1::VolumeStatus::NeedsAuth);
    promise::kept(&app.database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_clock_is_an_hour_behind_is_taken_by_the_server_s_time() {
    whose_clock_is_off_by(-HOUR).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_clock_is_an_hour_ahead_is_taken_by_the_server_s_time() {
    whose_clock_is_off_by(HOUR).await;
}
