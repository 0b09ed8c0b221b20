//! Postgres goes away under load and comes back: every run that was acknowledged is there, every result counts once.

use std::time::Duration;

use moorline_proto::v1;
use moorline_server::flow::Timers;
use moorline_tests::{
    db::{PrivateCluster, Stop, TestDb},
    proxy::{Cut, Flow, Proxy},
};

use crate::support::{Dutiful, TestApp, app::request, eventually, promise};

/// Pings are quick, so that workers notice a server that stands still. The lease outlasts the outage, as ten minutes outlast one of 30 s.
fn timers() -> Timers {
    Timers {
        ping_interval: Duration::from_millis(500),
        ping_timeout: Duration::from_secs(2),
        lease: Duration::from_secs(60),
        accept_deadline: Duration::from_secs(2),
        poll: Duration::from_millis(100),
        ..Timers::default()
    }
}

/// Creates a run as a careful client does: with a key, again and again until the server has said yes.
async fn create(app: &TestApp, feature_key: String) -> String {
    let wanted = v1::CreateRunRequest {
        idempotency_key: feature_key.clone(),
        ..request(&feature_key)
    };
    eventually("a run", async || Some(app.create_with(wanted.clone()).await.ok()?.run_id)).await
}

/// Creates runs while `fault` happens, and checks that all are done and nothing that anybody was told is lost.
async fn under_load(app: &TestApp, fault: impl Future<Output = ()>) {
    const RUNS: usize = 60;
    let workers: Vec<_> = (0..3).map(|index| Dutiful::start(&app.url(), &format!("w-{index}"), 4)).collect();
    let load = async {
        let mut created = Vec::new();
        for index in 0..RUNS {
            created.push(create(app, format!("{index:03}-x")).await);
        }
        created
    };
    let (created, ()) = tokio::join!(load, fault);
    let client = app.database.connect().await.unwrap();
    let done = "select count(*) from runs where status = 'no_work'";
    eventually("the end of all runs", async || {
        (client.query_one(done, &[]).await.ok()?.get::<_, i64>(0) == i64::try_from(RUNS).ok()?).then_some(())
    })
    .await;
    for run_id in &created {
        assert_eq!(app.get(run_id).await.run.unwrap().status(), v1::RunStatus::NoWork);
    }
    let mut acknowledged = 0;
    for worker in &workers {
        acknowledged += worker.check(&app.database).await;
    }
    // Each run had one result, and a worker was told so, unless the fault cut the word off: then its next Hello was.
    assert!(acknowledged <= RUNS && acknowledged > 0, "{acknowledged}");
    promise::kept(&app.database).await;
}

/// Waits until some of the load has got through, and some has not.
async fn in_the_middle(database: &TestDb) {
    let client = database.connect().await.unwrap();
    let done = "select count(*) from runs where status = 'no_work'";
    eventually("the first runs", async || {
        (client.query_one(done, &[]).await.ok()?.get::<_, i64>(0) >= 5).then_some(())
    })
    .await;
}

async fn survives_a_restart(how: Stop) {
    let mut cluster = PrivateCluster::start().await.unwrap();
    let database = cluster.database().await.unwrap();
    let url = database.url().to_owned();
    let app = TestApp::on(database, url, timers(), "codex_auth_").await;
    let fault = async {
        in_the_middle(&app.database).await;
        cluster.stop(how).await.unwrap();
        assert!(app.database.connect().await.is_err(), "it is still there");
        cluster.start_again().await.unwrap();
    };
    under_load(&app, fault).await;
    drop(app);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_postgres_under_load_loses_nothing() {
    survives_a_restart(Stop::Fast).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_postgres_under_load_loses_nothing() {
    survives_a_restart(Stop::Crash).await;
}

/// A server whose way to its Postgres goes through a proxy.
async fn behind_a_proxy() -> (TestApp, Proxy) {
    let database = TestDb::new().await.unwrap();
    let proxy = Proxy::start(database.target().unwrap()).await.unwrap();
    let url = database.url_through(proxy.address()).unwrap();
    (TestApp::on(database, url, timers(), "codex_auth_").await, proxy)
}

/// Half a minute with the defaults, in which pings are every 10 s and a line is dead after 30 s: here it is twice the time after which
/// workers take their line for dead, so that they give up, dial again and wait for a server that can't let them in.
const OUTAGE: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_out_of_reach_for_a_while_loses_nothing() {
    let (app, proxy) = behind_a_proxy().await;
    let fault = async {
        in_the_middle(&app.database).await;
        // What is under way arrives when the network is back, as TCP has it.
        proxy.change(|rules| rules.flow(Flow::Hold));
        tokio::time::sleep(OUTAGE).await;
        proxy.change(|rules| rules.flow(Flow::Pass));
    };
    under_load(&app, fault).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_whose_lines_are_reset_and_refused_for_a_while_loses_nothing() {
    let (app, proxy) = behind_a_proxy().await;
    let fault = async {
        in_the_middle(&app.database).await;
        proxy.change(|rules| rules.refuse = true);
        proxy.cut(Cut::Reset);
        tokio::time::sleep(OUTAGE).await;
        proxy.change(|rules| rules.refuse = false);
    };
    under_load(&app, fault).await;
}
