//! The Docker engine, and the project's images.

pub mod client;
pub mod engine;
pub mod postgres;

mod base;
mod build;
mod check;
mod container;
mod fleet;
mod layers;
mod make;
mod pins;
mod programs;
mod recipe;
mod source;

pub use fleet::{Images, ensure_all, ensure_job};
pub use make::{Args, main};
