//! What must hold in the database after a workload, or its figures are worth nothing.

use anyhow::{Result, ensure};

use super::{cluster::Database, fleet::Tally};

/// What no run of a workload may be, with the query that counts those that are.
const RULES: [(&str, &str); 5] = [
    (
        "runs have two succeeded jobs of one stage",
        "select count(*) from (select 1 from own_jobs where status = 'succeeded' group by run_id, stage having count(*) > 1) as twice",
    ),
    (
        "leases were given twice",
        "select count(*) - count(distinct lease_token) from own_jobs where lease_token is not null",
    ),
    (
        "jobs have succeeded in runs that don't know",
        "select count(*) from own_runs join own_jobs on own_jobs.run_id = own_runs.id
            where own_jobs.status = 'succeeded' and own_runs.status <> 'succeeded'",
    ),
    (
        "runs lack an event",
        "select count(*) from (select own_runs.id from own_runs left join run_events on run_events.run_id = own_runs.id
            group by own_runs.id, last_event_sequence having count(run_events.run_id) <> last_event_sequence) as gaps",
    ),
    (
        "runs have ended otherwise than by success",
        "select count(*) from own_runs where finished_at is not null and status <> 'succeeded'",
    ),
];

/// The runs that [`super::requests`] has made.
const OWN: &str = "create temporary view own_runs as select * from runs where repository like 'bench/repository-%';
    create temporary view own_jobs as select jobs.* from jobs join own_runs on own_runs.id = jobs.run_id";

/// Fails when a rule is broken, or when runs are lost: those that were created, where that is known, and those whose ends were acknowledged.
pub async fn rules(database: &Database, created: Option<usize>, finished: usize, tally: &Tally) -> Result<()> {
    let client = database.connect().await?;
    client.batch_execute(OWN).await?;
    for (broken, sql) in RULES {
        let count: i64 = client.query_one(sql, &[]).await?.get(0);
        ensure!(count == 0, "{count} {broken}");
    }
    let row = client
        .query_one("select count(*), count(*) filter (where status = 'succeeded') from own_runs", &[])
        .await?;
    let (stored, succeeded): (i64, i64) = (row.get(0), row.get(1));
    if let Some(created) = created {
        ensure!(
            usize::try_from(stored)? == created,
            "{created} runs were created, {stored} are stored"
        );
    }
    ensure!(
        usize::try_from(succeeded)? >= finished,
        "{finished} ends were acknowledged, {succeeded} runs have succeeded"
    );
    let twice = tally.finished_twice();
    ensure!(
        twice.is_empty(),
        "{} jobs were acknowledged under two leases: {twice:?}",
        twice.len()
    );
    Ok(())
}

/// Jobs that needed another attempt.
pub async fn attempts_beyond_the_first(database: &Database) -> Result<usize> {
    let sql = "select count(*) from jobs where attempt > 1";
    let count: i64 = database.connect().await?.query_one(sql, &[]).await?.get(0);
    Ok(usize::try_from(count)?)
}
