//! The agent's stage: kept for the worker as long as its lease runs, then given to a standby on the same host.

use std::{collections::HashSet, time::Duration};

use anyhow::{Context, Result, ensure};
use moorline_proto::v1;
use tokio::{sync::mpsc, time::Instant};

use super::{
    super::{
        check,
        cluster::Database,
        fleet::{Fleet, Held, Pace, Script, Tally},
        line::{Line, Target},
        requests::Requests,
        server::Server,
        stage::Stage,
    },
    JOBS, SLOTS,
    holder::Holder,
};

/// A lease short enough to wait for, with pings to match.
const LEASE: Duration = Duration::from_secs(12);
const PING_INTERVAL: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(6);

/// Measures the standby and the restarted worker.
pub async fn measure(stage: &mut Stage) -> Result<()> {
    let database = stage.cluster.database("lost_agent").await?;
    let mut plan = stage.plan(&database);
    let seconds = |time: Duration| format!("{}s", time.as_secs());
    plan.settings = vec![
        ("MOORLINE_LEASE", seconds(LEASE)),
        ("MOORLINE_PING_INTERVAL", seconds(PING_INTERVAL)),
        ("MOORLINE_PING_TIMEOUT", seconds(PING_TIMEOUT)),
    ];
    let server = plan.start().await?;

    stage.say(&format!("killing a worker with {JOBS} agent jobs, and starting it again"));
    let (holder, held) = holding(&database, &server, "kept").await?;
    let begun = Instant::now();
    holder.kill().await?;
    let restarted = Script {
        inventory: held,
        ..script("shard-0", Pace::After(Duration::from_secs(1)))
    };
    let (again, kept) = Holder::start(server.address, &restarted).await?;
    let adopted = begun.elapsed();
    ensure!(kept == JOBS, "a restarted worker was to go on with {kept} of its {JOBS} jobs");
    stage.record(Line::new("lost_worker", "agent_adopted", adopted.as_secs_f64(), "s").target(Target::AtMost(2.0)))?;
    let elsewhere = check::attempts_beyond_the_first(&database).await?;
    ensure!(
        elsewhere == 0,
        "{elsewhere} jobs were given away although their worker came back in time"
    );
    again.kill().await?;
    drop(server);

    let database = stage.cluster.database("lost_standby").await?;
    plan.database = database.clone();
    let server = plan.start().await?;
    stage.say(&format!(
        "killing a worker with {JOBS} agent jobs beside a standby; the lease is {} s",
        LEASE.as_secs()
    ));
    let over = standby(&database, &server).await?;
    stage.record(Line::new("lost_worker", "agent_on_standby_after_lease", over, "s").target(Target::AtMost(1.0)))
}

/// From the kill until all jobs are at the standby, less the lease.
async fn standby(database: &Database, server: &Server) -> Result<f64> {
    let (holder, _) = holding(database, server, "standby").await?;
    let (told, mut offers) = mpsc::channel(64);
    let mut fleet = Fleet::new(Tally::telling(told));
    fleet.alone(server.address, script("standby", Pace::AtOnce))?;
    fleet.gate.open();
    // It has been refused, and dials again when the server says.
    tokio::time::sleep(PING_TIMEOUT).await;
    ensure!(
        fleet.tally.counts().welcomes == 0,
        "a standby was given a volume that another worker holds"
    );

    let begun = Instant::now();
    holder.kill().await?;
    let mut jobs = HashSet::new();
    while jobs.len() < JOBS {
        let offered = tokio::time::timeout(LEASE * 3, offers.recv())
            .await
            .context("not all jobs came to the standby")?;
        jobs.insert(offered.context("the standby is gone")?.job_id);
    }
    Ok(begun.elapsed().as_secs_f64() - LEASE.as_secs_f64())
}

/// A worker's process with all its slots at agent work.
async fn holding(database: &Database, server: &Server, feature: &str) -> Result<(Holder, Vec<Held>)> {
    let (mut holder, _) = Holder::start(server.address, &script("shard-0", Pace::Never)).await?;
    let requests = Requests::to(server.address)?;
    for job in 0..JOBS {
        let request = v1::CreateRunRequest {
            repository: "bench/lost".to_owned(),
            feature_key: format!("{feature}-{job}"),
            codex_queue: "codex-0".to_owned(),
            force_phase: v1::Phase::Submit.into(),
            ..Default::default()
        };
        requests.create(request).await?;
    }
    let held = holder.hold(database, JOBS).await?;
    Ok((holder, held))
}

fn script(name: &str, pace: Pace) -> Script {
    Script::new(name, "codex-0", SLOTS, pace)
}
