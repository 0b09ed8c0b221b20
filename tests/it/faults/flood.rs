//! One side says more than the other takes: whoever is flooded keeps a bounded part of it, and the rest waits where it comes from.

use std::time::Duration;

use moorline_proto::v1::{self, connect_request::Frame};
use moorline_tests::{
    db::TestDb,
    proxy::{Flow, Proxy, Way},
    repo::SampleRepository,
};
use moorline_worker::{
    config::Timers,
    link::{Event, Lease, Ledger, Link},
};
use tonic::transport::Channel;

use crate::support::{
    Fleet, ScriptedWorker, TestApp, eventually,
    fleet::{open_folder, repository},
    process, promise,
    scripted_worker::{finished, hello, no_work, progress},
};

/// A sender that can't send for this long is blocked, as far as a test can tell.
const BLOCKED: Duration = Duration::from_secs(2);

const MIB: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_database_stands_still_keeps_little_of_what_a_worker_floods_it_with() {
    const LINE: usize = 8 << 10;
    const FLOOD: usize = 160 << 20;
    let database = TestDb::new().await.unwrap();
    let to_database = Proxy::start(database.target().unwrap()).await.unwrap();
    let url = database.url_through(to_database.address()).unwrap();
    let app = TestApp::apart_on(database, url).await;
    let proxy = app.proxy().await;
    let run = app.create("001-a").await;
    let mut worker = ScriptedWorker::at(&proxy.url(), hello("w", "default")).await.unwrap();
    worker.credit("default", 1).await;
    let offer = worker.offer().await;
    worker.accept(&offer).await;
    worker.report(&offer, 1, progress("at work")).await;
    assert_eq!(worker.acknowledged().await, Some(1));
    let before = app.process().peak_memory();

    to_database.change(|rules| rules.flow(Flow::Hold));
    let (line, mut last) = ("x".repeat(LINE), 1);
    for number in 2..i64::try_from(FLOOD / LINE).unwrap() {
        let said = worker.report(&offer, number, progress(&line));
        if tokio::time::timeout(BLOCKED, said).await.is_err() {
            break;
        }
        last = number;
    }
    let taken = proxy.line(0).await.traffic().of(Way::Up).passed;
    assert!(taken < FLOOD / 4, "the server has taken {taken} bytes in");
    let grown = app.process().grown_since(before);
    assert!(grown < 48 * MIB, "the server has grown by {grown} bytes");

    // And nothing of it is lost once the database is back.
    to_database.change(|rules| rules.flow(Flow::Pass));
    worker.report(&offer, last + 1, finished(no_work())).await;
    let mut acknowledged = 1;
    while acknowledged <= last {
        acknowledged = worker.acknowledged().await.expect("not fenced");
    }
    assert_eq!(acknowledged, last + 1);
    let told = app
        .events(&run.run_id)
        .await
        .into_iter()
        .filter(|event| matches!(event.event, Some(v1::run_event::Event::Progress(_))));
    assert_eq!(told.count(), usize::try_from(last).unwrap());
    promise::kept(&app.database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_reads_nothing_costs_the_server_little_and_loses_its_stream() {
    const PINGS: usize = 200_000;
    let app = TestApp::apart().await;
    let proxy = app.proxy().await;
    // A small window, so that it is full soon.
    let endpoint = Channel::from_shared(proxy.url()).unwrap();
    let channel = endpoint
        .initial_stream_window_size(1 << 16)
        .initial_connection_window_size(1 << 16)
        .connect_lazy();
    let worker = ScriptedWorker::dial(channel, hello("w", "default")).await.unwrap();
    proxy.change(|rules| rules.down.flow = Flow::Block);
    let before = app.process().peak_memory();
    let mut said = 0;
    while said < PINGS {
        // Each asks for an answer, which costs the server no look at its database.
        let ping = worker.try_send(Frame::Ping(v1::Ping { nonce: i64::MAX }));
        match tokio::time::timeout(BLOCKED, ping).await {
            Ok(true) => said += 1,
            Ok(false) | Err(_) => break,
        }
    }
    assert!(said < PINGS, "the server has taken {said} pings, and keeps their answers");
    let grown = app.process().grown_since(before);
    assert!(grown < 48 * MIB, "the server has grown by {grown} bytes");
    let client = app.database.connect().await.unwrap();
    let ended = "select end_reason from worker_sessions where ended_at is not null";
    let reason: String = eventually("the end of the session", async || {
        Some(client.query_opt(ended, &[]).await.unwrap()?.get(0))
    })
    .await;
    assert!(reason.contains("did not take"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_server_reads_nothing_keeps_a_bounded_number_of_reports_and_the_end() {
    const LINES: usize = 20_000;
    let app = TestApp::start().await;
    let proxy = app.proxy().await;
    let run = app.create("001-a").await;
    let (link, handle, mut events) = Link::new(&proxy.url(), hello("w", "default"), Ledger::default(), None, &Timers::default()).unwrap();
    let link = tokio::spawn(link.run());
    let mut voice = None;
    let lease = loop {
        match events.recv().await.expect("an event") {
            Event::Welcomed(welcomed) => {
                let (queue, jobs) = ("default".to_owned(), 1);
                welcomed.voice.say(Frame::Credit(v1::Credit { queue, jobs }));
                voice = Some(welcomed.voice);
            }
            Event::Offer(offer) => {
                let lease = Lease::new(&offer.job_id, offer.lease_token);
                let (job_id, lease_token) = (offer.job_id, offer.lease_token);
                voice.as_ref().unwrap().say(Frame::Accept(v1::Accept { job_id, lease_token }));
                break lease;
            }
            other => panic!("{other:?}"),
        }
    };
    handle.ledger.open(&lease);
    proxy.change(|rules| rules.up.flow = Flow::Block);
    for number in 0..LINES {
        handle.ledger.report(&lease, progress(&format!("{number} {}", "x".repeat(500))));
    }
    handle.ledger.report(&lease, finished(no_work()));
    let held = handle.ledger.inventory().pop().expect("the job");
    assert!(held.finished && held.last_sequence < 2000, "{held:?}");

    proxy.change(|rules| rules.up.flow = Flow::Pass);
    let events = app.events(&run.run_id).await;
    let told = events
        .iter()
        .filter(|event| matches!(event.event, Some(v1::run_event::Event::Progress(_))))
        .count();
    assert_eq!(
        i64::try_from(told).unwrap() + 1,
        held.last_sequence,
        "what it kept arrived, and the end with it"
    );
    eventually("the last acknowledgement", async || {
        handle.ledger.inventory().is_empty().then_some(())
    })
    .await;
    link.abort();
    promise::kept(&app.database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_prints_more_than_the_line_takes_fills_its_file_and_not_its_worker() {
    const OUTPUT: u64 = 64 * MIB;
    let mut fleet = Fleet::new("work").await;
    let proxy = fleet.app.proxy().await;
    fleet.default_worker(|_| {}).await;
    fleet.log_in(0).await;
    // A program in the place of the CLI that passes the login check and then prints without end, nearly.
    let mut config = fleet.shard_config("codex-worker-0", 0);
    let folder = open_folder();
    let program = folder.path().join("codex");
    let noise = "{\"type\":\"item.completed\",\"item\":{\"id\":\"1\",\"type\":\"reasoning\",\"text\":\"hm\"}}";
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n*exec*) yes '{noise}' | head -c {OUTPUT} ;;\n*) exec {} \"$@\" ;;\nesac\n",
        config.codex_program
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    (config.server, config.codex_program) = (proxy.url(), program.display().to_string());
    let worker = process::worker(&config).await;
    let before = worker.peak_memory();
    proxy.change(|rules| rules.up.rate = Some(500_000));

    let origin = repository(SampleRepository::builder());
    let run = fleet.app.create_with(fleet.request(&origin)).await.unwrap();
    // At that rate the output would take minutes: all of it is printed, and little of it sent.
    let client = fleet.app.database.connect().await.unwrap();
    let sent = "select coalesce(max(byte_offset + length(content)), 0)::bigint from job_logs";
    eventually("some output", async || {
        (client.query_one(sent, &[]).await.unwrap().get::<_, i64>(0) > 0).then_some(())
    })
    .await;
    let written = async || {
        let files = std::fs::read_dir(config.work_root.join("runs")).unwrap();
        let sizes = files.flat_map(|run| walk(&run.unwrap().path()));
        (sizes.max().unwrap_or_default() >= OUTPUT).then_some(())
    };
    eventually("all output in a file", written).await;
    let grown = worker.grown_since(before);
    assert!(grown < 32 * MIB, "the worker has grown by {grown} bytes");
    let cancel = v1::CancelRunRequest {
        run_id: run.run_id.clone(),
        reason: String::new(),
    };
    proxy.change(|rules| rules.up.rate = None);
    fleet.app.runs().cancel_run(cancel).await.unwrap();
    fleet.app.finished(&run.run_id).await;
}

/// Sizes of all files below a folder.
fn walk(folder: &std::path::Path) -> Vec<u64> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let sizes = entries.flatten().flat_map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => walk(&entry.path()),
        Ok(metadata) => vec![metadata.len()],
        Err(_) => Vec::new(),
    });
    sizes.collect()
}
