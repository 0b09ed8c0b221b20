//! The jobs that a scripted worker has in hand, as its journal tells them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::super::journal::{Accepted, Entry, News};

/// A job in hand.
#[derive(Debug)]
pub struct Held {
    /// What was accepted.
    pub accepted: Accepted,
    /// All reports so far, from number 1.
    pub reports: Vec<News>,
    /// How many of them the server has acknowledged.
    pub acknowledged: i64,
    /// When it has something to say next.
    pub next: Instant,
    /// Whether it should stop.
    pub cancelled: bool,
}

impl Held {
    /// A job that has just been accepted.
    pub fn new(accepted: Accepted) -> Self {
        Self {
            accepted,
            reports: Vec::new(),
            acknowledged: 0,
            next: Instant::now() + pause(),
            cancelled: false,
        }
    }

    /// Whether it has ended, and only acknowledgements are missing.
    pub fn finished(&self) -> bool {
        self.reports.last().is_some_and(|news| news.is_end())
    }

    /// Number of its last report.
    pub fn last(&self) -> i64 {
        i64::try_from(self.reports.len()).unwrap_or(i64::MAX)
    }

    /// What it says when its time has come.
    pub fn say(&mut self) -> News {
        self.next = Instant::now() + pause();
        let news = match fastrand::u32(..100) {
            _ if self.cancelled => News::Stopped,
            _ if self.last() < 6 && fastrand::u32(..100) < 55 => News::Progress,
            0..80 => News::Succeeded,
            80..86 if self.accepted.stage == "discover" => News::NothingToDo,
            80..94 => News::Failed,
            _ => News::Broke,
        };
        self.reports.push(news);
        news
    }
}

/// Mostly moments; now and then longer than a lease.
fn pause() -> Duration {
    match fastrand::u32(..100) {
        0..85 => Duration::from_millis(fastrand::u64(5..150)),
        85..98 => Duration::from_millis(fastrand::u64(150..1000)),
        _ => Duration::from_millis(fastrand::u64(1500..6000)),
    }
}

/// What a worker that starts has in hand, by its journal.
pub fn recover(entries: &[Entry]) -> BTreeMap<i64, Held> {
    let mut held = BTreeMap::new();
    for entry in entries {
        match entry {
            Entry::Accepted(accepted) => {
                held.insert(accepted.token, Held::new(accepted.clone()));
            }
            Entry::Reported { token, news, .. } => {
                if let Some(job) = held.get_mut(token) {
                    job.reports.push(*news);
                }
            }
            Entry::Acknowledged { token, sequence } => {
                if let Some(job) = held.get_mut(token) {
                    job.acknowledged = *sequence;
                    if job.finished() && *sequence >= job.last() {
                        held.remove(token);
                    }
                }
            }
            Entry::Fenced { token } => {
                held.remove(token);
            }
            Entry::Began { .. } | Entry::Welcomed { .. } => {}
        }
    }
    held
}
