//! Which way a stage is to go, as the server has decided it.

use moorline_proto::v1::{self, ExecutionPath};

/// The way of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// By the built-in code.
    Direct,
    /// By a skill first.
    Skill {
        /// Its name.
        name: String,
        /// Whether the built-in code takes over when it fails by itself.
        fallback: bool,
    },
}

impl Way {
    /// The way of an offer; a server that decides nothing wants the built-in code.
    pub fn of(offer: &v1::Offer) -> Self {
        match &offer.decision {
            Some(decision) if decision.execution_path() == ExecutionPath::Skill => Self::Skill {
                name: decision.selected_skill.clone(),
                fallback: decision.fallback_enabled,
            },
            _ => Self::Direct,
        }
    }
}

/// Whether an offer may need containers and the run's own folder for a skill, for its own sake or in the shadow.
pub(crate) fn needs_a_skill(offer: &v1::Offer) -> bool {
    Way::of(offer) != Way::Direct || offer.decision.as_ref().is_some_and(|decision| decision.shadow_mode)
}
