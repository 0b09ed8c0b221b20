//! How a scripted worker introduces itself.

use moorline_proto::v1;

use super::{Script, desk::Desk};

/// Its Hello, with what it holds.
pub fn hello(script: &Script, desk: &Desk) -> v1::Hello {
    v1::Hello {
        worker_name: script.name.clone(),
        instance_id: script.instance_id.to_string(),
        protocol_version: 1,
        hostname: "bench".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        queues: vec![script.queue.clone()],
        slots: script.slots,
        volume: binding(script),
        profile: Some(profile()),
        inventory: desk.inventory().map(super::Held::message).collect(),
        sealing_key: Default::default(),
    }
}

/// What every worker has: the default skill, for all stages.
fn profile() -> v1::StartupProfile {
    let stage = |stage: v1::Stage| v1::SkillStage {
        stage: stage.into(),
        kind: v1::SkillKind::Executable.into(),
    };
    v1::StartupProfile {
        skills: vec![v1::StartupSkill {
            name: "speckit".to_owned(),
            stages: [v1::Stage::Discover, v1::Stage::Submit, v1::Stage::Publish].map(stage).into(),
            ready: true,
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A shard's worker presents its volume, with a login check that has passed.
fn binding(script: &Script) -> Option<v1::VolumeBinding> {
    let index = script.queue.strip_prefix("codex-")?;
    let volume = format!("codex_auth_{index}");
    Some(v1::VolumeBinding {
        queue: script.queue.clone(),
        diagnostics: Some(v1::VolumeDiagnostics {
            volume: volume.clone(),
            exists: true,
            login_method: "api_key".to_owned(),
            ..Default::default()
        }),
        preflight: Some(v1::Preflight {
            status: v1::PreflightStatus::Passed.into(),
            rung: v1::PreflightRung::Present.into(),
            message: "Logged in using an API key".to_owned(),
            exit_code: Some(0),
            volume: volume.clone(),
            queue: script.queue.clone(),
            worker_name: script.name.clone(),
            ..Default::default()
        }),
        volume,
        capacity: 1,
    })
}
