//! What is told of a job, in the log, the metrics and the trace: which job it is, and its steps.

use std::sync::OnceLock;

use moorline_proto::v1;
use moorline_telemetry::{
    about::About,
    trace::{Kind, Place, Span},
};
use tokio::time::Instant;

use crate::{
    metrics,
    stage::{Context, Error, plain},
};

/// Which job it is: what every line about it bears.
#[derive(Debug)]
pub struct Told {
    run_id: String,
    job_id: String,
    /// Its stage, in plain words.
    pub stage: String,
    /// Its attempt.
    pub attempt: i32,
    /// Its queue.
    pub queue: String,
    volume: Option<String>,
    shard_index: Option<i32>,
    worker: String,
    trace_id: Option<String>,
    preflight: OnceLock<String>,
}

impl Told {
    /// The job of an offer, at this worker.
    pub fn of(offer: &v1::Offer, worker: &str) -> Self {
        let spec = offer.spec.as_ref();
        Self {
            run_id: offer.run_id.clone(),
            job_id: offer.job_id.clone(),
            stage: plain(offer.stage().as_str_name(), "STAGE_"),
            attempt: offer.attempt,
            queue: offer.queue.clone(),
            volume: spec.map(|spec| spec.volume.clone()).filter(|volume| !volume.is_empty()),
            shard_index: spec.and_then(|spec| spec.shard_index),
            worker: worker.to_owned(),
            trace_id: Place::parse(&offer.traceparent).trace_id(),
            preflight: OnceLock::new(),
        }
    }

    /// Notes what the job's login check has found; the first one counts.
    pub fn checked(&self, preflight: &v1::Preflight) {
        drop(self.preflight.set(plain(preflight.status().as_str_name(), "PREFLIGHT_STATUS_")));
    }

    /// Notes that an earlier process of this worker let the agent begin, which it does after a check only.
    pub fn checked_before(&self) {
        let status = if self.volume.is_some() { "passed" } else { "skipped" };
        drop(self.preflight.set(status.to_owned()));
    }

    /// The fields of a line about it.
    pub fn about(&self) -> About<'_> {
        About {
            job_id: Some(&self.job_id),
            stage: Some(&self.stage),
            attempt: Some(self.attempt),
            queue: Some(&self.queue),
            volume: self.volume.as_deref(),
            shard_index: self.shard_index,
            preflight: self.preflight.get().map(String::as_str),
            worker: Some(&self.worker),
            trace_id: self.trace_id.as_deref(),
            ..About::run(&self.run_id)
        }
    }

    /// Begins the job's span, below which all that the worker does for it hangs.
    pub fn span(&self, offer: &v1::Offer) -> Span {
        let mut span = Span::begin(format!("run {}", self.stage), Kind::Consumer, &Place::parse(&offer.traceparent));
        for (name, text) in [
            ("moorline.run_id", Some(&self.run_id)),
            ("moorline.job_id", Some(&self.job_id)),
            ("moorline.queue", Some(&self.queue)),
            ("moorline.volume", self.volume.as_ref()),
            ("moorline.worker", Some(&self.worker)),
        ] {
            if let Some(text) = text {
                span.set(name, text.clone());
            }
        }
        span.set("moorline.attempt", i64::from(self.attempt));
        span
    }
}

/// Does one step of a job: it has a span of its own, and its time is taken.
pub async fn step<T>(ctx: &Context, name: &'static str, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let span = begin(ctx, name);
    done(name, span, work).await
}

/// Begins a step. The offer at hand bears the place of the job's own span.
pub fn begin(ctx: &Context, name: &'static str) -> Span {
    Span::begin(name, Kind::Internal, &Place::parse(&ctx.offer.traceparent))
}

/// Does what a step that has begun is for.
pub async fn done<T>(name: &'static str, mut span: Span, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let began = Instant::now();
    let done = work.await;
    let outcome = match &done {
        Ok(_) => "succeeded",
        Err(Error::Failed(failure)) => {
            span.fail(&failure.code);
            "failed"
        }
        Err(Error::Stopped(_)) => {
            span.fail("stopped");
            "stopped"
        }
    };
    metrics::STEPS.took(began.elapsed(), [name.into(), outcome.into()]);
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_bears_what_its_offer_says_and_what_the_check_has_found() {
        let offer = v1::Offer {
            run_id: "run".to_owned(),
            job_id: "job".to_owned(),
            stage: v1::Stage::Submit.into(),
            attempt: 2,
            queue: "codex-1".to_owned(),
            spec: Some(v1::JobSpec {
                volume: "codex_auth_1".to_owned(),
                shard_index: Some(1),
                ..v1::JobSpec::default()
            }),
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
            ..v1::Offer::default()
        };
        let told = Told::of(&offer, "w");
        assert_eq!(told.about().preflight, None);
        let mut check = v1::Preflight::default();
        check.set_status(v1::PreflightStatus::Failed);
        told.checked(&check);
        let about = told.about();
        assert_eq!(
            (
                about.stage,
                about.attempt,
                about.queue,
                about.volume,
                about.shard_index,
                about.preflight,
                about.worker
            ),
            (
                Some("submit"),
                Some(2),
                Some("codex-1"),
                Some("codex_auth_1"),
                Some(1),
                Some("failed"),
                Some("w")
            )
        );
        assert_eq!(about.trace_id, Some("0af7651916cd43dd8448eb211c80319c"));
    }
}
