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
    /// The line, which begins with `opening` when it is no good news: what is wrong with as much of the detail as there is room for, what it is
    /// about, and last what mends it, so that a command at its end can be copied.
    pub(super) fn message(&self, opening: &str, rung: Rung, detail: &str) -> String {
        let agent = self.agent.name();
        let about = format!("volume {}, shard {}, worker {}", self.volume, self.queue, self.config.name);
        let detail = Redactor::of(self.config).text(detail);
        if passes(rung) {
            return one_line(&format!("{agent} login check passed: {detail} ({about})"), MESSAGE_LIMIT);
        }
        let what = self.what(rung);
        let remedy = remedy::of(self, rung);
        let line = |detail: &str| one_line(&format!("{agent} {opening}: {what}{detail} ({about}). {remedy}"), MESSAGE_LIMIT);
        // Three for the brackets around the detail, and the space before them.
        match MESSAGE_LIMIT.saturating_sub(line("").chars().count() + 3) {
            _ if detail.trim().is_empty() => line(""),
            0..20 => line(""),
            room => line(&format!(" [{}]", one_line(&detail, room))),
        }
    }

    /// What is wrong, in a few words.
    pub(super) fn what(&self, rung: Rung) -> String {
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
            Rung::Duplicate => "another volume holds the same login",
            _ => "its answer is not understood",
        };
        what.to_owned()
    }
}
