//! Wakes those who wait for something in the database.
//!
//! A hint says "look again", never what there is to see: what it wakes reads the database, and looks again by itself after a while.
//! Hints that arrive before the look are one. While other servers are alive, each hint also waits for its way to them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;
use uuid::Uuid;

use super::outgoing::{Departure, Outgoing};

/// What may have changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// There may be work on this queue.
    Queue(String),
    /// The run has new events or output.
    Run(Uuid),
    /// There is something for the worker with this instance.
    Instance(Uuid),
    /// There are commands for workers.
    Commands,
    /// This command is answered, or has come further.
    Answer(Uuid),
    /// A gate has opened or shut, or a job waits before one; what is known of a shard has changed.
    Gates,
}

type Waiters = HashMap<Topic, Vec<Arc<Notify>>>;

/// A handle to the hints of this server. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    waiters: Arc<Mutex<Waiters>>,
    outgoing: Arc<Outgoing>,
}

impl Hints {
    /// Wakes everyone who waits for a topic, on every server.
    pub fn wake(&self, topic: &Topic) {
        self.wake_here(topic);
        self.outgoing.push(topic);
    }

    /// Wakes everyone of this server who waits for a topic.
    pub fn wake_here(&self, topic: &Topic) {
        for waiter in self.lock().get(topic).into_iter().flatten() {
            waiter.notify_one();
        }
    }

    /// Wakes everyone who waits for one of these topics.
    pub fn wake_all(&self, topics: impl IntoIterator<Item = Topic>) {
        for topic in topics {
            self.wake(&topic);
        }
    }

    /// Wakes everyone of this server, whatever they wait for: hints of other servers may have been lost.
    pub fn wake_everyone_here(&self) {
        for waiter in self.lock().values().flatten() {
            waiter.notify_one();
        }
    }

    /// Says whether another server is there to hear hints.
    pub fn set_heard(&self, heard: bool) {
        self.outgoing.set_heard(heard);
    }

    /// Waits for hints that other servers should have, and takes them.
    pub async fn departure(&self) -> Departure {
        self.outgoing.next().await
    }

    /// Begins to wait. Subscribe *before* looking at the database, or what happens in between goes unseen.
    pub fn subscribe(&self, topics: impl IntoIterator<Item = Topic>) -> Subscription {
        let notify = Arc::new(Notify::new());
        let topics: Vec<Topic> = topics.into_iter().collect();
        let mut waiters = self.lock();
        for topic in &topics {
            waiters.entry(topic.clone()).or_default().push(Arc::clone(&notify));
        }
        drop(waiters);
        Subscription {
            hints: self.clone(),
            topics,
            notify,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Someone's wish to be woken; ends when dropped.
#[derive(Debug)]
pub struct Subscription {
    hints: Hints,
    topics: Vec<Topic>,
    notify: Arc<Notify>,
}

impl Subscription {
    /// Waits for a hint, or returns at once when one came since the last wait.
    pub async fn woken(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut waiters = self.hints.lock();
        for topic in &self.topics {
            if let Some(list) = waiters.get_mut(topic) {
                list.retain(|waiter| !Arc::ptr_eq(waiter, &self.notify));
                if list.is_empty() {
                    waiters.remove(topic);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn hints_before_the_look_are_one_and_a_dropped_subscription_leaves_nothing() {
        let hints = Hints::default();
        let topic = Topic::Queue("default".to_owned());
        let subscription = hints.subscribe([topic.clone(), Topic::Run(Uuid::nil())]);
        assert!(subscription.woken().now_or_never().is_none());
        hints.wake(&topic);
        hints.wake(&topic);
        assert!(subscription.woken().now_or_never().is_some());
        assert!(subscription.woken().now_or_never().is_none());
        drop(subscription);
        assert!(hints.lock().is_empty());
    }
}
