//! What is known of a run's credentials before a stage needs them.

use chrono::{DateTime, TimeDelta, Utc};
use moorline_proto::v1::{self, CodexCredentialStatus as Codex, FailureClass, GithubCredentialStatus as Github};

use crate::{
    config::Config,
    forge::{self, Standing},
    preflight::{Checked, passes},
    stage::failure,
};

/// What ends within this time ends soon.
const SOON: TimeDelta = TimeDelta::hours(24);

/// Looks at the forge's token, and takes what a check of the agent's login has found, where the stage makes one.
pub async fn look(config: &Config, repository: &str, checked: Option<&Checked>) -> v1::CredentialAudit {
    let standing = forge::standing(config, repository).await;
    let codex = checked.map_or(Codex::Unspecified, |checked| codex_status(checked, Utc::now()));
    v1::CredentialAudit {
        codex_status: codex.into(),
        github_status: standing.status.into(),
        checked_at: None,
        notes: notes(checked.filter(|_| codex != Codex::Valid), &standing),
    }
}

/// Why a stage that needs the forge can't begin: its token is refused. One that may lack a right only the forge itself can judge.
pub fn refusal(audit: &v1::CredentialAudit) -> Option<v1::Failure> {
    (audit.github_status() == Github::Invalid).then(|| failure("FORGE_AUTH", FailureClass::Login, audit.notes.clone()))
}

fn codex_status(checked: &Checked, now: DateTime<Utc>) -> Codex {
    if !passes(checked.preflight.rung()) {
        return Codex::Invalid;
    }
    let expires_at = checked.diagnostics.token_expires_at.as_ref();
    let expires_at = expires_at.and_then(|at| DateTime::from_timestamp(at.seconds, 0));
    match expires_at {
        Some(at) if checked.identity.refresh_token.is_none() && at - now < SOON => Codex::ExpiresSoon,
        _ => Codex::Valid,
    }
}

fn notes(checked: Option<&Checked>, standing: &Standing) -> String {
    let codex = checked.map(|checked| checked.preflight.message.as_str());
    let all = codex.into_iter().chain([standing.notes.as_str()]).filter(|note| !note.is_empty());
    all.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use moorline_proto::v1::PreflightRung as Rung;

    use super::*;
    use crate::agent::Identity;

    fn checked(rung: Rung, expires_in: Option<i64>, renews_itself: bool) -> Checked {
        let token_expires_at = expires_in.map(|hours| prost_types::Timestamp {
            seconds: hours * 3600,
            nanos: 0,
        });
        Checked {
            preflight: v1::Preflight {
                rung: rung.into(),
                ..v1::Preflight::default()
            },
            diagnostics: v1::VolumeDiagnostics {
                token_expires_at,
                ..v1::VolumeDiagnostics::default()
            },
            cause: None,
            blocked: None,
            identity: Identity {
                account: None,
                refresh_token: renews_itself.then(|| "token".into()),
            },
            capacity: 1,
        }
    }

    #[test]
    fn only_a_login_that_can_not_renew_itself_expires_soon() {
        let now = DateTime::from_timestamp(0, 0).unwrap();
        let status = |rung, expires_in, renews| codex_status(&checked(rung, expires_in, renews), now);
        assert_eq!(status(Rung::Unexpired, Some(23), false), Codex::ExpiresSoon);
        assert_eq!(status(Rung::Unexpired, Some(25), false), Codex::Valid);
        assert_eq!(status(Rung::Unexpired, Some(1), true), Codex::Valid);
        assert_eq!(status(Rung::Present, None, false), Codex::Valid);
        assert_eq!(status(Rung::Revoked, Some(25), true), Codex::Invalid);
    }
}
