//! `POST /runs/{run_id}/codex/preflight`: checks the login that a run needs.

use axum::{Extension, Json, extract::State, http::StatusCode, response::IntoResponse};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::names::{maybe, one_of};
use crate::{
    api::Caller,
    domain::preflight::{Rung, Status},
    flow::{
        Flow,
        preflight::{Outcome, Request, of_run},
    },
    http::{
        body::{Body, Id},
        refusal::Refusal,
    },
};

/// How to check.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Another key than the run's own, to choose the shard by.
    #[schema(max_length = 4096)]
    affinity_key: Option<String>,
    /// Check even though the last check is recent.
    force_refresh: Option<bool>,
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// The run.
    run_id: Uuid,
    /// Whether the login is good.
    #[schema(schema_with = one_of::<Status>)]
    codex_preflight_status: Status,
    /// On failure: volume, shard, worker and remedy.
    codex_preflight_message: String,
    /// What exactly was found.
    #[schema(schema_with = maybe::<Rung>)]
    codex_preflight_rung: Option<Rung>,
    /// The shard's queue.
    codex_queue: String,
    /// The volume that was checked.
    codex_volume: String,
    /// Its number.
    codex_shard_index: Option<i32>,
    /// The worker that checked.
    worker_name: String,
    /// Exit code of the CLI, when it ran.
    exit_code: Option<i32>,
    /// How long it took.
    duration_ms: i64,
    /// When it was made.
    checked_at: DateTime<Utc>,
    /// Whether the last check was recent enough and stands.
    reused: bool,
}

impl From<Outcome> for Checked {
    fn from(Outcome { check, run, reused }: Outcome) -> Self {
        Self {
            run_id: run.id,
            codex_preflight_status: check.status,
            codex_preflight_message: check.message,
            codex_preflight_rung: check.rung,
            codex_volume: check.volume_name,
            // Another key than the run's may have chosen it.
            codex_shard_index: check.queue.strip_prefix("codex-").and_then(|index| index.parse().ok()),
            codex_queue: check.queue,
            worker_name: check.worker_name,
            exit_code: check.exit_code,
            duration_ms: check.duration_ms,
            checked_at: check.checked_at,
            reused,
        }
    }
}

/// Checks the login that a run needs, and notes the result on the run.
#[utoipa::path(post, path = "/api/workflows/speckit/runs/{run_id}/codex/preflight", tag = "workflows", operation_id = "preflight_run",
    params(("run_id" = Uuid, Path)), request_body = Check,
    responses((status = 202, body = Checked), (status = 404, body = super::Refused), (status = 409, body = super::Refused),
        (status = 422, body = super::Refused)))]
pub async fn check(
    State(flow): State<Flow>,
    Extension(caller): Extension<Caller>,
    Id(run_id): Id,
    Body(check): Body<Check>,
) -> Result<impl IntoResponse, Refusal> {
    let request = Request {
        run_id,
        affinity_key: check.affinity_key.as_deref().unwrap_or_default(),
        force_refresh: check.force_refresh.unwrap_or_default(),
        requested_by: caller.name(),
    };
    let outcome = of_run(&flow, &request).await?;
    Ok((StatusCode::ACCEPTED, Json(Checked::from(outcome))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        db::{preflights, runs},
        domain::run,
    };

    fn outcome() -> Outcome {
        let at = DateTime::from_timestamp(1_795_000_000, 0).unwrap_or_default();
        let run = runs::Run {
            id: Uuid::nil(),
            repository: "octo/hello".to_owned(),
            feature_key: "001-a".to_owned(),
            affinity_key: "octo/hello|001-a".to_owned(),
            status: run::Status::Pending,
            phase: run::Phase::Discover,
            branch_name: String::new(),
            pr_url: None,
            base_ref: None,
            task_id: None,
            codex_task_id: None,
            codex_queue: Some("codex-1".to_owned()),
            codex_volume: Some("codex_auth_1".to_owned()),
            codex_shard_index: Some(1),
            hash_modulo: Some(3),
            codex_preflight_status: None,
            codex_preflight_message: None,
            codex_logs_path: None,
            codex_patch_path: None,
            artifacts_path: String::new(),
            force_phase: None,
            agent: run::Agent::Codex,
            requested_by: String::new(),
            notes: String::new(),
            idempotency_key: None,
            options: serde_json::Value::Null,
            last_event_sequence: 0,
            created_at: at,
            started_at: None,
            finished_at: None,
            updated_at: at,
        };
        let check = preflights::Row {
            id: Uuid::nil(),
            volume_name: "codex_auth_2".to_owned(),
            queue: "codex-2".to_owned(),
            worker_name: "codex-worker-2".to_owned(),
            run_id: Some(Uuid::nil()),
            status: Status::Failed,
            rung: Some(Rung::NotLoggedIn),
            message: "volume codex_auth_2 is not logged in".to_owned(),
            exit_code: Some(1),
            duration_ms: 1200,
            checked_at: at,
        };
        Outcome { check, run, reused: true }
    }

    #[test]
    fn a_check_is_told_in_the_old_words_with_the_shard_that_was_checked() {
        let told = serde_json::to_string_pretty(&Checked::from(outcome())).unwrap();
        insta::assert_snapshot!(told, @r#"
        {
          "runId": "00000000-0000-0000-0000-000000000000",
          "codexPreflightStatus": "failed",
          "codexPreflightMessage": "volume codex_auth_2 is not logged in",
          "codexPreflightRung": "NOT_LOGGED_IN",
          "codexQueue": "codex-2",
          "codexVolume": "codex_auth_2",
          "codexShardIndex": 2,
          "workerName": "codex-worker-2",
          "exitCode": 1,
          "durationMs": 1200,
          "checkedAt": "2026-11-18T11:06:40Z",
          "reused": true
        }
        "#);
    }
}
