//! The Moorline control plane.
//!
//! # Layout
//!
//! Imports point one way; `docs/ARCHITECTURE.md` has the table, and a test checks it.
//!
//! - [`domain`]: pure types and rules

pub mod api;
pub mod background;
pub mod db;
pub mod domain;
pub mod flow;
pub mod session;
pub mod wire;
