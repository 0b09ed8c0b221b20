//! Placeholder.

pub mod embedded;
