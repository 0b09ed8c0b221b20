//! What workers and a client say that they were told.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::soak::journal::{Accepted, Entry, News};

/// A worker's life under one lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The worker's name.
    pub worker: String,
    /// What it accepted.
    pub accepted: Accepted,
    /// What it reported, from number 1.
    pub reports: Vec<News>,
    /// The acknowledgements that it got, in their order.
    pub acknowledged: Vec<i64>,
    /// Whether it was told that the lease has passed on.
    pub fenced: bool,
}

/// What workers say.
#[derive(Debug, Clone, Default)]
pub struct Witness {
    /// Every lease that a worker has accepted. Two entries with one token are two acceptances.
    pub leases: Vec<Lease>,
    /// How often workers began.
    pub starts: usize,
    /// How often they were welcomed.
    pub welcomes: usize,
}

impl Witness {
    /// Takes a worker's journal in.
    pub fn add(&mut self, worker: &str, entries: &[Entry]) {
        let mut own: BTreeMap<i64, Lease> = BTreeMap::new();
        for entry in entries {
            match entry {
                Entry::Began { .. } => self.starts += 1,
                Entry::Welcomed { .. } => self.welcomes += 1,
                Entry::Accepted(accepted) => {
                    let lease = Lease {
                        worker: worker.to_owned(),
                        accepted: accepted.clone(),
                        reports: Vec::new(),
                        acknowledged: Vec::new(),
                        fenced: false,
                    };
                    self.leases.extend(own.insert(accepted.token, lease));
                }
                Entry::Reported { token, news, .. } => {
                    if let Some(lease) = own.get_mut(token) {
                        lease.reports.push(*news);
                    }
                }
                Entry::Acknowledged { token, sequence } => {
                    if let Some(lease) = own.get_mut(token) {
                        lease.acknowledged.push(*sequence);
                    }
                }
                Entry::Fenced { token } => {
                    if let Some(lease) = own.get_mut(token) {
                        lease.fenced = true;
                    }
                }
            }
        }
        self.leases.extend(own.into_values());
    }
}

/// What a client says.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// Runs whose creation was answered, by idempotency key; more than one is a broken promise.
    pub created: BTreeMap<String, BTreeSet<Uuid>>,
    /// Runs whose cancel was answered with yes.
    pub cancelled: BTreeSet<Uuid>,
    /// How many runs were retried.
    pub retried: usize,
    /// How many calls failed and were repeated.
    pub repeated: usize,
}
