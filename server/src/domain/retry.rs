//! What follows a failed attempt: another one, when and where, or the end of the run.
//!
//! | whose failure | what follows |
//! | --- | --- |
//! | the job's own | the run fails: another attempt would fail the same way |
//! | the environment's | another attempt after a back-off, on another worker, up to a maximum per stage |
//! | the login's | the run fails with the remedy, since no attempt mends a login; or, where it asked to, waits for a renewed one |
//! | a lost worker's | another attempt at once, counted apart from the others |
//!
//! Attempts are counted since the run was last retried by a client: a retried run gets all of them anew.

use std::{collections::BTreeMap, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBuilder};

use super::{
    job::{Failure, FailureClass, HoldReason},
    stage::Stage,
};

/// Attempts of one stage that may be lost with their workers before the run fails.
pub const LOST_ATTEMPTS_MAX: u32 = 5;

/// How often a stage is tried, and how long it waits in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The first delay is at most this long; each further one at most twice as long as the one before.
    pub base: Duration,
    /// No delay is longer.
    pub cap: Duration,
    /// Attempts of discover that the environment may fail before the run fails.
    pub discover_attempts: u32,
    /// The same of submit.
    pub submit_attempts: u32,
    /// The same of publish, which stands between a paid-for patch and its pull request.
    pub publish_attempts: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(10),
            cap: Duration::from_secs(300),
            discover_attempts: 3,
            submit_attempts: 3,
            publish_attempts: 5,
        }
    }
}

/// How often a stage has failed since the run was last retried by a client, the failure in hand included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tried {
    /// By the environment.
    pub environment: u32,
    /// Lost with its worker.
    pub lost: u32,
}

impl Tried {
    /// Counts failed attempts of one stage.
    pub fn of(classes: impl IntoIterator<Item = FailureClass>) -> Self {
        let mut tried = Self::default();
        for class in classes {
            match class {
                FailureClass::Environment => tried.environment += 1,
                FailureClass::LostWorker => tried.lost += 1,
                FailureClass::Job | FailureClass::Login => {}
            }
        }
        tried
    }
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Another attempt.
    Again {
        /// It is offered to nobody before this has passed.
        delay: Duration,
        /// Whether another worker should take it, if there is one.
        elsewhere: bool,
    },
    /// None: the run fails.
    Fail,
}

impl Policy {
    /// What follows an attempt that failed. `jitter`, from 0 to 1, spreads the delays: attempts that failed together must not come back together.
    pub fn decide(&self, stage: Stage, class: FailureClass, tried: Tried, jitter: f64) -> Decision {
        match class {
            FailureClass::Job | FailureClass::Login => Decision::Fail,
            FailureClass::LostWorker if tried.lost < LOST_ATTEMPTS_MAX => Decision::Again {
                delay: Duration::ZERO,
                elsewhere: false,
            },
            FailureClass::Environment if tried.environment < self.attempts(stage) => Decision::Again {
                delay: self.ceiling(tried.environment).mul_f64(jitter.clamp(0.0, 1.0)),
                // One worker holds the volume that submit needs: there is no other to wait for.
                elsewhere: stage != Stage::Submit,
            },
            FailureClass::LostWorker | FailureClass::Environment => Decision::Fail,
        }
    }

    /// How often the environment may fail a stage.
    pub fn attempts(&self, stage: Stage) -> u32 {
        match stage {
            Stage::Discover => self.discover_attempts,
            Stage::Submit => self.submit_attempts,
            Stage::Publish => self.publish_attempts,
        }
    }

    /// Longest delay after this many failures.
    fn ceiling(&self, failures: u32) -> Duration {
        let ceilings = ExponentialBuilder::new()
            .with_min_delay(self.base)
            .with_max_delay(self.cap)
            .without_max_times();
        let before = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
        ceilings.build().nth(before).unwrap_or(self.cap)
    }
}

impl Failure {
    /// The failure as it ends the run: it says how often the stage was tried, where that was more than once.
    #[must_use]
    pub fn for_good(mut self, tried: Tried) -> Self {
        let (times, why) = match self.class {
            FailureClass::Environment => (
                tried.environment,
                "the stage was tried {} times: mend what is named here, then retry the run",
            ),
            FailureClass::LostWorker => (
                tried.lost,
                "the stage lost its worker {} times: see the workers' logs, then retry the run",
            ),
            FailureClass::Job | FailureClass::Login => return self,
        };
        self.details.insert("attempts".to_owned(), times.to_string());
        if times > 1 {
            self.message = format!("{}; the last time, {}", why.replace("{}", &times.to_string()), self.message);
        }
        self
    }
}

/// What a job has waited for in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait<'a> {
    /// A worker with room.
    NotTaken,
    /// An end of its hold.
    Held(HoldReason),
    /// A worker that has this skill ready for the stage.
    LacksSkill(&'a str, Stage),
}

/// Nobody took a job within its time in the queue. No attempt follows, since it would wait in the same queue.
pub fn queue_timeout(queue: &str, waited: Duration, wait: Wait<'_>) -> Failure {
    let waited = humantime::format_duration(Duration::from_secs(waited.as_secs()));
    let why = match wait {
        Wait::NotTaken => "no worker took it".to_owned(),
        Wait::Held(hold) => format!("it was held, {hold}"),
        Wait::LacksSkill(skill, stage) => format!("no connected worker of it has the skill {skill} ready for {stage}"),
    };
    let remedy = match wait {
        Wait::NotTaken => "start a worker that serves the queue, or one more".to_owned(),
        Wait::Held(HoldReason::ShardOffline) => format!("start the shard's worker (`moorline shard show {queue}` shows whose it is)"),
        Wait::Held(HoldReason::ShardDraining) => "let the shard take work again".to_owned(),
        Wait::Held(HoldReason::WaitingAuth) => format!("renew the shard's login (`moorline shard show {queue}` shows its volume)"),
        Wait::Held(HoldReason::CoolingDown) => "wait until the account's limit is over, or add a shard with another account".to_owned(),
        Wait::Held(HoldReason::CheckingLogin) => {
            format!("see why the shard's worker can't check its login (`moorline shard show {queue}`)")
        }
        Wait::LacksSkill(..) => {
            "give a worker of the queue that skill (`moorline worker show` tells what each one's skills lack), or have \
             the policy choose another or none"
                .to_owned()
        }
    };
    let mut details = BTreeMap::from([("queue".to_owned(), queue.to_owned())]);
    match wait {
        Wait::NotTaken => {}
        Wait::Held(hold) => drop(details.insert("hold_reason".to_owned(), hold.to_string())),
        Wait::LacksSkill(skill, stage) => {
            details.extend([("skill".to_owned(), skill.to_owned()), ("stage".to_owned(), stage.to_string())]);
        }
    }
    Failure {
        code: "QUEUE_TIMEOUT".to_owned(),
        message: format!(
            "the job waited {waited} in queue {queue} and {why}: {remedy}, then retry the run with `moorline run retry`; \
             `--queue-timeout` gives new runs more time"
        ),
        class: FailureClass::Environment,
        details,
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;

    fn again(seconds: u64, elsewhere: bool) -> Decision {
        Decision::Again {
            delay: Duration::from_secs(seconds),
            elsewhere,
        }
    }

    #[test]
    fn each_class_has_its_answer() {
        let policy = Policy::default();
        let mut lines = Vec::new();
        for class in FailureClass::VARIANTS {
            let most = if matches!(class, FailureClass::Job | FailureClass::Login) {
                1
            } else {
                6
            };
            for failures in 1..=most {
                let tried = Tried::of(vec![*class; failures]);
                let decided = Stage::VARIANTS.iter().map(|stage| match policy.decide(*stage, *class, tried, 1.0) {
                    Decision::Again { delay, elsewhere: true } => format!("{stage} elsewhere in {delay:?}"),
                    Decision::Again { delay, elsewhere: false } => format!("{stage} again in {delay:?}"),
                    Decision::Fail => format!("{stage} fails"),
                });
                lines.push(format!("{class} × {failures}: {}", decided.collect::<Vec<_>>().join(", ")));
            }
        }
        insta::assert_snapshot!(lines.join("\n"), @r"
        job × 1: discover fails, submit fails, publish fails
        environment × 1: discover elsewhere in 10s, submit again in 10s, publish elsewhere in 10s
        environment × 2: discover elsewhere in 20s, submit again in 20s, publish elsewhere in 20s
        environment × 3: discover fails, submit fails, publish elsewhere in 40s
        environment × 4: discover fails, submit fails, publish elsewhere in 80s
        environment × 5: discover fails, submit fails, publish fails
        environment × 6: discover fails, submit fails, publish fails
        login × 1: discover fails, submit fails, publish fails
        lost_worker × 1: discover again in 0ns, submit again in 0ns, publish again in 0ns
        lost_worker × 2: discover again in 0ns, submit again in 0ns, publish again in 0ns
        lost_worker × 3: discover again in 0ns, submit again in 0ns, publish again in 0ns
        lost_worker × 4: discover again in 0ns, submit again in 0ns, publish again in 0ns
        lost_worker × 5: discover fails, submit fails, publish fails
        lost_worker × 6: discover fails, submit fails, publish fails
        ");
    }

    #[test]
    fn delays_double_up_to_the_cap_and_are_spread_over_all_of_it() {
        let policy = Policy {
            publish_attempts: u32::MAX,
            ..Policy::default()
        };
        let delay = |environment, jitter| {
            let tried = Tried { environment, lost: 0 };
            match policy.decide(Stage::Publish, FailureClass::Environment, tried, jitter) {
                Decision::Again { delay, .. } => delay,
                Decision::Fail => panic!("no further attempt after {environment}"),
            }
        };
        let ceilings: Vec<u64> = (1..=8).map(|failures| delay(failures, 1.0).as_secs()).collect();
        assert_eq!(ceilings, [10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(delay(1000, 1.0), policy.cap);
        for failures in [1, 3, 50] {
            assert_eq!(delay(failures, 0.0), Duration::ZERO);
            assert_eq!(delay(failures, 0.5) * 2, delay(failures, 1.0));
            assert!(delay(failures, f64::from(u32::MAX)) <= policy.cap);
        }
    }

    #[test]
    fn lost_workers_and_broken_surroundings_are_counted_apart() {
        let policy = Policy::default();
        let tried = Tried {
            environment: 2,
            lost: LOST_ATTEMPTS_MAX - 1,
        };
        let decide = |class, tried| policy.decide(Stage::Discover, class, tried, 1.0);
        assert_eq!(decide(FailureClass::Environment, tried), again(20, true));
        assert_eq!(decide(FailureClass::LostWorker, tried), again(0, false));
        let lost_too_often = Tried {
            lost: LOST_ATTEMPTS_MAX,
            ..tried
        };
        assert_eq!(decide(FailureClass::LostWorker, lost_too_often), Decision::Fail);
        assert_eq!(decide(FailureClass::Environment, lost_too_often), again(20, true));
    }

    #[test]
    fn a_job_that_waited_too_long_says_how_long_and_why_and_what_to_do() {
        let held = HoldReason::VARIANTS.iter().copied().map(Wait::Held);
        let waits = [Wait::NotTaken]
            .into_iter()
            .chain(held)
            .chain([Wait::LacksSkill("review", Stage::Submit)]);
        let told: Vec<String> = waits
            .map(|wait| queue_timeout("codex-1", Duration::from_millis(3_600_900), wait))
            .map(|failure| format!("{} {:?}", failure.message, failure.details))
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        the job waited 1h in queue codex-1 and no worker took it: start a worker that serves the queue, or one more, then retry the run with `moorline run retry`; `--queue-timeout` gives new runs more time {"queue": "codex-1"}
        the job waited 1h in queue codex-1 and it was held, SHARD_DRAINING: let the shard take work again, then retry the run with `moorline run retry`; `--queue-timeout` gives new runs more time {"hold_reason": "SHARD_DRAINING", "queue": "codex-1"}
        the job waited 1h in queue codex-1 and it was held, SHARD_OFFLINE: start the shard's worker (`moorline shard show codex-1` shows whose it is), then retry the run with `moorline run retry`; `--queue-timeout` gives new runs more time {"hold_reason": "SHARD_OFFLINE", "queue": "codex-1"}
        the job waited 1h in queue codex-1 and it was held, WAITING_AUTH: renew the shard's login (`moorline shard show codex-1` shows its volume), then retry the run with `moorline run retry`; `--queue-timeout` gives new runs more time {"hold_reason": "WAITING_AUTH", "queue": "codex-1"}
        the job waited 1h in queue codex-1 and it was held, COOLING_DOWN: wait until the account's limit is over, or add a shard with another account, then retry the run with `moorline run retry`; `--queue-timeout` gives new runs more time {"hold_reason": "COOLING_DOWN", "queue": "codex-1"}
        the job waited 1h in queue codex-1 and it was held, CHECKING_LOGIN: see why the shard's worker can't check its login (`moorline shard show codex-1`), then retry the run with `moorline run retry`; `--queue-timeout` gives new runs more time {"hold_reason": "CHECKING_LOGIN", "queue": "codex-1"}
        the job waited 1h in queue codex-1 and no connected worker of it has the skill review ready for submit: give a worker of the queue that skill (`moorline worker show` tells what each one's skills lack), or have the policy choose another or none, then retry the run with `moorline run retry`; `--queue-timeout` gives new runs more time {"queue": "codex-1", "skill": "review", "stage": "submit"}
        "#);
    }

    #[test]
    fn a_failure_for_good_says_how_often_it_was_tried() {
        let failure = |class, tried: u32| {
            let failure = Failure {
                code: "FORGE_UNREACHABLE".to_owned(),
                message: "no answer from the forge".to_owned(),
                class,
                details: Default::default(),
            };
            let failure = failure.for_good(Tried::of(vec![class; tried as usize]));
            format!("{} {:?}", failure.message, failure.details)
        };
        let told = [
            failure(FailureClass::Job, 1),
            failure(FailureClass::Login, 1),
            failure(FailureClass::Environment, 1),
            failure(FailureClass::Environment, 3),
            failure(FailureClass::LostWorker, 5),
        ];
        insta::assert_snapshot!(told.join("\n"), @r#"
        no answer from the forge {}
        no answer from the forge {}
        no answer from the forge {"attempts": "1"}
        the stage was tried 3 times: mend what is named here, then retry the run; the last time, no answer from the forge {"attempts": "3"}
        the stage lost its worker 5 times: see the workers' logs, then retry the run; the last time, no answer from the forge {"attempts": "5"}
        "#);
    }
}
