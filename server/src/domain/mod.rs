//! Pure types and rules: no I/O, no async, nothing of ours imported.

pub mod audit;
pub mod command;
pub mod error;
pub mod event;
pub mod job;
pub mod line;
pub mod login;
pub mod preflight;
pub mod repository;
pub mod retry;
pub mod routing;
pub mod run;
pub mod shard;
pub mod skill;
pub mod stage;
pub mod volume;

pub use error::Error;
