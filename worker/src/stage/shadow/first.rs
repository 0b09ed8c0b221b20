//! The way that counts, and what it has come to.

use moorline_proto::v1::{self, ExecutionPath, FailureClass, finished::Outcome, job_result};

use super::super::{Context, Error};
use crate::{
    drift::{End, Published, Side, Submitted},
    git::Base,
};

/// See the module.
#[derive(Debug)]
pub(super) struct First {
    pub(super) side: Side,
    /// The other way, where the stage has taken both already.
    pub(super) other: Option<Side>,
    /// The commit that it has worked on, where it came so far.
    pub(super) base: Option<Base>,
}

impl First {
    /// `None` where no shadow was asked for, and where there is nothing that it could be compared with: the stage was stopped, or failed by something that
    /// is no fault of its way.
    pub(super) fn of(ctx: &Context, done: &Result<v1::JobResult, Error>, published: Option<Published>) -> Option<Self> {
        let asked = ctx.offer.decision.as_ref().is_some_and(|decision| decision.shadow_mode);
        if !asked || ctx.stop.is_cancelled() {
            return None;
        }
        let course = ctx.course.so_far();
        let of_skill = course.skill_failure.clone();
        let (end, base) = match done {
            Ok(result) => of_result(ctx, result, published)?,
            // A stage that publishes fails by what is there; its ways differ in their texts alone.
            Err(Error::Failed(_)) if ctx.offer.stage() == v1::Stage::Publish && of_skill.is_none() => return None,
            Err(Error::Failed(failure)) if is_its_own(failure) => (End::Failed(failure.clone()), None),
            Err(_) => return None,
        };
        let path = course.execution_path();
        let other = of_skill.filter(|_| path == ExecutionPath::DirectFallback).map(|failure| Side {
            path: ExecutionPath::Skill,
            end: End::Failed(failure),
        });
        Some(Self {
            side: Side { path, end },
            other,
            base,
        })
    }

    /// The other way.
    pub(super) fn other(&self) -> ExecutionPath {
        match self.side.path {
            ExecutionPath::Skill => ExecutionPath::DirectOnly,
            _ => ExecutionPath::Skill,
        }
    }
}

/// Whether a way has failed by itself, rather than for want of time, by its login, or by what is around it.
pub(super) fn is_its_own(failure: &v1::Failure) -> bool {
    failure.class() == FailureClass::Job && !["AGENT_TIMED_OUT", "RATE_LIMITED"].contains(&failure.code.as_str())
}

fn of_result(ctx: &Context, result: &v1::JobResult, published: Option<Published>) -> Option<(End, Option<Base>)> {
    let base = |branch: &str, commit: &str| {
        Some(Base {
            branch: branch.to_owned(),
            commit: commit.to_owned(),
        })
    };
    Some(match result.result.as_ref()? {
        job_result::Result::Discover(found) => (End::Discovered(found.clone()), base(&found.base_ref, &found.base_commit)),
        job_result::Result::Submit(submit) => {
            let end = Submitted {
                patch: ctx.folder.patch(),
                tasks_done: submit.tasks_done.clone(),
            };
            (End::Submitted(end), base("", &submit.base_commit))
        }
        job_result::Result::Publish(_) => (End::Published(published?), None),
    })
}

/// What the way has come to, as it is reported.
pub(super) fn outcome(done: &Result<v1::JobResult, Error>) -> Outcome {
    match done {
        Ok(result) => Outcome::Result(result.clone()),
        Err(Error::Failed(failure)) => Outcome::Failure(failure.clone()),
        Err(Error::Stopped(how)) => Outcome::Stopped(v1::Stopped { how: (*how).to_owned() }),
    }
}

/// The end that the attempt has if the worker's process ends before the shadow does.
pub(super) fn foreseen(ctx: &Context, done: &Result<v1::JobResult, Error>) -> v1::Finished {
    v1::Finished {
        outcome: Some(outcome(done)),
        execution: Some(ctx.course.end(ctx.course.elapsed())),
    }
}
