//! The leg of a skill: an agent by its instructions, or its program in the agent's place.

use std::{fs, io};

use moorline_proto::v1::{self, ArtifactType};
use serde_json::json;

use super::{Adopted, AtWork, Submit, container::time_left, log, prompt::Prompt};
use crate::{
    agent::Transcript,
    git::Base,
    skill::{
        Carrier,
        envelope::{checklists, phase},
        program::{Entry, Program},
    },
    stage::{
        Context, Error, Fault, Leg, RunFolder, Running, Way, clear, failure,
        skilled::{self, Chosen},
    },
    told::step,
};

/// Does the work by the decision's skill.
///
/// # Errors
///
/// What the skill did itself is [`Fault::Skill`].
pub(super) async fn run(ctx: &Context) -> Result<v1::SubmitResult, Fault> {
    run_as(ctx, None).await
}

/// The same; `Some(Leg::Shadow)` takes it in the shadow, on the shadow's own context: its folder, outlet and course.
pub(super) async fn run_as(ctx: &Context, shadow: Option<Leg>) -> Result<v1::SubmitResult, Fault> {
    let mut submit = Submit::new(ctx, shadow.unwrap_or(Leg::Skill))?;
    let (chosen, there) = match skilled::of_root(ctx)? {
        Some(chosen) => (chosen, None),
        None => {
            let there = step(ctx, "checkout", submit.check_out()).await?;
            (skilled::of_repository(ctx).await?, Some(there))
        }
    };
    skilled::tell(ctx, &chosen).await?;
    match &chosen.carrier {
        Carrier::Instructions => {
            let (at_work, transcript) = Box::pin(submit.agent_works(Prompt::Skill(&chosen.skill), there)).await?;
            submit.finish(&at_work, &transcript).await.map_err(Fault::of_agent)
        }
        Carrier::Executable(program) => {
            submit.leg = shadow.unwrap_or(Leg::Program);
            Box::pin(submit.program_works(&chosen, program, there)).await
        }
    }
}

/// Goes on with what an earlier process has started.
pub(super) async fn resume(ctx: &Context, adopted: Adopted) -> Result<v1::SubmitResult, Fault> {
    let mut submit = Submit::new(ctx, adopted.at_work.leg)?;
    if adopted.at_work.leg == Leg::Program {
        let name = ctx.offer.decision.clone().unwrap_or_default().selected_skill;
        let program = Program::new(ctx, &name, Leg::Program);
        program.attend(Running::new(ctx, adopted.container), true).await?;
        return submit.take_work(&adopted.at_work).await;
    }
    let (at_work, transcript) = submit.adopt(adopted).await.map_err(Fault::of_agent)?;
    submit.finish(&at_work, &transcript).await.map_err(Fault::of_agent)
}

impl Submit<'_> {
    /// Has the skill's program do the work. It has no login, so none is checked and the volume is left to others.
    async fn program_works(&self, chosen: &Chosen, program: &str, there: Option<(Base, v1::TaskPhase)>) -> Result<v1::SubmitResult, Fault> {
        let ctx = self.ctx;
        let (base, next) = match there {
            Some(there) => there,
            None => step(ctx, "checkout", self.check_out()).await?,
        };
        let payload = json!({
            "repository": self.spec.repository,
            "base_ref": base.branch,
            "base_commit": base.commit,
            "checkout": ctx.folder.repo,
            "phase": phase(Some(&next)),
            "checklists": checklists(self.spec.discover.as_ref().map_or(&[], |discover| &discover.checklists)),
        });
        let entry = Entry {
            skill: &chosen.skill,
            program,
            limit: time_left(ctx),
        };
        let program = Program::new(ctx, &chosen.skill.name, self.leg);
        let running = Running::new(ctx, program.start(entry, payload).await?);
        let at_work = AtWork::new(ctx, &base, self.leg, 0);
        if self.leg != Leg::Shadow
            && let Err(error) = at_work.write(&ctx.folder)
        {
            running.end().await;
            return Err(self.unusable(&error).into());
        }
        program.attend(running, false).await?;
        self.take_work(&at_work).await
    }

    /// Takes what a program has done, which has said nothing of tokens and threads.
    async fn take_work(&self, at_work: &AtWork) -> Result<v1::SubmitResult, Fault> {
        self.finish(at_work, &Transcript::default()).await.map_err(Fault::of_agent)
    }

    /// Clears the way for the built-in agent: the skill's container goes before its checkout does, so that no later process goes on with an
    /// agent whose work is gone; its log is kept beside the one that follows.
    pub(super) async fn make_way(&mut self) -> Result<(), Error> {
        let ctx = self.ctx;
        if !clear(ctx).await {
            let message =
                "the skill's container could not be removed, so the built-in way was not begun: mend the engine, then retry the run";
            return Err(Error::Failed(failure("ENGINE_FAILED", v1::FailureClass::Environment, message)));
        }
        ctx.agent_ended.reset();
        let kept = keep_log(&ctx.folder).map_err(|error| self.unusable(&error))?;
        if let Some((file, length)) = kept {
            self.output_before = length;
            let stored = ctx.outlet.upload_artifact(ArtifactType::ShadowLogs, &file, content_type(&file));
            // It is for people who look into why: the work goes on without it.
            if let Err(failure) = stored.await {
                tracing::warn!(code = %failure.code, "the log of the skill that failed could not be stored: {}", failure.message);
            }
        }
        Ok(())
    }
}

/// Puts the skill's log aside, and begins the job's output with it. Returns where it is, and its length; `None` where none was begun.
fn keep_log(folder: &RunFolder) -> io::Result<Option<(std::path::PathBuf, u64)>> {
    // What was told of one agent says nothing of the next.
    for file in ["told", "at-work.json"] {
        match fs::remove_file(folder.private().join(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let (of_agent, of_program) = (log::artifact(folder), folder.private().join("skill.log"));
    let file = match (of_agent.exists(), of_program.exists()) {
        (true, _) => {
            let aside = folder.private().join("skill.jsonl");
            fs::rename(&of_agent, &aside)?;
            aside
        }
        (_, true) => of_program,
        _ => return Ok(None),
    };
    let length = fs::copy(&file, log::output(folder))?;
    Ok(Some((file, length)))
}

/// Stores the log of a skill's leg that was the attempt's last.
pub(super) async fn store_log(ctx: &Context, done: Result<v1::SubmitResult, Error>) -> Result<v1::SubmitResult, Error> {
    if Way::of(&ctx.offer) == Way::Direct || ctx.course.so_far().used_fallback || matches!(done, Err(Error::Stopped(_))) {
        return done;
    }
    let files = [log::artifact(&ctx.folder), ctx.folder.private().join("skill.log")];
    let Some(file) = files.into_iter().find(|file| file.exists()) else {
        return done;
    };
    let stored = ctx
        .outlet
        .upload_artifact(ArtifactType::CodexLogs, &file, content_type(&file))
        .await;
    // The attempt's own failure says more than that of its log.
    done.and_then(|done| stored.map(|_| done).map_err(Error::Failed))
}

fn content_type(file: &std::path::Path) -> &'static str {
    match file.extension().is_some_and(|end| end == "jsonl") {
        true => "application/jsonl",
        false => "text/plain",
    }
}
