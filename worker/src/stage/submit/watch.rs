//! The agent at work, from its start, or from wherever it is, to its end.

use moorline_proto::v1::{ArtifactType, FailureClass};
use moorline_telemetry::step;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    Submit,
    log::{Log, artifact},
};
use crate::{
    agent::{Fault, Transcript},
    stage::{
        Error, Leg,
        running::{End, Running, went_with_its_engine},
    },
    volume::steward::Outcome,
};

impl Submit<'_> {
    /// Waits for the agent's end while its output is read and sent, and stores its log however it ends. The output of one that was
    /// `adopted` is read from its beginning for what it says of the agent; what was sent or told before isn't sent or told again.
    pub(super) async fn watch(&self, running: Running, adopted: bool) -> Result<Transcript, Error> {
        let ctx = self.ctx;
        let mut log = Log::open(self, adopted).map_err(|error| self.unusable(&error))?;
        let path = log.path().to_owned();
        let (ended, followed) = (CancellationToken::new(), CancellationToken::new());
        let follow = tokio::spawn({
            let (outlet, path, followed) = (ctx.outlet.clone(), path.clone(), followed.clone());
            async move { outlet.follow_output(&path, followed).await }
        });
        let follow = AbortOnDropHandle::new(follow);
        let waiting = async {
            let exit = running.attend(&ctx.stop).await;
            ended.cancel();
            exit
        };
        let (exit, ()) = tokio::join!(waiting, log.follow(&ended));
        let (transcript, stderr) = log.finish(&artifact(&ctx.folder));
        followed.cancel();
        let code = exit.as_ref().ok().map(|exit| format!("{exit:?}"));
        let told = self.told();
        step!(info, told.about(), status = "agent_ended", exit = code; "agent ended");
        let exit = match exit {
            Ok(exit) => exit,
            Err(end) => {
                if !end.still_runs() {
                    self.settle(&Outcome::Unknown).await;
                }
                if matches!(end, End::DiskFull(_)) {
                    drop(follow.await);
                    drop(self.store_log().await);
                }
                return Err(self.no_exit(end));
            }
        };
        if let Some(refusal) = self.kept_out(exit, &stderr) {
            return Err(self.engine_fault(&refusal));
        }
        let verdict = self.agent.verdict(exit, &transcript, &stderr);
        self.settle(&self.shown(&verdict, &stderr)).await;
        self.tell_refused_refresh(&verdict, &stderr).await;
        if let Ok(Err(failure)) = follow.await {
            // The artifact below has all of it.
            tracing::warn!(code = %failure.code, "the agent's output could not be sent while it worked: {}", failure.message);
        }
        let stored = self.store_log().await;
        // The agent's own failure says more than that of its log.
        if let Err(fault) = verdict {
            let fault = match adopted && went_with_its_engine(ctx.engine.as_ref(), exit, transcript.turn.is_some()).await {
                true => lost(fault),
                false => fault,
            };
            return Err(self.agent_fault(fault).await);
        }
        stored?;
        Ok(transcript)
    }

    /// Stores the agent's log. What becomes of that of a skill's agent is only known when its leg is at its end.
    async fn store_log(&self) -> Result<(), Error> {
        if self.leg == Leg::Skill {
            return Ok(());
        }
        let file = artifact(&self.ctx.folder);
        let stored = self.ctx.outlet.upload_artifact(ArtifactType::CodexLogs, &file, "application/jsonl");
        stored.await.map(drop).map_err(Error::Failed)
    }
}

fn lost(fault: Fault) -> Fault {
    Fault {
        class: FailureClass::LostWorker,
        ..fault
    }
}
