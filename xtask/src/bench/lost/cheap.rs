//! Stages that are cheap to repeat: offered elsewhere as soon as the stream has ended.

use std::{collections::HashSet, time::Duration};

use anyhow::{Context, Result};
use moorline_proto::v1;
use tokio::{sync::mpsc, time::Instant};

use super::{
    super::{
        cluster::Database,
        fleet::{Fleet, Pace, Script, Tally},
        line::{Line, Target},
        requests::Requests,
        server::Server,
        stage::Stage,
    },
    JOBS, SLOTS,
    holder::Holder,
};

/// How often it is tried: the machine has other things to do now and then.
const ROUNDS: usize = 7;
const PATIENCE: Duration = Duration::from_secs(20);

/// Measures both stages.
pub async fn measure(stage: &mut Stage) -> Result<()> {
    let (database, server) = stage.serve("lost_cheap").await?;
    for (name, phase) in [("discover", v1::Phase::Discover), ("publish", v1::Phase::Publish)] {
        stage.say(&format!("killing a worker with {JOBS} jobs of {name}, {ROUNDS} times"));
        let mut times = Vec::new();
        for round in 0..ROUNDS {
            times.push(elsewhere(&database, &server, phase, round).await?);
        }
        times.sort_unstable();
        let milliseconds = |index: usize| times.get(index).map_or(0.0, |time: &Duration| time.as_secs_f64() * 1000.0);
        stage
            .record(Line::new("lost_worker", format!("{name}_elsewhere"), milliseconds(ROUNDS / 2), "ms").target(Target::AtMost(200.0)))?;
        stage.record(Line::new(
            "lost_worker",
            format!("{name}_elsewhere_worst"),
            milliseconds(ROUNDS - 1),
            "ms",
        ))?;
    }
    Ok(())
}

/// How long it takes, from the kill until the last job is at the other worker.
async fn elsewhere(database: &Database, server: &Server, phase: v1::Phase, round: usize) -> Result<Duration> {
    let requests = Requests::to(server.address)?;
    if phase == v1::Phase::Publish {
        submitted(server, &requests, round).await?;
    }
    let (mut holder, _) = Holder::start(server.address, &Script::new("holder", "default", SLOTS, Pace::Never)).await?;
    let mut runs = HashSet::new();
    for job in 0..JOBS {
        runs.insert(requests.create(request(phase, round, job)).await?);
    }
    holder.hold(database, JOBS).await?;

    let (told, mut offers) = mpsc::channel(64);
    let mut fleet = Fleet::new(Tally::telling(told));
    fleet.share(server.address, 1, [Script::new("other", "default", SLOTS, Pace::AtOnce)])?;
    fleet.gate.open();
    fleet
        .tally
        .until(PATIENCE, "the other worker's Welcome", |counts| counts.welcomes > 0)
        .await?;
    tokio::time::sleep(Duration::from_millis(300)).await;

    let begun = Instant::now();
    holder.kill().await?;
    let mut last = begun;
    while !runs.is_empty() {
        let offered = tokio::time::timeout(PATIENCE, offers.recv())
            .await
            .context("not all jobs were offered elsewhere")?;
        let offered = offered.context("the other worker is gone")?;
        runs.remove(&offered.run_id);
        last = offered.at;
    }
    fleet
        .tally
        .until(PATIENCE, "the jobs' end elsewhere", |counts| counts.finished >= JOBS)
        .await?;
    Ok(last - begun)
}

/// Publish takes the patch of an earlier run of its feature.
async fn submitted(server: &Server, requests: &Requests, round: usize) -> Result<()> {
    let mut fleet = Fleet::new(Tally::new());
    fleet.share(server.address, 1, [Script::new("shard-0", "codex-0", SLOTS, Pace::AtOnce)])?;
    fleet.gate.open();
    for job in 0..JOBS {
        requests.create(request(v1::Phase::Submit, round, job)).await?;
    }
    fleet
        .tally
        .until(PATIENCE, "the patches to publish", |counts| counts.finished >= JOBS)
        .await?;
    Ok(())
}

fn request(phase: v1::Phase, round: usize, job: usize) -> v1::CreateRunRequest {
    v1::CreateRunRequest {
        repository: "bench/lost".to_owned(),
        feature_key: format!("{round}-{job}-feature"),
        codex_queue: "codex-0".to_owned(),
        force_phase: phase.into(),
        ..Default::default()
    }
}
