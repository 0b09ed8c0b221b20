//! What the programs of Moorline tell of themselves.
//!
//! Server, worker and command-line tool tell the same things in the same words, so the words are here and nowhere else.
//!
//! # Layout
//!
//! - [`health`]: asks the health endpoint of one of them
//! - [`logs`]: where log lines go, and in which form
//! - [`about`]: the fields of every line about a step of a run or a job
//! - [`metric`]: what a metric is: its definition, from which its description, its row in the runbook and its labels are made
//! - [`recorder`]: the metrics of this process, as text for a scraper
//! - [`trace`]: traces over OTLP, and a place in a trace as it travels from program to program
//! - [`variables`]: settings that no flag stands for

pub mod about;
pub mod health;
pub mod logs;
pub mod metric;
pub mod recorder;
pub mod trace;
pub mod variables;

#[doc(hidden)]
pub use tracing;
