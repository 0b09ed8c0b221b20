//! *drain*: runs that workers answer at once. First a queue that was filled beforehand, then one that is kept full for a minute.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use moorline_proto::v1;

use super::{
    ceiling::{self, Rates},
    check,
    cluster::Database,
    fleet::{Fleet, Pace, Script, Tally},
    line::{Line, Target},
    requests::Requests,
    run::within,
    server::Server,
    stage::{Stage, float},
};

/// Runs that are queued.
const RUNS: usize = 20_000;
/// Streams for the default queue, each with a worker's default slots.
const DEFAULT_STREAMS: usize = 61;
const DEFAULT_SLOTS: i32 = 4;
/// Shards, each with one stream, and the capacity of a volume with an API key.
const SHARDS: usize = 3;
const SHARD_SLOTS: i32 = 32;
/// Connections that the streams share.
const CONNECTIONS: usize = 4;
/// Nothing at all has happened for this long: it won't.
const PATIENCE: Duration = Duration::from_secs(30);
/// The kept queue: how long, looked at in windows of this length.
const FLAT_SECONDS: usize = 60;
const WINDOW_SECONDS: usize = 5;

/// Measures it.
pub async fn measure(stage: &mut Stage) -> Result<()> {
    let count = stage.size(RUNS, 640);
    let (database, server) = stage.serve("drain").await?;
    let discover = ceiling::observe(&database, &server, v1::Phase::Discover).await?;
    let submit = ceiling::observe(&database, &server, v1::Phase::Submit).await?;
    let above = async |stage: &Stage| -> Result<Rates> {
        stage.say("ceiling");
        let database = stage.cluster.database("ceiling").await?;
        let measured = ceiling::measure(&database, &discover, &submit, count).await;
        stage.cluster.drop_database(database).await?;
        measured
    };

    let first = above(stage).await?;
    let requests = Requests::to(server.address)?;
    stage.say(&format!("queueing {count} runs"));
    database.settle().await?;
    let begun = Instant::now();
    within(Duration::from_secs(600), "queueing", requests.fill(count)).await?;
    let queued = rate(count, begun);
    database.settle().await?;
    stage.say("draining them");
    let (fleet, drained) = drain(&server, count).await?;
    let second = above(stage).await?;

    let ceiling = (first.drain + second.drain) / 2.0;
    stage.record(
        Line::new("drain", "finished", drained, "runs/s")
            .of(ceiling)
            .target(Target::AtLeast(0.6)),
    )?;
    stage.record(Line::new("drain", "enqueued", queued, "runs/s").of((first.queue + second.queue) / 2.0))?;
    check::rules(&database, Some(count), fleet.tally.counts().finished, &fleet.tally).await?;
    drop(fleet);
    flat(stage, &database, &server, requests, count).await
}

/// Drains what is queued; runs per second, those of a backlog among them, from the first credit to the last acknowledgement of the others.
pub async fn drain(server: &Server, count: usize) -> Result<(Fleet, f64)> {
    let fleet = fleet(server.address).await?;
    let begun = Instant::now();
    fleet.gate.open();
    let counts = fleet
        .tally
        .until(PATIENCE, "the queue drains", |counts| counts.finished >= count)
        .await?;
    let rate = rate(counts.finished + counts.others, begun);
    Ok((fleet, rate))
}

/// Workers that are welcome, and wait for the gate.
async fn fleet(server: SocketAddr) -> Result<Fleet> {
    let mut fleet = Fleet::new(Tally::new());
    let defaults = (0..DEFAULT_STREAMS).map(|index| Script::new(format!("default-{index}"), "default", DEFAULT_SLOTS, Pace::AtOnce));
    let shards = (0..SHARDS).map(|index| Script::new(format!("shard-{index}"), format!("codex-{index}"), SHARD_SLOTS, Pace::AtOnce));
    fleet.share(server, CONNECTIONS, defaults.chain(shards))?;
    fleet
        .tally
        .until(PATIENCE, "the workers' Welcome", |counts| {
            counts.welcomes >= DEFAULT_STREAMS + SHARDS
        })
        .await?;
    Ok(fleet)
}

/// The second phase: as many runs are queued as are finished.
async fn flat(stage: &mut Stage, database: &Database, server: &Server, requests: Requests, count: usize) -> Result<()> {
    let seconds = stage.size(FLAT_SECONDS, 4 * WINDOW_SECONDS);
    stage.say(&format!("keeping {count} runs queued for {seconds} s"));
    within(Duration::from_secs(600), "queueing", requests.fill(count)).await?;
    let fleet = fleet(server.address).await?;
    let before = requests.created();
    let tally = Arc::clone(&fleet.tally);
    let refill = requests.keep(move || before + tally.counts().finished);
    let watch = async {
        fleet.gate.open();
        let mut windows = Vec::new();
        let mut seen = 0;
        for _ in 0..seconds / WINDOW_SECONDS {
            tokio::time::sleep(Duration::from_secs(WINDOW_SECONDS as u64)).await;
            let finished = fleet.tally.counts().finished;
            windows.push((finished - seen) / WINDOW_SECONDS);
            seen = finished;
        }
        anyhow::Ok(windows)
    };
    let mut windows = tokio::select! {
        windows = watch => windows?,
        refused = refill => { refused?; Vec::new() }
    };
    let dead = dead_rows(database).await?;
    stage.say(&format!("runs per second, window by window: {windows:?}"));
    windows.sort_unstable();
    let (least, median) = (
        windows.first().copied().unwrap_or(0),
        windows.get(windows.len() / 2).copied().unwrap_or(0),
    );
    stage.record(
        Line::new("drain", "slowest_window", float(least), "runs/s")
            .of(float(median))
            .target(Target::AtLeast(0.7)),
    )?;
    stage.record(Line::new("drain", "dead_rows", float(dead), "rows").target(Target::AtMost(100_000.0)))?;
    // Calls were cut when the time was up: how many of them make a run yet, nobody knows.
    check::rules(database, None, count + fleet.tally.counts().finished, &fleet.tally).await
}

/// Rows on the hot tables that the next vacuum will find dead.
async fn dead_rows(database: &Database) -> Result<usize> {
    let sql = "select coalesce(sum(n_dead_tup), 0)::bigint from pg_stat_user_tables where relname in ('runs', 'jobs', 'queue_ranks')";
    let dead: i64 = database.connect().await?.query_one(sql, &[]).await?.get(0);
    Ok(usize::try_from(dead)?)
}

fn rate(count: usize, begun: Instant) -> f64 {
    float(count) / begun.elapsed().as_secs_f64()
}
