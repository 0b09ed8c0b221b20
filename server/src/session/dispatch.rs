//! Who gets the next jobs of a queue: one task per queue claims for all of this server's workers at once.
//!
//! Workers' credits gather while a claim runs, and the next claim is for all of them. A task looks when there are new credits, when a hint
//! says that there is work, and once in a while by itself. A job is claimed, committed, and only then handed to its worker's session.
//!
//! A job may need a skill. Workers that are alike in their skills claim together, each such group once in a look, and who comes first moves on
//! by one worker each time: a group has the first choice as often as it has workers.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, info_span, warn};
use uuid::Uuid;

use crate::flow::{
    Error, Flow, Topic,
    claim::{self, Claimed, Slot},
};

/// Most jobs that one claim takes, and that may wait for one session.
pub const CLAIM_MAX: usize = 256;

/// What sessions ask of a queue that may wait for its task.
const ASKED_MAX: usize = 1024;

/// Where a session takes its offers.
#[derive(Debug, Clone)]
pub struct Desk {
    /// The session.
    pub session_id: Uuid,
    /// The worker's process.
    pub instance_id: Uuid,
    /// Its name.
    pub worker_name: Arc<str>,
    /// `skill:stage` for each stage that one of its skills is ready for, in order.
    pub skills: Arc<[String]>,
    /// The way to the session.
    pub offers: mpsc::Sender<Box<Claimed>>,
}

#[derive(Debug)]
enum Ask {
    Grant(Desk, u32),
    Revoke(Uuid),
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Dispatcher {
    flow: Flow,
    queues: Arc<Mutex<HashMap<String, mpsc::Sender<Ask>>>>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Dispatcher {
    /// A dispatcher whose tasks end with `shutdown`.
    pub fn new(flow: &Flow, tasks: &TaskTracker, shutdown: &CancellationToken) -> Self {
        Self {
            flow: flow.clone(),
            queues: Arc::default(),
            tasks: tasks.clone(),
            shutdown: shutdown.clone(),
        }
    }

    /// Gives a session room for more jobs of a queue.
    pub async fn grant(&self, desk: &Desk, queue: &str, jobs: u32) {
        self.ask(queue, Ask::Grant(desk.clone(), jobs)).await;
    }

    /// Takes back all room that a session has on a queue.
    pub async fn revoke(&self, session_id: Uuid, queue: &str) {
        self.ask(queue, Ask::Revoke(session_id)).await;
    }

    async fn ask(&self, queue: &str, ask: Ask) {
        // The task is gone only when this server is going; nobody is offered anything then.
        drop(self.queue(queue).send(ask).await);
    }

    fn queue(&self, queue: &str) -> mpsc::Sender<Ask> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asked) = queues.get(queue) {
            return asked.clone();
        }
        let (sender, asked) = mpsc::channel(ASKED_MAX);
        queues.insert(queue.to_owned(), sender.clone());
        let (name, flow, shutdown) = (queue.to_owned(), self.flow.clone(), self.shutdown.clone());
        let span = info_span!("dispatch", queue);
        let task = async move { shutdown.run_until_cancelled(Queue::new(name, flow).serve(asked)).await };
        self.tasks.spawn(task.instrument(span));
        sender
    }
}

/// One queue at work.
struct Queue {
    name: String,
    flow: Flow,
    /// Sessions with room, the next in turn first, each with how many jobs it can take.
    desks: VecDeque<(Desk, u32)>,
}

impl Queue {
    fn new(name: String, flow: Flow) -> Self {
        Self {
            name,
            flow,
            desks: VecDeque::new(),
        }
    }

    async fn serve(mut self, mut asked: mpsc::Receiver<Ask>) {
        let subscription = self.flow.hints.subscribe([Topic::Queue(self.name.clone())]);
        let mut poll = tokio::time::interval(self.flow.timers.poll);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ask = asked.recv() => match ask {
                    Some(ask) => self.take(ask),
                    None => return,
                },
                () = subscription.woken() => {}
                _ = poll.tick() => {}
            }
            // As long as there are more jobs than room, what comes meanwhile is taken in between two claims.
            loop {
                while let Ok(ask) = asked.try_recv() {
                    self.take(ask);
                }
                if !self.claim().await {
                    break;
                }
            }
        }
    }

    fn take(&mut self, ask: Ask) {
        match ask {
            Ask::Grant(desk, jobs) => match self.desks.iter_mut().find(|(known, _)| known.session_id == desk.session_id) {
                Some((_, room)) => *room = room.saturating_add(jobs),
                None => self.desks.push_back((desk, jobs)),
            },
            Ask::Revoke(session_id) => self.desks.retain(|(desk, _)| desk.session_id != session_id),
        }
    }

    /// Claims for those who have room, group by group. Whether there may be more.
    async fn claim(&mut self) -> bool {
        self.desks.retain(|(desk, room)| *room > 0 && !desk.offers.is_closed());
        let mut more = false;
        for group in groups(&self.desks) {
            let turns = turns(&self.desks, &group);
            match self.claim_for(&turns).await {
                Ok(full) => more |= full,
                // The next look tries again; what was claimed and not offered lapses by itself.
                Err(error) => {
                    warn!(%error, "no claim");
                    return false;
                }
            }
        }
        // Who was first is last the next time.
        if !self.desks.is_empty() {
            self.desks.rotate_left(1);
        }
        more
    }

    /// Claims for desks that are alike in their skills, one job for each turn. Whether all of them got one.
    async fn claim_for(&mut self, turns: &[usize]) -> Result<bool, Error> {
        let Some(first) = turns.first() else {
            return Ok(false);
        };
        let skills = Arc::clone(&self.desks[*first].0.skills);
        let slots: Vec<Slot<'_>> = turns
            .iter()
            .map(|index| Slot {
                instance_id: self.desks[*index].0.instance_id,
                worker_name: &self.desks[*index].0.worker_name,
            })
            .collect();
        let claimed = claim::claim(&self.flow, &self.name, &slots, &skills).await?;
        let full = claimed.len() == slots.len();
        for job in claimed {
            self.hand_out(job).await;
        }
        Ok(full)
    }

    async fn hand_out(&mut self, job: Claimed) {
        let desk = self
            .desks
            .iter_mut()
            .find(|(desk, room)| desk.instance_id == job.instance_id && *room > 0);
        let undelivered = match desk {
            Some((desk, room)) => match desk.offers.try_send(Box::new(job)) {
                Ok(()) => {
                    *room -= 1;
                    return;
                }
                Err(mpsc::error::TrySendError::Full(job) | mpsc::error::TrySendError::Closed(job)) => job,
            },
            None => Box::new(job),
        };
        if let Err(error) = claim::give_back(&self.flow, &undelivered).await {
            warn!(%error, job_id = %undelivered.job.id, "an offer could not be given back; it lapses by itself");
        }
    }
}

/// Indices of desks that are alike in their skills, in the order of their first.
fn groups(desks: &VecDeque<(Desk, u32)>) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut of_skills: HashMap<&[String], usize> = HashMap::new();
    for (index, (desk, _)) in desks.iter().enumerate() {
        let group = *of_skills.entry(&desk.skills).or_insert(groups.len());
        if group == groups.len() {
            groups.push(Vec::new());
        }
        groups[group].push(index);
    }
    groups
}

/// Indices of the desks of a group whose turn it is: one job each, round after round, until all room or one claim is used up.
fn turns(desks: &VecDeque<(Desk, u32)>, group: &[usize]) -> Vec<usize> {
    let mut turns = Vec::new();
    let mut round = 0;
    loop {
        let before = turns.len();
        // What waits for a stuck line counts against its room.
        let room = |(desk, room): &(Desk, u32)| (*room as usize).min(desk.offers.capacity());
        let in_round = group.iter().copied().filter(|index| room(&desks[*index]) > round);
        turns.extend(in_round.take(CLAIM_MAX - before));
        if turns.len() == before || turns.len() == CLAIM_MAX {
            return turns;
        }
        round += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk(skills: &[&str], room: usize) -> (Desk, u32) {
        // The receiver is gone, and the channel has its capacity all the same.
        let (offers, _) = mpsc::channel(room);
        let desk = Desk {
            session_id: Uuid::now_v7(),
            instance_id: Uuid::now_v7(),
            worker_name: Arc::from("w"),
            skills: skills.iter().map(|skill| (*skill).to_owned()).collect(),
            offers,
        };
        (desk, u32::MAX)
    }

    #[test]
    fn desks_claim_with_those_that_are_alike_in_their_skills() {
        let desks = VecDeque::from([
            desk(&["a:submit"], 1),
            desk(&[], 1),
            desk(&["a:submit"], 1),
            desk(&["a:submit", "b:submit"], 1),
            desk(&[], 1),
        ]);
        assert_eq!(groups(&desks), [vec![0, 2], vec![1, 4], vec![3]]);
        assert_eq!(groups(&VecDeque::new()), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn each_desk_of_a_group_has_one_turn_in_a_round() {
        let desks = VecDeque::from([desk(&[], 2), desk(&["a:submit"], 9), desk(&[], 1), desk(&[], 3)]);
        assert_eq!(turns(&desks, &[0, 2, 3]), [0, 2, 3, 0, 3, 3]);
        assert_eq!(turns(&VecDeque::from([desk(&[], 1000)]), &[0]).len(), CLAIM_MAX);
    }
}
