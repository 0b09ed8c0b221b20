//! Two processes with one name: the live one stays, a dead one gives way, and neither harms the other's work.

use moorline_proto::v1;
use moorline_tests::proxy::Flow;

use crate::support::{
    ScriptedWorker, TestApp, fact, kind, promise,
    scripted_worker::{discovered, failed, finished, held, hello, no_work, progress, shard_hello},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_second_of_two_live_workers_of_one_name_is_refused_again_and_again() {
    let app = TestApp::start().await;
    let mut first = ScriptedWorker::default_worker(&app, "w").await;
    let run = app.create("001-a").await;
    first.credit("default", 1).await;
    let offer = first.offer().await;
    first.accept(&offer).await;
    for _ in 0..3 {
        let second = ScriptedWorker::connect(&app, hello("w", "default"));
        let (second, ()) = tokio::join!(second, first.answer_ping());
        let refused = second.err().expect("a refusal");
        assert_eq!(kind(&refused), "AlreadyExists WORKER_NAME_TAKEN");
        assert_eq!(fact(&refused, "instance_id"), first.hello.instance_id);
    }
    first.report(&offer, 1, finished(no_work())).await;
    assert_eq!(first.acknowledged().await, Some(1));
    assert_eq!(app.finished(&run.run_id).await.run.unwrap().status(), v1::RunStatus::NoWork);
    promise::kept(&app.database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_line_is_dead_gives_way_to_another_of_its_name_and_loses_its_jobs() {
    let app = TestApp::start().await;
    let proxy = app.proxy().await;
    let run = app.create("001-a").await;
    ScriptedWorker::default_worker(&app, "default-1")
        .await
        .work("default", discovered())
        .await;
    let queue = app.get(&run.run_id).await.run.unwrap().codex_queue;
    let index = queue.strip_prefix("codex-").unwrap().parse().unwrap();
    let mut first = ScriptedWorker::at(&proxy.url(), shard_hello("w", index)).await.unwrap();
    first.credit(&queue, 1).await;
    let stale = first.offer().await;
    first.accept(&stale).await;
    first.report(&stale, 1, progress("at work")).await;
    assert_eq!(first.acknowledged().await, Some(1));

    // Packets vanish, so that the server's ping gets no answer. A worker of the same name and host may have its volume.
    proxy.line(0).await.change(|rules| rules.flow(Flow::Vanish));
    let mut second = ScriptedWorker::connect(&app, shard_hello("w", index))
        .await
        .expect("the seat of the dead one");
    second.credit(&queue, 1).await;
    let offer = second.offer().await;
    assert_eq!((offer.run_id.as_str(), offer.attempt), (run.run_id.as_str(), 2));
    assert!(offer.lease_token > stale.lease_token);
    second.accept(&offer).await;

    // The first is heard again: its name is taken now, by one that is alive, and its old line is gone.
    let back = first.again(&[held(&stale, 2, true)]);
    let (refused, ()) = tokio::join!(ScriptedWorker::connect(&app, back), second.answer_ping());
    assert_eq!(kind(&refused.err().expect("a refusal")), "AlreadyExists WORKER_NAME_TAKEN");
    proxy.line(0).await.change(|rules| rules.flow(Flow::Pass));
    first.try_report(&stale, 2, finished(failed("STALE"))).await;
    second.report(&offer, 1, finished(failed("NO_CHANGES"))).await;
    assert_eq!(second.acknowledged().await, Some(1));
    assert_eq!(app.finished(&run.run_id).await.run.unwrap().failure.unwrap().code, "NO_CHANGES");
    promise::kept(&app.database).await;
}
