//! What goes wrong in the field, done on purpose: every promise must hold all the same.
//!
//! Lines are broken by a proxy, processes by signals, Postgres by stopping it. A test ends with [`promise::kept`].
//!
//! [`promise::kept`]: crate::support::promise::kept

mod clock;
mod flood;
mod half_open;
mod idle;
mod names;
mod postgres;
mod reports;
mod server_killed;
mod spool;
mod storm;
mod worker_killed;
mod worker_stopped;
