//! What scripted workers say of their skills.

use moorline_proto::v1::{self, Stage};

/// A skill that carries some stages by a program.
pub fn skill(name: &str, stages: &[Stage]) -> v1::StartupSkill {
    let stage = |stage: &Stage| v1::SkillStage {
        stage: (*stage).into(),
        kind: v1::SkillKind::Executable.into(),
    };
    v1::StartupSkill {
        name: name.to_owned(),
        description: "Carries stages in tests.".to_owned(),
        version: "1.0.0".to_owned(),
        digest: "5e".repeat(32),
        stages: stages.iter().map(stage).collect(),
        ready: true,
        detail: String::new(),
    }
}

/// What every worker has: `speckit`, for all stages.
pub fn usual() -> Vec<v1::StartupSkill> {
    vec![skill("speckit", &[Stage::Discover, Stage::Submit, Stage::Publish])]
}

/// A startup profile with these skills and nothing else.
pub fn profile(skills: Vec<v1::StartupSkill>) -> v1::StartupProfile {
    v1::StartupProfile {
        skills,
        ..Default::default()
    }
}
