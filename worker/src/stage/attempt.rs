//! One attempt of a stage: the way that was decided, and the built-in one where a skill fails by itself.

use std::{pin::Pin, time::Duration};

use moorline_proto::v1;
use moorline_telemetry::step as tell;

use super::{
    Context, Error, Way,
    fault::{Fault, both},
};
use crate::{
    metrics,
    redact::one_line,
    told::{self, Told},
};

/// Longest time of a stage whose offer names none.
const LONGEST: Duration = Duration::from_secs(7200);
/// Longest time of a skill's program in a stage without an agent.
const LONGEST_PROGRAM: Duration = Duration::from_secs(300);
/// What must be left of the stage for the built-in way to begin at all: an agent gets nothing done in less, the rest takes seconds.
const LEAST_OF_AGENT: Duration = Duration::from_secs(60);
const LEAST: Duration = Duration::from_secs(1);
/// What is told of a skill's failure on a line of progress, in characters.
const WHY: usize = 300;

/// A leg of a stage, which does nothing before it is awaited. Boxed: one within the other they would be too large for a thread's stack.
pub(super) type Leg<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// Takes the way of the offer.
pub(super) async fn take<T>(ctx: &Context, by_skill: Leg<'_, T, Fault>, direct: Leg<'_, T, Error>) -> Result<T, Error> {
    match Way::of(&ctx.offer) {
        Way::Direct => direct.await,
        Way::Skill { .. } => match tried(ctx, by_skill).await {
            Err(Fault::Skill(failure)) => fall_back(ctx, failure, direct).await,
            Err(Fault::Stage(error)) => Err(error),
            Ok(done) => Ok(done),
        },
    }
}

/// Lets a skill try, and tells how it went.
pub(super) async fn tried<T>(ctx: &Context, by_skill: Leg<'_, T, Fault>) -> Result<T, Fault> {
    ctx.course.skill_tried();
    let mut span = told::begin(ctx, "skill");
    if let Way::Skill { name, .. } = Way::of(&ctx.offer) {
        span.set("moorline.skill", name);
    }
    let began = tokio::time::Instant::now();
    let done = by_skill.await;
    let outcome = match &done {
        Ok(_) => "succeeded",
        Err(Fault::Skill(failure)) => {
            span.fail(&failure.code);
            outcome(&failure.code)
        }
        Err(Fault::Stage(Error::Failed(failure))) => {
            span.fail(&failure.code);
            "stage_failed"
        }
        Err(Fault::Stage(Error::Stopped(_))) => {
            span.fail("stopped");
            "stopped"
        }
    };
    let stage = super::plain(ctx.offer.stage().as_str_name(), "STAGE_");
    metrics::SKILL_RUNS.count([stage.clone().into(), outcome.into()]);
    metrics::SKILL_DURATION.took(began.elapsed(), [stage.into(), outcome.into()]);
    done
}

/// Takes the built-in way after a skill that failed so, if it may and there is time.
pub(super) async fn fall_back<T>(ctx: &Context, of_skill: v1::Failure, direct: Leg<'_, T, Error>) -> Result<T, Error> {
    ctx.course.skill_failed(&of_skill);
    let told = Told::of(&ctx.offer, &ctx.config.name);
    let (code, why) = (of_skill.code.as_str(), of_skill.message.as_str());
    tell!(warn, told.about(), status = "skill_failed", code = code, error = why; "skill failed");
    let Way::Skill { name, fallback } = Way::of(&ctx.offer) else {
        return Err(Error::Failed(of_skill));
    };
    if !fallback || ctx.stop.is_cancelled() {
        return Err(Error::Failed(of_skill));
    }
    let least = if ctx.offer.stage() == v1::Stage::Submit {
        LEAST_OF_AGENT
    } else {
        LEAST
    };
    if left(ctx) < least {
        let mut failure = of_skill;
        failure.message = one_line(
            &format!(
                "{}; the built-in way was not tried, since less than {} s of the stage's time were left",
                failure.message,
                least.as_secs()
            ),
            super::MESSAGE,
        );
        return Err(Error::Failed(failure));
    }
    let why = one_line(&format!("{}: {}", of_skill.code, of_skill.message), WHY);
    ctx.outlet
        .progress(&format!("the skill {name} failed ({why}): the built-in way takes over"))
        .await;
    ctx.course.fell_back();
    let done = told::step(ctx, "fallback", direct).await;
    let stage = super::plain(ctx.offer.stage().as_str_name(), "STAGE_");
    let how = match &done {
        Ok(_) => "succeeded",
        Err(Error::Failed(_)) => "failed",
        Err(Error::Stopped(_)) => "stopped",
    };
    metrics::FALLBACKS.count([stage.into(), how.into()]);
    done.map_err(|error| after(ctx, &name, &of_skill, error))
}

/// The end of a built-in way that has failed as well. One that was stopped on the way hasn't failed by itself.
pub(super) fn after(ctx: &Context, name: &str, of_skill: &v1::Failure, error: Error) -> Error {
    match error {
        Error::Failed(direct) if !ctx.stop.is_cancelled() => Error::Failed(both(name, of_skill, direct)),
        error => error,
    }
}

/// All the time that the stage may take.
pub(super) fn all(ctx: &Context) -> Duration {
    let offered = ctx.offer.timeout.and_then(|timeout| Duration::try_from(timeout).ok());
    offered.filter(|timeout| !timeout.is_zero()).unwrap_or(LONGEST)
}

/// What is left of it.
pub(super) fn left(ctx: &Context) -> Duration {
    all(ctx).saturating_sub(ctx.course.elapsed())
}

/// What a program may take that needs no agent. The built-in way is left as much of the stage.
pub(super) fn of_program(ctx: &Context) -> Duration {
    LONGEST_PROGRAM.min(left(ctx) / 2)
}

/// The code as a label: the codes of skills by themselves, those of agents together.
fn outcome(code: &str) -> &'static str {
    const OWN: [&str; 7] = [
        "SKILL_MISSING",
        "SKILL_INVALID",
        "SKILL_FAILED",
        "SKILL_NO_RESULT",
        "SKILL_RESULT_TOO_LARGE",
        "SKILL_RESULT_MISMATCH",
        "SKILL_TIMED_OUT",
    ];
    OWN.into_iter().find(|own| *own == code).unwrap_or("AGENT")
}
