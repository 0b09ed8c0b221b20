//! Offers, leases and the fence: one accepted result per attempt, and nothing of a stale worker counts.
//!
//! Contract: 007/FR-010 to 007/FR-013, 007/FR-015.

use std::time::Duration;

use moorline_proto::v1::{self, connect_request, connect_response::Frame};
use moorline_server::flow::Timers;

use crate::support::{
    ScriptedWorker, TestApp,
    scripted_worker::{discovered, failed, finished, hello, shard_hello},
};

fn progress() -> v1::report::News {
    v1::report::News::Progress(v1::StageProgress {
        message: "at work".to_owned(),
        ..Default::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn credits_bound_what_is_offered() {
    let app = TestApp::start().await;
    for index in 0..3 {
        app.create(&format!("00{index}-x")).await;
    }
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    worker.credit("default", 2).await;
    let (first, second) = (worker.offer().await, worker.offer().await);
    assert!(first.lease_token < second.lease_token);
    // A third would come before the answer to this ping.
    worker.send(connect_request::Frame::Ping(v1::Ping { nonce: 1 })).await;
    assert!(matches!(worker.next().await.unwrap(), Some(Frame::Pong(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_nobody_accepts_goes_to_another_worker_and_costs_no_attempt() {
    let timers = Timers {
        accept_deadline: Duration::from_millis(200),
        poll: Duration::from_millis(50),
        ..Timers::default()
    };
    let app = TestApp::with_timers(timers).await;
    app.create("001-a").await;
    let mut slow = ScriptedWorker::default_worker(&app, "slow").await;
    slow.credit("default", 1).await;
    let stale = slow.offer().await;
    let mut quick = ScriptedWorker::default_worker(&app, "quick").await;
    quick.credit("default", 1).await;
    let offer = quick.offer().await;
    assert_eq!((offer.job_id.as_str(), offer.attempt), (stale.job_id.as_str(), 1));
    assert!(offer.lease_token > stale.lease_token);
    quick.accept(&offer).await;
    quick.report(&offer, 1, progress()).await;
    assert_eq!(quick.acknowledged().await, Some(1));

    // The slow one wakes up: neither its Accept nor its result counts, although the job runs under this very id.
    slow.accept(&stale).await;
    assert!(matches!(slow.next().await.unwrap(), Some(Frame::Fenced(fenced)) if fenced.lease_token == stale.lease_token));
    slow.report(&stale, 2, finished(failed("STALE"))).await;
    assert_eq!(slow.acknowledged().await, None);
    quick.report(&offer, 2, finished(failed("TASKS_EMPTY"))).await;
    assert_eq!(quick.acknowledged().await, Some(2));
    assert_eq!(app.finished(&offer.run_id).await.run.unwrap().failure.unwrap().code, "TASKS_EMPTY");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_offer_is_offered_again_and_costs_no_attempt() {
    let app = TestApp::start().await;
    app.create("001-a").await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    worker.credit("default", 1).await;
    let offer = worker.offer().await;
    let reject = v1::Reject {
        job_id: offer.job_id.clone(),
        lease_token: offer.lease_token,
        reason: "full".to_owned(),
    };
    worker.send(connect_request::Frame::Reject(reject)).await;
    worker.credit("default", 1).await;
    let again = worker.offer().await;
    assert_eq!((again.job_id, again.attempt), (offer.job_id, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_counts_once_and_in_its_order() {
    let app = TestApp::start().await;
    let run = app.create("001-a").await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    worker.credit("default", 1).await;
    let offer = worker.offer().await;
    worker.accept(&offer).await;
    for (sequence, acknowledged) in [(1, 1), (1, 1), (3, 1), (2, 2), (3, 3), (2, 3)] {
        worker.report(&offer, sequence, progress()).await;
        assert_eq!(worker.acknowledged().await, Some(acknowledged), "report {sequence}");
    }
    for _ in 0..2 {
        worker.report(&offer, 4, finished(failed("TASKS_MISSING"))).await;
        assert_eq!(worker.acknowledged().await, Some(4));
    }
    let events = app.events(&run.run_id).await;
    let told = events
        .iter()
        .filter(|event| matches!(event.event, Some(v1::run_event::Event::Progress(_))))
        .count();
    assert_eq!(told, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cheap_stage_moves_to_another_worker_as_soon_as_its_stream_ends() {
    let app = TestApp::start().await;
    let run = app.create("001-a").await;
    let mut first = ScriptedWorker::default_worker(&app, "first").await;
    first.credit("default", 1).await;
    let offer = first.offer().await;
    first.accept(&offer).await;
    first.report(&offer, 1, progress()).await;
    assert_eq!(first.acknowledged().await, Some(1));
    let instance = first.hello.clone();
    first.vanish();

    let mut second = ScriptedWorker::default_worker(&app, "second").await;
    second.credit("default", 1).await;
    let next = second.offer().await;
    assert_eq!(
        (next.run_id.as_str(), next.stage(), next.attempt),
        (run.run_id.as_str(), v1::Stage::Discover, 2)
    );
    second.accept(&next).await;

    // The first comes back with what it found: its lease has passed on, and nothing of it counts.
    let held = v1::HeldJob {
        job_id: offer.job_id.clone(),
        lease_token: offer.lease_token,
        finished: true,
        last_sequence: 2,
    };
    let mut back = ScriptedWorker::connect(
        &app,
        v1::Hello {
            inventory: vec![held.clone()],
            ..instance
        },
    )
    .await
    .unwrap();
    assert_eq!(back.welcome.kill, [held]);
    back.report(&offer, 2, finished(failed("STALE"))).await;
    assert_eq!(back.acknowledged().await, None);
    second.report(&next, 1, finished(failed("TASKS_EMPTY"))).await;
    assert_eq!(app.finished(&run.run_id).await.run.unwrap().failure.unwrap().code, "TASKS_EMPTY");
}

async fn running_submit(app: &TestApp, shard: &mut ScriptedWorker) -> v1::Offer {
    let mut default = ScriptedWorker::default_worker(app, "default-1").await;
    app.create("001-greeting").await;
    default.work("default", discovered()).await;
    shard.credit("codex-1", 1).await;
    let offer = shard.offer().await;
    shard.accept(&offer).await;
    shard.report(&offer, 1, progress()).await;
    assert_eq!(shard.acknowledged().await, Some(1));
    offer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blip_kills_no_agent_run_and_the_same_lease_goes_on() {
    let app = TestApp::start().await;
    let mut shard = ScriptedWorker::shard_worker(&app, "codex-worker-1", 1).await;
    let offer = running_submit(&app, &mut shard).await;
    let held = v1::HeldJob {
        job_id: offer.job_id.clone(),
        lease_token: offer.lease_token,
        finished: false,
        last_sequence: 1,
    };
    let again = v1::Hello {
        inventory: vec![held.clone()],
        ..shard.hello.clone()
    };
    shard.vanish();

    let mut shard = ScriptedWorker::connect(&app, again).await.unwrap();
    assert_eq!(shard.welcome.keep, [held]);
    shard.report(&offer, 2, finished(failed("NO_CHANGES"))).await;
    assert_eq!(shard.acknowledged().await, Some(2));
    let view = app.finished(&offer.run_id).await;
    assert_eq!(view.jobs.iter().filter(|job| job.stage() == v1::Stage::Submit).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_run_is_not_started_twice_until_the_lease_of_its_worker_has_run_out() {
    let timers = Timers {
        lease: Duration::from_secs(2),
        poll: Duration::from_millis(50),
        ..Timers::default()
    };
    let app = TestApp::with_timers(timers).await;
    let mut shard = ScriptedWorker::shard_worker(&app, "first", 1).await;
    let offer = running_submit(&app, &mut shard).await;
    shard.vanish();
    let begun = std::time::Instant::now();
    let mut second = loop {
        if let Ok(second) = ScriptedWorker::connect(&app, shard_hello("second", 1)).await {
            break second;
        }
    };
    second.credit("codex-1", 1).await;
    let next = second.offer().await;
    assert!(begun.elapsed() >= Duration::from_millis(1500), "after {:?} only", begun.elapsed());
    assert_eq!(
        (next.run_id.as_str(), next.stage(), next.attempt),
        (offer.run_id.as_str(), v1::Stage::Submit, 2)
    );
    assert!(next.lease_token > offer.lease_token);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restarted_worker_no_longer_has_is_queued_again_at_once() {
    let app = TestApp::start().await;
    let mut shard = ScriptedWorker::shard_worker(&app, "codex-worker-1", 1).await;
    let offer = running_submit(&app, &mut shard).await;
    shard.vanish();
    let mut restarted = ScriptedWorker::shard_worker(&app, "codex-worker-1", 1).await;
    restarted.credit("codex-1", 1).await;
    let next = restarted.offer().await;
    assert_eq!((next.run_id.as_str(), next.attempt), (offer.run_id.as_str(), 2));
    let first = app
        .get(&next.run_id)
        .await
        .jobs
        .into_iter()
        .find(|job| job.job_id == offer.job_id)
        .unwrap();
    assert_eq!(first.failure.unwrap().code, "WORKER_LOST");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_keeps_losing_its_workers_fails_in_the_end() {
    let app = TestApp::start().await;
    let run = app.create("001-a").await;
    for attempt in 1..=5 {
        let mut worker = ScriptedWorker::connect(&app, hello(&format!("w-{attempt}"), "default"))
            .await
            .unwrap();
        worker.credit("default", 1).await;
        let offer = worker.offer().await;
        assert_eq!(offer.attempt, attempt);
        worker.accept(&offer).await;
        worker.report(&offer, 1, progress()).await;
        assert_eq!(worker.acknowledged().await, Some(1));
        worker.vanish();
    }
    let failed = app.finished(&run.run_id).await.run.unwrap();
    assert_eq!(
        (failed.status(), failed.failure.unwrap().code.as_str()),
        (v1::RunStatus::Failed, "WORKER_LOST")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_its_worker_gives_up_is_queued_again() {
    let app = TestApp::start().await;
    let run = app.create("001-a").await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    let v1::finished::Outcome::Failure(failure) = failed("WORKER_STOPPED") else {
        unreachable!()
    };
    let class = v1::FailureClass::LostWorker.into();
    worker
        .work("default", v1::finished::Outcome::Failure(v1::Failure { class, ..failure }))
        .await;
    worker.credit("default", 1).await;
    let next = worker.offer().await;
    assert_eq!((next.run_id, next.attempt), (run.run_id, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_worker_whose_line_breaks_keeps_its_agent_run_and_its_volume() {
    let app = TestApp::start().await;
    let mut shard = ScriptedWorker::shard_worker(&app, "first", 1).await;
    let offer = running_submit(&app, &mut shard).await;
    shard.send(connect_request::Frame::Draining(v1::Draining::default())).await;
    shard.send(connect_request::Frame::Ping(v1::Ping { nonce: 1 })).await;
    assert!(matches!(shard.next().await.unwrap(), Some(Frame::Pong(_))));
    let held = v1::HeldJob {
        job_id: offer.job_id.clone(),
        lease_token: offer.lease_token,
        finished: false,
        last_sequence: 1,
    };
    let again = v1::Hello {
        inventory: vec![held.clone()],
        ..shard.hello.clone()
    };
    shard.vanish();
    assert!(
        ScriptedWorker::connect(&app, shard_hello("second", 1)).await.is_err(),
        "the volume was given away"
    );
    let back = ScriptedWorker::connect(&app, again).await.unwrap();
    assert_eq!(back.welcome.keep, [held]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nul_character_in_a_report_stops_nothing() {
    let app = TestApp::start().await;
    let run = app.create("001-a").await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    let v1::finished::Outcome::Failure(failure) = failed("TASKS_MALFORMED") else {
        unreachable!()
    };
    let message = "line 3 holds \0 in it".to_owned();
    worker
        .work("default", v1::finished::Outcome::Failure(v1::Failure { message, ..failure }))
        .await;
    let failure = app.finished(&run.run_id).await.run.unwrap().failure.unwrap();
    assert_eq!(failure.message, "line 3 holds  in it");
}
