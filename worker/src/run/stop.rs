//! Why a job stops.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// The first cause counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The run was cancelled.
    Cancelled,
    /// The lease has passed on: nothing is reported.
    Fenced,
    /// The stage took too long.
    TimedOut,
    /// The stage took too long in the moment in which its agent ended by itself.
    TimedOutAfterwards,
    /// The lease may have passed on, for want of a line to the server.
    LostContact,
    /// The worker itself is going.
    Leaving,
}

/// Tells a stage to stop, and remembers why.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop {
    pub(super) token: CancellationToken,
    why: Arc<OnceLock<Why>>,
}

impl Stop {
    /// Returns whether this was the first cause.
    pub(super) fn trip(&self, why: Why) -> bool {
        let first = self.why.set(why).is_ok();
        self.token.cancel();
        first
    }

    pub(super) fn why(&self) -> Option<Why> {
        self.why.get().copied()
    }
}
