//! Names of the contract's enum values, as people and programs see them.
//!
//! A value's name is its name in the proto file without the prefix: in lower case for states (`no_work`), as it is for codes that the
//! domain writes in upper case (`NOT_LOGGED_IN`). So a new value needs no line here.

use moorline_proto::v1::{
    Agent, ArtifactType, AuthFailurePolicy, CodexCredentialStatus, DirectReason, ExecutionPath, FailureClass, GithubCredentialStatus,
    HoldReason, JobStatus, LoginState, Phase, PreflightRung, PreflightStatus, Provider, RetryMode, RouteReason, RunStatus, ShadowStatus,
    ShardStatus, ShardUnavailablePolicy, SkillKind, SkillSource, Stage, VolumeStatus, WorkerStatus,
};

/// An enum of the contract.
pub trait Named: TryFrom<i32> + Copy {
    /// What all names of its values begin with in the proto file.
    const PREFIX: &'static str;
    /// Whether its names stay in upper case.
    const UPPER: bool;
    /// The name of a value in the proto file.
    fn proto_name(self) -> &'static str;
    /// The value of a name in the proto file.
    fn from_proto_name(name: &str) -> Option<Self>;
}

macro_rules! named {
    ($($type:ty, $prefix:literal, $upper:literal;)*) => {$(
        impl Named for $type {
            const PREFIX: &'static str = $prefix;
            const UPPER: bool = $upper;
            fn proto_name(self) -> &'static str {
                self.as_str_name()
            }
            fn from_proto_name(name: &str) -> Option<Self> {
                Self::from_str_name(name)
            }
        }
    )*};
}

named! {
    Agent, "AGENT_", false;
    ArtifactType, "ARTIFACT_TYPE_", false;
    AuthFailurePolicy, "AUTH_FAILURE_POLICY_", false;
    CodexCredentialStatus, "CODEX_CREDENTIAL_STATUS_", false;
    DirectReason, "DIRECT_REASON_", false;
    ExecutionPath, "EXECUTION_PATH_", false;
    FailureClass, "FAILURE_CLASS_", false;
    GithubCredentialStatus, "GITHUB_CREDENTIAL_STATUS_", false;
    HoldReason, "HOLD_REASON_", true;
    JobStatus, "JOB_STATUS_", false;
    LoginState, "LOGIN_STATE_", false;
    Phase, "PHASE_", false;
    PreflightRung, "PREFLIGHT_RUNG_", true;
    PreflightStatus, "PREFLIGHT_STATUS_", false;
    Provider, "PROVIDER_", false;
    RetryMode, "RETRY_MODE_", false;
    RouteReason, "ROUTE_REASON_", false;
    RunStatus, "RUN_STATUS_", false;
    ShadowStatus, "SHADOW_STATUS_", false;
    ShardStatus, "SHARD_STATUS_", false;
    ShardUnavailablePolicy, "SHARD_UNAVAILABLE_POLICY_", false;
    SkillKind, "SKILL_KIND_", false;
    SkillSource, "SKILL_SOURCE_", false;
    Stage, "STAGE_", false;
    VolumeStatus, "VOLUME_STATUS_", false;
    WorkerStatus, "WORKER_STATUS_", false;
}

/// The name of a value.
pub fn name<E: Named>(value: E) -> String {
    let bare = value.proto_name().strip_prefix(E::PREFIX).unwrap_or(value.proto_name());
    if E::UPPER { bare.to_owned() } else { bare.to_lowercase() }
}

/// The name of a value as it came over the wire; `None` when it is unset. A value from a newer server is `unknown_<number>`.
pub fn of<E: Named>(value: i32) -> Option<String> {
    match E::try_from(value) {
        Ok(_) if value == 0 => None,
        Ok(known) => Some(name(known)),
        Err(_) => Some(format!("unknown_{value}")),
    }
}

/// The value of a name that a person typed.
pub fn parse<E: Named>(text: &str) -> Option<E> {
    E::from_proto_name(&format!("{}{}", E::PREFIX, text.to_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<E: Named>() -> String {
        (0..).map_while(|n| E::try_from(n).ok()).map(name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn names_are_those_of_the_domain() {
        insta::assert_snapshot!([
            all::<Agent>(), all::<ArtifactType>(), all::<AuthFailurePolicy>(), all::<CodexCredentialStatus>(),
            all::<FailureClass>(), all::<GithubCredentialStatus>(), all::<HoldReason>(), all::<JobStatus>(), all::<LoginState>(),
            all::<Phase>(), all::<PreflightRung>(), all::<PreflightStatus>(), all::<Provider>(), all::<RetryMode>(), all::<RouteReason>(),
            all::<RunStatus>(), all::<ShardStatus>(), all::<ShardUnavailablePolicy>(), all::<Stage>(), all::<VolumeStatus>(), all::<WorkerStatus>(),
            all::<ExecutionPath>(), all::<SkillSource>(), all::<DirectReason>(), all::<ShadowStatus>(), all::<SkillKind>(),
        ].join("\n"), @"
        unspecified codex gemini
        unspecified codex_logs codex_patch apply_output push_log pr_response run_summary retry_context skill_result shadow_drift shadow_patch shadow_logs
        unspecified fail wait
        unspecified valid invalid expires_soon
        unspecified job environment login lost_worker
        unspecified valid invalid scope_missing
        UNSPECIFIED SHARD_DRAINING SHARD_OFFLINE WAITING_AUTH COOLING_DOWN CHECKING_LOGIN
        unspecified queued running succeeded failed skipped cancelled
        unspecified starting waiting_for_user checking done
        unspecified discover submit publish complete
        UNSPECIFIED VOLUME_MISSING UNREADABLE CORRUPT NOT_LOGGED_IN EXPIRED REVOKED RATE_LIMITED ENVIRONMENT_BROKEN TIMED_OUT UNKNOWN PRESENT UNEXPIRED PROVEN DUPLICATE
        unspecified passed failed skipped
        unspecified codex gemini
        unspecified resume_failed_stage restart_from_discovery
        unspecified hash explicit_queue agent
        unspecified pending running succeeded failed no_work cancelled retrying
        unspecified offline draining active
        unspecified wait refuse
        unspecified discover submit publish
        unspecified needs_auth ready error
        unspecified connected draining away
        unspecified skill direct_fallback direct_only
        unspecified run stage default
        unspecified skills_off stage_off outside_canary
        unspecified same drift not_compared
        unspecified instructions executable
        ");
    }

    #[test]
    fn a_name_leads_back_to_its_value() {
        assert_eq!(parse::<RunStatus>("no_work"), Some(RunStatus::NoWork));
        assert_eq!(parse::<RunStatus>("nonsense"), None);
    }

    #[test]
    fn unset_and_unknown_values_are_told_apart() {
        assert_eq!(of::<RunStatus>(0), None);
        assert_eq!(of::<RunStatus>(99), Some("unknown_99".to_owned()));
    }
}
