//! The rungs of the ladder, one after the other, in one volume.

use std::time::Duration;

use chrono::Utc;
use moorline_proto::v1::{FailureClass, PreflightRung as Rung};

use super::{Ask, Seen, passes, real_call};
use crate::{
    agent::{Agent, CredentialFile, Login},
    config::Config,
    engine::{Engine, Error},
    redact::Redactor,
    volume::{
        Place, Probe, fingerprint,
        guard::Kind,
        probe,
        steward::{self, Outcome, PROVEN_FOR},
    },
};

/// A token that ends within this time is renewed by whoever uses it next.
const ABOUT_TO_EXPIRE: Duration = Duration::from_secs(300);

/// A check while it is made.
pub(super) struct Ladder<'a> {
    pub(super) engine: &'a dyn Engine,
    pub(super) agent: &'a dyn Agent,
    pub(super) config: &'a Config,
    pub(super) ask: &'a Ask<'a>,
    pub(super) volume: &'a str,
}

impl Ladder<'_> {
    /// Climbs as far as it goes. What is known of the volume by then is in `seen`, however this ends.
    pub(super) async fn climb(&self, seen: &mut Seen) -> Result<(Rung, String), Error> {
        let Some(place) = Place::find(self.engine, self.agent, self.volume).await? else {
            return Ok((Rung::VolumeMissing, String::new()));
        };
        seen.diagnostics = place.diagnostics();
        seen.place = Some(place.clone());
        let (mut facts, mut file) = self.look(&place, seen).await?;
        if self.damaged(&file) && self.restore(&place, &file).await? {
            let mended = std::mem::take(&mut facts.mended);
            (facts, file) = self.look(&place, seen).await?;
            facts.mended.splice(0..0, mended);
            facts.mended.push(format!("{}, from its snapshot", place.credential));
        }
        let login = self.stored(&facts, &file);
        seen.diagnostics = facts.describe(&login, self.config, place.diagnostics());
        seen.know(&login, self.config);
        if !passes(login.rung) {
            // What a shell says of a program that isn't there, or can't be run.
            seen.cause = matches!(facts.status, Some(126 | 127)).then_some("program_missing");
            return Ok((login.rung, login.detail));
        }
        self.worth(&place, &facts, &file, login, seen).await
    }

    async fn look(&self, place: &Place, seen: &mut Seen) -> Result<(Probe, CredentialFile), Error> {
        let looked = probe(self.engine, self.agent, self.config, place, self.ask.generation).await?;
        seen.exit_code = looked.0.status;
        seen.redactor = Redactor::of(self.config).with(self.agent.secrets(&looked.1));
        Ok(looked)
    }

    fn damaged(&self, file: &CredentialFile) -> bool {
        matches!(file, CredentialFile::Content(_)) && self.agent.judge(file, Utc::now()).rung == Rung::Corrupt
    }

    async fn restore(&self, place: &Place, file: &CredentialFile) -> Result<bool, Error> {
        let restored = steward::restore(self.engine, self.agent, self.config, place, self.ask.generation, file).await?;
        if restored {
            tracing::warn!(volume = %self.volume, "the credential was damaged and was put back from its snapshot");
        }
        Ok(restored)
    }

    /// What the CLI and the file say.
    fn stored(&self, facts: &Probe, file: &CredentialFile) -> Login {
        let instead = |rung, detail: String| Login {
            rung,
            detail,
            ..self.agent.judge(file, Utc::now())
        };
        match facts.status {
            Some(code) => self.agent.login(code, &facts.output, file, Utc::now()),
            None if facts.timed_out => instead(Rung::TimedOut, String::new()),
            None => instead(
                Rung::EnvironmentBroken,
                format!("the check ended without an answer: {}", facts.output),
            ),
        }
    }

    /// What a stored login is worth, by what has become known of it since.
    async fn worth(
        &self,
        place: &Place,
        facts: &Probe,
        file: &CredentialFile,
        login: Login,
        seen: &mut Seen,
    ) -> Result<(Rung, String), Error> {
        let now = Utc::now();
        let used = steward::used(self.agent, &facts.digest);
        let refusal = facts.state.refusal(&used);
        if let (Some((rung, words)), false) = (refusal, self.ask.probe) {
            return Ok((rung, words.to_owned()));
        }
        let in_doubt = facts.doubt && login.refresh_is_due(now, ABOUT_TO_EXPIRE);
        if in_doubt || self.ask.probe {
            return self.probe(place, in_doubt, seen).await;
        }
        let put_aside = facts.snapshot.as_ref().is_some_and(|(_, digest)| *digest == facts.digest);
        if facts.doubt || !put_aside {
            // No refresh was due, so none can have been lost.
            let kept = self.keep(place, &Outcome::Untouched).await?;
            seen.diagnostics.snapshot_at = kept.snapshot.and_then(|(at, _)| at.map(crate::volume::timestamp));
        }
        match facts.is_proven(&used, now, PROVEN_FOR) && fingerprint(file) == facts.digest {
            true => Ok((Rung::Proven, format!("{}; a real call has worked lately", login.detail))),
            false => Ok((login.rung, login.detail)),
        }
    }

    /// Makes a real call, and notes what it shows.
    async fn probe(&self, place: &Place, in_doubt: bool, seen: &mut Seen) -> Result<(Rung, String), Error> {
        let made = real_call::make(self.engine, self.agent, self.config, place, self.ask.generation).await?;
        let mut fault = match made {
            Ok(()) => {
                self.settle(place, &Outcome::Worked, seen).await?;
                return Ok((Rung::Proven, "a real call has just worked".to_owned()));
            }
            Err(fault) => fault,
        };
        // It is noted in the volume, too.
        fault.detail = seen.redactor.text(&fault.detail);
        seen.retry_after = fault.retry_after;
        let rung = Rung::from_str_name(&format!("PREFLIGHT_RUNG_{}", fault.code)).filter(|_| fault.class == FailureClass::Login);
        let (rung, detail, outcome) = match rung {
            Some(Rung::Revoked | Rung::Expired | Rung::NotLoggedIn) if in_doubt => {
                let lost = format!(
                    "the login was lost when a process was ended while it renewed the token: {}",
                    fault.detail
                );
                (Rung::NotLoggedIn, lost.clone(), Outcome::Refused(Rung::NotLoggedIn, lost))
            }
            Some(rung @ (Rung::Revoked | Rung::Expired | Rung::NotLoggedIn)) => {
                (rung, fault.detail.clone(), Outcome::Refused(rung, fault.detail))
            }
            Some(rung) => (rung, fault.detail, Outcome::Unknown),
            None if fault.code == "AGENT_TIMED_OUT" => (Rung::TimedOut, "the real call got no answer".to_owned(), Outcome::Unknown),
            None => (
                Rung::Unknown,
                format!("a real call was made and failed: {}", fault.detail),
                Outcome::Unknown,
            ),
        };
        self.settle(place, &outcome, seen).await?;
        Ok((rung, detail))
    }

    /// Looks after the login once it was used, and knows it as it is then.
    async fn settle(&self, place: &Place, outcome: &Outcome, seen: &mut Seen) -> Result<(), Error> {
        let mended = std::mem::take(&mut seen.diagnostics.mended);
        let (kept, login) = self.kept(place, outcome).await?;
        seen.diagnostics = kept.describe(&login, self.config, place.diagnostics());
        seen.diagnostics.mended = mended;
        seen.know(&login, self.config);
        Ok(())
    }

    async fn keep(&self, place: &Place, outcome: &Outcome) -> Result<Probe, Error> {
        Ok(self.kept(place, outcome).await?.0)
    }

    async fn kept(&self, place: &Place, outcome: &Outcome) -> Result<(Probe, Login), Error> {
        let generation = self.ask.generation;
        steward::keep(
            self.engine,
            self.agent,
            self.config,
            place,
            generation,
            Kind::Snapshot,
            outcome,
            None,
        )
        .await
    }
}
