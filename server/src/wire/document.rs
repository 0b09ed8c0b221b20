//! Messages that are stored whole, as JSON documents.

use moorline_proto::v1;
use serde::{Deserialize, Serialize};

use super::{startup_skill, time, timestamp};
use crate::domain::volume::Seen;

/// [`v1::VolumeDiagnostics`] as stored.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Diagnostics {
    volume: String,
    exists: bool,
    driver: String,
    owner: String,
    mode: String,
    credential_bytes: i64,
    other_bytes: i64,
    credential_mode: String,
    credential_modified_at: Option<chrono::DateTime<chrono::Utc>>,
    login_method: String,
    token_expires_at: Option<chrono::DateTime<chrono::Utc>>,
    session_bytes: i64,
    log_bytes: i64,
    free_bytes: i64,
    quota_bytes: i64,
    snapshot_at: Option<chrono::DateTime<chrono::Utc>>,
    account_fingerprint: String,
    login_fingerprint: String,
    mended: Vec<String>,
}

/// What a worker sees of a volume, as a document.
pub fn diagnostics(wire: v1::VolumeDiagnostics) -> serde_json::Value {
    let document = Diagnostics {
        credential_modified_at: time(wire.credential_modified_at.as_ref()),
        token_expires_at: time(wire.token_expires_at.as_ref()),
        snapshot_at: time(wire.snapshot_at.as_ref()),
        volume: wire.volume,
        exists: wire.exists,
        driver: wire.driver,
        owner: wire.owner,
        mode: wire.mode,
        credential_bytes: wire.credential_bytes,
        other_bytes: wire.other_bytes,
        credential_mode: wire.credential_mode,
        login_method: wire.login_method,
        session_bytes: wire.session_bytes,
        log_bytes: wire.log_bytes,
        free_bytes: wire.free_bytes,
        quota_bytes: wire.quota_bytes,
        account_fingerprint: wire.account_fingerprint,
        login_fingerprint: wire.login_fingerprint,
        mended: wire.mended,
    };
    // The document holds nothing that JSON can't: no map with other keys than text, no infinite number.
    serde_json::to_value(document).unwrap_or_default()
}

/// What a worker sees of its volume.
pub fn seen(wire: v1::VolumeDiagnostics, capacity: Option<i32>) -> Seen {
    Seen {
        login_fingerprint: wire.login_fingerprint.clone(),
        capacity: capacity.map(|capacity| capacity.max(1)),
        diagnostics: diagnostics(wire),
    }
}

/// The message that a document was made of.
pub fn diagnostics_message(document: serde_json::Value) -> v1::VolumeDiagnostics {
    let document: Diagnostics = serde_json::from_value(document).unwrap_or_default();
    v1::VolumeDiagnostics {
        credential_modified_at: document.credential_modified_at.map(timestamp),
        token_expires_at: document.token_expires_at.map(timestamp),
        snapshot_at: document.snapshot_at.map(timestamp),
        volume: document.volume,
        exists: document.exists,
        driver: document.driver,
        owner: document.owner,
        mode: document.mode,
        credential_bytes: document.credential_bytes,
        other_bytes: document.other_bytes,
        credential_mode: document.credential_mode,
        login_method: document.login_method,
        session_bytes: document.session_bytes,
        log_bytes: document.log_bytes,
        free_bytes: document.free_bytes,
        quota_bytes: document.quota_bytes,
        account_fingerprint: document.account_fingerprint,
        login_fingerprint: document.login_fingerprint,
        mended: document.mended,
    }
}

/// [`v1::StartupProfile`] as stored. One that an older server has stored lacks some of it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Profile {
    checks: Vec<Check>,
    engine: String,
    engine_version: String,
    embedding: Option<Embedding>,
    tools: Vec<Tool>,
    policy: Option<Policy>,
    skills: Vec<startup_skill::Skill>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Check {
    name: String,
    ok: bool,
    detail: String,
    duration_ms: Option<i64>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Embedding {
    provider: String,
    model: String,
    credential_source: String,
    dimension: i64,
    probed: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Tool {
    name: String,
    version: String,
    supported: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Policy {
    approval_policy: String,
    template: String,
}

/// What a worker has checked at its start, as a document, and `skill:stage` for each stage that a skill of its is ready for.
pub fn profile(wire: v1::StartupProfile) -> (serde_json::Value, Vec<String>) {
    let millis = |duration: prost_types::Duration| duration.seconds.saturating_mul(1000) + i64::from(duration.nanos) / 1_000_000;
    let check = |check: v1::StartupCheck| Check {
        name: check.name,
        ok: check.ok,
        detail: check.detail,
        duration_ms: check.duration.map(millis),
    };
    let tool = |tool: v1::StartupTool| Tool {
        name: tool.name,
        version: tool.version,
        supported: tool.supported,
    };
    let document = Profile {
        checks: wire.checks.into_iter().map(check).collect(),
        engine: wire.engine,
        engine_version: wire.engine_version,
        embedding: wire.embedding.map(|embedding| Embedding {
            provider: embedding.provider,
            model: embedding.model,
            credential_source: embedding.credential_source,
            dimension: embedding.dimension,
            probed: embedding.probed,
        }),
        tools: wire.tools.into_iter().map(tool).collect(),
        policy: wire.policy.map(|policy| Policy {
            approval_policy: policy.approval_policy,
            template: policy.template,
        }),
        skills: startup_skill::documents(wire.skills),
    };
    let ready = startup_skill::ready(&document.skills);
    (serde_json::to_value(document).unwrap_or_default(), ready)
}

/// The message that such a document was made of.
pub fn profile_message(document: serde_json::Value) -> v1::StartupProfile {
    let document: Profile = serde_json::from_value(document).unwrap_or_default();
    let check = |check: Check| v1::StartupCheck {
        name: check.name,
        ok: check.ok,
        detail: check.detail,
        duration: check.duration_ms.map(|millis| prost_types::Duration {
            seconds: millis / 1000,
            nanos: i32::try_from(millis % 1000 * 1_000_000).unwrap_or_default(),
        }),
    };
    let tool = |tool: Tool| v1::StartupTool {
        name: tool.name,
        version: tool.version,
        supported: tool.supported,
    };
    v1::StartupProfile {
        checks: document.checks.into_iter().map(check).collect(),
        engine: document.engine,
        engine_version: document.engine_version,
        embedding: document.embedding.map(|embedding| v1::StartupEmbedding {
            provider: embedding.provider,
            model: embedding.model,
            credential_source: embedding.credential_source,
            dimension: embedding.dimension,
            probed: embedding.probed,
        }),
        tools: document.tools.into_iter().map(tool).collect(),
        policy: document.policy.map(|policy| v1::StartupPolicy {
            approval_policy: policy.approval_policy,
            template: policy.template,
        }),
        skills: document.skills.into_iter().map(startup_skill::message).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_comes_out_as_it_went_in_and_an_older_one_with_gaps() {
        let profile = v1::StartupProfile {
            checks: vec![v1::StartupCheck {
                name: "git".to_owned(),
                ok: true,
                detail: "git version 2.39.5".to_owned(),
                duration: Some(prost_types::Duration {
                    seconds: 1,
                    nanos: 25_000_000,
                }),
            }],
            engine: "docker".to_owned(),
            engine_version: "20.10".to_owned(),
            embedding: Some(v1::StartupEmbedding {
                provider: "google".to_owned(),
                model: "m".to_owned(),
                credential_source: "gemini_api_key".to_owned(),
                dimension: 768,
                probed: true,
            }),
            tools: vec![v1::StartupTool {
                name: "speckit".to_owned(),
                version: "1.2.3".to_owned(),
                supported: true,
            }],
            policy: Some(v1::StartupPolicy {
                approval_policy: "never".to_owned(),
                template: "built-in".to_owned(),
            }),
            skills: vec![v1::StartupSkill {
                name: "speckit".to_owned(),
                description: "Works on a feature's folder.".to_owned(),
                ready: true,
                ..Default::default()
            }],
        };
        assert_eq!(profile_message(super::profile(profile.clone()).0), profile);
        let old =
            serde_json::json!({ "checks": [{ "name": "git", "ok": true, "detail": "2" }], "engine": "process", "engine_version": "1" });
        let old = profile_message(old);
        assert_eq!(
            (old.checks[0].duration, old.embedding, old.engine.as_str(), old.skills),
            (None, None, "process", Vec::new())
        );
    }
}
