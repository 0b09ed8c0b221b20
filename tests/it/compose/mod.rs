//! The compose files: what they may hold, and the whole fleet as an operator starts, restarts and scales it.
//!
//! The images are made from prebuilt programs by `cargo xtask test`, which names them by variables. Postgres is the image that
//! docker-compose.yaml names where it can be had, else Debian's under another name.

mod containers;
pub mod files;
mod fleet;
mod lint;
mod passed_on;
mod stack;
mod sweep;
