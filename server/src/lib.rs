//! The Moorline control plane.
//!
//! # Layout
//!
//! Imports point one way; `docs/ARCHITECTURE.md` has the table, and a test checks it.
//!
//! - [`domain`]: pure types and rules
//! - [`embedded`]: a private Postgres from the machine's binaries

pub mod api;
pub mod background;
pub mod db;
pub mod domain;
pub mod embedded;
pub mod flow;
pub mod session;
pub mod wire;
