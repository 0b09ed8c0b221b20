//! The other way of a stage, taken after the first one and without any effect, and how far the two came out alike.
//!
//! What the first way has come to is in the attempt's course and on the disk before the second begins ([`Outlet::foresee`]): nothing that befalls the
//! shadow, the worker's end included, loses or changes it. A worker that is going ends its shadows at once. The shadow works in the run's folder, made
//! anew, under the same paths as the first way, with a git directory of its own; it pushes nothing, and of what it stores nothing is taken for the run's.
//!
//! [`Outlet::foresee`]: super::Outlet::foresee

mod first;
mod outlet;
mod second;
mod told;

use std::time::Duration;

use moorline_proto::v1::{self, ExecutionPath, ShadowStatus};
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use self::{first::First, second::Second};
use super::{Context, Error, STOP_GRACE, attempt, clear};
use crate::drift::{self, Document, End, Published, Side, Tolerance};

/// How long a shadow that is told to stop is waited for. Less than what the worker gives the stage: the first way's end goes before.
const PATIENCE: Duration = STOP_GRACE.saturating_add(Duration::from_secs(5));
/// Why there is no shadow on a worker that is going.
const GOING: &str = "the worker was stopped";

/// Takes the other way as well, if that was asked for and the first one has gone so far, and notes in the attempt's course what came of it.
pub(super) async fn beside(ctx: &Context, done: &Result<v1::JobResult, Error>, published: Option<Published>) {
    let Some(first) = First::of(ctx, done, published) else { return };
    ctx.course.came_to(first::outcome(done));
    let (path, began) = (first.other(), Instant::now());
    // Should the worker end meanwhile.
    ctx.course.shadowed(none(path, "the worker ended before the shadow did"));
    let document = match look(ctx, &first, done).await {
        Ok(document) => document,
        Err(why) => Document::not_compared(ctx.offer.stage(), &first.side, path, why),
    };
    let outcome = v1::ShadowOutcome {
        duration_ms: i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX),
        ..told::tell(ctx, path, &document).await
    };
    ctx.course.shadowed(outcome);
}

/// Compares both ways, or says why there is nothing to compare.
async fn look(ctx: &Context, first: &First, done: &Result<v1::JobResult, Error>) -> Result<Document, String> {
    let other = match &first.other {
        // The stage has taken it for its own sake.
        Some(side) => side.clone(),
        None => {
            if ctx.going.is_cancelled() {
                return Err(GOING.to_owned());
            }
            if !ctx.outlet.foresee(first::foreseen(ctx, done)).await {
                return Err("what the stage has come to could not be kept beforehand: see the worker's log".to_owned());
            }
            let way = told::way(first.other());
            ctx.outlet
                .progress(&format!("the stage has its end; in the shadow it goes {way} as well"))
                .await;
            // A login serves one at a time, and the first container has nothing more to tell.
            let cleared = tokio::select! {
                biased;
                why = unwanted(ctx) => return Err(why.to_owned()),
                cleared = clear(ctx) => cleared,
            };
            if !cleared {
                return Err("the first way's container could not be removed: mend the engine".to_owned());
            }
            let second = Second::new(ctx, first).map_err(|error| format!("the shadow's folder can't be made ({error})"))?;
            let end = take(ctx, second).await?;
            Side { path: first.other(), end }
        }
    };
    let (stage, one) = (ctx.offer.stage(), first.side.clone());
    let compared = tokio::task::spawn_blocking(move || drift::compare(stage, &one, &other, Tolerance::STRICT));
    compared
        .await
        .map_err(|_| "the comparison broke in the worker itself: see its log".to_owned())
}

/// Takes the second way within the time that is left, in a task of its own: what breaks there, breaks nothing else.
async fn take(ctx: &Context, second: Second) -> Result<End, String> {
    let stop = second.ctx.stop.clone();
    let mut way = AbortOnDropHandle::new(tokio::spawn(second.take().in_current_span()));
    let why = tokio::select! {
        biased;
        joined = &mut way => return joined.unwrap_or_else(|_| Err("the shadow broke in the worker itself: see its log".to_owned())),
        why = unwanted(ctx) => why,
        () = tokio::time::sleep(attempt::left(ctx)) => "the stage's time was over before the shadow had ended",
    };
    stop.cancel();
    // What doesn't end by then is removed with the job's containers.
    drop(timeout(PATIENCE, way).await);
    Err(why.to_owned())
}

/// Passes when no shadow is to go on, with the reason.
async fn unwanted(ctx: &Context) -> &'static str {
    tokio::select! {
        biased;
        () = ctx.going.cancelled() => GOING,
        () = ctx.stop.cancelled() => "the job was told to stop",
    }
}

/// No comparison, for the reason given.
fn none(path: ExecutionPath, why: &str) -> v1::ShadowOutcome {
    v1::ShadowOutcome {
        execution_path: path.into(),
        status: ShadowStatus::NotCompared.into(),
        detail: why.to_owned(),
        ..v1::ShadowOutcome::default()
    }
}

#[cfg(test)]
mod tests;
