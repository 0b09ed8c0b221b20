//! What must hold, rule by rule. Each names what breaks it.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{
    Client, Facts, Witness,
    facts::{Job, Run, is_terminal},
    witness::Lease,
};
use crate::soak::journal::{News, mark};

/// Everything that breaks the promise; nothing when it is kept.
pub fn broken(facts: &Facts, witness: &Witness, client: &Client) -> Vec<String> {
    let mut broken = Vec::new();
    no_run_is_lost(facts, client, &mut broken);
    for (id, run) in &facts.runs {
        events_are_whole(*id, run, &mut broken);
        status_agrees_with_jobs(*id, run, facts, &mut broken);
    }
    attempts_are_accepted_once(facts, witness, &mut broken);
    tokens_have_one_holder_and_grow(facts, witness, &mut broken);
    for lease in &witness.leases {
        what_was_acknowledged_is_there(facts, lease, &mut broken);
    }
    broken
}

fn no_run_is_lost(facts: &Facts, client: &Client, broken: &mut Vec<String>) {
    for (key, ids) in &client.created {
        if ids.len() != 1 {
            broken.push(format!("the key {key} was answered with more than one run: {ids:?}"));
        }
        for id in ids {
            match facts.runs.get(id) {
                None => broken.push(format!("run {id} was created and is lost")),
                Some(run) if run.key.as_ref() != Some(key) => {
                    broken.push(format!("run {id} was created with the key {key}, not {:?}", run.key))
                }
                Some(_) => {}
            }
        }
    }
    for id in &client.cancelled {
        let status = facts.runs.get(id).map(|run| run.status.as_str());
        if status != Some("cancelled") {
            broken.push(format!("run {id}: its cancel was answered with yes, and it is {status:?}"));
        }
    }
    for (id, run) in &facts.runs {
        if !is_terminal(&run.status) {
            broken.push(format!("run {id} never ended: it is {}", run.status));
        }
    }
}

fn events_are_whole(id: Uuid, run: &Run, broken: &mut Vec<String>) {
    if run.events != run.last_event || run.highest_event != run.last_event {
        broken.push(format!(
            "run {id} has {} events up to number {}, and counts {}",
            run.events, run.highest_event, run.last_event
        ));
    }
    if run.told.as_ref() != Some(&run.status) {
        broken.push(format!("run {id} is {}, and its events end with {:?}", run.status, run.told));
    }
    if run.final_told > 1 {
        broken.push(format!("run {id} ended for good {} times", run.final_told));
    }
}

fn status_agrees_with_jobs(id: Uuid, run: &Run, facts: &Facts, broken: &mut Vec<String>) {
    let jobs: Vec<&Job> = facts.jobs.values().filter(|job| job.run == id).collect();
    let any = |status: &str| jobs.iter().any(|job| job.status == status);
    if is_terminal(&run.status) && (any("queued") || any("running")) {
        broken.push(format!("run {id} is {}, and a job of it is not over", run.status));
    }
    let agrees = match run.status.as_str() {
        "succeeded" => any("succeeded") && !any("skipped"),
        "no_work" => jobs.iter().any(|job| job.stage == "discover" && job.status == "succeeded"),
        "failed" => any("failed"),
        _ => true,
    };
    if !agrees {
        broken.push(format!("run {id} is {}, and none of its jobs says why", run.status));
    }
    let mut attempts: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for job in &jobs {
        attempts.entry(&job.stage).or_default().push(job.attempt);
    }
    for (stage, mut numbers) in attempts {
        numbers.sort_unstable();
        if !numbers.iter().copied().eq(1..=i32::try_from(numbers.len()).unwrap_or(i32::MAX)) {
            broken.push(format!("run {id} has the attempts {numbers:?} of {stage}"));
        }
    }
}

fn attempts_are_accepted_once(facts: &Facts, witness: &Witness, broken: &mut Vec<String>) {
    for (id, job) in &facts.jobs {
        if job.accepted > 1 {
            broken.push(format!("job {id} was accepted {} times", job.accepted));
        }
        let ended = matches!(job.status.as_str(), "succeeded" | "running");
        if ended && job.accepted == 0 {
            broken.push(format!("job {id} is {} without having been accepted", job.status));
        }
    }
    let mut heard: BTreeMap<Uuid, Vec<i64>> = BTreeMap::new();
    for lease in witness.leases.iter().filter(|lease| !lease.acknowledged.is_empty()) {
        heard.entry(lease.accepted.job).or_default().push(lease.accepted.token);
    }
    for (job, tokens) in heard.iter().filter(|(_, tokens)| tokens.len() > 1) {
        broken.push(format!("reports on job {job} were acknowledged under the leases {tokens:?}"));
    }
}

fn tokens_have_one_holder_and_grow(facts: &Facts, witness: &Witness, broken: &mut Vec<String>) {
    let mut holders: BTreeMap<i64, (&str, Uuid)> = BTreeMap::new();
    for Lease { worker, accepted, .. } in &witness.leases {
        if let Some((other, job)) = holders.insert(accepted.token, (worker, accepted.job)) {
            broken.push(format!(
                "lease token {} was used by {other} for job {job} and by {worker} for job {}",
                accepted.token, accepted.job
            ));
        }
    }
    let mut stored: BTreeMap<i64, Uuid> = BTreeMap::new();
    let mut attempts: BTreeMap<(Uuid, &str), Vec<(i32, i64)>> = BTreeMap::new();
    for (id, job) in &facts.jobs {
        let Some(token) = job.token else { continue };
        if let Some(other) = stored.insert(token, *id) {
            broken.push(format!("lease token {token} is that of job {other} and of job {id}"));
        }
        attempts.entry((job.run, &job.stage)).or_default().push((job.attempt, token));
    }
    for ((run, stage), mut tokens) in attempts {
        tokens.sort_unstable();
        if !tokens.is_sorted_by(|one, next| one.1 < next.1) {
            broken.push(format!("run {run}: the leases of {stage} don't grow with its attempts: {tokens:?}"));
        }
    }
}

fn what_was_acknowledged_is_there(facts: &Facts, lease: &Lease, broken: &mut Vec<String>) {
    let (token, id) = (lease.accepted.token, lease.accepted.job);
    let Some(last) = lease.acknowledged.last() else { return };
    if !lease.acknowledged.is_sorted() {
        broken.push(format!("acknowledgements of lease {token} went back: {:?}", lease.acknowledged));
    }
    let Some(job) = facts.jobs.get(&id) else {
        return broken.push(format!("job {id}, reported on under lease {token}, is lost"));
    };
    let (Ok(count), Some(said)) = (
        usize::try_from(*last),
        lease.reports.get(..usize::try_from(*last).unwrap_or(usize::MAX)),
    ) else {
        return broken.push(format!(
            "{last} reports of lease {token} were acknowledged, and {} made",
            lease.reports.len()
        ));
    };
    if job.token != Some(token) || job.sequence < *last {
        return broken.push(format!(
            "{last} reports of lease {token} were acknowledged; job {id} has report {} of lease {:?}",
            job.sequence, job.token
        ));
    }
    for (sequence, _) in (1..=count).zip(said).filter(|(_, news)| **news == News::Progress) {
        let line = format!("{} report {sequence}", mark(token));
        if job.progress.iter().filter(|told| **told == line).count() != 1 {
            broken.push(format!("report {sequence} of lease {token} was acknowledged, and is not told once"));
        }
    }
    if let Some(end) = said.last().filter(|news| news.is_end()) {
        // A failure that ends the run comes with words of the server before it.
        let marked = job.outcome.contains(&format!("{}\"", mark(token)));
        let (status, bears) = match end {
            News::Succeeded | News::NothingToDo => ("succeeded", marked),
            News::Failed | News::Broke => ("failed", marked),
            News::Stopped | News::Progress => ("cancelled", true),
        };
        if job.status != status || !bears {
            broken.push(format!(
                "lease {token} was acknowledged as {end:?}; job {id} is {} with {:?}",
                job.status, job.outcome
            ));
        }
    }
}

#[cfg(test)]
mod tests;
