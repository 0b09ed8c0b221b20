//! What can be seen of runs and jobs, in the reference and in the database, in one form.

use std::collections::HashMap;

use moorline_server::domain::job;
use tokio_postgres::Client;

use super::world::{World, priority};

/// Runs and jobs in the order of their making, one line each.
pub fn of_world(world: &World) -> Vec<String> {
    let runs = world.runs.iter().enumerate();
    let runs = runs.map(|(index, run)| format!("run {index}: {} {} priority {}", run.status, run.phase, priority(index)));
    let jobs = world.jobs.iter().map(|job| {
        let mut line = format!("run {} {} {}: {}", job.run, job.stage, job.attempt, job.status);
        let open = matches!(job.status, job::Status::Queued | job::Status::Running);
        let facts = [
            job.held.then(|| "held".to_owned()),
            job.failure.map(|class| class.to_string()),
            job.cancel.then(|| "to be cancelled".to_owned()),
            job.lease.map(|lease| format!("lease {lease}")),
            job.holder.filter(|_| open).map(|holder| format!("instance {holder}")),
            job.worker.map(|worker| format!("worker {worker}")),
            (job.sequence > 0).then(|| format!("report {}", job.sequence)),
        ];
        for fact in facts.into_iter().flatten() {
            line += ", ";
            line += &fact;
        }
        line
    });
    let mut lines: Vec<String> = runs.chain(jobs).collect();
    lines.sort();
    lines
}

/// Numbers of the reference by what stands for them in the database.
#[derive(Debug, Default)]
pub struct Names {
    pub runs: HashMap<String, usize>,
    pub leases: HashMap<i64, usize>,
    pub instances: HashMap<String, usize>,
}

/// The same of the database.
pub async fn of_database(client: &Client, names: &Names) -> Vec<String> {
    let runs = client
        .query("select id::text, status, phase, (options->>'priority')::int from runs", &[])
        .await
        .unwrap();
    let runs = runs.iter().map(|row| {
        let (status, phase, priority): (String, String, i32) = (row.get(1), row.get(2), row.get(3));
        format!("run {}: {status} {phase} priority {priority}", names.runs[row.get::<_, &str>(0)])
    });
    let jobs = client
        .query(
            "select run_id::text, stage, attempt, status, hold_reason, failure->>'class', cancel_requested_at is not null,
                lease_token, lease_instance_id::text, worker_name, last_report_sequence from jobs",
            &[],
        )
        .await
        .unwrap();
    let jobs = jobs.iter().map(|row| {
        let (stage, attempt, status): (String, i32, String) = (row.get(1), row.get(2), row.get(3));
        let mut line = format!("run {} {stage} {attempt}: {status}", names.runs[row.get::<_, &str>(0)]);
        let open = status == "queued" || status == "running";
        let token: Option<i64> = row.get(7);
        let holder: Option<&str> = row.get(8);
        let sequence: i64 = row.get(10);
        let facts = [
            row.get::<_, Option<String>>(4).map(|_| "held".to_owned()),
            row.get::<_, Option<String>>(5),
            row.get::<_, bool>(6).then(|| "to be cancelled".to_owned()),
            token.map(|token| format!("lease {}", names.leases[&token])),
            holder
                .filter(|_| open)
                .map(|holder| format!("instance {}", names.instances[holder])),
            row.get::<_, Option<String>>(9)
                .map(|name| format!("worker {}", name.trim_start_matches('w'))),
            (sequence > 0).then(|| format!("report {sequence}")),
        ];
        for fact in facts.into_iter().flatten() {
            line += ", ";
            line += &fact;
        }
        line
    });
    let mut lines: Vec<String> = runs.chain(jobs).collect();
    lines.sort();
    lines
}

/// What must hold whatever the reference says. Returns what doesn't.
pub async fn broken_walls(client: &Client) -> Vec<String> {
    let rows = client
        .query(
            "select 'events of run ' || runs.id || ' have gaps' from runs join run_events on run_id = runs.id group by runs.id
                having count(*) <> max(sequence) or max(sequence) <> runs.last_event_sequence
             union all
             select 'job ' || (body->>'job_id') || ' was accepted ' || count(*) || ' times' from run_events
                where kind = 'job_changed' and body->>'status' = 'running' group by body->>'job_id' having count(*) > 1
             union all
             select 'token ' || lease_token || ' has ' || count(*) || ' jobs' from jobs
                where lease_token is not null group by lease_token having count(*) > 1",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}
