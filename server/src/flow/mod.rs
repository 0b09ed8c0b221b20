//! Use cases: one per file, and each owns its transactions.
//!
//! A use case takes a [`Flow`], does what it does in one transaction, and wakes whoever waits for it once that has committed. No
//! transaction spans the network, a container or a worker. Where both are locked, a run's row is locked before its jobs'.

pub mod accept;
mod advance;
pub mod artifact;
pub mod cancel;
pub mod claim;
pub mod command;
pub mod error;
pub mod expire;
pub mod finish;
pub mod fleet;
pub mod frame;
pub mod gate;
pub mod gauges;
pub mod group;
pub mod hints;
mod known;
mod lacking;
pub mod leave;
mod ledger;
pub mod logs;
mod lost;
pub mod names;
pub mod outgoing;
pub mod overdue;
pub mod preflight;
mod recheck;
pub mod register;
pub mod report;
pub mod retry;
pub mod route;
mod seal;
pub mod seed;
pub mod servers;
pub mod shard;
pub mod skill;
pub mod start;
mod steps;
pub mod timers;
pub mod view;
pub mod volume;

use std::{sync::Arc, time::Duration};

use object_store::ObjectStore;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use error::Error;
pub use hints::{Hints, Topic};
pub use timers::Timers;

use crate::db;

/// What every use case works with. Cheap to clone.
#[derive(Clone)]
pub struct Flow {
    /// Connections to Postgres.
    pub pool: db::Pool,
    /// Wakes sessions and watchers, of other servers too.
    pub hints: Hints,
    /// Where artifacts are kept.
    pub artifacts: Arc<dyn ObjectStore>,
    /// How long things may take.
    pub timers: Timers,
    /// What the names of new shards' volumes begin with.
    pub volume_prefix: Arc<str>,
    /// This server's own id, new at each start.
    pub server_id: Uuid,
    /// The policy of skills.
    pub policies: skill::Policies,
    /// Where runs are brought to be started.
    pub starts: start::Starts,
    /// Where what workers say of their jobs is brought.
    pub frames: frame::Frames,
}

impl Flow {
    /// The use cases of one server. The groups that it starts are tasks of `tasks`, and end when the last clone is dropped.
    pub fn start(pool: db::Pool, artifacts: Arc<dyn ObjectStore>, timers: Timers, volume_prefix: &str, tasks: &TaskTracker) -> Self {
        let (hints, policies) = (Hints::default(), skill::Policies::default());
        Self {
            starts: start::Starts::start(&pool, &hints, &policies, timers, tasks),
            frames: frame::Frames::start(&pool, &hints, timers, tasks),
            pool,
            hints,
            policies,
            artifacts,
            timers,
            volume_prefix: Arc::from(volume_prefix),
            server_id: Uuid::now_v7(),
        }
    }

    /// A connection of the pool. A use case holds one at a time, or the pool could wait for itself.
    async fn connection(&self) -> Result<db::pool::Pooled, Error> {
        connection(&self.pool).await
    }
}

async fn connection(pool: &db::Pool) -> Result<db::pool::Pooled, Error> {
    /// Longest wait for a connection, which a database that takes packets and answers none would otherwise make endless.
    const WAIT: Duration = Duration::from_secs(10);
    Ok(tokio::time::timeout(WAIT, pool.get()).await.map_err(|_| Error::Busy)??)
}

/// How often something that is safe to repeat is done again when it fails in passing.
#[derive(Debug)]
struct Again(u32);

impl Default for Again {
    fn default() -> Self {
        Self(2)
    }
}

impl Again {
    /// Whether to do it again after this error.
    fn after(&mut self, error: &Error) -> bool {
        let again = self.0 > 0 && error.is_passing();
        if again {
            self.0 -= 1;
            tracing::debug!(%error, "done again");
        }
        again
    }
}
