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
        profile: None,
        inventory: desk.inventory().map(super::Held::message).collect(),
        sealing_key: Default::default(),
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
