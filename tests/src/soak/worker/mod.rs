//! A scripted worker as a process: the protocol without stages, and a journal of all that it does.
//!
//! It keeps to the rules of a worker (inventory across reconnects, reports again until acknowledged, redial with back-off), and strains them:
//! it answers offers late or not at all, says things twice, and sends what was fenced once more.

mod frames;
mod held;
mod session;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::journal::{Accepted, Entry, Journal};
use held::Held;

/// How a scripted worker is started.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Addresses of servers; each dial takes one of them.
    #[arg(long, required = true)]
    pub server: Vec<String>,
    /// Its name.
    #[arg(long)]
    pub name: String,
    /// Its queue; of a shard it brings the volume.
    #[arg(long)]
    pub queue: String,
    /// Jobs at once.
    #[arg(long, default_value_t = 4)]
    pub slots: i32,
    /// Its journal.
    #[arg(long)]
    pub journal: PathBuf,
    /// Seed of its choices.
    #[arg(long)]
    pub seed: u64,
}

/// A worker's life, across sessions.
#[derive(Debug)]
pub(crate) struct Worker {
    args: Args,
    instance: Uuid,
    journal: Journal,
    held: BTreeMap<i64, Held>,
    /// Offers that it will accept late.
    late: Vec<(Instant, Accepted)>,
    /// Leases that were fenced or are done, to be sent again out of season.
    past: Vec<Accepted>,
    /// Cancelled by SIGTERM.
    stop: CancellationToken,
}

/// Longest time that a worker takes for its jobs once it has been asked to stop.
const DRAIN: Duration = Duration::from_secs(4);

/// Works until SIGTERM.
///
/// # Errors
///
/// When the journal can't be used.
pub async fn run(args: Args) -> anyhow::Result<()> {
    fastrand::seed(args.seed);
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let (asked, cut) = (stop.clone(), CancellationToken::new());
    let late = cut.clone();
    tokio::spawn(async move {
        terminate.recv().await;
        asked.cancel();
        tokio::time::sleep(DRAIN).await;
        late.cancel();
    });
    let (mut journal, entries) = Journal::open(&args.journal)?;
    let instance = Uuid::now_v7();
    journal.write(&Entry::Began { instance })?;
    let mut worker = Worker {
        held: held::recover(&entries),
        args,
        instance,
        journal,
        late: Vec::new(),
        past: Vec::new(),
        stop,
    };
    tokio::select! {
        ended = worker.work() => ended,
        () = cut.cancelled() => Ok(()),
    }
}

impl Worker {
    async fn work(&mut self) -> anyhow::Result<()> {
        const FIRST: Duration = Duration::from_millis(100);
        const CAP: Duration = Duration::from_secs(5);
        let mut ceiling = FIRST;
        loop {
            if self.stop.is_cancelled() && self.held.is_empty() {
                return Ok(());
            }
            match self.session().await? {
                session::End::Goodbye => return Ok(()),
                session::End::Welcomed => ceiling = FIRST,
                session::End::Refused => {}
            }
            tokio::time::sleep(ceiling.mul_f64(fastrand::f64())).await;
            ceiling = (ceiling * 2).min(CAP);
        }
    }

    /// The lease has passed on, or its job is done and acknowledged.
    fn forget(&mut self, token: i64) -> bool {
        let job = self.held.remove(&token);
        let known = job.is_some();
        self.past.extend(job.map(|job| job.accepted));
        if self.past.len() > 16 {
            self.past.remove(0);
        }
        known
    }
}
