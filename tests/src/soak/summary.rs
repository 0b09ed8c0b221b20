//! What came of a soak, in figures.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{Args, chaos::Chaos};
use crate::check::{Client, Facts, Witness};

/// See the module.
#[derive(Debug)]
pub struct Summary(Vec<(String, String)>);

impl Summary {
    /// Counts.
    pub fn new(seed: u64, args: &Args, chaos: &Chaos, facts: &Facts, witness: &Witness, client: &Client, settled: Duration) -> Self {
        let mut statuses: BTreeMap<&str, usize> = BTreeMap::new();
        for run in facts.runs.values() {
            *statuses.entry(&run.status).or_default() += 1;
        }
        let list = |counts: Vec<(String, usize)>| {
            counts
                .iter()
                .map(|(what, count)| format!("{count} {what}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let acknowledged = witness.leases.iter().filter_map(|lease| lease.acknowledged.last()).sum::<i64>();
        let lost = facts.jobs.values().filter(|job| job.outcome.contains("WORKER_LOST")).count();
        let lines = [
            ("seed", seed.to_string()),
            ("minutes", args.minutes.to_string()),
            ("servers", args.servers.to_string()),
            (
                "runs",
                format!(
                    "{}: {}",
                    facts.runs.len(),
                    list(statuses.iter().map(|(status, count)| ((*status).to_owned(), *count)).collect())
                ),
            ),
            ("attempts", format!("{}, {lost} lost with their workers", facts.jobs.len())),
            (
                "faults",
                list(chaos.done.iter().map(|(what, count)| ((*what).to_owned(), *count)).collect()),
            ),
            ("workers", format!("{} starts, {} sessions", witness.starts, witness.welcomes)),
            (
                "leases",
                format!(
                    "{} accepted, {} fenced",
                    witness.leases.len(),
                    witness.leases.iter().filter(|lease| lease.fenced).count()
                ),
            ),
            ("acknowledged reports", acknowledged.to_string()),
            (
                "clients",
                format!(
                    "{} runs created, {} cancelled, {} retried, {} calls repeated",
                    client.created.len(),
                    client.cancelled.len(),
                    client.retried,
                    client.repeated
                ),
            ),
            ("settled", format!("{:.1} s after everything was mended", settled.as_secs_f64())),
        ];
        Self(lines.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            writeln!(f, "{name:>20}  {value}")?;
        }
        Ok(())
    }
}
