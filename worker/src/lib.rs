//! The Moorline worker: one stream to the server, coding agents in job containers.
//!
//! # Layout
//!
//! - [`config`]: everything that can be set, read once
//! - [`link`]: the stream to the server: dial, hello, back-off, reports until acknowledged
//! - [`spool`]: what outlives the process: accepted jobs, and their ends until acknowledged
//! - [`health`]: the endpoint that says whether the stream is live
//! - [`metrics`], [`told`]: what is counted, and what is told of each job
//! - [`run`]: the loop: offers in, slots, reports out, drain
//! - [`collect`]: what is left behind and nobody's, removed by age and quota
//! - [`stage`]: what a job does: discover, submit, publish
//! - [`agent`]: the agent CLIs, and all knowledge of what they print and which files they keep
//! - [`engine`]: where job containers run: Docker, or local processes
//! - [`holding`]: the hold on the shard's volume: who may use it now, and what is known of it
//! - [`preflight`], [`volume`], [`login`]: is the login good, what does its volume look like, how is it renewed
//! - [`drift`]: how far two ways of one stage came out alike
//! - [`audit`]: what is known of a run's credentials before a stage needs them
//! - [`fingerprint`], [`sealing`]: logins told apart without being told, and secrets that only this process reads
//! - [`embedding`]: who makes embeddings for agents, and whether they can be had
//! - [`policy`]: what Codex may never ask, merged into its settings in the volume
//! - [`redact`]: keeps secrets out of messages and logs
//! - `boot`: time that means the same to one process after another
//! - `beneath`, [`disk`]: ways into folders that an agent has written to, which follow no link, and what they take on the disk
//! - [`skill`]: folders that tell an agent, or a program of their own, how a stage is done
//! - [`git`], [`forge`], [`tasks`]: repositories, pull requests, Spec Kit task lists
//! - [`startup`]: what is checked before work is taken
//! - [`variables`]: what is set without a flag, secrets above all

pub mod agent;
pub mod audit;
mod beneath;
mod boot;
pub mod collect;
pub mod config;
pub mod disk;
pub mod drift;
pub mod embedding;
pub mod engine;
pub mod fingerprint;
pub mod forge;
pub mod git;
pub mod health;
pub mod holding;
pub mod link;
pub mod login;
pub mod metrics;
pub mod policy;
pub mod preflight;
pub mod redact;
pub mod run;
pub mod sealing;
pub mod skill;
pub mod spool;
pub mod stage;
pub mod startup;
pub mod tasks;
pub mod told;
pub mod tree;
pub mod variables;
pub mod volume;

#[cfg(test)]
mod testing;
