//! What a scripted worker holds, across its streams: jobs without an end, and ends without an acknowledgement.

use std::collections::{BTreeMap, VecDeque};

use moorline_proto::v1;
use tokio::time::Instant;

use super::Pace;

/// What the repositories of a backlog begin with.
pub const BACKLOG: &str = "backlog/";

/// A job in hand.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Held {
    /// The job.
    pub job_id: String,
    /// Its lease.
    pub lease_token: i64,
    /// Its stage, as the protocol numbers it.
    pub stage: i32,
    /// Whether its end has been reported.
    pub finished: bool,
    /// Whether it is of the backlog, which is not what is measured.
    pub other: bool,
}

impl Held {
    /// As Hello names it.
    pub fn message(&self) -> v1::HeldJob {
        v1::HeldJob {
            job_id: self.job_id.clone(),
            lease_token: self.lease_token,
            finished: self.finished,
            last_sequence: i64::from(self.finished),
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Desk {
    jobs: BTreeMap<(String, i64), Held>,
    /// Jobs at work, in the order in which they end.
    ends: VecDeque<(Instant, (String, i64))>,
}

impl Desk {
    /// A desk with what an earlier process has left.
    pub fn of(inventory: Vec<Held>) -> Self {
        Self {
            jobs: inventory
                .into_iter()
                .map(|held| ((held.job_id.clone(), held.lease_token), held))
                .collect(),
            ends: VecDeque::new(),
        }
    }

    /// Takes a job in hand; its report when it ends at once.
    pub fn take(&mut self, offer: &v1::Offer, pace: Pace) -> Option<v1::Report> {
        let key = (offer.job_id.clone(), offer.lease_token);
        let held = Held {
            job_id: offer.job_id.clone(),
            lease_token: offer.lease_token,
            stage: offer.stage,
            finished: false,
            other: offer.spec.as_ref().is_some_and(|spec| spec.repository.starts_with(BACKLOG)),
        };
        self.jobs.insert(key.clone(), held);
        match pace {
            Pace::AtOnce => self.end(&key),
            Pace::After(time) => {
                self.ends.push_back((Instant::now() + time, key));
                None
            }
            Pace::Never => None,
        }
    }

    /// When the next job at work ends.
    pub fn next_end(&self) -> Option<Instant> {
        self.ends.front().map(|(at, _)| *at)
    }

    /// Ends the next job at work; its report, unless it was taken away meanwhile.
    pub fn end_next(&mut self) -> Option<v1::Report> {
        let (_, key) = self.ends.pop_front()?;
        self.end(&key)
    }

    /// Lets go of a job, if it was in hand.
    pub fn drop_job(&mut self, job_id: &str, lease_token: i64) -> Option<Held> {
        self.jobs.remove(&(job_id.to_owned(), lease_token))
    }

    /// What is in hand.
    pub fn inventory(&self) -> impl Iterator<Item = &Held> {
        self.jobs.values()
    }

    /// How many jobs are in hand.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    fn end(&mut self, key: &(String, i64)) -> Option<v1::Report> {
        let held = self.jobs.get_mut(key)?;
        held.finished = true;
        Some(report(held))
    }
}

/// The end of a job, as its stage reports it.
pub fn report(held: &Held) -> v1::Report {
    use v1::job_result::Result;
    let result = match v1::Stage::try_from(held.stage) {
        Ok(v1::Stage::Submit) => Result::Submit(v1::SubmitResult {
            codex_task_id: "thread-of-the-benchmark".to_owned(),
            base_commit: "a".repeat(40),
            patch_artifact_id: uuid::Uuid::nil().to_string(),
            files_changed: 1,
            ..Default::default()
        }),
        Ok(v1::Stage::Publish) => Result::Publish(v1::PublishResult {
            branch_name: "moorline/benchmark".to_owned(),
            commit: "b".repeat(40),
            ..Default::default()
        }),
        _ => Result::Discover(v1::DiscoverResult {
            base_ref: "main".to_owned(),
            base_commit: "a".repeat(40),
            phase: Some(v1::TaskPhase {
                number: "1".to_owned(),
                title: "Setup".to_owned(),
                tasks: vec![v1::Task {
                    task_id: "T001".to_owned(),
                    description: "Say hello".to_owned(),
                    line: 5,
                    ..Default::default()
                }],
                ..Default::default()
            }),
            ..Default::default()
        }),
    };
    let outcome = v1::finished::Outcome::Result(v1::JobResult { result: Some(result) });
    v1::Report {
        job_id: held.job_id.clone(),
        lease_token: held.lease_token,
        sequence: 1,
        news: Some(v1::report::News::Finished(v1::Finished {
            outcome: Some(outcome),
            execution: None,
        })),
    }
}
