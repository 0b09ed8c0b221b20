//! Failures of the engine and of the agent, as the server records them.

use moorline_proto::v1::{FailureClass, PreflightRung};

use super::Submit;
use crate::{
    agent::Fault,
    engine, preflight,
    stage::{
        Error, failure,
        fault::{self, SAID},
        running::{End, STILL_RUNNING},
    },
};

impl Submit<'_> {
    pub(super) fn engine_fault(&self, error: &engine::Error) -> Error {
        fault::of_engine(error, &self.redactor)
    }

    /// Why there is no exit to judge.
    pub(super) fn no_exit(&self, end: End) -> Error {
        match end {
            End::Stopped(how) => Error::Stopped(how),
            End::Engine(error) => self.engine_fault(&error),
            End::DiskFull(how) | End::Excess(how) => self.disk_full(how),
        }
    }

    /// The job took more of the disk than it may.
    pub(super) fn disk_full(&self, how: &str) -> Error {
        let most = self.ctx.config.walls.disk_bytes >> 20;
        let ended = match how {
            STILL_RUNNING => "could not be stopped",
            "ended" => "had ended by then",
            _ => "was stopped",
        };
        let message = format!(
            "the job takes more than {most} MiB of the disk; its agent {ended}: read in its log what it writes, say in the phase's tasks what not to \
             leave in the checkout, or raise MOORLINE_JOB_DISK_MIB on the worker"
        );
        let mut failure = failure("AGENT_DISK_FULL", FailureClass::Job, message);
        failure.details.insert("limit_mib".to_owned(), most.to_string());
        Error::Failed(failure)
    }

    /// A fault of the agent; one of its login comes with the same advice as a failed check, and is reported as one: the login is known to be
    /// no good from now on, for the volume's next job as well.
    pub(super) async fn agent_fault(&self, fault: Fault) -> Error {
        let ctx = self.ctx;
        let said = self.redactor.line(&fault.detail, SAID);
        let rung = PreflightRung::from_str_name(&format!("PREFLIGHT_RUNG_{}", fault.code));
        let message = match (fault.class, rung, &self.volume) {
            (FailureClass::Login, Some(rung), Some(volume)) => {
                let (engine, agent) = (ctx.engine.as_ref(), self.agent.as_ref());
                let queue = &ctx.offer.queue;
                let message = preflight::advice(engine, agent, &ctx.config, queue, volume, rung, &said).await;
                let refused = preflight::refused(&ctx.config, queue, volume, rung, &message, fault.retry_after);
                ctx.outlet.preflight(refused).await;
                message
            }
            _ => said,
        };
        let mut failure = failure(fault.code, fault.class, message);
        if let Some(volume) = &self.volume {
            failure.details.insert("volume".to_owned(), volume.clone());
        }
        Error::Failed(failure)
    }
}
