//! The metrics of the server: each defined here, with its labels, and nowhere else. The table in `docs/ops-runbook.md` is made from these.
//!
//! Labels have few values: stages, queues, volumes, statuses, codes of failures. Nothing here knows a run, a repository or a worker by name.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use moorline_telemetry::metric::{Unit, Value};

use crate::domain::skill;

moorline_telemetry::metrics! {
    RUNS: 1 = counter("moorline_run_transitions_total", ["status"], "Steps of runs, by the status that they went to.");
    RUN_DURATION: 1 = histogram("moorline_run_duration_seconds", Unit::Seconds, ["status"], "From a run's creation to its end.");
    JOBS: 4 = counter("moorline_job_transitions_total", ["stage", "queue", "status", "attempt"], "Steps of jobs, by the status that they went to; `offered` is a claim. Attempts from the third on are counted together.");
    JOB_DURATION: 4 = histogram("moorline_job_duration_seconds", Unit::Seconds, ["stage", "queue", "status", "attempt"], "From a worker's acceptance of a job to its end.");
    FAILURES: 3 = counter("moorline_job_failures_total", ["stage", "code", "class"], "Failed jobs, by code and by whose failure it is.");
    EXECUTIONS: 4 = counter("moorline_stage_executions_total", ["stage", "skill", "execution_path", "outcome"], "Attempts of stages that have ended, by the chosen skill, the way that they went and their status. From the hundredth skill on they are counted together.");
    EXECUTION_DURATION: 2 = histogram("moorline_stage_execution_duration_seconds", Unit::Seconds, ["stage", "execution_path"], "How long these took, as their workers say; those that never began are left out.");
    SHADOWS: 2 = counter("moorline_stage_shadows_total", ["stage", "status"], "Comparisons of a stage's two ways: `same`, `drift` or `not_compared`.");
    CLAIM_WAIT: 2 = histogram("moorline_claim_latency_seconds", Unit::Seconds, ["stage", "queue"], "From the moment at which a job may begin to its claim.");
    PREFLIGHTS: 3 = counter("moorline_preflights_total", ["volume", "status", "rung"], "Login checks before jobs, by what they found.");
    PREFLIGHT_DURATION: 1 = histogram("moorline_preflight_duration_seconds", Unit::Seconds, ["volume"], "How long these checks took.");
    LEASE_EXPIRIES: 1 = counter("moorline_lease_expiries_total", ["kind"], "Leases that ran out: of an `offer` that nobody accepted in time, or of a `job` whose worker went away and didn't come back in time.");
    REJECTIONS: 0 = counter("moorline_offers_rejected_total", [], "Offers that workers refused.");
    FRAMES: 2 = counter("moorline_frames_total", ["frame", "outcome"], "What workers said of their jobs, `accept` or `report`, by what became of it: `stored`, `fenced` (the lease had passed on) or `failed` (it is said again).");
    HELLOS: 1 = counter("moorline_hellos_total", ["outcome"], "Workers that dialled, by whether they were `welcomed` or `refused`.");
    STREAM_ENDS: 1 = counter("moorline_stream_ends_total", ["how"], "Streams that ended: `goodbye`, `closed`, `silent`, `stalled`, `replaced`, `redirected` or `protocol`.");
    STREAMS: 0 = gauge("moorline_streams", Unit::Count, [], "Streams of workers to this server.");
    GROUP: 1 = histogram("moorline_group_items", Unit::Count, ["group"], "What was written to the database together, by group: `starts` of runs, or `frames` of workers.");
    GROUP_FLUSH: 1 = histogram("moorline_group_flush_latency_seconds", Unit::Seconds, ["group"], "How long that took.");
    CALLS: 3 = histogram("moorline_call_latency_seconds", Unit::Seconds, ["transport", "method", "code"], "Calls over gRPC and HTTP, until their answer began; a worker's stream and the health checks are left out.");
    ARTIFACTS: 1 = counter("moorline_artifacts_total", ["type"], "Artifacts stored, by type.");
    ARTIFACT_BYTES: 1 = counter("moorline_artifact_bytes_total", ["type"], "Their bytes.");
    LOG_BYTES: 0 = counter("moorline_log_bytes_total", [], "Bytes of jobs' output that were stored.");
    POOL: 1 = gauge("moorline_db_pool_connections", Unit::Count, ["state"], "Connections of the pool: `open`, `idle`, and callers that are `waiting` for one.");
    DATABASE: 0 = gauge("moorline_database_up", Unit::Count, [], "Whether the database answered at this scrape: 1 or 0. At 0 the gauges below are those of an earlier scrape.");
    QUEUE_DEPTH: 2 = gauge("moorline_queue_depth", Unit::Count, ["queue", "state"], "Fleet-wide: jobs that wait, `ready` to be claimed, `held`, or for `later`; of a queue's first 10,000, in the order of their claim, and of 10,000 that are held.");
    QUEUE_AGE: 1 = gauge("moorline_queue_oldest_age_seconds", Unit::Seconds, ["queue"], "Fleet-wide: how long the oldest of these has waited since it might begin; one of lower priority than 10,000 others isn't among them.");
    LEASED: 2 = gauge("moorline_jobs_leased", Unit::Count, ["queue", "status"], "Fleet-wide: jobs with a lease, `offered` or `running`.");
    WORKERS: 0 = gauge("moorline_workers_connected", Unit::Count, [], "Fleet-wide: open streams of workers to all servers.");
    SERVERS: 0 = gauge("moorline_servers", Unit::Count, [], "Fleet-wide: servers that give signs of life.");
    SHARD: 2 = gauge("moorline_shard_status", Unit::Count, ["queue", "status"], "Fleet-wide: 1 for the status that a shard has, 0 for the others.");
    SHARD_EXPECTED: 2 = gauge("moorline_shard_expected", Unit::Count, ["queue", "volume"], "Fleet-wide: 1 for a shard that is to be in service, since new runs go to it and nobody has drained it; Gemini's once a worker has served it.");
    VOLUME: 2 = gauge("moorline_volume_status", Unit::Count, ["volume", "status"], "Fleet-wide: 1 for the status that a volume has, 0 for the others.");
    LOGIN_AGE: 1 = gauge("moorline_login_verified_age_seconds", Unit::Seconds, ["volume"], "Fleet-wide: how long ago a login last passed a check.");
    LOGIN_OPEN: 1 = gauge("moorline_login_open_seconds", Unit::Seconds, ["volume"], "Fleet-wide: how much longer the last passing check counts; 0 when its gate is shut.");
    TOKEN_EXPIRY: 1 = gauge("moorline_login_token_expires_seconds", Unit::Seconds, ["volume"], "Fleet-wide: until the stored token expires, below 0 when it has; it is renewed by its next use. Only where the token says.");
    COOLING: 1 = gauge("moorline_login_cooling_seconds", Unit::Seconds, ["volume"], "Fleet-wide: for how much longer the account is left alone because of its limit.");
    VOLUME_FREE: 1 = gauge("moorline_volume_free_bytes", Unit::Bytes, ["volume"], "Fleet-wide: bytes that are free where the volume lies, as its worker saw it last.");
}

/// The code of a failure as a label. Workers choose codes, so that their number has to have an end.
pub fn code(code: &str) -> Value {
    static KNOWN: Known = Known::at_most(200);
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let is_code = code.len() <= 64 && code.bytes().all(plain);
    KNOWN.label(code, is_code, "OTHER")
}

/// A skill as a label. Runs choose among those that are allowed, and what is allowed changes.
pub fn skill(name: &str) -> Value {
    static KNOWN: Known = Known::at_most(100);
    KNOWN.label(name, skill::is_name(name), "other")
}

/// Values that a label has had so far; there is an end to them.
struct Known {
    most: usize,
    values: Mutex<BTreeSet<String>>,
}

impl Known {
    const fn at_most(most: usize) -> Self {
        Self {
            most,
            values: Mutex::new(BTreeSet::new()),
        }
    }

    /// The value itself, if it is one of the first ones, or else the one that stands for all others.
    fn label(&self, value: &str, is_one: bool, other: &'static str) -> Value {
        let mut known = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if is_one && !known.contains(value) && known.len() < self.most {
            known.insert(value.to_owned());
        }
        if known.contains(value) {
            value.to_owned().into()
        } else {
            other.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use moorline_telemetry::metric::{BUCKETS, Kind};

    use super::*;

    #[test]
    fn names_tell_kind_and_unit() {
        let mut names = BTreeSet::new();
        for metric in ALL {
            let name = metric.name();
            assert!(names.insert(name), "{name} is there twice");
            assert!(name.starts_with("moorline_") && metric.help().ends_with('.'), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind() == Kind::Counter, "{name}");
            assert_eq!(name.ends_with("_seconds"), metric.unit() == Unit::Seconds, "{name}");
            let has_buckets = BUCKETS.iter().any(|(ending, _)| name.ends_with(ending));
            assert!(metric.kind() != Kind::Histogram || has_buckets, "{name}");
        }
    }

    #[test]
    fn codes_that_nobody_can_have_meant_are_counted_together() {
        assert_eq!(code("NO_CHANGES"), Value::from("NO_CHANGES"));
        assert_eq!(code("a secret, say"), Value::from("OTHER"));
        for number in 0..1000 {
            code(&format!("CODE_{number}"));
        }
        assert_eq!(code("ONE_TOO_MANY"), Value::from("OTHER"));
        assert_eq!(code("NO_CHANGES"), Value::from("NO_CHANGES"));
    }

    #[test]
    fn skills_beyond_the_hundredth_are_counted_together() {
        assert_eq!(skill("speckit"), Value::from("speckit"));
        assert_eq!(skill("No Skill"), Value::from("other"));
        for number in 0..200 {
            skill(&format!("skill-{number}"));
        }
        assert_eq!(skill("one-too-many"), Value::from("other"));
        assert_eq!(skill("speckit"), Value::from("speckit"));
    }
}
