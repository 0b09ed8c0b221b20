//! Which skills carry which stages: the policy, and what it decides of runs.

mod change;
mod choice;
mod policies;
mod seed;

pub use change::{Change, StageChange, change};
pub(super) use choice::{check, decide, refused};
pub use policies::Policies;
pub(super) use seed::seed;
