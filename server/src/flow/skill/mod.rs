//! Which skills carry which stages: the policy, and what it decides of runs.

mod change;
mod choice;
mod policies;
mod resolve;
mod seed;
mod view;

pub use change::{Change, StageChange, change};
pub use choice::Choices;
pub(super) use choice::{check, check_stages, decide, refused};
pub use policies::Policies;
pub use resolve::{Resolution, Resolved, resolve};
pub(super) use seed::seed;
pub use view::{policies, policy, profiles};
