//! One statement for each step of a batch of runs: what changed between two looks, for every row at once.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use chrono::{DateTime, FixedOffset, TimeDelta};
use serde_json::Value;
use tokio_postgres::{Client, Statement};

use super::{
    BATCH,
    observe::{Event, Observed, Row, Seen},
};

/// Columns of a run that differ from run to run; the rest is as it was in the run that was observed.
pub(super) const RUN_OWN: [&str; 6] = ["id", "repository", "feature_key", "affinity_key", "branch_name", "artifacts_path"];
/// Columns of a job that differ from job to job. Its rank is the number of the run, in place of the server's fair order.
pub(super) const JOB_OWN: [&str; 3] = ["id", "run_id", "fair_rank"];

/// The steps of one kind of run, prepared on one connection.
#[derive(Debug, Clone)]
pub struct Steps {
    /// Queues runs: run ids, repositories, feature keys, affinity keys, branches, folders, job ids, ranks; then events.
    pub queue: Statement,
    /// Claims from the queue: ids, runs and tokens come back.
    pub claim: Statement,
    /// Accepts: job ids, tokens, run ids; then events.
    pub accept: Statement,
    /// Ends: the same.
    pub end: Statement,
    /// Events that each step records.
    pub events: [Vec<Event>; 3],
    /// The job whose id is in their text.
    pub observed_job: String,
}

/// Types of a table's columns.
pub(super) type Types = BTreeMap<String, String>;

/// Prepares the steps.
pub async fn prepare(client: &Client, observed: &Observed, instance_id: &str) -> Result<Steps> {
    // Like the server's own, these statements must not depend on statistics that lag behind a queue, nor be compiled for the cost that a
    // method has on paper once it is off.
    for setting in [
        "enable_seqscan",
        "enable_bitmapscan",
        "enable_sort",
        "enable_hashjoin",
        "enable_mergejoin",
        "jit",
    ] {
        client.batch_execute(&format!("set {setting} = off")).await?;
    }
    let (runs, jobs) = (types(client, "runs").await?, types(client, "jobs").await?);
    let Observed { queued, running, finished } = observed;
    let events = [queued.events.clone(), after(running, queued), after(finished, running)];
    let text = |name: &str| queued.job.get(name).and_then(Value::as_str).map(str::to_owned);
    let queue_name = text("queue").context("a job without a queue")?;
    Ok(Steps {
        queue: client.prepare(&queue_sql(queued, &runs, &jobs)).await?,
        claim: client.prepare(&claim_sql(&queue_name, running, instance_id)).await?,
        accept: client.prepare(&step_sql(queued, running, "queued", &runs, &jobs)).await?,
        end: client.prepare(&step_sql(running, finished, "running", &runs, &jobs)).await?,
        events,
        observed_job: text("id").context("a job without an id")?,
    })
}

fn after(later: &Seen, earlier: &Seen) -> Vec<Event> {
    let last = earlier.events.last().map_or(0, |event| event.sequence);
    later.events.iter().filter(|event| event.sequence > last).cloned().collect()
}

pub(super) async fn types(client: &Client, table: &str) -> Result<Types> {
    let sql = "select attname::text, format_type(atttypid, atttypmod) from pg_attribute
        where attrelid = $1::text::regclass and attnum > 0 and not attisdropped";
    let rows = client.query(sql, &[&table]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Inserts runs, their jobs and their first events.
fn queue_sql(queued: &Seen, runs: &Types, jobs: &Types) -> String {
    let (run_columns, run_values) = literals(&queued.run, runs, &RUN_OWN);
    let (job_columns, job_values) = literals(&queued.job, jobs, &JOB_OWN);
    format!(
        "with new_runs as (
            insert into runs ({own_run}, {run_columns})
            select {own_run}, {run_values} from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) as own ({own_run})
        ), new_jobs as (
            insert into jobs ({own_job}, {job_columns})
            select {own_job}, {job_values} from unnest($7::uuid[], $1::uuid[], $8::bigint[]) as own ({own_job})
        ), ranked as (
            insert into queue_ranks as ranks (queue, priority, repository, rank)
            select {queue}, {priority}, repository, max(rank) from unnest($2::text[], $8::bigint[]) as own (repository, rank)
            group by repository order by repository
            on conflict (queue, priority, repository) do update set rank = greatest(ranks.rank, excluded.rank)
        )
        insert into run_events (run_id, sequence, kind, body)
        select run_id, sequence, kind, body::jsonb from unnest($9::uuid[], $10::bigint[], $11::text[], $12::text[]) as own (run_id, sequence, kind, body)",
        own_run = RUN_OWN.join(", "),
        own_job = JOB_OWN.join(", "),
        queue = queued.job.get("queue").map_or_else(String::new, |queue| literal(queue, "text")),
        priority = queued.job.get("priority").map_or_else(String::new, |priority| literal(priority, "integer")),
    )
}

/// Claims a batch of a queue, in its order.
fn claim_sql(queue: &str, running: &Seen, instance_id: &str) -> String {
    let worker = running
        .job
        .get("worker_name")
        .map_or_else(|| "null".to_owned(), |name| literal(name, "text"));
    format!(
        "with next as (
            select id from jobs
            where queue = {queue} and finished_at is null and lease_instance_id is null and hold_reason is null and not_before <= now()
            order by priority desc, fair_rank, id limit {BATCH} for update skip locked
        )
        update jobs set lease_instance_id = '{instance_id}', lease_token = nextval('lease_tokens'), worker_name = {worker},
            last_report_sequence = 0, lease_expires_at = now() + interval '5 seconds'
        from next where jobs.id = next.id returning jobs.id, jobs.run_id, jobs.lease_token",
        queue = quoted(queue),
    )
}

/// Takes claimed or running jobs one step on, with their runs, and records it.
fn step_sql(before: &Seen, later: &Seen, status: &str, runs: &Types, jobs: &Types) -> String {
    // The claim has set these; they differ from what was observed.
    let claimed = ["lease_instance_id", "lease_token", "worker_name"];
    format!(
        "with own as (
            select * from unnest($1::uuid[], $2::bigint[], $3::uuid[]) as own (job_id, token, run_id)
        ), changed_jobs as (
            update jobs set {jobs} from own where jobs.id = own.job_id and jobs.lease_token = own.token and jobs.status = '{status}'
        ), changed_runs as (
            update runs set {runs} from own where runs.id = own.run_id
        )
        insert into run_events (run_id, sequence, kind, body)
        select run_id, sequence, kind, body::jsonb from unnest($4::uuid[], $5::bigint[], $6::text[], $7::text[]) as own (run_id, sequence, kind, body)",
        jobs = changes(&before.job, &later.job, jobs, &claimed),
        runs = changes(&before.run, &later.run, runs, &[]),
    )
}

/// Columns and values of a new row that are the same in all, without those that default to what they are.
pub(super) fn literals(row: &Row, types: &Types, own: &[&str]) -> (String, String) {
    let shared = row.iter().filter(|(name, value)| !own.contains(&name.as_str()) && !value.is_null());
    let (names, values): (Vec<&str>, Vec<String>) = shared
        .filter_map(|(name, value)| Some((name.as_str(), typed(value, types.get(name)?, row.get("created_at")))))
        .unzip();
    (names.join(", "), values.join(", "))
}

/// Assignments of what differs between two looks at a row.
fn changes(before: &Row, later: &Row, types: &Types, without: &[&str]) -> String {
    let changed = later
        .iter()
        .filter(|(name, value)| before.get(*name) != Some(*value) && !without.contains(&name.as_str()));
    let assignments: Vec<String> = changed
        .filter_map(|(name, value)| Some(format!("{name} = {}", typed(value, types.get(name)?, None))))
        .collect();
    assignments.join(", ")
}

/// A value as SQL. Times are now, or as far from now as they were from the making of the row that was observed.
fn typed(value: &Value, kind: &str, made: Option<&Value>) -> String {
    match (value, kind) {
        (Value::Null, _) => "null".to_owned(),
        (at, "timestamp with time zone") => match made.and_then(|made| Some(time(at)? - time(made)?)) {
            Some(later) if later > TimeDelta::minutes(1) => format!("now() + interval '{} seconds'", later.num_seconds()),
            _ => "now()".to_owned(),
        },
        _ => literal(value, kind),
    }
}

fn time(value: &Value) -> Option<DateTime<FixedOffset>> {
    DateTime::parse_from_rfc3339(value.as_str()?).ok()
}

fn literal(value: &Value, kind: &str) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    format!("{}::{kind}", quoted(&text))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(value: Value) -> Row {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_time_ahead_stays_ahead() {
        let (made, expires) = (json!("2026-01-01T00:00:00.123456+00:00"), json!("2026-01-08T00:00:00.123456+00:00"));
        assert_eq!(
            typed(&expires, "timestamp with time zone", Some(&made)),
            "now() + interval '604800 seconds'"
        );
        assert_eq!(typed(&made, "timestamp with time zone", Some(&made)), "now()");
    }

    #[test]
    fn only_what_changed_is_assigned_and_times_are_now() {
        let types: Types = [
            ("status", "text"),
            ("n", "bigint"),
            ("at", "timestamp with time zone"),
            ("same", "text"),
            ("gone", "text"),
        ]
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .into();
        let before = row(json!({"status": "queued", "n": 1, "at": null, "same": "x", "gone": "y"}));
        let later = row(json!({"status": "it's on", "n": 2, "at": "2026-01-01T00:00:00Z", "same": "x", "gone": null}));
        assert_eq!(
            changes(&before, &later, &types, &["n"]),
            "at = now(), gone = null, status = 'it''s on'::text"
        );
    }
}
