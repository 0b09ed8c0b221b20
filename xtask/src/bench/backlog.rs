//! *backlog*: the same rate with a million other runs queued on the same queues and a million finished, and the same plan of a claim.

use std::time::Duration;

use anyhow::Result;
use moorline_proto::v1;
use serde_json::json;

use super::{
    ceiling::{self, Observed},
    check,
    cluster::Database,
    drain,
    line::{Line, Target},
    plan::Planner,
    requests::Requests,
    run::within,
    server::Server,
    stage::{Stage, float},
};

/// Other runs that are queued, and as many that are finished.
const OTHERS: usize = 1_000_000;
/// Runs that are drained, each time.
const RUNS: usize = 10_000;
/// Below that of the runs that are measured.
const PRIORITY: i32 = -10;

/// Measures it.
pub async fn measure(stage: &mut Stage) -> Result<()> {
    let (others, runs) = (stage.size(OTHERS, 1_000), stage.size(RUNS, 640));
    let (empty, on_empty) = stage.serve("empty").await?;
    let discover = ceiling::observe(&empty, &on_empty, v1::Phase::Discover).await?;
    let submit = ceiling::observe(&empty, &on_empty, v1::Phase::Submit).await?;

    let full = stage.cluster.database("backlog").await?;
    stage.say(&format!("loading {others} queued and {others} finished runs"));
    let by_index = within(Duration::from_secs(900), "loading", load(&full, &discover, &submit, others)).await?;
    let on_full = stage.plan(&full).start().await?;

    let (to_empty, to_full) = (Requests::to(on_empty.address)?, Requests::to(on_full.address)?);
    stage.say(&format!("draining {runs} runs: without, with and without the backlog"));
    let first = rate(&empty, &on_empty, &to_empty, runs).await?;
    let with = rate(&full, &on_full, &to_full, runs).await?;
    let second = rate(&empty, &on_empty, &to_empty, runs).await?;
    stage.record(
        Line::new("backlog", "finished", with, "runs/s")
            .of((first + second) / 2.0)
            .target(Target::AtLeast(0.9)),
    )?;
    stage.record(Line::new("backlog", "claims_by_index", float(by_index), "of 3 states of statistics").target(Target::AtLeast(3.0)))
}

async fn rate(database: &Database, server: &Server, requests: &Requests, runs: usize) -> Result<f64> {
    within(Duration::from_secs(300), "queueing", requests.fill(runs)).await?;
    database.settle().await?;
    let (fleet, rate) = drain::drain(server, runs).await?;
    check::rules(database, Some(requests.created()), requests.created(), &fleet.tally).await?;
    Ok(rate)
}

/// Loads the backlog; under how many states of the statistics a claim goes by the queue's index.
async fn load(database: &Database, discover: &Observed, submit: &Observed, others: usize) -> Result<usize> {
    let admin = database.admin().await?;
    let mut planner = Planner::connect(database).await?;
    // Statistics stay as they are until the plans have been looked at.
    admin.batch_execute("alter table jobs set (autovacuum_enabled = off)").await?;
    let share = others / 10 / 3;
    for (round, queued) in [false, true].into_iter().enumerate() {
        let mut first = round * others;
        for shard in 0..3 {
            let mut seen = if queued { submit.queued.clone() } else { submit.finished.clone() };
            seen.job.insert("queue".to_owned(), json!(format!("codex-{shard}")));
            seen.job.insert("priority".to_owned(), json!(PRIORITY));
            seen.job.insert("hold_reason".to_owned(), json!(null));
            ceiling::load(&admin, &seen, first, share).await?;
            first += share;
        }
        let mut seen = if queued {
            discover.queued.clone()
        } else {
            discover.finished.clone()
        };
        seen.job.insert("priority".to_owned(), json!(PRIORITY));
        ceiling::load(&admin, &seen, first, others - 3 * share).await?;
        if !queued {
            // From a moment when nothing was queued: that is what will be stale.
            admin.batch_execute("analyze jobs").await?;
        }
    }
    let mut by_index = usize::from(planner.claims_by_index().await?);
    admin.batch_execute("analyze jobs, runs").await?;
    by_index += usize::from(planner.claims_by_index().await?);
    let forget = "delete from pg_statistic where starelid = 'jobs'::regclass;
        update pg_class set reltuples = -1, relpages = 0 where oid = 'jobs'::regclass";
    admin.batch_execute(forget).await?;
    by_index += usize::from(planner.claims_by_index().await?);
    admin.batch_execute("alter table jobs reset (autovacuum_enabled)").await?;
    admin.batch_execute("vacuum analyze jobs, runs").await?;
    Ok(by_index)
}
