//! State: one file per table with its row and its named queries.
//!
//! A query that takes `&mut AsyncPgConnection` may be part of a transaction; whoever calls it owns that transaction. Time is
//! database time throughout.

pub mod artifacts;
pub mod batch;
pub mod constraint;
pub mod credential_audits;
pub mod events;
pub mod instances;
pub mod jobs;
pub mod logs;
pub mod migrations;
pub mod pool;
pub mod preflights;
pub mod runs;
pub mod schema;
pub mod shards;
mod statement;
mod text;
pub mod volumes;

pub use pool::{Pool, connect};

/// A connection of the pool, or one inside a transaction.
pub use diesel_async::AsyncPgConnection as Connection;
