//! The Docker engine, and the project's images.

pub mod client;
pub mod engine;
pub mod postgres;

mod base;
mod build;
mod fleet;
mod make;
mod programs;
mod recipe;
mod source;

pub use fleet::{Images, ensure_all, ensure_job};
pub use make::{Args, main};
