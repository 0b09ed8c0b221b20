//! A worker with what it has checked at its start.

use moorline_proto::v1;
use serde::Serialize;

use crate::{
    console::View,
    names, table,
    view::{set, shown, worker::Worker},
};

/// A worker and its startup profile.
#[derive(Debug, Serialize)]
pub struct WorkerDetail {
    /// The worker.
    pub worker: Option<Worker>,
    /// What it has checked at its latest start.
    pub profile: Profile,
}

/// A startup profile.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `StartupProfile`, described there")]
pub struct Profile {
    pub engine: Option<String>,
    pub engine_version: Option<String>,
    pub checks: Vec<Check>,
    pub tools: Vec<Tool>,
    pub policy: Option<Policy>,
    pub embedding: Option<Embedding>,
    pub skills: Vec<Skill>,
}

/// A prerequisite.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `StartupCheck`, described there")]
pub struct Check {
    pub name: String,
    pub ok: bool,
    pub detail: String,
    pub duration_ms: Option<i64>,
}

/// A CLI.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `StartupTool`, described there")]
pub struct Tool {
    pub name: String,
    pub version: String,
    pub supported: bool,
}

/// What is merged into the settings of Codex.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `StartupPolicy`, described there")]
pub struct Policy {
    pub approval_policy: String,
    pub template: String,
}

/// A skill that was found where its jobs run.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `StartupSkill`, described there")]
pub struct Skill {
    pub name: String,
    pub description: String,
    pub version: Option<String>,
    pub digest: Option<String>,
    pub stages: Vec<SkillStage>,
    pub ready: bool,
    pub detail: Option<String>,
}

/// A stage that a skill can carry, and how.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `SkillStage`, described there")]
pub struct SkillStage {
    pub stage: Option<String>,
    pub kind: Option<String>,
}

/// Who makes embeddings.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the message `StartupEmbedding`, described there")]
pub struct Embedding {
    pub provider: String,
    pub model: Option<String>,
    pub credential_source: String,
    pub dimension: Option<i64>,
    pub probed: bool,
}

impl From<v1::GetWorkerResponse> for WorkerDetail {
    fn from(answer: v1::GetWorkerResponse) -> Self {
        Self {
            worker: answer.worker.map(Worker::from),
            profile: answer.profile.unwrap_or_default().into(),
        }
    }
}

impl From<v1::StartupProfile> for Profile {
    fn from(profile: v1::StartupProfile) -> Self {
        Self {
            engine: set(profile.engine),
            engine_version: set(profile.engine_version),
            checks: profile.checks.into_iter().map(Check::from).collect(),
            tools: profile.tools.into_iter().map(Tool::from).collect(),
            policy: profile.policy.map(|policy| Policy {
                approval_policy: policy.approval_policy,
                template: policy.template,
            }),
            embedding: profile.embedding.map(|embedding| Embedding {
                provider: embedding.provider,
                model: set(embedding.model),
                credential_source: embedding.credential_source,
                dimension: Some(embedding.dimension).filter(|dimension| *dimension > 0),
                probed: embedding.probed,
            }),
            skills: profile.skills.into_iter().map(Skill::from).collect(),
        }
    }
}

impl From<v1::StartupSkill> for Skill {
    fn from(skill: v1::StartupSkill) -> Self {
        let stage = |carried: v1::SkillStage| SkillStage {
            stage: names::of::<v1::Stage>(carried.stage),
            kind: names::of::<v1::SkillKind>(carried.kind),
        };
        Self {
            name: skill.name,
            description: skill.description,
            version: set(skill.version),
            digest: set(skill.digest),
            stages: skill.stages.into_iter().map(stage).collect(),
            ready: skill.ready,
            detail: set(skill.detail),
        }
    }
}

impl Skill {
    fn row(&self) -> [String; 5] {
        let stages = self.stages.iter().map(|carried| shown(carried.stage.as_ref()));
        [
            self.name.clone(),
            shown(self.version.as_ref()),
            if self.ready { "ready" } else { "not ready" }.to_owned(),
            stages.collect::<Vec<_>>().join(", "),
            self.detail.clone().unwrap_or_else(|| self.description.clone()),
        ]
    }
}

impl From<v1::StartupCheck> for Check {
    fn from(check: v1::StartupCheck) -> Self {
        let millis = |duration: prost_types::Duration| duration.seconds.saturating_mul(1000) + i64::from(duration.nanos) / 1_000_000;
        Self {
            name: check.name,
            ok: check.ok,
            detail: check.detail,
            duration_ms: check.duration.map(millis),
        }
    }
}

impl From<v1::StartupTool> for Tool {
    fn from(tool: v1::StartupTool) -> Self {
        Self {
            name: tool.name,
            version: tool.version,
            supported: tool.supported,
        }
    }
}

impl Embedding {
    fn line(&self) -> String {
        let probed = if self.probed { "by a real call" } else { "" };
        let dimension = self.dimension.map(|dimension| format!("{dimension} dimensions"));
        let parts = [
            Some(self.provider.clone()),
            self.model.clone(),
            Some(format!("credential {}", self.credential_source)),
            dimension,
            set(probed.to_owned()),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl View for WorkerDetail {
    fn table(&self, color: bool) -> String {
        let Profile {
            engine,
            engine_version,
            checks,
            tools,
            policy,
            embedding,
            skills,
        } = &self.profile;
        let tool = |tool: &Tool| format!("{} {}", tool.name, tool.version);
        let policy = policy
            .as_ref()
            .map(|policy| format!("approval_policy = {} ({})", policy.approval_policy, policy.template));
        let mut rows = self.worker.as_ref().map(Worker::rows).unwrap_or_default();
        rows.extend([
            (
                "engine",
                format!("{} {}", shown(engine.as_ref()), shown(engine_version.as_ref()))
                    .trim()
                    .to_owned(),
            ),
            ("tools", tools.iter().map(tool).collect::<Vec<_>>().join(", ")),
            ("codex policy", shown(policy)),
            ("embedding", shown(embedding.as_ref().map(Embedding::line))),
        ]);
        let checks = checks.iter().map(|check| {
            [
                check.name.clone(),
                if check.ok { "passed" } else { "failed" }.to_owned(),
                check.duration_ms.map(|millis| format!("{millis} ms")).unwrap_or_default(),
                check.detail.clone(),
            ]
        });
        let checks = table::grid(["CHECK", "RESULT", "TOOK", "DETAIL"], checks, color);
        let mut parts = vec![table::card(rows, color), checks];
        if !skills.is_empty() {
            let skills = skills.iter().map(Skill::row);
            parts.push(table::grid(["SKILL", "VERSION", "STATE", "STAGES", "DETAIL"], skills, color));
        }
        parts.join("\n\n")
    }
}
