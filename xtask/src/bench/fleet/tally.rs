//! What a fleet has seen: counts that others can wait for, and a journal for the check.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Result, bail};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::Held;

/// An offer as it arrived.
#[derive(Debug, Clone)]
pub struct Offered {
    /// When.
    pub at: Instant,
    /// The run.
    pub run_id: String,
    /// The job.
    pub job_id: String,
    /// Its lease.
    pub lease_token: i64,
    /// Its stage, as the protocol numbers it.
    pub stage: i32,
}

/// Workers, by name, since a [`Tally::mark`].
#[derive(Debug, Default)]
struct Since {
    /// Those that were welcomed.
    welcomed: HashSet<String>,
    /// Those of them that were offered a job after that.
    offered: HashSet<String>,
}

/// Numbers so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Welcomes, those after a redial included.
    pub welcomes: usize,
    /// Jobs that a Welcome told a worker to go on with.
    pub kept: usize,
    /// Offers.
    pub offers: usize,
    /// Jobs whose end was acknowledged.
    pub finished: usize,
    /// Jobs of the backlog whose end was acknowledged.
    pub others: usize,
    /// Jobs that were fenced, or were to be stopped by a Welcome.
    pub fenced: usize,
    /// Dials that failed or were refused, and streams that ended.
    pub lost: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Tally {
    counts: watch::Sender<Counts>,
    /// The lease under which each job's end was acknowledged.
    journal: Mutex<HashMap<String, i64>>,
    /// Jobs whose end was acknowledged under two leases.
    twice: Mutex<Vec<String>>,
    /// Why the last dial failed or the last stream ended.
    reason: Mutex<String>,
    since: Mutex<Since>,
    offered: Option<mpsc::Sender<Offered>>,
}

impl Tally {
    /// One that counts.
    pub fn new() -> Self {
        Self {
            counts: watch::Sender::new(Counts::default()),
            journal: Mutex::default(),
            twice: Mutex::default(),
            reason: Mutex::default(),
            since: Mutex::default(),
            offered: None,
        }
    }

    /// One that also tells of every offer.
    pub fn telling(offered: mpsc::Sender<Offered>) -> Self {
        Self {
            offered: Some(offered),
            ..Self::new()
        }
    }

    /// Numbers so far.
    pub fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    /// Waits until `enough` says yes, however long that takes.
    pub async fn changed(&self, enough: impl Fn(&Counts) -> bool) -> Counts {
        let mut counts = self.counts.subscribe();
        // The sender is this value itself.
        counts.wait_for(enough).await.map(|counts| *counts).unwrap_or_default()
    }

    /// Waits until `enough` says yes; fails when nothing but lost streams has happened for `patience`.
    pub async fn until(&self, patience: Duration, what: &str, enough: impl Fn(&Counts) -> bool) -> Result<Counts> {
        let mut counts = self.counts.subscribe();
        let (mut last, mut stuck_at) = (None, Instant::now() + patience);
        loop {
            let seen = *counts.borrow_and_update();
            if enough(&seen) {
                return Ok(seen);
            }
            let progress = Some((seen.offers, seen.finished, seen.kept));
            if progress != last {
                (last, stuck_at) = (progress, Instant::now() + patience);
            }
            let stuck = match tokio::time::timeout_at(stuck_at, counts.changed()).await {
                Ok(_) => Instant::now() >= stuck_at,
                Err(_) => true,
            };
            if stuck {
                let reason = lock(&self.reason).clone();
                bail!(
                    "{what}: nothing has happened for {} s; so far {seen:?}; last: {reason}",
                    patience.as_secs()
                );
            }
        }
    }

    /// Jobs whose end was acknowledged under two leases, which must never be.
    pub fn finished_twice(&self) -> Vec<String> {
        lock(&self.twice).clone()
    }

    /// Forgets who has been seen.
    pub fn mark(&self) {
        *lock(&self.since) = Since::default();
    }

    /// How many workers were welcomed, and how many of them offered a job, since the mark.
    pub fn since_mark(&self) -> (usize, usize) {
        let since = lock(&self.since);
        (since.welcomed.len(), since.offered.len())
    }

    pub(super) fn welcome(&self, worker: &str, kept: usize, killed: usize) {
        lock(&self.since).welcomed.insert(worker.to_owned());
        self.count(|counts| {
            counts.welcomes += 1;
            counts.kept += kept;
            counts.fenced += killed;
        });
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(change);
    }

    pub(super) async fn offer(&self, worker: &str, offered: Offered) {
        {
            let mut since = lock(&self.since);
            if since.welcomed.contains(worker) {
                since.offered.insert(worker.to_owned());
            }
        }
        self.count(|counts| counts.offers += 1);
        if let Some(told) = &self.offered {
            // Nobody listens any more when a measurement is over.
            let _ = told.send(offered).await;
        }
    }

    pub(super) fn finish(&self, held: &Held) {
        let before = lock(&self.journal).insert(held.job_id.clone(), held.lease_token);
        match before {
            None if held.other => self.count(|counts| counts.others += 1),
            None => self.count(|counts| counts.finished += 1),
            // The same lease: a report that was sent again, and acknowledged again.
            Some(before) if before == held.lease_token => {}
            Some(_) => lock(&self.twice).push(held.job_id.clone()),
        }
    }

    pub(super) fn lose(&self, reason: String) {
        *lock(&self.reason) = reason;
        self.count(|counts| counts.lost += 1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
