//! What Moorline promises, read from the database: no run lost, one accepted result per attempt, no lease token used by two.

use moorline_tests::db::TestDb;

/// What must never be found, and the query that finds it.
const NEVER: [(&str, &str); 6] = [
    (
        "an open run without a job to go on with",
        "select id::text from runs where status in ('pending', 'running', 'retrying')
         and not exists (select 1 from jobs where run_id = runs.id and jobs.status in ('queued', 'running'))",
    ),
    (
        "a lease token of two jobs",
        "select lease_token::text from jobs where lease_token is not null group by lease_token having count(*) > 1",
    ),
    (
        "a job that ended twice",
        "select body->>'job_id' from run_events where body->>'kind' = 'job_changed'
         and body->>'status' in ('succeeded', 'failed', 'skipped', 'cancelled') group by body->>'job_id' having count(*) > 1",
    ),
    (
        "a job that began twice",
        "select body->>'job_id' from run_events where body->>'kind' = 'job_changed' and body->>'status' = 'running'
         group by body->>'job_id' having count(*) > 1",
    ),
    (
        "two accepted results of a stage",
        "select run_id || ' ' || stage from jobs where status = 'succeeded' group by run_id, stage having count(*) > 1",
    ),
    (
        "events with a gap",
        "select id::text from runs where last_event_sequence <> (select count(*) from run_events where run_id = runs.id)",
    ),
];

/// Checks the whole database.
pub async fn kept(database: &TestDb) {
    let client = database.connect().await.expect("the database");
    for (never, query) in NEVER {
        let found: Vec<String> = client.query(query, &[]).await.expect(never).iter().map(|row| row.get(0)).collect();
        assert!(found.is_empty(), "{never}: {found:?}");
    }
}
