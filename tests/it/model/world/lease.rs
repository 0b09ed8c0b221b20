//! Leases: claimed, offered, accepted, reported on, given back. What isn't a job's last lease is fenced.

use moorline_server::domain::{
    job::{self, FailureClass},
    run::{Phase, Status},
    stage::Stage,
};

use super::{Answer, Due, Lease, Queue, World};
use crate::model::op::{News, Number, Report};

impl World {
    pub(super) fn claim(&mut self, worker: usize, queue: Queue, limit: usize) -> Answer {
        let mut claimed: Vec<usize> = (0..self.jobs.len()).filter(|job| self.claimable(*job, queue, worker)).collect();
        claimed.sort_by_key(|job| std::cmp::Reverse(priority(self.jobs[*job].run)));
        claimed.truncate(limit);
        let holder = self.connected(worker);
        for index in &claimed {
            let job = &mut self.jobs[*index];
            (job.lease, job.holder, job.worker, job.sequence) = (Some(self.leases.len()), holder, Some(worker), 0);
            self.leases.push(Lease {
                job: *index,
                worker,
                stored: 0,
                ended: false,
            });
        }
        Answer::Claimed(claimed)
    }

    fn claimable(&self, job: usize, queue: Queue, worker: usize) -> bool {
        let job = &self.jobs[job];
        let due = match job.due {
            Due::NotYet => false,
            Due::Now => job.avoid != Some(worker),
            Due::Overdue => true,
        };
        job.status == job::Status::Queued && job.holder.is_none() && !job.held && due && Self::queue(job.stage) == queue
    }

    pub(super) fn accept(&mut self, lease: usize) -> Option<i64> {
        let job = &mut self.jobs[self.leases[lease].job];
        let current = job.lease == Some(lease);
        match job.status {
            job::Status::Queued if current && job.holder.is_some() => {
                (job.status, job.held) = (job::Status::Running, false);
                self.runs[job.run].status = Status::Running;
                self.runs[job.run].phase = Phase::from(job.stage);
                Some(0)
            }
            job::Status::Running if current => Some(0),
            _ => None,
        }
    }

    /// The number that a report bears.
    pub(super) fn sequence(&self, report: &Report) -> i64 {
        let stored = self.leases[report.lease].stored;
        match report.number {
            Number::Next => stored + 1,
            Number::Again => stored.max(1),
            Number::TooEarly => stored + 2,
        }
    }

    pub(super) fn report(&mut self, report: &Report) -> Option<i64> {
        let sequence = self.numbers[&report.lease];
        let index = self.leases[report.lease].job;
        let job = &mut self.jobs[index];
        if job.lease != Some(report.lease) {
            return None;
        }
        if job.status != job::Status::Running {
            return (job.status != job::Status::Queued && sequence <= job.sequence).then_some(job.sequence);
        }
        if sequence != job.sequence + 1 {
            return Some(job.sequence);
        }
        job.sequence = sequence;
        let lease = &mut self.leases[report.lease];
        lease.stored = sequence;
        lease.ended = report.news != News::Progress;
        match report.news {
            News::Progress => {}
            News::Succeeded => self.succeeded(index, true),
            News::NothingToDo => self.succeeded(index, self.jobs[index].stage != Stage::Discover),
            News::Failed => self.failed(index, FailureClass::Job),
            News::Broke => self.failed(index, FailureClass::Environment),
            News::Lost => self.failed(index, FailureClass::LostWorker),
            News::Stopped => {
                self.jobs[index].end(job::Status::Cancelled);
                self.runs[self.jobs[index].run].status = Status::Cancelled;
            }
        }
        Some(sequence)
    }

    /// The worker of a lease refuses its offer, over the stream that it has now.
    pub(super) fn reject(&mut self, lease: usize) -> Answer {
        let sender = self.connected(self.leases[lease].worker);
        let job = &mut self.jobs[self.leases[lease].job];
        if job.lease == Some(lease) && job.status == job::Status::Queued && job.holder.is_some() && job.holder == sender {
            (job.holder, job.worker, job.due) = (None, None, Due::NotYet);
        }
        Answer::Done
    }

    pub(super) fn offer_lapses(&mut self, lease: usize) -> Answer {
        let job = &mut self.jobs[self.leases[lease].job];
        (job.holder, job.worker) = (None, None);
        Answer::Done
    }

    /// Whether a lease is an offer that nobody has answered.
    pub fn is_offer(&self, lease: usize) -> bool {
        let job = &self.jobs[self.leases[lease].job];
        job.lease == Some(lease) && job.status == job::Status::Queued && job.holder.is_some()
    }
}

/// Each run has a priority of its own, so that the order of claims is known.
pub fn priority(run: usize) -> i32 {
    (run as i32 * 7) % 201 - 100
}
