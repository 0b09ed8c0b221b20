//! A proxy that ends lines on which nothing is said: the workers' own pings keep theirs alive.

use std::time::Duration;

use moorline_server::flow::Timers;
use moorline_tests::{proxy::Way, repo::SampleRepository};
use tokio::{io::AsyncReadExt as _, net::TcpStream};

use crate::support::{Fleet, TestApp, fleet::repository};

/// Seconds of the defaults take this long here: pings every 10 s, dead at 30 s, and a proxy that ends what was idle for 25 s.
const SECOND: Duration = Duration::from_millis(80);

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_outlives_a_proxy_that_ends_idle_lines() {
    let timers = Timers {
        ping_interval: 10 * SECOND,
        ping_timeout: 30 * SECOND,
        ..Timers::default()
    };
    let mut fleet = Fleet::of(TestApp::with_timers(timers).await, "work").await;
    let proxy = fleet.app.proxy().await;
    proxy.change(|rules| rules.idle = Some(25 * SECOND));
    fleet.default_worker(|config| config.server = proxy.url()).await;
    let stream = proxy.line(0).await;
    // A line without pings shows that the proxy does end what is idle.
    let mut mute = TcpStream::connect(proxy.address()).await.unwrap();

    // Four pongs later more time has passed than the proxy allows, and the stream is the same.
    for _ in 0..4 {
        let heard = stream.traffic().of(Way::Down).passed;
        assert!(
            stream.until(|traffic| traffic.of(Way::Down).passed > heard).await,
            "the stream was ended"
        );
    }
    while mute.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}
    assert!(stream.is_open());
    assert_eq!(proxy.opened(), 2, "the worker dialled again");

    // And it carries work.
    let origin = repository(SampleRepository::builder().tasks("# Tasks\n\n## Phase 1: Setup\n\n- [x] T001 Done\n"));
    let run = fleet.run(&origin).await.run.unwrap();
    assert_eq!(run.status(), moorline_proto::v1::RunStatus::NoWork);
    assert!(stream.is_open());
}
