//! *ping*: an idle system, and a run every 20 ms: from the call of CreateRun until the offer is at the worker.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior},
};
use tokio_postgres::{Client, Statement};
use tonic::transport::Channel;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::{
    check,
    fleet::{Fleet, Offered, Pace, Script, Tally, endpoint},
    line::{Line, Target},
    requests::{self, Requests},
    stage::Stage,
};

/// Runs that are created.
const SAMPLES: usize = 500;
/// First ones, which open connections and prepare statements.
const WARM_UP: usize = 25;
const EVERY: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(10);

/// Measures it.
pub async fn measure(stage: &mut Stage) -> Result<()> {
    let samples = stage.size(SAMPLES, 100);
    let (database, server) = stage.serve("ping").await?;
    let (told, mut offers) = mpsc::channel(64);
    let mut fleet = Fleet::new(Tally::telling(told));
    fleet.share(server.address, 1, [Script::new("ping", "default", 16, Pace::AtOnce)])?;
    fleet.gate.open();
    fleet
        .tally
        .until(PATIENCE, "the worker's Welcome", |counts| counts.welcomes > 0)
        .await?;
    let requests = Requests::to(server.address)?;
    let mut floor = Floor::new(
        database.connect().await?,
        HealthClient::new(endpoint(server.address)?.connect().await?),
    )
    .await?;

    let (mut pings, mut floors) = (Vec::new(), Vec::new());
    let mut tick = tokio::time::interval(EVERY / 2);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0..WARM_UP + samples {
        tick.tick().await;
        let begun = Instant::now();
        // Every tenth request is agent work, which this worker doesn't do.
        let create = requests.create(requests::request(number * 10));
        let (run_id, first) = tokio::join!(create, offer(&mut offers));
        let (run_id, mut offered) = (run_id?, first?);
        // An accept that came too late makes the server offer an earlier run again.
        while offered.run_id != run_id {
            offered = offer(&mut offers).await?;
        }
        pings.push(offered.at - begun);
        // Half way between two runs the system is as idle as it was before the first.
        tick.tick().await;
        floors.push(floor.sample().await?);
    }
    let (pings, floors) = (sorted(pings.split_off(WARM_UP)), sorted(floors.split_off(WARM_UP)));
    let floor = percentile(&floors, 50);
    stage.record(
        Line::new("ping", "p50", percentile(&pings, 50), "ms")
            .of(floor)
            .target(Target::AtMost(1.5)),
    )?;
    stage.record(Line::new("ping", "p95", percentile(&pings, 95), "ms").of(floor))?;
    stage.record(
        Line::new("ping", "p99", percentile(&pings, 99), "ms")
            .of(floor)
            .target(Target::AtMost(5.0)),
    )?;
    stage.record(Line::new("ping", "floor_p99", percentile(&floors, 99), "ms").of(floor))?;
    let created = WARM_UP + samples;
    fleet
        .tally
        .until(PATIENCE, "the last run's end", |counts| counts.finished >= created)
        .await?;
    check::rules(&database, Some(created), created, &fleet.tally).await
}

async fn offer(offers: &mut mpsc::Receiver<Offered>) -> Result<Offered> {
    let offered = tokio::time::timeout(PATIENCE, offers.recv()).await;
    offered.context("no offer in time")?.context("the worker is gone")
}

/// The least that a run can take: two durable commits of one row, and one round trip over gRPC.
struct Floor {
    client: Client,
    insert: Statement,
    health: HealthClient<Channel>,
}

impl Floor {
    async fn new(client: Client, health: HealthClient<Channel>) -> Result<Self> {
        client
            .batch_execute("create table bench_floor (id bigserial primary key, at timestamptz not null default now())")
            .await?;
        let insert = client.prepare("insert into bench_floor default values").await?;
        Ok(Self { client, insert, health })
    }

    async fn sample(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        self.client.execute(&self.insert, &[]).await?;
        self.client.execute(&self.insert, &[]).await?;
        self.health.check(HealthCheckRequest::default()).await?;
        Ok(begun.elapsed())
    }
}

fn sorted(mut times: Vec<Duration>) -> Vec<Duration> {
    times.sort_unstable();
    times
}

/// In milliseconds.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}
