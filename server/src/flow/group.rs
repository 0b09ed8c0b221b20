//! Group commit: what arrives together goes to the database together.
//!
//! One flush runs while the next group gathers, so an idle system waits for nothing, and a busy one needs few round trips.

use std::{future::Future, sync::Arc};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, info_span};

use super::Error;
use crate::metrics;

/// Items that may wait for their group. Who brings more waits, and lets wait whoever sent it: a stream is then read no further.
const WAITING_MAX: usize = 4096;

/// Most items of one flush.
const GROUP_MAX: usize = 256;

/// Where items are brought. Cheap to clone; the task ends when the last one is dropped.
#[derive(Debug)]
pub struct Group<I, O> {
    items: mpsc::Sender<Item<I, O>>,
}

/// One item, and who waits for what becomes of it.
#[derive(Debug)]
pub struct Item<I, O> {
    /// What was brought.
    pub item: I,
    answer: oneshot::Sender<Result<O, Error>>,
}

impl<I, O> Item<I, O> {
    /// Says what became of it. Nobody may be waiting any more.
    pub fn answer(self, outcome: Result<O, Error>) {
        drop(self.answer.send(outcome));
    }
}

/// What will become of an item.
pub type Answer<O> = oneshot::Receiver<Result<O, Error>>;

impl<I, O> Clone for Group<I, O> {
    fn clone(&self) -> Self {
        Self { items: self.items.clone() }
    }
}

impl<I: Send + 'static, O: Send + 'static> Group<I, O> {
    /// Starts the task that flushes one group after the other. `flush` answers every item that it is given; one that it drops is answered
    /// [`Error::Busy`].
    pub fn start<F, R>(name: &'static str, tasks: &TaskTracker, flush: F) -> Self
    where
        F: Fn(Vec<Item<I, O>>) -> R + Send + 'static,
        R: Future<Output = ()> + Send,
    {
        let (items, mut waiting) = mpsc::channel(WAITING_MAX);
        tasks.spawn(
            async move {
                let mut group = Vec::new();
                while waiting.recv_many(&mut group, GROUP_MAX).await > 0 {
                    let (items, began) = (group.len(), Instant::now());
                    flush(std::mem::take(&mut group)).await;
                    metrics::GROUP.observe(items as f64, [name.into()]);
                    metrics::GROUP_FLUSH.took(began.elapsed(), [name.into()]);
                }
            }
            .instrument(info_span!("group", name)),
        );
        Self { items }
    }

    /// Brings an item. Items are flushed in the order in which they are brought.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when the server is going.
    pub async fn bring(&self, item: I) -> Result<Answer<O>, Error> {
        let (answer, answered) = oneshot::channel();
        self.items.send(Item { item, answer }).await.map_err(|_| Error::Busy)?;
        Ok(answered)
    }

    /// Brings an item and waits for what becomes of it.
    ///
    /// # Errors
    ///
    /// What the flush answers.
    pub async fn take(&self, item: I) -> Result<O, Error> {
        self.bring(item).await?.await.map_err(|_| Error::Busy)?
    }
}

/// Answers a whole group with one failure.
pub fn fail_all<I, O>(group: Vec<Item<I, O>>, error: Error) {
    let shared = Arc::new(error);
    for item in group {
        item.answer(Err(Error::Together(Arc::clone(&shared))));
    }
}
