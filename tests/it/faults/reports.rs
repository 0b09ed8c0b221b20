//! Reports that come twice, late, or in another order: each counts once, and in its order.

use moorline_proto::v1::{self, run_event::Event};
use moorline_tests::proxy::{Flow, Way};

use crate::support::{
    ScriptedWorker, TestApp, process, promise,
    scripted_worker::{failed, finished, held, hello, no_work, progress},
};

/// Lines of progress that the run has, in their order.
async fn told(app: &TestApp, run_id: &str) -> Vec<String> {
    let lines = app.events(run_id).await.into_iter().filter_map(|event| match event.event {
        Some(Event::Progress(progress)) => Some(progress.message),
        _ => None,
    });
    lines.collect()
}

/// Numbers below `length`, each at least once, some twice, in an order that looks random and is the same each time.
fn shuffled(length: i64, seed: u64) -> Vec<i64> {
    let mut state = seed;
    let mut random = move |below: usize| {
        // Knuth's multiplier: good enough to shuffle with.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut numbers: Vec<i64> = (0..length).chain((0..length).filter(|number| number % 3 == 0)).collect();
    for last in (1..numbers.len()).rev() {
        numbers.swap(last, random(last + 1));
    }
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_in_any_order_and_number_are_stored_once_and_in_their_order() {
    const LINES: i64 = 8;
    let app = TestApp::start().await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    for seed in 1..=3_u64 {
        let run = app.create(&format!("00{seed}-a")).await;
        worker.credit("default", 1).await;
        let offer = worker.offer().await;
        worker.accept(&offer).await;
        let mut stored = 0;
        while stored < LINES {
            // Each round is sent whole before any answer is read, as by a worker that sends again what isn't acknowledged.
            let round = shuffled(LINES, seed.wrapping_mul(u64::try_from(stored + 1).unwrap()));
            for number in &round {
                worker.report(&offer, number + 1, progress(&format!("line {}", number + 1))).await;
            }
            for _ in &round {
                let acknowledged = worker.acknowledged().await.expect("not fenced");
                assert!(
                    acknowledged >= stored,
                    "{acknowledged} after {stored}: an acknowledgement was taken back"
                );
                stored = acknowledged;
            }
        }
        worker.report(&offer, LINES + 1, finished(no_work())).await;
        assert_eq!(worker.acknowledged().await, Some(LINES + 1));
        let lines: Vec<String> = (1..=LINES).map(|number| format!("line {number}")).collect();
        assert_eq!(told(&app, &run.run_id).await, lines);
    }
    promise::kept(&app.database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_that_an_old_line_still_held_change_nothing_when_they_come_after_all() {
    let app = TestApp::start().await;
    let (_other, address) = process::server(app.database.url(), app.artifacts.path()).await;
    let proxy = app.proxy().await;
    let run = app.create("001-a").await;
    let mut worker = ScriptedWorker::at(&proxy.url(), hello("w", "default")).await.unwrap();
    worker.credit("default", 1).await;
    let offer = worker.offer().await;
    worker.accept(&offer).await;
    worker.report(&offer, 1, progress("one")).await;
    assert_eq!(worker.acknowledged().await, Some(1));

    // What it says next is stuck on its way; on another server it says the same, and how the job went on.
    let line = proxy.line(0).await;
    line.change(|rules| rules.up.flow = Flow::Hold);
    worker.report(&offer, 2, progress("two")).await;
    worker.report(&offer, 3, finished(failed("STUCK"))).await;
    assert!(line.until(|traffic| traffic.of(Way::Up).kept() > 0).await);
    let again = worker.again(&[held(&offer, 3, false)]);
    let mut elsewhere = ScriptedWorker::at(&format!("http://{address}"), again).await.unwrap();
    assert_eq!(elsewhere.welcome.keep.len(), 1, "{:?}", elsewhere.welcome);
    elsewhere.report(&offer, 2, progress("two")).await;
    elsewhere.report(&offer, 3, finished(no_work())).await;
    assert_eq!((elsewhere.acknowledged().await, elsewhere.acknowledged().await), (Some(2), Some(3)));

    // The old line may have been ended meanwhile. Where it wasn't, its reports are known already.
    line.change(|rules| rules.up.flow = Flow::Pass);
    let answers = worker.answers_to_the_end_or(3).await;
    assert!(
        answers.iter().all(|answer| answer.is_none_or(|sequence| sequence <= 3)),
        "{answers:?}"
    );
    assert_eq!(told(&app, &run.run_id).await, ["one", "two"]);
    assert_eq!(app.get(&run.run_id).await.run.unwrap().status(), v1::RunStatus::NoWork);
    promise::kept(&app.database).await;
}
