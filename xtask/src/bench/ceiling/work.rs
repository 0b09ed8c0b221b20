//! Runs the statements of the ceiling, and takes the time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use anyhow::{Result, ensure};
use tokio::task::JoinSet;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{
    BATCH, CONNECTIONS,
    observe::{Event, Observed},
    statement::{self, Steps},
};
use crate::bench::{cluster::Database, requests};

/// Runs per second.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Queued.
    pub queue: f64,
    /// Claimed, accepted and ended.
    pub drain: f64,
}

/// A connection with its statements: for runs that read a task list, and for agent work by shard.
struct Hand {
    client: Client,
    discover: Steps,
    submit: [Steps; 3],
}

/// Queues so many runs in an empty database, then drains them.
pub async fn measure(database: &Database, discover: &Observed, submit: &Observed, count: usize) -> Result<Rates> {
    let mut hands = Vec::new();
    for _ in 0..CONNECTIONS {
        hands.push(Arc::new(hand(database, discover, submit).await?));
    }
    database.settle().await?;
    let queued = timed(&hands, count, |hand, next, count, first| async move {
        queue(&hand, &next, count, first).await
    })
    .await?;
    database.settle().await?;
    let drained = timed(&hands, count, |hand, _, _, first| async move { drain(&hand, first).await }).await?;
    let left: i64 = hands[0]
        .client
        .query_one("select count(*) from runs where status <> 'succeeded'", &[])
        .await?
        .get(0);
    ensure!(left == 0, "the ceiling left {left} runs unfinished");
    Ok(Rates {
        queue: queued,
        drain: drained,
    })
}

async fn hand(database: &Database, discover: &Observed, submit: &Observed) -> Result<Hand> {
    let client = database.connect().await?;
    let instance = Uuid::now_v7().to_string();
    let shard = |index: usize| {
        let mut observed = submit.clone();
        let queue = format!("codex-{index}");
        observed.queued.job.insert("queue".to_owned(), queue.clone().into());
        observed.queued.run.insert("codex_queue".to_owned(), queue.into());
        observed
    };
    Ok(Hand {
        discover: statement::prepare(&client, discover, &instance).await?,
        submit: [
            statement::prepare(&client, &shard(0), &instance).await?,
            statement::prepare(&client, &shard(1), &instance).await?,
            statement::prepare(&client, &shard(2), &instance).await?,
        ],
        client,
    })
}

/// Lets every connection work until all is done; runs per second.
#[allow(clippy::cast_precision_loss, reason = "counts are small")]
async fn timed<F, W>(hands: &[Arc<Hand>], count: usize, work: F) -> Result<f64>
where
    F: Fn(Arc<Hand>, Arc<AtomicUsize>, usize, usize) -> W,
    W: Future<Output = Result<()>> + Send + 'static,
{
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut working = JoinSet::new();
    for (index, hand) in hands.iter().enumerate() {
        working.spawn(work(Arc::clone(hand), Arc::clone(&next), count, index));
    }
    while let Some(ended) = working.join_next().await {
        ended??;
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// Queues batches of one kind: of ten nine are task lists, and one is agent work. Each connection has repositories of its own, since two that
/// rank runs of one repository at once would wait for each other, which the server's one flush at a time never does.
async fn queue(hand: &Hand, left: &AtomicUsize, count: usize, own: usize) -> Result<()> {
    for round in 0.. {
        let batch = left.fetch_add(1, Ordering::Relaxed);
        let rows = count.saturating_sub(batch * BATCH).min(BATCH);
        if rows == 0 {
            break;
        }
        let steps = if batch % 10 == 9 {
            &hand.submit[batch / 10 % 3]
        } else {
            &hand.discover
        };
        let numbers = (0..rows).map(|row| (round * BATCH + row) * CONNECTIONS + own).collect();
        queue_batch(&hand.client, steps, numbers).await?;
    }
    Ok(())
}

async fn queue_batch(client: &Client, steps: &Steps, numbers: Vec<usize>) -> Result<()> {
    let requests: Vec<_> = numbers.iter().map(|number| requests::request(*number)).collect();
    let runs: Vec<Uuid> = requests.iter().map(|_| Uuid::now_v7()).collect();
    let jobs: Vec<Uuid> = requests.iter().map(|_| Uuid::now_v7()).collect();
    let repositories: Vec<&str> = requests.iter().map(|request| request.repository.as_str()).collect();
    let features: Vec<&str> = requests.iter().map(|request| request.feature_key.as_str()).collect();
    let affinities: Vec<String> = requests
        .iter()
        .map(|request| format!("{}|{}", request.repository, request.feature_key))
        .collect();
    let branch = |(run, feature): (&Uuid, &&str)| format!("moorline/{feature}/{}", &run.simple().to_string()[20..]);
    let branches: Vec<String> = runs.iter().zip(&features).map(branch).collect();
    let folders: Vec<String> = runs.iter().map(|run| format!("runs/{run}")).collect();
    let ranks: Vec<i64> = numbers.iter().map(|number| i64::try_from(*number).unwrap_or(i64::MAX)).collect();
    let events = Events::of(&steps.events[0], &steps.observed_job, &runs, &jobs);
    client
        .execute(
            &steps.queue,
            &[
                &runs,
                &repositories,
                &features,
                &affinities,
                &branches,
                &folders,
                &jobs,
                &ranks,
                &events.runs,
                &events.sequences,
                &events.kinds,
                &events.bodies,
            ],
        )
        .await?;
    Ok(())
}

/// Each connection begins with a queue of its own; then all share what is left.
async fn drain(hand: &Hand, first: usize) -> Result<()> {
    let mut queues: Vec<&Steps> = hand.submit.iter().chain([&hand.discover]).collect();
    queues.rotate_left(first);
    for steps in queues {
        while drain_batch(&hand.client, steps).await? {}
    }
    Ok(())
}

async fn drain_batch(client: &Client, steps: &Steps) -> Result<bool> {
    let claimed = client.query(&steps.claim, &[]).await?;
    if claimed.is_empty() {
        return Ok(false);
    }
    let jobs: Vec<Uuid> = claimed.iter().map(|row| row.get(0)).collect();
    let runs: Vec<Uuid> = claimed.iter().map(|row| row.get(1)).collect();
    let tokens: Vec<i64> = claimed.iter().map(|row| row.get(2)).collect();
    for (statement, events) in [(&steps.accept, &steps.events[1]), (&steps.end, &steps.events[2])] {
        let events = Events::of(events, &steps.observed_job, &runs, &jobs);
        client
            .execute(
                statement,
                &[
                    &jobs,
                    &tokens,
                    &runs,
                    &events.runs,
                    &events.sequences,
                    &events.kinds,
                    &events.bodies,
                ],
            )
            .await?;
    }
    Ok(true)
}

/// Events of a batch, by column.
#[derive(Default)]
struct Events {
    runs: Vec<Uuid>,
    sequences: Vec<i64>,
    kinds: Vec<String>,
    bodies: Vec<String>,
}

impl Events {
    fn of(observed: &[Event], observed_job: &str, runs: &[Uuid], jobs: &[Uuid]) -> Self {
        let mut events = Self::default();
        for (run, job) in runs.iter().zip(jobs) {
            for event in observed {
                events.runs.push(*run);
                events.sequences.push(event.sequence);
                events.kinds.push(event.kind.clone());
                events.bodies.push(event.body.replace(observed_job, &job.to_string()));
            }
        }
        events
    }
}
