//! A backlog: as many rows as wanted, as the server writes them, without the server.

use anyhow::Result;
use tokio_postgres::Client;

use super::{
    observe::Seen,
    statement::{JOB_OWN, RUN_OWN, literals, types},
};
use crate::bench::fleet::BACKLOG;

/// Adds runs with a job each, in the state that was seen, numbered from `first`; their events are left out.
///
/// `client` is the superuser's: checks of rows that are right anyway would take most of the time.
pub async fn load(client: &Client, seen: &Seen, first: usize, count: usize) -> Result<()> {
    client
        .batch_execute("set session_replication_role = replica; set synchronous_commit = off")
        .await?;
    let (runs, jobs) = (types(client, "runs").await?, types(client, "jobs").await?);
    let (run_columns, run_values) = literals(&seen.run, &runs, &RUN_OWN);
    let (job_columns, job_values) = literals(&seen.job, &jobs, &JOB_OWN);
    // Ids in the order of their making, as the server's are, and older than any of them.
    let id = |kind: char| format!("('00000000-0000-7000-{kind}000-' || lpad(to_hex(n), 12, '0'))::uuid");
    let (run_id, job_id) = (id('8'), id('9'));
    let numbers = format!("generate_series({first}, {}) as n", first + count - 1);
    client
        .batch_execute(&format!(
            "insert into runs ({}, {run_columns})
             select {run_id}, '{BACKLOG}repository-' || n % 1000, 'feature-' || n, 'backlog/' || n, 'moorline/feature-' || n, 'runs/' || n, {run_values}
             from {numbers}",
            RUN_OWN.join(", ")
        ))
        .await?;
    client
        .batch_execute(&format!(
            "insert into jobs ({}, {job_columns}) select {job_id}, {run_id}, n, {job_values} from {numbers}",
            JOB_OWN.join(", ")
        ))
        .await?;
    Ok(())
}
