//! A worker that stands still past its lease and then goes on as if nothing had been: it is too late.

use moorline_proto::v1::{self, JobStatus};
use moorline_tests::repo::SampleRepository;
use rustix::process::Signal;

use super::worker_killed::{submits, timers};
use crate::support::{
    Fleet, Gate, TestApp, eventually,
    fleet::{open_folder, repository},
    gate::is_alive,
    process, promise,
};

/// Stops a worker with an agent at work until a standby on another host has the run, and then lets it go on.
async fn too_late(finishes_meanwhile: bool) {
    let mut fleet = Fleet::of(TestApp::with_timers(timers()).await, "work").await;
    let (gate, other_gate, other_host) = (Gate::closed(), Gate::closed(), open_folder());
    fleet.default_worker(|_| {}).await;
    fleet.log_in(0).await;
    let mut config = fleet.shard_config("first", 0);
    config.codex_program = gate.program();
    let first = process::worker(&config).await;
    let origin = repository(SampleRepository::builder());
    let run = fleet.app.create_with(fleet.request(&origin)).await.unwrap();
    let agent = gate.agent(1).await;

    first.signal(Signal::STOP);
    if finishes_meanwhile {
        gate.open();
        eventually("the end of the agent", async || (!is_alive(agent)).then_some(())).await;
    }
    // On another host nobody can stop the first one's agent but itself.
    let mut standby = fleet.shard_config("standby", 0);
    (standby.work_root, standby.volume_root) = (other_host.path().to_owned(), other_host.path().join("volumes"));
    standby.codex_program = other_gate.program();
    fleet.log_in_with(&standby, 0).await;
    fleet.worker(standby).await.expect("the volume, in the end");
    other_gate.agent(1).await;

    first.signal(Signal::CONT);
    eventually("the end of the fenced agent", async || (!is_alive(agent)).then_some(())).await;
    // It has heard that it may not go on: the volume, and with it the seat, are another's.
    first.says("VOLUME_HELD").await;
    assert!(
        fleet.app.get(&run.run_id).await.run.unwrap().status() == v1::RunStatus::Running,
        "its result was taken"
    );
    gate.open();
    other_gate.open();

    let view = fleet.app.finished(&run.run_id).await;
    let run = view.run.clone().unwrap();
    assert_eq!(run.status(), v1::RunStatus::Succeeded, "{view:?}");
    assert_eq!(
        submits(&view),
        [
            (1, JobStatus::Failed, "WORKER_LOST".to_owned()),
            (2, JobStatus::Succeeded, String::new())
        ]
    );
    assert_eq!((gate.agents().len(), other_gate.agents().len()), (1, 1));
    assert_eq!(origin.log(&run.branch_name).unwrap().len(), 2, "one commit on its base");
    promise::kept(&fleet.app.database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stood_still_past_its_lease_stops_its_agent_when_it_goes_on() {
    too_late(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_finished_while_its_worker_stood_still_past_its_lease_does_not_count() {
    too_late(true).await;
}
