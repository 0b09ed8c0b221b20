//! Hints on their way to other servers, and how they look on the way.
//!
//! Bounded and without repetition: a thousand events of one run are one hint. When too many different ones wait, "look at everything"
//! takes their place.

use std::{
    collections::HashSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;
use uuid::Uuid;

use super::hints::Topic;

/// Most topics that wait for their way.
const CAPACITY: usize = 4096;

/// What stands for all topics.
const EVERYTHING: &str = "*";

/// What waits. Nothing does while nobody would hear it.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    heard: AtomicBool,
    waiting: Mutex<Waiting>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    topics: HashSet<Topic>,
    everything: bool,
}

/// Hints that go out together.
#[derive(Debug, PartialEq, Eq)]
pub enum Departure {
    /// These.
    Topics(Vec<Topic>),
    /// Too many to name.
    Everything,
}

impl Outgoing {
    pub(super) fn set_heard(&self, heard: bool) {
        self.heard.store(heard, Ordering::Relaxed);
    }

    pub(super) fn push(&self, topic: &Topic) {
        if !self.heard.load(Ordering::Relaxed) {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.everything || waiting.topics.contains(topic) {
            return;
        }
        waiting.topics.insert(topic.clone());
        waiting.everything = waiting.topics.len() > CAPACITY;
        drop(waiting);
        self.filled.notify_one();
    }

    /// Waits until there is something, and takes all of it.
    pub(super) async fn next(&self) -> Departure {
        loop {
            let taken = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            match taken {
                Waiting { everything: true, .. } => return Departure::Everything,
                Waiting { topics, .. } if !topics.is_empty() => return Departure::Topics(topics.into_iter().collect()),
                _ => self.filled.notified().await,
            }
        }
    }
}

impl Departure {
    /// As payloads of at most `longest` bytes, each of which names its sender.
    pub fn payloads(&self, sender: Uuid, longest: usize) -> Vec<String> {
        let head = sender.simple().to_string();
        let words: Vec<String> = match self {
            Self::Everything => vec![EVERYTHING.to_owned()],
            Self::Topics(topics) => topics.iter().map(word).collect(),
        };
        let mut payloads: Vec<String> = Vec::new();
        for word in words {
            match payloads.last_mut() {
                Some(payload) if payload.len() + 1 + word.len() <= longest => {
                    payload.push('\n');
                    payload.push_str(&word);
                }
                _ => payloads.push(format!("{head}\n{word}")),
            }
        }
        payloads
    }

    /// What a payload says; `None` for one of this server's own.
    pub fn read(payload: &str, own: Uuid) -> Option<Self> {
        let mut lines = payload.split('\n');
        if lines.next().is_some_and(|sender| sender == own.simple().to_string()) {
            return None;
        }
        let topics: Option<Vec<Topic>> = lines.map(topic).collect();
        // What isn't understood, of a newer server say, may be anything.
        Some(topics.map_or(Self::Everything, Self::Topics))
    }
}

fn word(topic: &Topic) -> String {
    match topic {
        Topic::Queue(queue) => format!("q{queue}"),
        Topic::Run(id) => format!("r{}", id.simple()),
        Topic::Instance(id) => format!("i{}", id.simple()),
        Topic::Commands => "c".to_owned(),
        Topic::Gates => "g".to_owned(),
        Topic::Answer(id) => format!("a{}", id.simple()),
    }
}

fn topic(word: &str) -> Option<Topic> {
    let (kind, rest) = word.split_at_checked(1)?;
    let id = || Uuid::try_parse(rest).ok();
    match kind {
        "q" => Some(Topic::Queue(rest.to_owned())),
        "r" => id().map(Topic::Run),
        "i" => id().map(Topic::Instance),
        "c" => Some(Topic::Commands),
        "g" => Some(Topic::Gates),
        "a" => id().map(Topic::Answer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn a_thousand_hints_of_one_topic_are_one_and_nothing_waits_while_nobody_hears() {
        let outgoing = Outgoing::default();
        outgoing.push(&Topic::Commands);
        outgoing.set_heard(true);
        assert!(outgoing.next().now_or_never().is_none());
        for _ in 0..1000 {
            outgoing.push(&Topic::Run(Uuid::nil()));
        }
        assert_eq!(
            outgoing.next().now_or_never(),
            Some(Departure::Topics(vec![Topic::Run(Uuid::nil())]))
        );
        for number in 0..2 * CAPACITY as u128 {
            outgoing.push(&Topic::Run(Uuid::from_u128(number)));
        }
        assert_eq!(outgoing.next().now_or_never(), Some(Departure::Everything));
    }

    #[test]
    fn what_goes_out_comes_in_elsewhere_in_pieces_that_fit() {
        let (sender, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut topics: Vec<Topic> = (0..100).map(|number| Topic::Run(Uuid::from_u128(number))).collect();
        topics.extend([
            Topic::Queue("codex-7".to_owned()),
            Topic::Instance(other),
            Topic::Commands,
            Topic::Answer(sender),
        ]);
        let payloads = Departure::Topics(topics.clone()).payloads(sender, 1000);
        assert!(payloads.len() > 3 && payloads.iter().all(|payload| payload.len() <= 1000));
        let heard: Vec<Topic> = payloads
            .iter()
            .flat_map(|payload| match Departure::read(payload, other) {
                Some(Departure::Topics(topics)) => topics,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(heard, topics);
        assert!(payloads.iter().all(|payload| Departure::read(payload, sender).is_none()));
        assert_eq!(
            Departure::read(&format!("{}\nz?", sender.simple()), other),
            Some(Departure::Everything)
        );
    }
}
