//! State: one file per table with its row and its named queries.
//!
//! A query that takes `&mut AsyncPgConnection` may be part of a transaction; whoever calls it owns that transaction. Time is
//! database time throughout.

pub mod artifacts;
pub mod batch;
mod columns;
pub mod commands;
pub mod constraint;
pub mod credential_audits;
pub mod events;
pub mod fingerprints;
pub mod gauges;
pub mod instances;
pub mod jobs;
pub mod logs;
pub mod migrations;
pub mod notify;
pub mod pool;
pub mod preflights;
pub mod reaper_lock;
pub mod runs;
pub mod schema;
pub mod servers;
pub mod sessions;
pub mod shards;
pub mod skill_policies;
mod statement;
mod text;
pub mod volumes;

pub use pool::{Pool, connect};

/// A connection of the pool, or one inside a transaction.
pub use diesel_async::AsyncPgConnection as Connection;
