//! The reference: what the rules of sessions, leases and runs come to, in a few plain lists.
//!
//! It knows no token, no time and no database. A lease is its number in the order of claims, an instance its number in the order of first
//! Hellos; "later" is a step that says so.

mod lease;
mod run;
mod worker;

use std::collections::HashMap;

use moorline_server::domain::{
    job::{self, FailureClass},
    run::{Phase, Status},
    stage::Stage,
};

pub use lease::priority;

use super::op::Op;

/// Workers: the first two serve `default`; the others share one volume, so that one at most is welcome, and the third serves both queues.
pub const QUEUES: [&[Queue]; 4] = [
    &[Queue::Default],
    &[Queue::Default],
    &[Queue::Default, Queue::Shard],
    &[Queue::Shard],
];

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct World {
    pub runs: Vec<Run>,
    pub jobs: Vec<Job>,
    pub leases: Vec<Lease>,
    pub instances: Vec<Instance>,
    pub sessions: Vec<Session>,
    /// The instance that holds the volume.
    pub owner: Option<usize>,
    /// Whether the shard is in service.
    pub active: bool,
    /// What the last step has to be answered with.
    pub answer: Answer,
    /// What the last Hello brought along: leases, whether finished, and the numbers of their last reports.
    pub brought: Vec<(usize, bool, i64)>,
    /// The numbers of the last reports, by lease.
    pub numbers: HashMap<usize, i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    Default,
    Shard,
}

#[derive(Debug, Clone)]
pub struct Run {
    pub feature: usize,
    pub force: Option<Phase>,
    pub status: Status,
    pub phase: Phase,
}

#[derive(Debug, Clone)]
pub struct Job {
    pub run: usize,
    pub stage: Stage,
    pub attempt: i32,
    pub status: job::Status,
    /// Whether it waits for its shard.
    pub held: bool,
    pub due: Due,
    /// The worker that it would rather not go to again.
    pub avoid: Option<usize>,
    /// How often its run was retried before it.
    pub round: usize,
    pub failure: Option<FailureClass>,
    /// Its last lease; it may have ended.
    pub lease: Option<usize>,
    /// The instance that the lease hangs on, while there is one.
    pub holder: Option<usize>,
    /// The worker whose name is on it.
    pub worker: Option<usize>,
    /// The last report that is stored.
    pub sequence: i64,
    pub cancel: bool,
}

/// Whether a job may be offered, as far as time goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    NotYet,
    Now,
    /// For so long that it goes to any worker.
    Overdue,
}

#[derive(Debug, Clone)]
pub struct Lease {
    pub job: usize,
    pub worker: usize,
    /// Reports that were stored under it.
    pub stored: i64,
    /// Whether the last of them was the end of the job.
    pub ended: bool,
}

#[derive(Debug, Clone)]
pub struct Instance {
    pub worker: usize,
    pub lapsed: bool,
}

#[derive(Debug, Clone)]
pub struct Session {
    pub instance: usize,
    pub open: bool,
}

/// What a step is answered with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Answer {
    #[default]
    Done,
    /// `None` is fenced; else the number up to which reports are stored, 0 for an Accept.
    Told(Vec<Option<i64>>),
    /// Jobs by their number.
    Claimed(Vec<usize>),
    Welcome {
        /// Leases to go on with, and the last report of each.
        keep: Vec<(usize, i64)>,
        kill: Vec<usize>,
        acknowledged: Vec<usize>,
    },
    Refused(&'static str),
}

impl World {
    /// The world after a step, with the answer that the step must have had.
    pub fn after(mut self, op: &Op) -> Self {
        self.answer = match op {
            Op::Create { feature, force } => self.create(*feature, *force),
            Op::Cancel { run } => self.cancel(*run),
            Op::Retry { run, mode } => self.retry(*run, *mode),
            Op::Hello(hello) => self.hello(hello),
            Op::Leave { session, goodbye } => self.leave(*session, *goodbye),
            Op::Lapse { instance } => {
                self.instances[*instance].lapsed = true;
                Answer::Done
            }
            Op::Renew => self.renew(),
            Op::Reap => self.reap(),
            Op::Claim { worker, queue, limit } => self.claim(*worker, *queue, *limit),
            Op::Accept { leases } => Answer::Told(leases.iter().map(|lease| self.accept(*lease)).collect()),
            Op::Report { reports } => {
                self.numbers = reports.iter().map(|report| (report.lease, self.sequence(report))).collect();
                Answer::Told(reports.iter().map(|report| self.report(report)).collect())
            }
            Op::Reject { lease } => self.reject(*lease),
            Op::OfferLapses { lease } => self.offer_lapses(*lease),
            Op::Later { due } => {
                for job in self.jobs.iter_mut().filter(|job| job.due != Due::Overdue) {
                    job.due = *due;
                }
                Answer::Done
            }
        };
        self.settle_gate();
        self
    }

    /// The instance with which a worker is connected.
    pub fn connected(&self, worker: usize) -> Option<usize> {
        let open = self.sessions.iter().rev().filter(|session| session.open);
        open.map(|session| session.instance)
            .find(|instance| self.instances[*instance].worker == worker)
    }

    pub fn queue(stage: Stage) -> Queue {
        if stage == Stage::Submit { Queue::Shard } else { Queue::Default }
    }
}
