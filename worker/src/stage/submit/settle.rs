//! What is done for the login when the agent has ended, however that was.

use moorline_proto::v1::{FailureClass, PreflightRung as Rung};

use super::Submit;
use crate::{
    agent::Fault,
    engine::{self, Exit},
    redact::chain,
    volume::{
        guard,
        steward::{self, Outcome},
    },
};

impl Submit<'_> {
    /// Why the volume's guard didn't let the agent begin, if so.
    pub(super) fn kept_out(&self, exit: Exit, stderr: &str) -> Option<engine::Error> {
        let refusal = guard::refusal(self.volume.as_deref()?, exit, stderr)?;
        // The agent's verdict says more of a program that is missing.
        (!matches!(refusal, engine::Error::ProgramMissing { .. })).then_some(refusal)
    }

    /// What the agent's end shows of its login.
    pub(super) fn shown(&self, verdict: &Result<(), Fault>, stderr: &str) -> Outcome {
        // One that was not renewed may have sufficed for this job, and won't for the next.
        let refresh = self.agent.refresh_fault(stderr);
        let own = verdict.as_ref().err();
        let Some(fault) = own.filter(|own| own.class == FailureClass::Login).or(refresh.as_ref()).or(own) else {
            return Outcome::Worked;
        };
        match Rung::from_str_name(&format!("PREFLIGHT_RUNG_{}", fault.code)) {
            Some(rung @ (Rung::Expired | Rung::Revoked | Rung::NotLoggedIn)) => Outcome::Refused(rung, self.redactor.text(&fault.detail)),
            _ => Outcome::Unknown,
        }
    }

    /// Tells the server of a login that could not renew itself though the job went on without: it demotes the volume before the next job.
    pub(super) async fn tell_refused_refresh(&self, verdict: &Result<(), Fault>, stderr: &str) {
        let told = matches!(verdict, Err(fault) if fault.class == FailureClass::Login);
        if let Some(fault) = self.agent.refresh_fault(stderr).filter(|_| !told) {
            if let Some(volume) = &self.volume {
                crate::metrics::REFRESHES_REFUSED.count([volume.clone().into()]);
            }
            // The job's end is its own; only the check counts here.
            drop(self.agent_fault(fault).await);
        }
    }

    /// Puts a good login aside, notes a refused one, cleans up what has piled up. A job doesn't fail because of it: the next check sees to
    /// what is left undone.
    pub(super) async fn settle(&self, outcome: &Outcome) {
        let Some(volume) = &self.volume else { return };
        let (ctx, generation) = (self.ctx, self.generation());
        let settled = steward::settle(ctx.engine.as_ref(), self.agent.as_ref(), &ctx.config, volume, generation, outcome).await;
        if let Err(error) = settled {
            tracing::warn!(%volume, error = %chain(&error), "the login could not be looked after behind the agent; its next check does so");
        }
    }
}
