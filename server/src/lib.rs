//! The Moorline control plane.
//!
//! # Layout
//!
//! Imports point one way; `docs/ARCHITECTURE.md` has the table, and a test checks it.
//!
//! - [`domain`]: pure types and rules
//! - [`db`]: tables, rows, named queries, migrations
//! - [`flow`]: use cases, each with its own transaction
//! - [`wire`]: how the domain looks in the messages of `moorline.v1`
//! - [`session`]: one worker's stream
//! - [`background`]: the reaper and the renewal of leases
//! - [`api`]: the gRPC services, thin
//! - [`http`]: the same over HTTP and JSON, and the routes of the system that Moorline replaces
//! - [`embedded`]: a private Postgres from the machine's binaries
//! - [`metrics`]: what is counted and measured
//! - [`config`], [`serve`]: settings, wiring and shutdown
//! - [`variables`]: what is set without a flag

pub mod api;
pub mod background;
pub mod config;
pub mod db;
pub mod domain;
pub mod embedded;
pub mod flow;
pub mod http;
pub mod metrics;
pub mod serve;
pub mod session;
pub mod variables;
pub mod wire;

pub use config::Config;
pub use serve::{Running, start};
