//! The endpoint over real HTTP, for a link to a server that the test plays.

use moorline_proto::v1;
use tempfile::TempDir;

use super::*;
use crate::{
    config::Timers,
    link::{Ledger, Link},
    spool,
    testing::{Server, patient},
};

async fn spool(dir: &TempDir) -> Spool {
    let settings = spool::Settings {
        root: dir.path().to_owned(),
        worker: "w".to_owned(),
        limit: 1 << 30,
        record_limit: 4 << 20,
    };
    Spool::open(settings).await.expect("a spool").0
}

async fn asked(endpoint: &Endpoint) -> (bool, serde_json::Value) {
    let (live, body) = ask(endpoint.address).await.expect("an answer");
    (live, serde_json::from_str(&body).expect("JSON"))
}

#[tokio::test]
async fn the_endpoint_says_whether_the_stream_is_live_and_why_not() {
    let (mut server, dir) = (Server::start().await, TempDir::new().expect("a folder"));
    let vitals = Vitals::new("w", 4);
    let endpoint = listen("127.0.0.1:0".parse().expect("an address"), vitals.clone())
        .await
        .expect("an endpoint");
    let (live, report) = asked(&endpoint).await;
    assert_eq!(
        (live, &report["stream"], &report["live"]),
        (false, &"starting".into(), &false.into())
    );

    let (link, handle, mut events) =
        Link::new(&server.url, v1::Hello::default(), Ledger::default(), None, &Timers::default()).expect("a link");
    let load = vitals.serve("instance".to_owned(), handle, spool(&dir).await);
    load.send_replace(Load { jobs: 2, draining: true });
    let running = tokio::spawn(link.run());
    let line = server.welcomed().await;
    patient(events.recv()).await.expect("a welcome");
    let (live, report) = asked(&endpoint).await;
    assert!(live);
    assert!(report["lease_age_ms"].is_u64() && report["since"].is_string(), "{report}");
    let fixed = serde_json::json!({
        "live": true, "worker": "w", "instance": "instance", "stream": "live", "why": null, "session": "session",
        "since": report["since"], "last_pong_age_ms": null, "lease_age_ms": report["lease_age_ms"],
        "jobs_running": 2, "spool_bytes": 0, "spool_ok": true, "draining": true,
    });
    assert_eq!(report, fixed);

    server.store().refusals.push_back(tonic::Status::unavailable("not now"));
    drop(line);
    let report = patient(async {
        loop {
            let (live, report) = asked(&endpoint).await;
            if !live {
                return report;
            }
        }
    })
    .await;
    assert_eq!(report["stream"], "down");
    assert!(report["why"].is_string() && report["session"].is_null(), "{report}");
    running.abort();
}

#[tokio::test]
async fn nobody_s_answer_says_where_was_asked() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let error = ask(address).await.expect_err("no answer");
    assert!(error.to_string().contains(&format!("MOORLINE_HEALTH_LISTEN={address}")), "{error}");
}
