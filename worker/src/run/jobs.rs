//! Which jobs are in hand, and where there is room for more.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use moorline_proto::v1;
use tokio::sync::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::stop::{Stop, Why};
use crate::{config::Config, link::Lease, stage::Course};

/// Jobs in hand: at work, or ended without an acknowledgement.
#[derive(Debug)]
pub(super) struct Jobs {
    /// Jobs at once, by queue.
    room: BTreeMap<String, u32>,
    entries: BTreeMap<Lease, Entry>,
    /// Jobs of one run share its folder, so they go one after the other.
    runs: HashMap<String, Arc<Mutex<()>>>,
    /// Told when the worker's process ends, whatever ends it.
    leaving: CancellationToken,
    _left: DropGuard,
    /// Told before that, when nothing new is taken any more.
    going: CancellationToken,
}

#[derive(Debug)]
struct Entry {
    queue: String,
    run_id: String,
    /// Whether it lets an agent work, which another process of this worker could go on with.
    agent: bool,
    course: Course,
    stop: Stop,
    ended: bool,
    settled: bool,
}

impl Entry {
    /// Whether an agent is at work for the job's own sake: one whose end is known has a shadow at most, which nobody goes on with.
    fn is_agent_s(&self) -> bool {
        self.agent && self.course.known_end().is_none()
    }
}

/// What a job needs to begin.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) lease: Lease,
    pub(super) stop: Stop,
    /// Held while the job is at work.
    pub(super) turn: Arc<Mutex<()>>,
    /// Cancelled when the worker's process ends.
    pub(super) leaving: CancellationToken,
    /// Cancelled when the worker takes nothing new any more.
    pub(super) going: CancellationToken,
    /// What is known of the way that the attempt takes.
    pub(super) course: Course,
}

impl Jobs {
    pub(super) fn new(config: &Config) -> Self {
        let room = |queue: &String| (queue.clone(), config.room(queue));
        let leaving = CancellationToken::new();
        Self {
            _left: leaving.clone().drop_guard(),
            leaving,
            going: CancellationToken::new(),
            room: config.queues.iter().map(room).collect(),
            entries: BTreeMap::new(),
            runs: HashMap::new(),
        }
    }

    /// A queue takes so many jobs at once from now on.
    pub(super) fn set_room(&mut self, queue: &str, room: u32) {
        self.room.insert(queue.to_owned(), room);
    }

    /// The room that is left, by queue.
    pub(super) fn free(&self) -> impl Iterator<Item = (&str, u32)> {
        self.room
            .iter()
            .map(|(queue, room)| (queue.as_str(), room.saturating_sub(self.taken(queue))))
            .filter(|(_, free)| *free > 0)
    }

    pub(super) fn has_room(&self, queue: &str) -> bool {
        self.room.get(queue).is_some_and(|room| self.taken(queue) < *room)
    }

    fn taken(&self, queue: &str) -> u32 {
        u32::try_from(self.entries.values().filter(|entry| entry.queue == queue).count()).unwrap_or(u32::MAX)
    }

    pub(super) fn holds(&self, lease: &Lease) -> bool {
        self.entries.contains_key(lease)
    }

    /// Leases in hand, each with its run.
    pub(super) fn in_hand(&self) -> BTreeMap<Lease, String> {
        self.entries
            .iter()
            .map(|(lease, entry)| (lease.clone(), entry.run_id.clone()))
            .collect()
    }

    /// Leases of one job whose reports still count.
    pub(super) fn leases_of(&self, job_id: &str) -> Vec<Lease> {
        let of_job = |(lease, entry): &(&Lease, &Entry)| lease.job_id == job_id && !entry.settled;
        self.entries.iter().filter(of_job).map(|(lease, _)| lease.clone()).collect()
    }

    pub(super) fn begin(&mut self, lease: &Lease, offer: &v1::Offer) -> Ticket {
        let (stop, course) = (Stop::default(), Course::of(offer));
        let entry = Entry {
            queue: offer.queue.clone(),
            run_id: offer.run_id.clone(),
            agent: offer.stage() == v1::Stage::Submit,
            course: course.clone(),
            stop: stop.clone(),
            ended: false,
            settled: false,
        };
        self.entries.insert(lease.clone(), entry);
        let turn = self.runs.entry(offer.run_id.clone()).or_default().clone();
        Ticket {
            lease: lease.clone(),
            stop,
            turn,
            leaving: self.leaving.clone(),
            going: self.going.clone(),
            course,
        }
    }

    /// The worker takes nothing new any more: shadows end, and what their jobs have come to is reported.
    pub(super) fn go(&self) {
        self.going.cancel();
    }

    /// Returns whether this was the first cause to stop it.
    pub(super) fn stop(&self, lease: &Lease, why: Why) -> bool {
        self.entries.get(lease).is_some_and(|entry| !entry.ended && entry.stop.trip(why))
    }

    /// Returns whether there was anything to stop.
    pub(super) fn stop_all(&self, why: Why) -> bool {
        let leases: Vec<&Lease> = self.entries.keys().collect();
        leases.into_iter().filter(|lease| self.stop(lease, why)).count() > 0
    }

    /// The same for jobs that begin anew wherever they are offered next, and none that an agent works at.
    pub(super) fn stop_cheap(&self, why: Why) -> bool {
        let cheap = |(lease, entry): (&Lease, &Entry)| !entry.is_agent_s() && self.stop(lease, why);
        self.entries.iter().map(cheap).fold(false, |any, stopped| any | stopped)
    }

    /// Jobs at work that an agent works at.
    pub(super) fn agents(&self) -> usize {
        self.entries.values().filter(|entry| entry.is_agent_s() && !entry.ended).count()
    }

    /// The job's task has ended. Returns the queue in which there is room again.
    pub(super) fn ended(&mut self, lease: &Lease) -> Option<String> {
        self.entries.get_mut(lease)?.ended = true;
        self.release(lease)
    }

    /// The job's reports are acknowledged, or don't count any more. Returns the queue in which there is room again.
    pub(super) fn settled(&mut self, lease: &Lease) -> Option<String> {
        self.entries.get_mut(lease)?.settled = true;
        self.release(lease)
    }

    /// The job never began.
    pub(super) fn abandon(&mut self, lease: &Lease) -> Option<String> {
        let entry = self.entries.get_mut(lease)?;
        (entry.ended, entry.settled) = (true, true);
        self.release(lease)
    }

    /// Ids of jobs that haven't ended.
    pub(super) fn names_at_work(&self) -> Vec<String> {
        let at_work = self.entries.iter().filter(|(_, entry)| !entry.ended);
        at_work.map(|(lease, _)| lease.job_id.clone()).collect()
    }

    /// Jobs that haven't ended.
    pub(super) fn at_work(&self) -> usize {
        self.entries.values().filter(|entry| !entry.ended).count()
    }

    fn release(&mut self, lease: &Lease) -> Option<String> {
        let entry = self.entries.get(lease).filter(|entry| entry.ended && entry.settled)?;
        let (queue, run_id) = (entry.queue.clone(), entry.run_id.clone());
        self.entries.remove(lease);
        if !self.entries.values().any(|entry| entry.run_id == run_id) {
            self.runs.remove(&run_id);
        }
        Some(queue)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use v1::finished::Outcome;

    use super::*;

    #[test]
    fn an_agent_whose_work_is_known_is_left_to_nobody() {
        let mut jobs = Jobs::new(&Config::try_parse_from(["moorline-worker"]).unwrap());
        let mut offer = v1::Offer::default();
        offer.set_stage(v1::Stage::Submit);
        let (at_work, in_shadow) = (Lease::new("job-1", 1), Lease::new("job-2", 1));
        let [at_work, in_shadow] = [&at_work, &in_shadow].map(|lease| jobs.begin(lease, &offer));
        in_shadow.course.came_to(Outcome::Result(v1::JobResult::default()));
        assert_eq!(jobs.agents(), 1);
        assert!(jobs.stop_cheap(Why::Leaving));
        assert_eq!((at_work.stop.why(), in_shadow.stop.why()), (None, Some(Why::Leaving)));
    }
}
