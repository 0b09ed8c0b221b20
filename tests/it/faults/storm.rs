//! A thousand workers that lose their server at once: all are back soon, and their work goes on.

use std::time::Duration;

use moorline_proto::v1::RunStatus;
use moorline_tests::proxy::{Cut, Target};
use moorline_worker::{
    config::Timers,
    link::{Event, Ledger, Link},
};
use tokio::{sync::watch, task::JoinSet};

use crate::support::{Dutiful, TestApp, promise, scripted_worker::hello};

const WORKERS: usize = 1000;

/// Within this time all are back. On an idle machine it takes a few seconds; what is tested is that nobody is left out, however busy it is.
const BACK: Duration = Duration::from_secs(90);

/// Holds a worker's real link, and counts its welcomes.
async fn hold(url: String, index: usize, welcomed: watch::Sender<usize>) {
    let hello = hello(&format!("w-{index:04}"), "default");
    let (link, _handle, mut events) = Link::new(&url, hello, Ledger::default(), None, &Timers::default()).expect("a link");
    let counting = async {
        while let Some(event) = events.recv().await {
            if matches!(event, Event::Welcomed(_)) {
                welcomed.send_modify(|welcomed| *welcomed += 1);
            }
        }
    };
    tokio::select! {
        ended = link.run() => panic!("worker {index} gave up: {ended:?}"),
        () = counting => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_workers_that_dial_again_at_once_are_all_back_soon() {
    let mut app = TestApp::apart().await;
    let proxy = app.proxy().await;
    let (welcomed, mut welcomes) = watch::channel(0);
    let mut links = JoinSet::new();
    for index in 0..WORKERS {
        links.spawn(hold(proxy.url(), index, welcomed.clone()));
    }
    let worker = Dutiful::start(&proxy.url(), "at-work", 1);
    tokio::time::timeout(BACK, welcomes.wait_for(|welcomed| *welcomed == WORKERS))
        .await
        .expect("all in")
        .unwrap();
    let before = app.create("001-a").await;
    assert_eq!(app.finished(&before.run_id).await.run.unwrap().status(), RunStatus::NoWork);

    app.kill().await;
    proxy.cut(Cut::Reset);
    app.restart().await;
    proxy.retarget(Target::Tcp(app.address()));

    tokio::time::timeout(BACK, welcomes.wait_for(|welcomed| *welcomed == 2 * WORKERS))
        .await
        .expect("all back")
        .unwrap();
    let after = app.create("002-b").await;
    assert_eq!(app.finished(&after.run_id).await.run.unwrap().status(), RunStatus::NoWork);
    assert_eq!(worker.check(&app.database).await, 2);
    assert!(links.try_join_next().is_none(), "a worker gave up");
    promise::kept(&app.database).await;
}
