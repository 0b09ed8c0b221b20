//! What workers say of their jobs, Accepts and Reports, taken in group by group.

use std::collections::{HashMap, HashSet};

use diesel_async::AsyncConnection as _;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{
    Error, Hints, Timers, accept,
    group::{self, Answer, Group, Item},
    ledger::{Ledger, Ledgers, Written},
    report::{self, News},
};
use crate::db;

/// What a worker says of a job under a lease.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The instance that said it, where the way that it came tells. A group may outlive the stream that brought it, and the job may have been
    /// handed to the worker's next process meanwhile, which numbers its reports anew: what the old one said last is void then.
    said_by: Option<Uuid>,
    job_id: Uuid,
    lease_token: i64,
    said: Said,
}

impl Frame {
    /// A frame of an instance; `None` trusts the token alone.
    pub fn new(said_by: Option<Uuid>, job_id: Uuid, lease_token: i64, said: Said) -> Self {
        Self {
            said_by,
            job_id,
            lease_token,
            said,
        }
    }

    /// Whether the job has been handed to another process than the one that said this.
    fn is_void(&self, ledger: &Ledger) -> bool {
        let open = ledger.job(self.job_id).filter(|job| job.finished_at.is_none());
        matches!((self.said_by, open), (Some(said_by), Some(job)) if job.lease_instance_id != Some(said_by))
    }
}

/// See [`Frame`].
#[derive(Debug, Clone)]
pub enum Said {
    /// Yes to an offer.
    Accept,
    /// News, with its number.
    Report(i64, Box<News>),
}

/// Groups that are flushed side by side. Frames of one job go to one of them, which keeps their order.
const LANES: usize = 2;

/// Where frames are brought; the answer is the number up to which the job's reports are stored, 0 for an Accept.
#[derive(Debug, Clone)]
pub struct Frames {
    lanes: Vec<Group<Frame, i64>>,
}

impl Frames {
    /// Starts the groups.
    pub fn start(pool: &db::Pool, hints: &Hints, timers: Timers, tasks: &TaskTracker) -> Self {
        let lane = |_| {
            let (pool, hints) = (pool.clone(), hints.clone());
            Group::start("frames", tasks, move |group| {
                let (pool, hints) = (pool.clone(), hints.clone());
                async move { flush(&pool, &hints, timers, group).await }
            })
        };
        Self {
            lanes: (0..LANES).map(lane).collect(),
        }
    }

    /// Brings a frame.
    ///
    /// # Errors
    ///
    /// When the server is going.
    pub async fn bring(&self, frame: Frame) -> Result<Answer<i64>, Error> {
        // The last bits of a UUIDv7 are random.
        let lane = frame.job_id.as_u128() as usize % self.lanes.len();
        self.lanes[lane].bring(frame).await
    }

    /// Brings a frame and waits for its answer.
    ///
    /// # Errors
    ///
    /// `FENCED`; when the database fails.
    pub async fn take(&self, frame: Frame) -> Result<i64, Error> {
        self.bring(frame).await?.await.map_err(|_| Error::Busy)?
    }
}

type Waiting = Item<Frame, i64>;

/// Takes a group in. A run takes one step at a time: of several frames about one job, each goes into a transaction of its own.
async fn flush(pool: &db::Pool, hints: &Hints, timers: Timers, group: Vec<Waiting>) {
    let mut left = group;
    while !left.is_empty() {
        let mut jobs = HashSet::with_capacity(left.len());
        let (now, later) = left.into_iter().partition(|waiting| jobs.insert(waiting.item.job_id));
        left = later;
        step(pool, hints, timers, now).await;
    }
}

async fn step(pool: &db::Pool, hints: &Hints, timers: Timers, group: Vec<Waiting>) {
    let frames: Vec<Frame> = group.iter().map(|waiting| waiting.item.clone()).collect();
    let mut again = super::Again::default();
    let taken = loop {
        match transact(pool, timers, &frames).await {
            Err(error) if again.after(&error) => {}
            taken => break taken,
        }
    };
    match taken {
        Ok((written, outcomes)) => {
            let mut later = Vec::new();
            for (waiting, outcome) in group.into_iter().zip(outcomes) {
                match outcome {
                    Some(outcome) => waiting.answer(outcome),
                    None => later.push(waiting),
                }
            }
            written.announce(hints);
            if !later.is_empty() {
                Box::pin(step(pool, hints, timers, later)).await;
            }
        }
        // One frame that the database refuses must not take the others with it.
        Err(Error::Database(_) | Error::Refused(_) | Error::Document(_)) if group.len() > 1 => {
            for waiting in group {
                Box::pin(step(pool, hints, timers, vec![waiting])).await;
            }
        }
        Err(error) => group::fail_all(group, error),
    }
}

/// What becomes of each frame; `None` for one whose run another frame has changed already.
type Outcomes = Vec<Option<Result<i64, Error>>>;

async fn transact(pool: &db::Pool, timers: Timers, frames: &[Frame]) -> Result<(Written, Outcomes), Error> {
    let mut connection = super::connection(pool).await?;
    connection
        .transaction(async |connection| {
            let job_ids: Vec<Uuid> = frames.iter().map(|frame| frame.job_id).collect();
            let locked = Ledgers::lock_of_jobs(connection, &job_ids, timers).await?;
            let (touched, outcomes) = decide(locked, frames);
            Ok((touched.write(connection).await?, outcomes))
        })
        .await
}

/// Decides on each frame in the ledger of its run. Ledgers that no frame has changed are not written.
fn decide(locked: Ledgers, frames: &[Frame]) -> (Ledgers, Outcomes) {
    let mut of_job = HashMap::with_capacity(frames.len());
    for (index, ledger) in locked.0.iter().enumerate() {
        of_job.extend(ledger.jobs.iter().map(|job| (job.id, index)));
    }
    let mut ledgers: Vec<Option<Ledger>> = locked.0.into_iter().map(Some).collect();
    let mut touched = Vec::with_capacity(frames.len());
    let mut outcomes = Vec::with_capacity(frames.len());
    for frame in frames {
        let Some(index) = of_job.get(&frame.job_id) else {
            outcomes.push(Some(Err(accept::fenced(frame.job_id))));
            continue;
        };
        let Some(mut ledger) = ledgers[*index].take() else {
            outcomes.push(None);
            continue;
        };
        let outcome = match &frame.said {
            _ if frame.is_void(&ledger) => Err(accept::fenced(frame.job_id)),
            Said::Accept => accept::apply(&mut ledger, frame.job_id, frame.lease_token).map(|()| 0),
            Said::Report(sequence, news) => report::apply(&mut ledger, frame.job_id, frame.lease_token, *sequence, News::clone(news)),
        };
        if outcome.is_ok() && ledger.is_touched() {
            touched.push(ledger);
        }
        outcomes.push(Some(outcome));
    }
    (Ledgers(touched), outcomes)
}
