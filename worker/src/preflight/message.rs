//! A check's result in one line for people.

use std::path::PathBuf;

use moorline_proto::v1::PreflightRung as Rung;

use super::{MESSAGE_LIMIT, passes, remedy};
use crate::{
    agent::Agent,
    config::Config,
    redact::{Redactor, one_line},
};

/// What was checked.
pub(super) struct Subject<'a> {
    pub(super) agent: &'a dyn Agent,
    pub(super) config: &'a Config,
    pub(super) queue: &'a str,
    pub(super) volume: &'a str,
    /// The folder that is the volume, where volumes are folders.
    pub(super) folder: Option<PathBuf>,
}

impl Subject<'_> {
    /// The line, which begins with `opening` when it is no good news: what it is about, what is wrong, what mends it, and then as much of the detail as there is room for.
    pub(super) fn message(&self, opening: &str, rung: Rung, detail: &str) -> String {
        let agent = self.agent.name();
        let about = format!("volume {}, shard {}, worker {}", self.volume, self.queue, self.config.name);
        let detail = Redactor::default().text(detail);
        if passes(rung) {
            return one_line(&format!("{agent} login check passed: {detail} ({about})"), MESSAGE_LIMIT);
        }
        let what = self.what(rung);
        let remedy = remedy::of(self, rung);
        let fixed = one_line(&format!("{agent} {opening}: {what} ({about}). {remedy}"), MESSAGE_LIMIT);
        // Four for the brackets around the detail.
        match MESSAGE_LIMIT.saturating_sub(fixed.chars().count() + 4) {
            _ if detail.trim().is_empty() => fixed,
            0..20 => fixed,
            room => one_line(&format!("{fixed} [{}]", one_line(&detail, room)), MESSAGE_LIMIT),
        }
    }

    fn what(&self, rung: Rung) -> String {
        let what = match rung {
            Rung::VolumeMissing => "the volume does not exist",
            Rung::Unreadable => return format!("the job user {} can't read the volume", self.config.job_user),
            Rung::Corrupt => "the credential file is damaged or empty",
            Rung::NotLoggedIn => "nobody is logged in",
            Rung::Expired => "the login has expired",
            Rung::Revoked => "the login was refused, or its refresh token was used elsewhere",
            Rung::RateLimited => "the account is rate-limited or out of quota",
            Rung::TimedOut => return format!("no answer within {} s", self.config.preflight_timeout.as_secs()),
            Rung::EnvironmentBroken => "it could not be run",
            _ => "its answer is not understood",
        };
        what.to_owned()
    }
}
