//! Who gets the next jobs of a queue: one task per queue claims for all of this server's workers at once.
//!
//! Workers' credits gather while a claim runs, and the next claim is for all of them. A task looks when there are new credits, when a hint
//! says that there is work, and once in a while by itself. A job is claimed, committed, and only then handed to its worker's session.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, info_span, warn};
use uuid::Uuid;

use crate::flow::{
    Flow, Topic,
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

    /// Claims for those who have room. Whether there may be more.
    async fn claim(&mut self) -> bool {
        self.desks.retain(|(desk, room)| *room > 0 && !desk.offers.is_closed());
        let turns = self.turns();
        if turns.is_empty() {
            return false;
        }
        let slots: Vec<Slot<'_>> = turns
            .iter()
            .map(|index| Slot {
                instance_id: self.desks[*index].0.instance_id,
                worker_name: &self.desks[*index].0.worker_name,
            })
            .collect();
        let claimed = match claim::claim(&self.flow, &self.name, &slots).await {
            Ok(claimed) => claimed,
            // The next look tries again; what was claimed and not offered lapses by itself.
            Err(error) => {
                warn!(%error, "no claim");
                return false;
            }
        };
        let more = claimed.len() == slots.len();
        for job in claimed {
            self.hand_out(job).await;
        }
        // Who was first is last the next time.
        if !self.desks.is_empty() {
            self.desks.rotate_left(1);
        }
        more
    }

    /// Indices of the desks whose turn it is: one job each, round after round, until all room or one claim is used up.
    fn turns(&self) -> Vec<usize> {
        let mut turns = Vec::new();
        let mut round = 0;
        loop {
            let before = turns.len();
            // What waits for a stuck line counts against its room.
            let room = |(desk, room): &(Desk, u32)| (*room as usize).min(desk.offers.capacity());
            let in_round = (0..self.desks.len()).filter(|index| room(&self.desks[*index]) > round);
            turns.extend(in_round.take(CLAIM_MAX - before));
            if turns.len() == before || turns.len() == CLAIM_MAX {
                return turns;
            }
            round += 1;
        }
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
