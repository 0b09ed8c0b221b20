//! What the end of a stage means for its job.

use moorline_proto::v1::{self, FailureClass, finished::Outcome};
use tokio::task::JoinError;

use super::stop::Why;
use crate::stage::{self, STILL_RUNNING, failure};

/// How a stage's task ended.
pub(super) type Joined = Result<Result<v1::JobResult, stage::Error>, JoinError>;

/// The outcome of a stage that ended so, or was given up (`None`), with the cause for which it had been told to stop, if it had.
pub(super) fn of(joined: Option<Joined>, why: Option<Why>) -> Outcome {
    match joined {
        Some(Ok(Ok(result))) => Outcome::Result(result),
        Some(Ok(Err(stage::Error::Failed(failure)))) => failed(failure, why),
        Some(Ok(Err(stage::Error::Stopped(how)))) => stopped(how, why),
        Some(Err(error)) => {
            tracing::error!(%error, "a stage broke");
            let message = "the stage broke in the worker itself: retry the run, and report this with the worker's log";
            Outcome::Failure(failure("INTERNAL", FailureClass::Environment, message))
        }
        None => stopped(STILL_RUNNING, why),
    }
}

/// The outcome of a stage that had come to its end before its shadow began: what befalls the shadow changes nothing. Only a run that was cancelled
/// meanwhile has no use for a failure.
pub(super) fn known(known: Outcome, joined: Option<Joined>, why: Option<Why>) -> Outcome {
    match (joined, why) {
        (Some(ended @ Ok(_)), Some(Why::Cancelled | Why::Fenced)) => of(Some(ended), why),
        (Some(Ok(_)), _) => known,
        (Some(Err(error)), _) => {
            tracing::error!(%error, "a shadow broke: its stage has the end that it had before; report this with the worker's log");
            known
        }
        (None, _) => {
            tracing::error!(
                ?why,
                "A SHADOW WOULD NOT DIE: it was told to stop, and was killed, and may run on; see what the engine says above"
            );
            known
        }
    }
}

/// What it means that a stage was stopped.
pub(super) fn stopped(how: &str, why: Option<Why>) -> Outcome {
    let lost = |code, message: &str| Outcome::Failure(failure(code, FailureClass::LostWorker, message));
    match why {
        Some(Why::TimedOut) => {
            let message = "the stage took longer than it may: retry the run, with a longer agent_timeout where the agent needs it";
            Outcome::Failure(failure("STAGE_TIMED_OUT", FailureClass::Job, message))
        }
        Some(Why::TimedOutAfterwards) => {
            let message = "the stage's time was over when its agent ended, and the agent's work was not stored: retry the run";
            Outcome::Failure(failure("STAGE_TIMED_OUT", FailureClass::Environment, message))
        }
        Some(Why::LostContact) => lost("LOST_CONTACT", "the worker stopped the job because it had no line to the server"),
        Some(Why::Leaving) => lost("WORKER_STOPPED", "the worker was stopped before the job had ended"),
        Some(why @ (Why::Cancelled | Why::Fenced)) => {
            if how == STILL_RUNNING {
                tracing::error!(
                    ?why,
                    "THE JOB WOULD NOT DIE: it was told to stop, and was killed, and may run on; see what the engine says above"
                );
            }
            Outcome::Stopped(v1::Stopped { how: how.to_owned() })
        }
        None => Outcome::Failure(failure(
            "INTERNAL",
            FailureClass::Environment,
            "the stage stopped without being told to: retry the run",
        )),
    }
}

/// A stage that is told to stop breaks off its transfers and its container, and may call that a failure. One that ran out of time is
/// left its own word: it says what took so long.
fn failed(failure: v1::Failure, why: Option<Why>) -> Outcome {
    match why {
        None | Some(Why::TimedOut | Why::TimedOutAfterwards) => Outcome::Failure(failure),
        Some(Why::Cancelled | Why::Fenced | Why::LostContact | Why::Leaving) => {
            tracing::info!(code = %failure.code, "the stage failed while it was being stopped: {}", failure.message);
            stopped("stopped", why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stop_has_caused_is_not_the_job_s_failure() {
        let end = |why| {
            let failure = failure("TRANSFER_FAILED", FailureClass::Environment, "broken off");
            match of(Some(Ok(Err(stage::Error::Failed(failure)))), why) {
                Outcome::Failure(failure) => format!("{} {:?}", failure.code, failure.class()),
                Outcome::Stopped(stopped) => stopped.how,
                Outcome::Result(_) => "result".to_owned(),
            }
        };
        assert_eq!(end(None), "TRANSFER_FAILED Environment");
        assert_eq!(end(Some(Why::TimedOut)), "TRANSFER_FAILED Environment");
        assert_eq!(end(Some(Why::LostContact)), "LOST_CONTACT LostWorker");
        assert_eq!(end(Some(Why::Leaving)), "WORKER_STOPPED LostWorker");
        assert_eq!(end(Some(Why::Cancelled)), "stopped");
        assert_eq!(end(Some(Why::Fenced)), "stopped");
    }

    #[test]
    fn what_befalls_a_shadow_changes_no_end_that_was_known_before() {
        let skill = || failure("SKILL_FAILED", FailureClass::Job, "it broke");
        let own = || Some(Ok(Err(stage::Error::Failed(skill()))));
        let whys = [None, Some(Why::TimedOut), Some(Why::LostContact), Some(Why::Leaving)];
        for (joined, why) in whys.into_iter().flat_map(|why| [(None, why), (own(), why)]) {
            let end = known(Outcome::Failure(skill()), joined, why);
            assert_eq!(end, Outcome::Failure(skill()), "{why:?}");
        }
        let end = known(Outcome::Result(v1::JobResult::default()), None, Some(Why::Cancelled));
        assert!(matches!(end, Outcome::Result(_)), "{end:?}");
        let end = known(Outcome::Failure(skill()), own(), Some(Why::Cancelled));
        assert!(matches!(&end, Outcome::Stopped(stopped) if stopped.how == "stopped"), "{end:?}");
    }

    #[tokio::test]
    async fn a_shadow_that_breaks_leaves_the_end_as_it_was() {
        let broke = tokio::spawn(async { panic!("a shadow of the test breaks on purpose") }).await;
        let end = known(Outcome::Result(v1::JobResult::default()), Some(broke), None);
        assert!(matches!(end, Outcome::Result(_)), "{end:?}");
    }

    #[test]
    fn a_time_out_is_the_job_s_only_while_its_agent_works() {
        let class = |why| match of(Some(Ok(Err(stage::Error::Stopped("stopped")))), Some(why)) {
            Outcome::Failure(failure) => failure.class(),
            other => panic!("{other:?}"),
        };
        assert_eq!(class(Why::TimedOut), FailureClass::Job);
        assert_eq!(class(Why::TimedOutAfterwards), FailureClass::Environment);
    }

    #[test]
    fn a_job_that_would_not_die_is_reported_as_such() {
        let how = |ended| match of(ended, Some(Why::Cancelled)) {
            Outcome::Stopped(stopped) => stopped.how,
            other => panic!("{other:?}"),
        };
        assert_eq!(how(None), "still_running");
        assert_eq!(how(Some(Ok(Err(stage::Error::Stopped(STILL_RUNNING))))), "still_running");
        assert_eq!(how(Some(Ok(Err(stage::Error::Stopped("killed"))))), "killed");
    }

    #[test]
    fn a_result_that_came_in_spite_of_a_stop_counts() {
        let ended = of(Some(Ok(Ok(v1::JobResult::default()))), Some(Why::Leaving));
        assert!(matches!(ended, Outcome::Result(_)));
    }
}
