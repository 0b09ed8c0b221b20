//! What is known of the volume, for the next Hello and for reports.

use std::time::Duration;

use moorline_proto::v1::{Preflight, PreflightRung as Rung, VolumeDiagnostics};
use tokio::time::Instant;

use crate::{
    agent::Identity,
    fingerprint::{self, Key},
};

/// A check that no server has heard of counts as fresh for so long: whoever stands by may have waited for weeks since.
const FRESH: Duration = Duration::from_secs(60);

/// The newest of everything. Diagnostics are kept without fingerprints, which depend on the fleet's key.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) diagnostics: Option<VolumeDiagnostics>,
    pub(super) identity: Identity,
    pub(super) key: Option<Key>,
    preflight: Option<Preflight>,
    checked: Option<Instant>,
    /// Whether a server has heard of the check, so that it knows how old it is.
    told: bool,
    /// Whether there is a server that hears of each check when it is made.
    welcomed: bool,
}

impl Known {
    pub(super) fn check(&mut self, preflight: Preflight) {
        self.preflight = Some(preflight);
        self.checked = Some(Instant::now());
        self.told = self.welcomed;
    }

    /// A server hears of checks from now on. Returns whether the last one may be told.
    pub(super) fn welcome(&mut self) -> bool {
        let fresh = !self.is_stale();
        self.welcomed = true;
        self.told = fresh;
        fresh
    }

    /// The last check is worth nothing any more: others may have had the volume since.
    pub(super) fn doubt(&mut self) {
        self.preflight = None;
        self.checked = None;
        (self.told, self.welcomed) = (false, false);
    }

    /// Whether the login must be checked before anything is said of it.
    pub(super) fn is_stale(&self) -> bool {
        !self.told && self.checked.is_none_or(|checked| checked.elapsed() > FRESH)
    }

    /// The last check, as far as it may be told: its age only a server knows that has heard of it at the time.
    pub(super) fn preflight(&self) -> Option<Preflight> {
        self.preflight.clone().filter(|_| !self.is_stale())
    }

    pub(super) fn stamped(&self) -> Option<VolumeDiagnostics> {
        let mut diagnostics = self.diagnostics.clone()?;
        fingerprint::stamp(&self.identity, self.key.as_ref(), &mut diagnostics);
        Some(diagnostics)
    }

    /// Jobs that may use the login at once; `None` where nothing new is known of it.
    pub(super) fn capacity(&self, api_key_capacity: u32) -> Option<u32> {
        let method = self
            .diagnostics
            .as_ref()
            .map_or("", |diagnostics| diagnostics.login_method.as_str());
        let rung = self.preflight.as_ref().map(Preflight::rung);
        match (method, rung) {
            ("api_key", _) => Some(api_key_capacity),
            // A check that could not be made says nothing of what is stored.
            ("", Some(Rung::TimedOut | Rung::EnvironmentBroken | Rung::Unknown) | None) => None,
            _ => Some(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grow_old(known: &mut Known) {
        known.checked = Instant::now().checked_sub(FRESH + Duration::from_secs(1));
    }

    #[test]
    fn a_check_that_nobody_heard_of_is_told_only_while_it_is_fresh() {
        let mut known = Known::default();
        assert!(known.is_stale(), "nothing is known");
        known.check(Preflight::default());
        assert!(known.preflight().is_some());
        grow_old(&mut known);
        assert!(known.is_stale() && known.preflight().is_none());
        known.check(Preflight::default());
        assert!(known.welcome());
        grow_old(&mut known);
        assert!(known.preflight().is_some(), "the server knows how old it is");
        known.check(Preflight::default());
        grow_old(&mut known);
        assert!(known.preflight().is_some(), "it has heard of this one, too");
        known.doubt();
        assert!(known.is_stale() && known.preflight().is_none());
    }

    #[test]
    fn only_an_api_key_serves_more_than_one() {
        let capacity = |method: &str, rung: Rung| {
            let mut known = Known::default();
            known.check(Preflight {
                rung: rung.into(),
                ..Preflight::default()
            });
            known.diagnostics = Some(VolumeDiagnostics {
                login_method: method.to_owned(),
                ..VolumeDiagnostics::default()
            });
            known.capacity(3)
        };
        assert_eq!(capacity("api_key", Rung::Present), Some(3));
        assert_eq!(capacity("chatgpt", Rung::Unexpired), Some(1));
        assert_eq!(capacity("", Rung::NotLoggedIn), Some(1));
        assert_eq!(capacity("", Rung::TimedOut), None);
        assert_eq!(Known::default().capacity(3), None);
    }
}
