//! The metrics of a worker: each defined here, with its labels, and nowhere else. The table in `docs/ops-runbook.md` is made from these.
//!
//! They are a worker's own, and whoever scrapes knows which one it asked: no label names the worker.

use moorline_telemetry::metric::Unit;

moorline_telemetry::metrics! {
    JOBS: 4 = counter("moorline_worker_jobs_total", ["stage", "queue", "outcome", "attempt"],
        "Jobs that ended, by how: `succeeded`, `failed` or `stopped`. Attempts from the third on are counted together.");
    JOB_DURATION: 2 = histogram("moorline_worker_job_duration_seconds", Unit::Seconds, ["stage", "outcome"],
        "From the acceptance of a job to its end.");
    STEPS: 2 = histogram("moorline_worker_step_duration_seconds", Unit::Seconds, ["step", "outcome"],
        "How long the steps of jobs took: `fetch`, `checkout`, `preflight`, `agent`, `patch`, `apply`, `commit`, `push`, `pull_request`; `fallback` is all of a built-in way that took \
         over from a skill.");
    SKILL_RUNS: 2 = counter("moorline_worker_skill_runs_total", ["stage", "outcome"],
        "Stages that a skill was tried for: `succeeded`, `stopped`, the code by which the skill failed (`AGENT` where its agent did), or `stage_failed` \
         where the stage failed otherwise.");
    SKILL_DURATION: 2 = histogram("moorline_worker_skill_duration_seconds", Unit::Seconds, ["stage", "outcome"],
        "How long skills took, with the same outcomes.");
    FALLBACKS: 2 = counter("moorline_worker_skill_fallbacks_total", ["stage", "outcome"],
        "Built-in ways that took over from a skill that had failed: `succeeded`, `failed` or `stopped`.");
    SHADOWS: 2 = counter("moorline_worker_shadows_total", ["stage", "status"],
        "Stages whose other way was taken as well, by what came of the comparison: `same`, `drift` or `not_compared`.");
    PREFLIGHTS: 3 = counter("moorline_worker_preflights_total", ["volume", "status", "rung"],
        "Login checks before jobs, by what they found.");
    LOGINS: 2 = counter("moorline_worker_logins_total", ["volume", "outcome"],
        "Logins that an operator asked for, `stored` or `failed`.");
    REFRESHES_REFUSED: 1 = counter("moorline_worker_refreshes_refused_total", ["volume"],
        "Agents that ended with a login that could not renew itself.");
    TOKENS: 1 = counter("moorline_worker_agent_tokens_total", ["direction"],
        "Tokens that agents have used, `input` and `output`, as far as they said.");
    ENDS: 1 = counter("moorline_worker_reports_total", ["outcome"],
        "Ends of jobs, by what the server made of them: `acknowledged`, or `fenced` because the lease had passed on.");
    REFUSED: 0 = counter("moorline_worker_offers_refused_total", [],
        "Offers that this worker refused.");
    DIALS: 1 = counter("moorline_worker_sessions_total", ["end"],
        "Sessions that ended, and dials that led to none: `lost`, `held` (another has the name or the volume), `redirected`, `refused` or `over`.");
    TRANSFERS_AGAIN: 0 = counter("moorline_worker_transfer_retries_total", [],
        "Transfers of artifacts and output that failed and were tried again.");
    SENT: 1 = counter("moorline_worker_sent_bytes_total", ["what"],
        "Bytes that were sent beside the stream, `artifact` or `output`.");
    RUNNING: 0 = gauge("moorline_worker_jobs_running", Unit::Count, [], "Jobs that have not ended.");
    SLOTS: 0 = gauge("moorline_worker_slots", Unit::Count, [], "Jobs that may run at once, that of the shard apart.");
    STREAM: 0 = gauge("moorline_worker_stream_up", Unit::Count, [], "Whether the stream to the server is live: 1 or 0.");
    PONG_AGE: 0 = gauge("moorline_worker_pong_age_seconds", Unit::Seconds, [], "How long ago the server last answered a ping.");
    LEASE_AGE: 0 = gauge("moorline_worker_lease_age_seconds", Unit::Seconds, [],
        "How long ago the server last renewed the worker's lease, as far as the worker knows.");
    SPOOL: 0 = gauge("moorline_worker_spool_bytes", Unit::Bytes, [], "Size of the spool.");
    SPOOL_OK: 0 = gauge("moorline_worker_spool_ok", Unit::Count, [], "Whether the disk has taken the spool's last write: 1 or 0.");
    DRAINING: 0 = gauge("moorline_worker_draining", Unit::Count, [], "Whether the worker takes nothing new: 1 or 0.");
    LOGIN: 1 = gauge("moorline_worker_login_ok", Unit::Count, ["volume"], "Whether the last check of the login passed: 1 or 0.");
    TOKEN_EXPIRY: 1 = gauge("moorline_worker_login_token_expires_seconds", Unit::Seconds, ["volume"],
        "Until the stored token expires, below 0 when it has; it is renewed by its next use. Only where the token says.");
    VOLUME_FREE: 1 = gauge("moorline_worker_volume_free_bytes", Unit::Bytes, ["volume"], "Bytes that are free where the volume lies.");
}

#[cfg(test)]
mod tests {
    use moorline_telemetry::metric::{BUCKETS, Kind};

    use super::*;

    #[test]
    fn names_tell_kind_and_unit() {
        for metric in ALL {
            let name = metric.name();
            assert!(name.starts_with("moorline_worker_") && metric.help().ends_with('.'), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind() == Kind::Counter, "{name}");
            let has_buckets = BUCKETS.iter().any(|(ending, _)| name.ends_with(ending));
            assert!(metric.kind() != Kind::Histogram || has_buckets, "{name}");
        }
    }
}
