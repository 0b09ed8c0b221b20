//! The ceiling: the row changes that the server makes, in plain SQL, in batches of 32 over 4 connections.
//!
//! What the server writes for a run is observed, not assumed: [`observe`] looks at the rows of one run of each kind while it is queued,
//! claimed, running and finished. [`statement`] makes prepared statements of the differences, one for each step, and [`work`] runs them.
//! [`bulk`] makes a backlog of the same rows.
//! Each step of a run is one durable change in both: queued, claimed, accepted, ended. Left out are the clock of fair order, one row
//! for a whole batch, and whatever the server reads.

mod bulk;
mod observe;
mod statement;
mod work;

pub use bulk::load;
pub use observe::{Observed, observe};
pub use work::{Rates, measure};

/// Rows in one statement.
const BATCH: usize = 32;
/// Connections.
const CONNECTIONS: usize = 4;
