//! *idle*: workers without work, a connection each, on one server: what they cost it.

use std::time::Duration;

use anyhow::Result;
use tokio_postgres::Client;

use super::{
    cluster::Database,
    fleet::{Fleet, Pace, Script, Tally},
    line::{Line, Target},
    process::{Share, allow_files, resident},
    stage::{Stage, float},
};

/// Streams, and so connections.
const STREAMS: usize = 10_000;
/// Files that the server and this process need beside them.
const OTHER_FILES: usize = 500;
/// Workers that dial at once: a fleet that starts in order. The storm is another workload.
const DIALLING: usize = 200;
const PATIENCE: Duration = Duration::from_secs(60);
/// Settling, then looking.
const SETTLE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_secs(30);

/// Measures it.
pub async fn measure(stage: &mut Stage) -> Result<()> {
    let streams = stage.size(STREAMS, 200);
    allow_files(u64::try_from(streams + OTHER_FILES)?)?;
    let (database, server) = stage.serve("idle").await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = resident(server.pid())?;

    stage.say(&format!("{streams} workers dial"));
    let begun = tokio::time::Instant::now();
    let mut fleet = Fleet::new(Tally::new());
    fleet.gate.open();
    for index in 0..streams {
        fleet.alone(server.address, Script::new(format!("idle-{index}"), "default", 4, Pace::AtOnce))?;
        if index >= DIALLING {
            fleet
                .tally
                .until(PATIENCE, "idle workers' Welcome", |counts| counts.welcomes + DIALLING >= index)
                .await?;
        }
    }
    fleet
        .tally
        .until(PATIENCE, "the last idle worker's Welcome", |counts| counts.welcomes >= streams)
        .await?;
    stage.record(Line::new(
        "idle",
        "dialled",
        float(streams) / begun.elapsed().as_secs_f64(),
        "workers/s",
    ))?;
    tokio::time::sleep(SETTLE).await;

    let renewals = Renewals::begin(&database).await?;
    let mut share = Share::begin(server.pid())?;
    tokio::time::sleep(LOOK).await;
    let (cpu, renewals) = (share.next()?, renewals.end().await?);
    let memory = bytes(resident(server.pid())?.saturating_sub(before)) / float(streams) / 1024.0;
    let lost = fleet.tally.counts().lost;
    stage.record(Line::new("idle", "streams", float(streams.saturating_sub(lost)), "streams").target(Target::AtLeast(float(streams))))?;
    stage.record(Line::new("idle", "memory", memory, "KiB/stream").target(Target::AtMost(40.0)))?;
    stage.record(Line::new("idle", "cpu", cpu, "% of a core").target(Target::AtMost(20.0)))?;
    stage.record(Line::new("idle", "renewals", float(renewals) / LOOK.as_secs_f64(), "statements/s").target(Target::AtMost(1.0)))
}

#[allow(clippy::cast_precision_loss, reason = "memory is far below that")]
fn bytes(bytes: u64) -> f64 {
    bytes as f64
}

/// Counts the statements that renew leases, as Postgres sees them.
struct Renewals {
    client: Client,
    before: usize,
}

impl Renewals {
    async fn begin(database: &Database) -> Result<Self> {
        let client = database.admin().await?;
        let before = Self::count(&client).await?;
        Ok(Self { client, before })
    }

    async fn end(self) -> Result<usize> {
        Ok(Self::count(&self.client).await? - self.before)
    }

    async fn count(client: &Client) -> Result<usize> {
        let sql = "select coalesce(sum(calls), 0)::bigint from pg_stat_statements
            where dbid = (select oid from pg_database where datname = current_database())
                and query ~* 'update\\s+\"?worker_instances\"?\\s' and query ~* 'lease_expires_at'";
        let calls: i64 = client.query_one(sql, &[]).await?.get(0);
        Ok(usize::try_from(calls)?)
    }
}
