//! Holds a database to what was promised, after whatever has happened to its servers and workers.
//!
//! The promise: at-least-once execution, at most one accepted result per job attempt, and nothing acknowledged is ever lost. The witnesses
//! are the journals of scripted workers and the notes of a client; [`facts`] is what the database says, [`rules`] compares them.

pub mod facts;
pub mod rules;
pub mod witness;

pub use facts::Facts;
pub use rules::broken;
pub use witness::{Client, Witness};
