//! What the database says.

use std::collections::BTreeMap;

use anyhow::Context as _;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// By id.
    pub runs: BTreeMap<Uuid, Run>,
    /// By id.
    pub jobs: BTreeMap<Uuid, Job>,
}

/// A run.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// Its status.
    pub status: String,
    /// Its idempotency key.
    pub key: Option<String>,
    /// The number of its last event, as the run says.
    pub last_event: i64,
    /// How many events there are.
    pub events: i64,
    /// The highest number among them.
    pub highest_event: i64,
    /// The status in the last event that tells one.
    pub told: Option<String>,
    /// How many terminal statuses that can't be left again were told.
    pub final_told: i64,
}

/// A job.
#[derive(Debug, Clone, Default)]
pub struct Job {
    /// Its run.
    pub run: Uuid,
    /// Its stage.
    pub stage: String,
    /// Its attempt.
    pub attempt: i32,
    /// Its status.
    pub status: String,
    /// Its lease.
    pub token: Option<i64>,
    /// The last report that is stored.
    pub sequence: i64,
    /// Its result or failure, as JSON.
    pub outcome: String,
    /// How often events tell that it was accepted.
    pub accepted: i64,
    /// Progress that events tell of it.
    pub progress: Vec<String>,
}

/// Whether a status is the end of a run, for now or for good.
pub fn is_terminal(status: &str) -> bool {
    matches!(status, "succeeded" | "failed" | "no_work" | "cancelled")
}

impl Facts {
    /// Reads everything.
    ///
    /// # Errors
    ///
    /// When the database can't be read.
    pub async fn read(client: &Client) -> anyhow::Result<Self> {
        let mut facts = Self::default();
        let rows = client
            .query(
                "select id::text, status, idempotency_key, last_event_sequence, count(sequence), coalesce(max(sequence), 0),
                    (array_agg(body->>'status' order by sequence desc) filter (where kind = 'run_changed'))[1],
                    count(*) filter (where kind = 'run_changed' and body->>'status' in ('succeeded', 'no_work', 'cancelled'))
                 from runs left join run_events on run_id = id group by id",
                &[],
            )
            .await
            .context("could not read the runs")?;
        for row in rows {
            let run = Run {
                status: row.get(1),
                key: row.get(2),
                last_event: row.get(3),
                events: row.get(4),
                highest_event: row.get(5),
                told: row.get(6),
                final_told: row.get(7),
            };
            facts.runs.insert(id(&row, 0)?, run);
        }
        let rows = client
            .query(
                "select jobs.id::text, jobs.run_id::text, stage, attempt, status, lease_token, last_report_sequence, coalesce(result, failure)::text
                 from jobs",
                &[],
            )
            .await
            .context("could not read the jobs")?;
        for row in rows {
            let job = Job {
                run: id(&row, 1)?,
                stage: row.get(2),
                attempt: row.get(3),
                status: row.get(4),
                token: row.get(5),
                sequence: row.get(6),
                outcome: row.get::<_, Option<String>>(7).unwrap_or_default(),
                accepted: 0,
                progress: Vec::new(),
            };
            facts.jobs.insert(id(&row, 0)?, job);
        }
        facts.add_events(client).await?;
        Ok(facts)
    }

    async fn add_events(&mut self, client: &Client) -> anyhow::Result<()> {
        let rows = client
            .query(
                "select body->>'job_id', count(*) filter (where kind = 'job_changed' and body->>'status' = 'running'),
                    coalesce(array_agg(body->>'message' order by sequence) filter (where kind = 'progress'), '{}')
                 from run_events where body ? 'job_id' group by 1",
                &[],
            )
            .await
            .context("could not read the events")?;
        for row in rows {
            if let Some(job) = self.jobs.get_mut(&id(&row, 0)?) {
                (job.accepted, job.progress) = (row.get(1), row.get(2));
            }
        }
        Ok(())
    }
}

fn id(row: &Row, column: usize) -> anyhow::Result<Uuid> {
    row.get::<_, &str>(column).parse().context("an id in the database")
}
