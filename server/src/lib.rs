//! The Moorline control plane.
//!
//! # Layout
//!
//! Imports point one way; `docs/ARCHITECTURE.md` has the table, and a test checks it.
//!
//! - [`domain`]: pure types and rules

pub mod db;
pub mod domain;
pub mod flow;
pub mod wire;
