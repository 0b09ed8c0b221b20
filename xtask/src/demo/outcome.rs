//! What came of a run, as `moorline run get --output json` shows it, and as the demo's one JSON line tells it.

use anyhow::{Context, Result};
use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The demo's JSON line.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The run.
    pub run_id: String,
    /// How it ended.
    pub status: String,
    /// Its shard's queue.
    pub queue: Option<String>,
    /// Its shard's volume.
    pub volume: Option<String>,
    /// Result of the login check.
    pub preflight_status: Option<String>,
    /// The branch that was pushed.
    pub branch: Option<String>,
    /// The commit on it; `null` when nothing was published.
    pub commit: Option<String>,
    /// Every attempt of every stage, in their order.
    pub stages: Vec<Stage>,
}

/// One attempt of one stage.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// `discover`, `submit` or `publish`.
    pub stage: String,
    /// How it ended.
    pub status: String,
    /// From 1.
    pub attempt: i64,
    /// From acceptance by a worker to the end, in milliseconds; `null` when it wasn't run.
    pub duration_ms: Option<i64>,
}

/// What is read of a run.
#[derive(Debug, Deserialize)]
struct Run {
    run_id: String,
    status: String,
    codex_queue: Option<String>,
    codex_volume: Option<String>,
    codex_preflight_status: Option<String>,
    branch_name: Option<String>,
    jobs: Vec<Job>,
}

#[derive(Debug, Deserialize)]
struct Job {
    stage: String,
    status: String,
    attempt: i64,
    started_at: Option<DateTime<FixedOffset>>,
    finished_at: Option<DateTime<FixedOffset>>,
    #[serde(default)]
    result: Value,
}

impl Outcome {
    /// Reads what `moorline run get --output json` printed.
    pub fn read(json: &str) -> Result<Self> {
        let mut run: Run = serde_json::from_str(json).context("`moorline run get` printed something else than a run")?;
        run.jobs.sort_by_key(|job| (order(&job.stage), job.attempt));
        let commit = run
            .jobs
            .iter()
            .rev()
            .find_map(|job| job.result["commit"].as_str())
            .map(str::to_owned);
        let stages = run.jobs.into_iter().map(Stage::from).collect();
        Ok(Self {
            run_id: run.run_id,
            status: run.status,
            queue: run.codex_queue,
            volume: run.codex_volume,
            preflight_status: run.codex_preflight_status,
            branch: run.branch_name.filter(|_| commit.is_some()),
            commit,
            stages,
        })
    }
}

impl From<Job> for Stage {
    fn from(job: Job) -> Self {
        let took = job
            .started_at
            .zip(job.finished_at)
            .map(|(start, end)| (end - start).num_milliseconds());
        Self {
            stage: job.stage,
            status: job.status,
            attempt: job.attempt,
            duration_ms: took,
        }
    }
}

fn order(stage: &str) -> usize {
    ["discover", "submit", "publish"]
        .iter()
        .position(|known| *known == stage)
        .unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = r#"{"run_id":"0197","status":"succeeded","codex_queue":"codex-1","codex_volume":"moorline_demo_auth_1",
        "codex_preflight_status":"passed","branch_name":"moorline/001-greeting/0123456789ab","jobs":[
        {"stage":"publish","status":"succeeded","attempt":1,"started_at":"2026-01-01T00:00:01.5Z","finished_at":"2026-01-01T00:00:02Z",
         "result":{"branch_name":"b","commit":"c0ffee"}},
        {"stage":"discover","status":"succeeded","attempt":1,"started_at":"2026-01-01T00:00:00+00:00","finished_at":"2026-01-01T00:00:00.25+00:00","result":null},
        {"stage":"submit","status":"skipped","attempt":1,"started_at":null,"finished_at":null}]}"#;

    #[test]
    fn a_run_is_told_in_the_order_of_its_stages() {
        let outcome = Outcome::read(RUN).unwrap();
        assert_eq!(
            serde_json::to_string(&outcome).unwrap(),
            r#"{"run_id":"0197","status":"succeeded","queue":"codex-1","volume":"moorline_demo_auth_1","preflight_status":"passed","#
                .to_owned()
                + r#""branch":"moorline/001-greeting/0123456789ab","commit":"c0ffee","stages":["#
                + r#"{"stage":"discover","status":"succeeded","attempt":1,"duration_ms":250},"#
                + r#"{"stage":"submit","status":"skipped","attempt":1,"duration_ms":null},"#
                + r#"{"stage":"publish","status":"succeeded","attempt":1,"duration_ms":500}]}"#
        );
    }

    #[test]
    fn a_run_that_published_nothing_has_neither_branch_nor_commit() {
        let outcome = Outcome::read(&RUN.replace(r#""commit":"c0ffee""#, r#""pr_existed":false"#)).unwrap();
        assert_eq!((outcome.branch, outcome.commit), (None, None));
    }
}
