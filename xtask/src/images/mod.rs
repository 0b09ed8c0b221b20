//! The Docker engine and the images that jobs run in.

pub mod client;
pub mod engine;
pub mod job;

mod base;
