//! The skills of a worker's startup profile: what is stored of them, and what the claim asks of them.
//!
//! Their authors have written most of it, and a worker may find what it likes in a folder: everything has a limit.

use std::collections::BTreeSet;

use moorline_proto::v1;
use serde::{Deserialize, Serialize};

use super::names::FromWire as _;
use crate::domain::{
    line,
    skill::{self, Kind},
    stage::Stage,
};

/// Most skills of one worker that are stored.
const SKILLS_MAX: usize = 200;
/// Longest texts, in characters.
const DESCRIPTION_MAX: usize = 1024;
const VERSION_MAX: usize = 64;
const DETAIL_MAX: usize = 512;

/// [`v1::StartupSkill`] as stored.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Skill {
    name: String,
    description: String,
    version: String,
    digest: String,
    stages: Vec<Carried>,
    ready: bool,
    detail: String,
}

/// A stage that a skill can carry, as stored.
#[derive(Debug, Serialize, Deserialize)]
struct Carried {
    stage: Stage,
    kind: Kind,
}

/// What is stored of a worker's skills: those with a name that a skill can have, each name once.
pub(super) fn documents(wire: Vec<v1::StartupSkill>) -> Vec<Skill> {
    let mut names = BTreeSet::new();
    wire.into_iter()
        .filter(|skill| skill::is_name(&skill.name) && names.insert(skill.name.clone()))
        .take(SKILLS_MAX)
        .map(document)
        .collect()
}

fn document(wire: v1::StartupSkill) -> Skill {
    let mut stages: Vec<Carried> = Vec::new();
    for carried in &wire.stages {
        let known = Stage::from_wire(carried.stage()).zip(Kind::from_wire(carried.kind()));
        if let Some((stage, kind)) = known.filter(|(stage, _)| stages.iter().all(|other| other.stage != *stage)) {
            stages.push(Carried { stage, kind });
        }
    }
    Skill {
        name: wire.name,
        description: line::short(&wire.description, DESCRIPTION_MAX),
        version: line::short(&wire.version, VERSION_MAX),
        digest: skill::digest(wire.digest),
        stages,
        ready: wire.ready,
        detail: line::short(&wire.detail, DETAIL_MAX),
    }
}

/// The message that a document was made of.
pub(super) fn message(skill: Skill) -> v1::StartupSkill {
    let stage = |carried: Carried| v1::SkillStage {
        stage: v1::Stage::from(carried.stage).into(),
        kind: v1::SkillKind::from(carried.kind).into(),
    };
    v1::StartupSkill {
        name: skill.name,
        description: skill.description,
        version: skill.version,
        digest: skill.digest,
        stages: skill.stages.into_iter().map(stage).collect(),
        ready: skill.ready,
        detail: skill.detail,
    }
}

/// What the claim asks of them: `skill:stage` for each stage that one is ready for, in order.
pub(super) fn ready(skills: &[Skill]) -> Vec<String> {
    let of_skill = |skill: &Skill| {
        let stages = skill.stages.iter().map(|carried| format!("{}:{}", skill.name, carried.stage));
        stages.collect::<Vec<_>>()
    };
    let mut ready: Vec<String> = skills.iter().filter(|skill| skill.ready).flat_map(of_skill).collect();
    ready.sort_unstable();
    ready
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skill(name: &str, stages: &[(v1::Stage, v1::SkillKind)], ready: bool) -> v1::StartupSkill {
        let stage = |(stage, kind): &(v1::Stage, v1::SkillKind)| v1::SkillStage {
            stage: (*stage).into(),
            kind: (*kind).into(),
        };
        v1::StartupSkill {
            name: name.to_owned(),
            description: "Carries stages.".to_owned(),
            version: "1.0.0".to_owned(),
            digest: "a0".repeat(32),
            stages: stages.iter().map(stage).collect(),
            ready,
            detail: if ready { String::new() } else { "its mirror lacks it".to_owned() },
        }
    }

    #[test]
    fn skills_come_out_as_they_went_in_and_only_the_ready_ones_count() {
        use v1::{SkillKind::Executable, SkillKind::Instructions, Stage};
        let wire = vec![
            skill("speckit", &[(Stage::Submit, Instructions), (Stage::Discover, Executable)], true),
            skill("broken", &[(Stage::Publish, Executable)], false),
            skill("agents-only", &[], true),
        ];
        let stored = documents(wire.clone());
        assert_eq!(ready(&stored), ["speckit:discover", "speckit:submit"]);
        let json = serde_json::to_value(&stored).unwrap();
        let read: Vec<Skill> = serde_json::from_value(json).unwrap();
        assert_eq!(read.into_iter().map(message).collect::<Vec<_>>(), wire);
    }

    #[test]
    fn what_a_worker_says_of_its_skills_has_limits() {
        use v1::{SkillKind::Executable, Stage};
        let publish = [
            (Stage::Publish, Executable),
            (Stage::Publish, Executable),
            (Stage::Unspecified, Executable),
        ];
        let mut wire: Vec<v1::StartupSkill> = (0..300).map(|number| skill(&format!("skill-{number}"), &publish, true)).collect();
        wire[0].description = "x\0\n".repeat(5000);
        wire[0].digest = "not hexadecimal".to_owned();
        wire[0].detail = "\u{1b}[31m y".repeat(5000);
        wire.insert(1, skill("skill-0", &publish, true));
        wire.insert(2, skill("discover:x", &publish, true));
        wire.insert(3, skill("Über", &publish, true));
        let stored = documents(wire);
        assert_eq!((stored.len(), stored[1].name.as_str()), (SKILLS_MAX, "skill-1"));
        assert_eq!(stored[0].stages.len(), 1);
        assert_eq!(stored[0].description.chars().count(), DESCRIPTION_MAX);
        assert_eq!(stored[0].detail.chars().count(), DETAIL_MAX);
        assert!(stored[0].digest.is_empty());
        let text = serde_json::to_string(&stored[0]).unwrap();
        assert!(!text.contains("\\u0000") && !text.contains("\\u001b"), "{text}");
    }
}
