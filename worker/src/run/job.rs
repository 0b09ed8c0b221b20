//! One job, from Accept to the report of its end.

use std::{sync::Arc, time::Duration};

use moorline_proto::v1::{self, finished::Outcome};
use moorline_telemetry::{metric, step, trace::Span};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::{
    STOP_LIMIT,
    jobs::Ticket,
    outcome::{self, Joined},
    stop::{Stop, Why},
};
use crate::{
    boot::Moment,
    config::Config,
    engine::Engine,
    holding::Holding,
    link::{Handle, JobOutlet, Lease},
    metrics,
    skill::Registry,
    stage::{
        self, AgentEnded, Context, Owner, RunFolder, plain,
        submit::{self, Adopted},
    },
    told::Told,
};

/// Longest time of a stage whose offer names none.
const LONGEST: Duration = Duration::from_secs(7200);

/// How often an end that the disk didn't take is written again.
const KEEP_AGAIN: Duration = Duration::from_secs(1);

/// A job that was accepted.
pub(super) struct Job {
    context: Context,
    handle: Handle,
    ticket: Ticket,
    /// Where it goes on, if another process of this worker began it.
    adopted: Option<Adopted>,
    told: Arc<Told>,
    /// From its acceptance to the report of its end.
    trace: Span,
}

impl Job {
    pub(super) fn new(
        config: &Arc<Config>,
        engine: &Arc<dyn Engine>,
        skills: &Arc<Registry>,
        holding: Option<&Holding>,
        handle: &Handle,
        mut offer: v1::Offer,
        (ticket, told): (Ticket, Arc<Told>),
    ) -> Self {
        let trace = told.span(&offer);
        // What is done for the job hangs below its span. The spool has the offer as it came.
        offer.traceparent = trace.place().to_string();
        let folder = RunFolder::below(&config.work_root, &offer.run_id, &offer.job_id);
        let token = ticket.stop.token.clone();
        let of_job = (ticket.lease.clone(), offer.stage());
        let outlet = JobOutlet::new(handle.clone(), of_job, told.clone(), folder.clone(), token.clone());
        let course = ticket.course.clone().since(Moment::now());
        let context = Context {
            config: config.clone(),
            engine: engine.clone(),
            holding: holding.cloned(),
            skills: skills.clone(),
            offer,
            folder,
            outlet: Arc::new(outlet),
            stop: token,
            leaving: ticket.leaving.clone(),
            going: ticket.going.clone(),
            agent_ended: AgentEnded::default(),
            course,
        };
        Self {
            context,
            handle: handle.clone(),
            ticket,
            adopted: None,
            told,
            trace,
        }
    }

    /// Goes on where another process of this worker was.
    pub(super) fn adopting(mut self, adopted: Adopted) -> Self {
        self.told.checked_before();
        self.context.course = self.context.course.since(adopted.at_work.began());
        self.adopted = Some(adopted);
        self
    }

    /// Runs the stage and reports its end, whatever it is.
    pub(super) async fn run(self) -> Lease {
        let span = self.span();
        self.work().instrument(span).await
    }

    fn span(&self) -> tracing::Span {
        let (offer, config) = (&self.context.offer, &self.context.config);
        let spec = offer.spec.as_ref();
        tracing::info_span!(
            "job",
            run_id = %offer.run_id,
            job_id = %offer.job_id,
            stage = %plain(offer.stage().as_str_name(), "STAGE_"),
            attempt = offer.attempt,
            queue = %offer.queue,
            volume = spec.map(|spec| spec.volume.as_str()).filter(|volume| !volume.is_empty()),
            shard_index = spec.and_then(|spec| spec.shard_index),
            worker = %config.name,
        )
    }

    async fn work(mut self) -> Lease {
        let accepted = Instant::now();
        match &self.adopted {
            None => step!(info, self.told.about(), status = "accepted"; "job accepted"),
            Some(adopted) => step!(info, self.told.about(), status = "adopted", container = adopted.container.id.as_str();
                "job adopted: it goes on where an earlier start of this worker was"),
        }
        let stop = self.ticket.stop.clone();
        // Jobs of one run share its folder: one that was fenced may still be at work. Held until nothing of this job is left in there.
        let turn = self.ticket.turn.clone().lock_owned();
        let turn = tokio::select! {
            biased;
            // One that was adopted has begun long ago: there is a container to stop.
            () = stop.token.cancelled(), if self.adopted.is_none() => None,
            turn = turn => Some(turn),
        };
        let outcome = match turn {
            Some(_) => self.outcome(accepted).await,
            None => outcome::stopped("not_started", stop.why()),
        };
        self.tell_end(&outcome, accepted.elapsed());
        // Whatever ended the stage, also if it broke or was given up: what is known of its way is told.
        let course = &self.context.course;
        let took = turn.as_ref().map_or(Duration::ZERO, |_| accepted.elapsed().max(course.elapsed()));
        let execution = course.end(took);
        let finished = v1::Finished {
            outcome: Some(outcome),
            execution: Some(execution),
        };
        let mut safe = self.handle.ledger.finish(&self.ticket.lease, finished).await;
        while turn.is_some() && !safe {
            tokio::time::sleep(KEEP_AGAIN).await;
            safe = self.handle.ledger.keep(&self.ticket.lease).await;
        }
        // Only now: a worker that is killed before finds container and folder as they were, and reports the same end.
        if turn.is_some() {
            self.tidy().await;
        }
        self.ticket.lease
    }

    fn tell_end(&mut self, outcome: &Outcome, took: Duration) {
        let (about, duration_ms) = (self.told.about(), u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        let how = match outcome {
            Outcome::Result(result) => {
                tell_tokens(result);
                step!(info, about, status = "succeeded", duration_ms = duration_ms; "job succeeded");
                "succeeded"
            }
            Outcome::Failure(failure) => {
                self.trace.fail(&failure.code);
                step!(warn, about, status = "failed", duration_ms = duration_ms, code = failure.code.as_str(), error = failure.message.as_str();
                    "job failed");
                "failed"
            }
            Outcome::Stopped(stopped) => {
                self.trace.fail("stopped");
                step!(info, about, status = "stopped", duration_ms = duration_ms, how = stopped.how.as_str(); "job stopped");
                "stopped"
            }
        };
        self.trace.set("moorline.status", how);
        let (stage, queue) = (self.told.stage.clone(), self.told.queue.clone());
        metrics::JOB_DURATION.took(took, [stage.clone().into(), how.into()]);
        metrics::JOBS.count([stage.into(), queue.into(), how.into(), metric::attempt(self.told.attempt)]);
    }

    async fn outcome(&mut self, accepted: Instant) -> Outcome {
        let stop = self.ticket.stop.clone();
        let deadline = accepted + self.time_left();
        if let Err(error) = self.context.folder.prepare(&self.context) {
            return Outcome::Failure(error);
        }
        let (context, adopted) = (self.context.clone(), self.adopted.take());
        let stage = async move {
            match adopted {
                None => stage::run(context).await,
                Some(adopted) => stage::resume(context, adopted).await,
            }
        };
        // In a task of its own, so that a panic is a failure and not silence.
        let stage = tokio::spawn(stage.in_current_span());
        let agent_ended = self.context.agent_ended.clone();
        let overdue = overdue(deadline, &agent_ended);
        let joined = supervise(AbortOnDropHandle::new(stage), &stop, overdue, STOP_LIMIT).await;
        let why = match stop.why() {
            Some(Why::TimedOut) if agent_ended.is_set() => Some(Why::TimedOutAfterwards),
            why => why,
        };
        match self.context.course.known_end() {
            Some(known) => outcome::known(known.clone(), joined, why),
            None => outcome::of(joined, why),
        }
    }

    /// What the stage may still take. An agent that was adopted has its container's limit, which went on without a worker; what comes after
    /// it needs its time in any case.
    fn time_left(&self) -> Duration {
        let timeout = self.context.offer.timeout.and_then(|timeout| Duration::try_from(timeout).ok());
        let all = timeout.filter(|timeout| !timeout.is_zero()).unwrap_or(LONGEST);
        match &self.adopted {
            None => all,
            Some(adopted) => all.saturating_sub(adopted.at_work.elapsed()).max(submit::AFTERWARDS),
        }
    }

    /// Whatever is worth keeping is an artifact by now.
    async fn tidy(&self) {
        // Only these stages start containers and make the run's folder.
        let offer = &self.context.offer;
        let shared = offer.stage() == v1::Stage::Submit || stage::needs_a_skill(offer);
        if shared {
            stage::clear(&self.context).await;
        }
        let folder = self.context.folder.clone();
        let owner = Owner::from(offer);
        let removed = tokio::task::spawn_blocking(move || {
            folder.remove_private()?;
            if shared { folder.remove_shared(Some(&owner)) } else { Ok(()) }
        });
        if let Ok(Err(error)) = removed.await {
            tracing::warn!(%error, folder = %self.context.folder.root.display(), "the run's folder could not be removed");
        }
    }
}

/// What an agent has used.
fn tell_tokens(result: &v1::JobResult) {
    if let Some(v1::job_result::Result::Submit(submit)) = &result.result {
        for (direction, tokens) in [("input", submit.input_tokens), ("output", submit.output_tokens)] {
            metrics::TOKENS.add(u64::try_from(tokens).unwrap_or_default(), [direction.into()]);
        }
    }
}

type Running = AbortOnDropHandle<Result<v1::JobResult, stage::Error>>;

/// Passes with the deadline, unless the agent has ended by then: what it has done is stored however long the server is away. Where another one
/// takes over, the deadline holds again.
async fn overdue(deadline: Instant, agent_ended: &AgentEnded) {
    loop {
        tokio::select! {
            biased;
            () = agent_ended.becomes(true) => agent_ended.becomes(false).await,
            () = tokio::time::sleep_until(deadline) => return,
        }
    }
}

/// Waits for a stage. One that is overdue is told to stop; one that doesn't stop is given up (`None`).
async fn supervise(mut stage: Running, stop: &Stop, overdue: impl Future<Output = ()>, limit: Duration) -> Option<Joined> {
    tokio::select! {
        joined = &mut stage => return Some(joined),
        () = stop.token.cancelled() => {}
        () = overdue => {
            stop.trip(Why::TimedOut);
        }
    }
    tokio::time::timeout(limit, stage).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spawn(stage: impl Future<Output = Result<v1::JobResult, stage::Error>> + Send + 'static) -> Running {
        AbortOnDropHandle::new(tokio::spawn(stage))
    }

    #[tokio::test]
    async fn a_stage_that_passes_its_deadline_is_told_to_stop() {
        let stop = Stop::default();
        let token = stop.token.clone();
        let stage = spawn(async move {
            token.cancelled().await;
            Err(stage::Error::Stopped("stopped"))
        });
        let joined = supervise(stage, &stop, overdue(Instant::now(), &AgentEnded::default()), LONGEST).await;
        assert!(matches!(joined, Some(Ok(Err(stage::Error::Stopped("stopped"))))));
        assert_eq!(stop.why(), Some(Why::TimedOut));
    }

    #[tokio::test]
    async fn what_comes_after_the_agent_has_no_deadline() {
        let (stop, agent_ended) = (Stop::default(), AgentEnded::default());
        let (token, ended) = (stop.token.clone(), agent_ended.clone());
        let stage = spawn(async move {
            ended.set();
            tokio::select! {
                () = token.cancelled() => Err(stage::Error::Stopped("stopped")),
                () = tokio::time::sleep(Duration::from_millis(200)) => Ok(v1::JobResult::default()),
            }
        });
        let deadline = Instant::now() + Duration::from_millis(20);
        let joined = supervise(stage, &stop, overdue(deadline, &agent_ended), LONGEST).await;
        assert!(matches!(joined, Some(Ok(Ok(_)))));
        assert_eq!(stop.why(), None);
    }

    #[tokio::test]
    async fn an_agent_that_takes_over_brings_the_deadline_back() {
        let agent_ended = AgentEnded::default();
        agent_ended.set();
        let (stop, ended) = (Stop::default(), agent_ended.clone());
        let token = stop.token.clone();
        let stage = spawn(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            ended.reset();
            token.cancelled().await;
            Err(stage::Error::Stopped("stopped"))
        });
        let deadline = Instant::now() + Duration::from_millis(20);
        supervise(stage, &stop, overdue(deadline, &agent_ended), LONGEST).await;
        assert_eq!(stop.why(), Some(Why::TimedOut));
    }

    #[tokio::test]
    async fn a_stage_that_does_not_stop_is_given_up() {
        let stop = Stop::default();
        stop.trip(Why::Cancelled);
        let joined = supervise(
            spawn(std::future::pending()),
            &stop,
            std::future::pending(),
            Duration::from_millis(10),
        )
        .await;
        assert!(joined.is_none());
        assert_eq!(stop.why(), Some(Why::Cancelled));
    }

    #[tokio::test]
    async fn a_panic_of_a_stage_is_caught() {
        let stage = spawn(async { panic!("a stage of the test breaks on purpose") });
        let joined = supervise(stage, &Stop::default(), std::future::pending(), LONGEST).await;
        assert!(matches!(joined, Some(Err(error)) if error.is_panic()));
    }
}
