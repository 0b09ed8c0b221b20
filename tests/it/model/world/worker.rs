//! Workers: they come, go, come back, and are given up.

use moorline_server::domain::job::{self, FailureClass};

use super::{Answer, Due, Instance, QUEUES, Queue, Session, World};
use crate::model::op::Hello;

impl World {
    /// The leases that a worker brings along: which, whether it has finished, and the number of its last report.
    fn inventory(&self, hello: &Hello) -> Vec<(usize, bool, i64)> {
        let known = self
            .leases
            .iter()
            .enumerate()
            .filter(|(index, lease)| lease.worker == hello.worker && hello.remembers >> (index % 64) & 1 == 1);
        known
            .map(|(index, lease)| {
                // One that has finished but could not say so has a report more than the server.
                let finished = lease.ended || hello.finished >> (index % 64) & 1 == 1;
                (index, finished, lease.stored + i64::from(finished && !lease.ended))
            })
            .collect()
    }

    pub(super) fn hello(&mut self, hello: &Hello) -> Answer {
        self.brought = self.inventory(hello);
        // An Accept that was lost on the way is made up for: the same process has the job in hand, and its offer still stands.
        for (lease, ..) in self.brought.clone() {
            let job = &self.jobs[self.leases[lease].job];
            if job.lease == Some(lease) && job.status == job::Status::Queued && job.holder.is_some() && job.holder == hello.instance {
                self.accept(lease);
            }
        }
        let with_volume = QUEUES[hello.worker].contains(&Queue::Shard);
        if with_volume && self.holder_of_volume().is_some_and(|holder| holder != hello.worker) {
            return Answer::Refused("VOLUME_HELD");
        }
        let instance = hello.instance.unwrap_or(self.instances.len());
        if instance == self.instances.len() {
            self.instances.push(Instance {
                worker: hello.worker,
                lapsed: false,
            });
        }
        self.instances[instance].lapsed = false;
        self.sessions.push(Session { instance, open: true });

        let (mut keep, mut kill, mut acknowledged) = (Vec::new(), Vec::new(), Vec::new());
        for (lease, finished, last) in self.brought.clone() {
            let job = &mut self.jobs[self.leases[lease].job];
            let ours = job.lease == Some(lease) && job.worker == Some(hello.worker);
            if ours && job.status == job::Status::Running {
                job.holder = Some(instance);
                keep.push((lease, job.sequence));
            } else if ours && finished && job.sequence >= last {
                acknowledged.push(lease);
            } else {
                kill.push(lease);
            }
        }
        if with_volume {
            self.owner = Some(instance);
            self.active = true;
        }
        // What an earlier process of the worker ran, and this one doesn't have, is lost.
        for job in self.running_with(|held| held.worker == hello.worker) {
            if !keep.iter().any(|(lease, _)| Some(*lease) == self.jobs[job].lease) {
                self.failed(job, FailureClass::LostWorker);
            }
        }
        Answer::Welcome { keep, kill, acknowledged }
    }

    pub(super) fn leave(&mut self, session: usize, goodbye: bool) -> Answer {
        self.sessions[session].open = false;
        let instance = self.sessions[session].instance;
        if self.sessions[session..]
            .iter()
            .any(|newer| newer.instance == instance && newer.open)
        {
            return Answer::Done;
        }
        for job in &mut self.jobs {
            if job.status == job::Status::Queued && job.holder == Some(instance) {
                (job.holder, job.worker, job.due) = (None, None, Due::Now);
            }
        }
        if self.owner == Some(instance) {
            self.active = false;
        }
        let running: Vec<usize> = (0..self.jobs.len())
            .filter(|job| self.jobs[*job].status == job::Status::Running && self.jobs[*job].holder == Some(instance))
            .collect();
        let (cheap, costly): (Vec<usize>, Vec<usize>) = running.into_iter().partition(|job| self.jobs[*job].stage.is_cheap());
        for job in cheap {
            self.failed(job, FailureClass::LostWorker);
        }
        if goodbye && costly.is_empty() {
            self.instances[instance].lapsed = true;
            self.owner = self.owner.filter(|owner| *owner != instance);
        }
        Answer::Done
    }

    pub(super) fn renew(&mut self) -> Answer {
        for session in self.sessions.iter().filter(|session| session.open) {
            self.instances[session.instance].lapsed = false;
        }
        Answer::Done
    }

    pub(super) fn reap(&mut self) -> Answer {
        for job in self.running_with(|held| held.lapsed) {
            self.failed(job, FailureClass::LostWorker);
        }
        if self.active && self.holder_of_volume().is_none() {
            self.active = false;
        }
        Answer::Done
    }

    /// The worker that holds the volume with a running lease.
    fn holder_of_volume(&self) -> Option<usize> {
        let owner = &self.instances[self.owner?];
        (!owner.lapsed).then_some(owner.worker)
    }

    /// Jobs that nobody has wait, and say so, while their shard is out of service.
    pub(super) fn settle_gate(&mut self) {
        for job in &mut self.jobs {
            if job.status == job::Status::Queued && job.holder.is_none() && Self::queue(job.stage) == Queue::Shard {
                job.held = !self.active;
            }
        }
    }

    fn running_with(&self, holder: impl Fn(&Instance) -> bool) -> Vec<usize> {
        let running = |job: &usize| self.jobs[*job].status == job::Status::Running;
        let held = |job: &usize| self.jobs[*job].holder.is_some_and(|instance| holder(&self.instances[instance]));
        (0..self.jobs.len()).filter(running).filter(held).collect()
    }
}
