//! A server that dies between a commit and the word of it: what was committed counts, once, and nothing else does.
//!
//! The proxy holds the server's words back, so that it dies with the commit made and the word unsaid.

use moorline_proto::v1::{self, JobStatus};
use moorline_tests::proxy::{Cut, Flow, Proxy, Target, Way};

use crate::support::{
    ScriptedWorker, TestApp, eventually, promise,
    scripted_worker::{discovered, failed, finished, held, hello, no_work, progress},
};

/// A server of its own process, a worker behind a proxy, and what the worker had said in its Hello.
async fn stage() -> (TestApp, Proxy, ScriptedWorker) {
    let app = TestApp::apart().await;
    let proxy = app.proxy().await;
    let worker = ScriptedWorker::at(&proxy.url(), hello("w", "default")).await.expect("a welcome");
    (app, proxy, worker)
}

/// Kills the server, loses what the proxy holds, and starts another behind the same address.
async fn die(app: &mut TestApp, proxy: &Proxy) {
    app.kill().await;
    proxy.change(|rules| rules.flow(Flow::Pass));
    proxy.cut(Cut::Reset);
    app.restart().await;
    proxy.retarget(Target::Tcp(app.address()));
}

/// Waits until the database holds this of the only job.
async fn stored(app: &TestApp, condition: &str) -> i64 {
    let client = app.database.connect().await.expect("the database");
    let query = format!("select lease_token from jobs where {condition}");
    eventually(condition, async || {
        client.query_opt(&query, &[]).await.expect("the job")?.get::<_, Option<i64>>(0)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_between_the_commit_of_a_lease_and_its_offer_costs_no_attempt() {
    let (mut app, proxy, worker) = stage().await;
    proxy.change(|rules| rules.down.flow = Flow::Hold);
    let run = app.create("001-a").await;
    worker.credit("default", 1).await;
    let unheard = stored(&app, "lease_token is not null and status = 'queued'").await;
    assert!(
        proxy.line(0).await.until(|traffic| traffic.of(Way::Down).kept() > 0).await,
        "the offer is on its way"
    );
    die(&mut app, &proxy).await;

    let mut worker = ScriptedWorker::at(&proxy.url(), worker.again(&[])).await.expect("a welcome");
    worker.credit("default", 1).await;
    let offer = worker.offer().await;
    assert_eq!((offer.run_id.as_str(), offer.attempt), (run.run_id.as_str(), 1));
    assert!(offer.lease_token > unheard, "{} was used already", offer.lease_token);
    worker.accept(&offer).await;
    worker.report(&offer, 1, finished(no_work())).await;
    assert_eq!(worker.acknowledged().await, Some(1));
    assert_eq!(app.finished(&run.run_id).await.run.unwrap().status(), v1::RunStatus::NoWork);
    promise::kept(&app.database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_after_it_stored_an_accept_finds_the_job_running_under_the_same_lease() {
    let (mut app, proxy, mut worker) = stage().await;
    let run = app.create("001-a").await;
    worker.credit("default", 1).await;
    let offer = worker.offer().await;
    proxy.change(|rules| rules.down.flow = Flow::Hold);
    worker.accept(&offer).await;
    stored(&app, "status = 'running'").await;
    die(&mut app, &proxy).await;

    let held = held(&offer, 0, false);
    let mut worker = ScriptedWorker::at(&proxy.url(), worker.again(std::slice::from_ref(&held)))
        .await
        .expect("a welcome");
    assert_eq!((&worker.welcome.keep, &worker.welcome.kill), (&vec![held], &vec![]));
    worker.report(&offer, 1, progress("at work")).await;
    assert_eq!(worker.acknowledged().await, Some(1));
    worker.report(&offer, 2, finished(no_work())).await;
    assert_eq!(worker.acknowledged().await, Some(2));
    let view = app.finished(&run.run_id).await;
    let discovers = view.jobs.iter().filter(|job| job.stage() == v1::Stage::Discover);
    assert_eq!(
        discovers.map(|job| (job.attempt, job.status())).collect::<Vec<_>>(),
        [(1, JobStatus::Succeeded)]
    );
    promise::kept(&app.database).await;
}

/// A job that was accepted on a line that the server died on: the worker runs it, the server knows of an offer only.
async fn unheard_accept(app: &mut TestApp, proxy: &Proxy, worker: &mut ScriptedWorker) -> v1::Offer {
    worker.credit("default", 1).await;
    let offer = worker.offer().await;
    proxy.change(|rules| rules.up.flow = Flow::Hold);
    worker.accept(&offer).await;
    worker.report(&offer, 1, progress("at work")).await;
    assert!(proxy.line(0).await.until(|traffic| traffic.of(Way::Up).kept() > 0).await);
    die(app, proxy).await;
    offer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_before_it_heard_an_accept_hears_it_in_the_next_hello() {
    let (mut app, proxy, mut worker) = stage().await;
    let run = app.create("001-a").await;
    let offer = unheard_accept(&mut app, &proxy, &mut worker).await;
    let held = v1::HeldJob {
        last_sequence: 0,
        ..held(&offer, 1, false)
    };
    let mut worker = ScriptedWorker::at(
        &proxy.url(),
        worker.again(&[v1::HeldJob {
            last_sequence: 1,
            ..held.clone()
        }]),
    )
    .await
    .expect("a welcome");
    assert_eq!((&worker.welcome.keep, &worker.welcome.kill), (&vec![held], &vec![]));
    worker.report(&offer, 1, progress("at work")).await;
    assert_eq!(worker.acknowledged().await, Some(1));
    worker.report(&offer, 2, finished(no_work())).await;
    assert_eq!(worker.acknowledged().await, Some(2));
    let view = app.finished(&run.run_id).await;
    assert_eq!((view.jobs[0].attempt, view.jobs[0].status()), (1, JobStatus::Succeeded));
    promise::kept(&app.database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accept_that_was_not_heard_in_time_is_void_once_another_has_the_job() {
    let (mut app, proxy, mut worker) = stage().await;
    let run = app.create("001-a").await;
    let stale = unheard_accept(&mut app, &proxy, &mut worker).await;
    let mut other = ScriptedWorker::default_worker(&app, "other").await;
    other.credit("default", 1).await;
    let offer = other.offer().await;
    assert_eq!(
        (offer.job_id.as_str(), offer.attempt),
        (stale.job_id.as_str(), 1),
        "no attempt is spent"
    );
    assert!(offer.lease_token > stale.lease_token);
    other.accept(&offer).await;
    other.report(&offer, 1, progress("at work")).await;
    assert_eq!(other.acknowledged().await, Some(1));

    let held = held(&stale, 1, false);
    let mut worker = ScriptedWorker::at(&proxy.url(), worker.again(std::slice::from_ref(&held)))
        .await
        .expect("a welcome");
    assert_eq!((&worker.welcome.keep, &worker.welcome.kill), (&vec![], &vec![held]));
    // The job runs under this very id, and this is its next number: only the token tells that it is another lease's.
    worker.report(&stale, 2, finished(failed("STALE"))).await;
    assert_eq!(worker.acknowledged().await, None);
    other.report(&offer, 2, finished(no_work())).await;
    assert_eq!(other.acknowledged().await, Some(2));
    assert_eq!(app.finished(&run.run_id).await.run.unwrap().status(), v1::RunStatus::NoWork);
    promise::kept(&app.database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_between_the_commit_of_a_result_and_its_acknowledgement_takes_it_once() {
    let (mut app, proxy, mut worker) = stage().await;
    let run = app.create("001-a").await;
    worker.credit("default", 1).await;
    let offer = worker.offer().await;
    worker.accept(&offer).await;
    worker.report(&offer, 1, progress("at work")).await;
    assert_eq!(worker.acknowledged().await, Some(1));
    proxy.change(|rules| rules.down.flow = Flow::Hold);
    worker.report(&offer, 2, finished(discovered())).await;
    stored(&app, "stage = 'discover' and status = 'succeeded'").await;
    die(&mut app, &proxy).await;

    let held = held(&offer, 2, true);
    let mut worker = ScriptedWorker::at(&proxy.url(), worker.again(std::slice::from_ref(&held)))
        .await
        .expect("a welcome");
    assert_eq!((&worker.welcome.acknowledged, &worker.welcome.kill), (&vec![held], &vec![]));
    // A worker that sends it again all the same, with another result even, changes nothing.
    worker.report(&offer, 2, finished(failed("TWICE"))).await;
    assert_eq!(worker.acknowledged().await, Some(2));
    let view = app.get(&run.run_id).await;
    let stages: Vec<_> = view.jobs.iter().map(|job| (job.stage(), job.attempt, job.status())).collect();
    assert_eq!(
        stages,
        [
            (v1::Stage::Discover, 1, JobStatus::Succeeded),
            (v1::Stage::Submit, 1, JobStatus::Queued)
        ]
    );
    promise::kept(&app.database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_before_it_stored_a_result_gets_it_again() {
    let (mut app, proxy, mut worker) = stage().await;
    let run = app.create("001-a").await;
    worker.credit("default", 1).await;
    let offer = worker.offer().await;
    worker.accept(&offer).await;
    worker.report(&offer, 1, progress("at work")).await;
    assert_eq!(worker.acknowledged().await, Some(1));
    proxy.change(|rules| rules.up.flow = Flow::Hold);
    worker.report(&offer, 2, finished(no_work())).await;
    assert!(proxy.line(0).await.until(|traffic| traffic.of(Way::Up).kept() > 0).await);
    die(&mut app, &proxy).await;

    let held = held(&offer, 2, true);
    let mut worker = ScriptedWorker::at(&proxy.url(), worker.again(&[held])).await.expect("a welcome");
    assert_eq!(
        (worker.welcome.keep.len(), worker.welcome.acknowledged.len()),
        (1, 0),
        "{:?}",
        worker.welcome
    );
    assert_eq!(worker.welcome.keep[0].last_sequence, 1, "what the server has");
    worker.report(&offer, 2, finished(no_work())).await;
    assert_eq!(worker.acknowledged().await, Some(2));
    assert_eq!(app.finished(&run.run_id).await.run.unwrap().status(), v1::RunStatus::NoWork);
    promise::kept(&app.database).await;
}
