//! A worker that dies by `kill -9` while its agent is at work.
//!
//! The agent goes on: it must be stopped before another agent uses the same login.

use std::time::Duration;

use moorline_proto::v1::{self, JobStatus};
use moorline_server::flow::Timers;
use moorline_tests::{
    proxy::{Cut, Target},
    repo::SampleRepository,
};

use crate::support::{Fleet, Gate, TestApp, fleet::repository, gate::is_alive, process, promise};

/// A lease short enough to wait for, which a busy machine renews all the same: ten times as often.
pub(super) fn timers() -> Timers {
    Timers {
        lease: Duration::from_secs(4),
        ping_interval: Duration::from_millis(500),
        ping_timeout: Duration::from_millis(1500),
        poll: Duration::from_millis(100),
        ..Timers::default()
    }
}

/// How the attempts of a run's submit ended, in their order.
pub(super) fn submits(view: &v1::GetRunResponse) -> Vec<(i32, JobStatus, String)> {
    let submits = view.jobs.iter().filter(|job| job.stage() == v1::Stage::Submit);
    let code = |job: &v1::Job| job.failure.as_ref().map(|failure| failure.code.clone()).unwrap_or_default();
    submits.map(|job| (job.attempt, job.status(), code(job))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_run_of_a_killed_worker_goes_to_a_standby_once_its_lease_is_over_and_its_agent_is_stopped() {
    let mut fleet = Fleet::of(TestApp::with_timers(timers()).await, "work").await;
    let gate = Gate::closed();
    fleet.default_worker(|_| {}).await;
    fleet.log_in(0).await;
    let mut config = fleet.shard_config("first", 0);
    config.codex_program = gate.program();
    let mut first = process::worker(&config).await;
    let origin = repository(SampleRepository::builder());
    let run = fleet.app.create_with(fleet.request(&origin)).await.unwrap();
    let abandoned = gate.agent(1).await;
    first.kill().await;
    assert!(is_alive(abandoned), "an agent must not die with its worker");

    config.name = "standby".to_owned();
    fleet.worker(config).await.expect("the volume, in the end");
    gate.agent(2).await;
    assert!(!is_alive(abandoned), "two agents use one login");
    gate.open();
    let view = fleet.app.finished(&run.run_id).await;
    assert_eq!(view.run.as_ref().unwrap().status(), v1::RunStatus::Succeeded, "{view:?}");
    assert_eq!(
        submits(&view),
        [
            (1, JobStatus::Failed, "WORKER_LOST".to_owned()),
            (2, JobStatus::Succeeded, String::new())
        ]
    );
    promise::kept(&fleet.app.database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_and_a_server_that_are_both_killed_go_on_with_the_agent_that_was_not() {
    let mut fleet = Fleet::of(TestApp::apart().await, "work").await;
    let (gate, proxy) = (Gate::closed(), fleet.app.proxy().await);
    fleet.default_worker(|config| config.server = proxy.url()).await;
    fleet.log_in(0).await;
    let mut config = fleet.shard_config("codex-worker-0", 0);
    (config.server, config.codex_program) = (proxy.url(), gate.program());
    let mut worker = process::worker(&config).await;
    let origin = repository(SampleRepository::builder());
    let run = fleet.app.create_with(fleet.request(&origin)).await.unwrap();
    let agent = gate.agent(1).await;
    worker.says(" works on ").await;

    worker.kill().await;
    fleet.app.kill().await;
    proxy.cut(Cut::Reset);
    fleet.app.restart().await;
    proxy.retarget(Target::Tcp(fleet.app.address()));
    let worker = process::worker(&config).await;
    worker.says("job adopted").await;
    assert!(is_alive(agent));
    gate.open();
    let view = fleet.app.finished(&run.run_id).await;
    assert_eq!(submits(&view), [(1, JobStatus::Succeeded, String::new())], "{view:?}");
    assert_eq!((view.run.unwrap().status(), gate.agents().len()), (v1::RunStatus::Succeeded, 1));
    promise::kept(&fleet.app.database).await;
}
