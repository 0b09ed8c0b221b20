//! The randomised soak: everything is killed, stopped and cut at random for some minutes, and must have kept the promise.
//!
//! | module | is |
//! | --- | --- |
//! | [`stack`] | Postgres, servers, workers and the lines between them, each of which can be broken and mended |
//! | [`chaos`] | what is broken next, by a seed |
//! | [`client`] | creates, cancels and retries runs all the while, and notes what it was told |
//! | [`worker`] | a scripted worker, a process of its own, that journals what it does |
//! | [`journal`] | that journal |
//!
//! Afterwards all is mended and given time to settle, and [`crate::check`] holds the database to journals and notes.

mod chaos;
mod client;
pub mod journal;
pub(crate) mod stack;
mod summary;
pub mod worker;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    check::{self, Facts, Witness},
    db,
};
use chaos::Chaos;
use client::Clients;
use stack::Stack;
use summary::Summary;

/// How the soak is run.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// For how long things are broken.
    #[arg(long, default_value_t = 10.0)]
    pub minutes: f64,
    /// Seed of what is broken when; a random one when left out. The order of threads and of the network isn't seeded.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Servers on the one Postgres.
    #[arg(long, default_value_t = 2)]
    pub servers: usize,
    /// Where logs and journals go.
    #[arg(long)]
    pub folder: PathBuf,
}

/// Longest time that all runs may take to end once everything is mended.
const SETTLE: Duration = Duration::from_secs(120);

/// Breaks things, mends them, and checks.
///
/// # Errors
///
/// When a part can't be started, or the promise was broken: the error says how.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    eprintln!("soak for {} min with seed {seed}, logs in {}", args.minutes, args.folder.display());
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        outcome = soak(&args, seed) => outcome.with_context(|| format!("the soak with seed {seed} failed: see {}", args.folder.display())),
        _ = interrupt.recv() => anyhow::bail!("interrupted"),
        _ = terminate.recv() => anyhow::bail!("interrupted"),
    }
}

async fn soak(args: &Args, seed: u64) -> anyhow::Result<()> {
    let mut stack = Stack::start(&args.folder, args.servers, seed).await?;
    let clients = Clients::start(stack.addresses(), seed);
    let mut chaos = Chaos::new(seed);
    let end = Instant::now() + Duration::from_secs_f64(args.minutes * 60.0);
    while Instant::now() < end {
        tokio::time::sleep(chaos.pause()).await;
        chaos.next(&mut stack).await?;
    }
    stack.mend().await?;
    let notes = clients.finish().await?;
    let settled = settle(&stack).await?;
    stack.stop_workers().await?;

    let database = db::connect(stack.database()).await?;
    let facts = Facts::read(&database).await?;
    let mut witness = Witness::default();
    for (name, journal) in stack.journals() {
        witness.add(&name, &journal::read(&journal)?);
    }
    drop(database);
    stack.stop().await?;
    let broken = check::broken(&facts, &witness, &notes);
    println!("{}", Summary::new(seed, args, &chaos, &facts, &witness, &notes, settled));
    if broken.is_empty() {
        return Ok(());
    }
    for line in &broken {
        eprintln!("BROKEN: {line}");
    }
    anyhow::bail!("the promise was broken in {} ways; run it again with --seed {seed}", broken.len())
}

/// Waits until every run has ended. Those that never do are found by the checker.
async fn settle(stack: &Stack) -> anyhow::Result<Duration> {
    const LOOK: Duration = Duration::from_millis(200);
    let began = Instant::now();
    let database = db::connect(stack.database()).await?;
    loop {
        let open: i64 = database
            .query_one("select count(*) from runs where finished_at is null", &[])
            .await?
            .get(0);
        if open == 0 {
            return Ok(began.elapsed());
        }
        if began.elapsed() > SETTLE {
            eprintln!("{open} runs have not ended after {} s; what they wait for:", SETTLE.as_secs());
            for line in waiting(&database).await? {
                eprintln!("  {line}");
            }
            return Ok(began.elapsed());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The open jobs by what keeps them, and the shards: what a person would look at first.
async fn waiting(database: &tokio_postgres::Client) -> anyhow::Result<Vec<String>> {
    let jobs = "select format('%s jobs of %s: %s %s, leased %s, tried %s, from %s', count(*), queue, status, coalesce(hold_reason, 'not held'),
            count(lease_instance_id), max(attempt), min(not_before)) from jobs where finished_at is null group by queue, status, hold_reason";
    let shards = "select format('%s is %s, drained %s; its volume is %s (%s), open until %s, cooling until %s, owned by %s; lease until %s', queue_name,
            shards.status, drained_at, auth_volumes.status, status_message, open_until, cooling_until, owner_instance_id, lease_expires_at)
        from shards join auth_volumes on auth_volumes.name = volume_name left join worker_instances on worker_instances.id = owner_instance_id
        order by queue_name";
    let mut lines = vec![format!("now {}", chrono::Utc::now())];
    for query in [jobs, shards] {
        lines.extend(database.query(query, &[]).await?.iter().map(|row| row.get::<_, String>(0)));
    }
    Ok(lines)
}
