//! Enums of the domain and of the proto files, name by name. Each map is total, so that a new case can't be forgotten.

use moorline_proto::v1;

use crate::domain::{audit, job, preflight, run, shard, skill, stage::Stage, volume};

/// Maps an enum of ours to one of the proto files and back; `Unspecified` comes back as `None`.
macro_rules! same_names {
    ($ours:ty, $wire:ty, $($name:ident),+ $(,)?) => {
        impl From<$ours> for $wire {
            fn from(ours: $ours) -> Self {
                match ours { $(<$ours>::$name => Self::$name,)+ }
            }
        }

        impl FromWire<$wire> for $ours {
            fn from_wire(wire: $wire) -> Option<Self> {
                match wire { <$wire>::Unspecified => None, $(<$wire>::$name => Some(Self::$name),)+ }
            }
        }
    };
}

/// Takes an enum off the wire.
pub trait FromWire<W>: Sized {
    /// `None` for `Unspecified`.
    fn from_wire(wire: W) -> Option<Self>;
}

same_names!(
    run::Status,
    v1::RunStatus,
    Pending,
    Running,
    Succeeded,
    Failed,
    NoWork,
    Cancelled,
    Retrying
);
same_names!(run::Phase, v1::Phase, Discover, Submit, Publish, Complete);
same_names!(run::Agent, v1::Agent, Codex, Gemini);
same_names!(run::OnShardUnavailable, v1::ShardUnavailablePolicy, Wait, Refuse);
same_names!(run::OnAuthFailure, v1::AuthFailurePolicy, Fail, Wait);
same_names!(Stage, v1::Stage, Discover, Submit, Publish);
same_names!(job::Status, v1::JobStatus, Queued, Running, Succeeded, Failed, Skipped, Cancelled);
same_names!(
    job::HoldReason,
    v1::HoldReason,
    ShardDraining,
    ShardOffline,
    WaitingAuth,
    CoolingDown,
    CheckingLogin
);
same_names!(job::FailureClass, v1::FailureClass, Job, Environment, Login, LostWorker);
same_names!(preflight::Status, v1::PreflightStatus, Passed, Failed, Skipped);
same_names!(
    preflight::Rung,
    v1::PreflightRung,
    VolumeMissing,
    Unreadable,
    Corrupt,
    NotLoggedIn,
    Expired,
    Revoked,
    RateLimited,
    EnvironmentBroken,
    TimedOut,
    Unknown,
    Present,
    Unexpired,
    Proven,
    Duplicate,
);
same_names!(audit::CodexStatus, v1::CodexCredentialStatus, Valid, Invalid, ExpiresSoon);
same_names!(audit::GithubStatus, v1::GithubCredentialStatus, Valid, Invalid, ScopeMissing);
same_names!(shard::Status, v1::ShardStatus, Offline, Draining, Active);
same_names!(volume::Status, v1::VolumeStatus, NeedsAuth, Ready, Error);
same_names!(skill::ExecutionPath, v1::ExecutionPath, Skill, DirectFallback, DirectOnly);
same_names!(skill::Source, v1::SkillSource, Run, Stage, Default);
same_names!(skill::DirectReason, v1::DirectReason, SkillsOff, StageOff, OutsideCanary);
same_names!(skill::Kind, v1::SkillKind, Instructions, Executable);
same_names!(skill::ShadowStatus, v1::ShadowStatus, Same, Drift, NotCompared);
same_names!(volume::Provider, v1::Provider, Codex, Gemini);

/// The wire's number for an enum of ours, 0 for none.
pub fn number<O, W>(ours: Option<O>) -> i32
where
    W: From<O> + Into<i32>,
{
    ours.map_or(0, |ours| W::from(ours).into())
}

/// Name of an artifact type as stored, such as `codex_patch`; `None` for an unspecified one.
pub fn artifact_type(wire: v1::ArtifactType) -> Option<String> {
    (wire != v1::ArtifactType::Unspecified).then(|| wire.as_str_name().trim_start_matches("ARTIFACT_TYPE_").to_ascii_lowercase())
}

/// The wire's number for a stored artifact type.
pub fn artifact_type_number(stored: &str) -> i32 {
    let name = format!("ARTIFACT_TYPE_{}", stored.to_ascii_uppercase());
    v1::ArtifactType::from_str_name(&name)
        .unwrap_or(v1::ArtifactType::Unspecified)
        .into()
}
