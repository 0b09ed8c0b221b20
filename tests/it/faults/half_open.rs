//! A line on which packets vanish and nobody is told: both ends find out by themselves, and the job goes on.

use std::time::Duration;

use moorline_proto::v1::{self, JobStatus};
use moorline_server::flow::Timers;
use moorline_tests::{
    proxy::{Flow, Rules},
    repo::SampleRepository,
};

use crate::support::{
    Fleet, Gate, ScriptedWorker, TestApp, eventually,
    fleet::repository,
    promise,
    scripted_worker::{finished, held, hello, no_work, progress},
};

/// The defaults' proportions, a tenth as long: a sign of life is given three times within the time in which one must come.
fn timers() -> Timers {
    Timers {
        ping_interval: Duration::from_secs(1),
        ping_timeout: Duration::from_secs(3),
        lease: Duration::from_secs(60),
        poll: Duration::from_millis(100),
        ..Timers::default()
    }
}

/// An agent at work when its worker's line goes bad; it goes on under its lease, and is never started twice.
async fn survives(goes_bad: impl Fn(&mut Rules)) {
    let mut fleet = Fleet::of(TestApp::with_timers(timers()).await, "work").await;
    let (gate, proxy) = (Gate::closed(), fleet.app.proxy().await);
    fleet.default_worker(|_| {}).await;
    fleet.log_in(0).await;
    fleet
        .shard_worker(0, |config| (config.server, config.codex_program) = (proxy.url(), gate.program()))
        .await;
    let origin = repository(SampleRepository::builder());
    let run = fleet.app.create_with(fleet.request(&origin)).await.unwrap();
    gate.agent(1).await;

    let before = proxy.opened();
    proxy.open().iter().for_each(|line| line.change(&goes_bad));
    // The worker has dialled anew, and the server has let it in although it had not heard that the old line is dead.
    proxy.line(before).await;
    let client = fleet.app.database.connect().await.unwrap();
    let sessions = "select count(*) from worker_sessions join worker_instances on worker_instances.id = instance_id where worker_name = 'codex-worker-0'";
    eventually("a second session", async || {
        (client.query_one(sessions, &[]).await.unwrap().get::<_, i64>(0) >= 2).then_some(())
    })
    .await;
    gate.open();

    let view = fleet.app.finished(&run.run_id).await;
    assert_eq!(view.run.as_ref().unwrap().status(), v1::RunStatus::Succeeded, "{view:?}");
    let submits: Vec<_> = view.jobs.iter().filter(|job| job.stage() == v1::Stage::Submit).collect();
    assert_eq!(
        submits.iter().map(|job| (job.attempt, job.status())).collect::<Vec<_>>(),
        [(1, JobStatus::Succeeded)]
    );
    assert_eq!(gate.agents().len(), 1, "the agent was started twice");
    promise::kept(&fleet.app.database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_run_survives_a_line_on_which_nothing_gets_through() {
    survives(|rules| rules.flow(Flow::Vanish)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_run_survives_a_line_on_which_the_server_is_not_heard() {
    survives(|rules| rules.down.flow = Flow::Vanish).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_run_survives_a_line_on_which_the_worker_is_not_heard() {
    survives(|rules| rules.up.flow = Flow::Vanish).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cheap_stage_of_a_worker_that_is_not_heard_moves_and_what_it_says_later_does_not_count() {
    let app = TestApp::with_timers(timers()).await;
    let proxy = app.proxy().await;
    let run = app.create("001-a").await;
    let mut lost = ScriptedWorker::at(&proxy.url(), hello("lost", "default")).await.unwrap();
    lost.credit("default", 1).await;
    let stale = lost.offer().await;
    lost.accept(&stale).await;
    lost.report(&stale, 1, progress("at work")).await;
    assert_eq!(lost.acknowledged().await, Some(1));
    proxy.line(0).await.change(|rules| rules.flow(Flow::Vanish));

    let mut other = ScriptedWorker::default_worker(&app, "other").await;
    other.credit("default", 1).await;
    let offer = other.offer_while_pinging(timers().ping_interval).await;
    assert_eq!((offer.run_id.as_str(), offer.attempt), (run.run_id.as_str(), 2));
    other.accept(&offer).await;

    let held = held(&stale, 2, true);
    let mut back = ScriptedWorker::connect(&app, lost.again(std::slice::from_ref(&held)))
        .await
        .unwrap();
    assert_eq!(back.welcome.kill, [held]);
    back.report(&stale, 2, finished(no_work())).await;
    assert_eq!(back.acknowledged().await, None, "fenced");
    other.report(&offer, 1, finished(no_work())).await;
    assert_eq!(other.acknowledged().await, Some(1));
    let view = app.finished(&run.run_id).await;
    assert_eq!(view.jobs.iter().filter(|job| job.status() == JobStatus::Succeeded).count(), 1);
    promise::kept(&app.database).await;
}
