use strum::VariantArray as _;

use super::*;
use crate::domain::skill::{DirectReason, ShadowStatus, Source};

fn decision(execution_path: ExecutionPath, shadow_mode: bool) -> Decision {
    let use_skills = execution_path == ExecutionPath::Skill;
    Decision {
        stage: Stage::Submit,
        selected_skill: "speckit".to_owned(),
        execution_path,
        use_skills,
        fallback_enabled: true,
        shadow_mode,
        source: Source::Default,
        replaced_skill: String::new(),
        direct_reason: (!use_skills).then_some(DirectReason::OutsideCanary),
        canary_percent: 50,
        canary_bucket: 7,
        policy_version: 3,
        repository_skill: false,
    }
}

fn attempt(decision: &Decision, succeeded: bool) -> Attempt<'_> {
    Attempt {
        stage: Stage::Submit,
        decision: Some(decision),
        took_ms: 900,
        most_ms: 1_000,
        succeeded,
    }
}

fn failure(code: &str) -> Failure {
    Failure {
        code: code.to_owned(),
        message: "why".to_owned(),
        class: FailureClass::Job,
        details: BTreeMap::new(),
    }
}

fn shadow(execution_path: ExecutionPath) -> Shadow {
    Shadow {
        execution_path,
        status: ShadowStatus::Drift,
        files: 2,
        artifact_id: None,
        detail: "2 files differ".to_owned(),
        duration_ms: 40,
    }
}

/// What a worker truly says of each way that a stage can go.
fn truths() -> Vec<(Decision, Execution)> {
    use ExecutionPath::{DirectFallback, DirectOnly, Skill};
    let mut truths = Vec::new();
    for path in ExecutionPath::VARIANTS {
        for with_shadow in [false, true] {
            let decided = if *path == DirectOnly { DirectOnly } else { Skill };
            let decision = decision(decided, with_shadow);
            let mut said = attempt(&decision, true).unsaid();
            said.execution_path = *path;
            said.used_skills = *path != DirectOnly;
            said.used_fallback = *path == DirectFallback;
            said.skill_failure = (*path == DirectFallback).then(|| failure("SKILL_TIMED_OUT"));
            said.skill_digest = "0f".repeat(32);
            said.shadow = with_shadow.then(|| shadow(if decided == Skill { DirectOnly } else { Skill }));
            said.duration_ms = 880;
            truths.push((decision, said));
        }
    }
    truths
}

#[test]
fn what_can_be_true_is_recorded_as_it_was_said() {
    for (decision, said) in truths() {
        let (recorded, wrong) = attempt(&decision, true).said(said.clone());
        assert_eq!((recorded, wrong), (said, Vec::new()));
    }
}

#[test]
fn without_a_word_the_way_is_the_decided_one_and_nothing_was_used() {
    for path in [ExecutionPath::Skill, ExecutionPath::DirectOnly] {
        let decision = decision(path, true);
        let recorded = attempt(&decision, false).unsaid();
        assert_eq!((recorded.execution_path, recorded.duration_ms), (path, 900));
        assert_eq!((recorded.used_skills, recorded.used_fallback), (false, false));
        assert!(recorded.shadow_mode_requested);
    }
    let before_skills = Attempt {
        stage: Stage::Discover,
        decision: None,
        took_ms: 0,
        most_ms: 5,
        succeeded: true,
    };
    assert_eq!(before_skills.unsaid().execution_path, ExecutionPath::DirectOnly);
}

#[test]
fn a_record_holds_what_it_must_whatever_was_said() {
    let bits = |number: u32, bit: u32| number >> bit & 1 == 1;
    for decided in [ExecutionPath::Skill, ExecutionPath::DirectOnly] {
        for path in ExecutionPath::VARIANTS {
            for number in 0..256 {
                let decision = decision(decided, bits(number, 0));
                let attempt = attempt(&decision, bits(number, 1));
                let said = Execution {
                    execution_path: *path,
                    used_skills: bits(number, 2),
                    used_fallback: bits(number, 3),
                    shadow_mode_requested: bits(number, 4),
                    skill_failure: bits(number, 5).then(|| failure("SKILL_FAILED")),
                    shadow: bits(number, 6).then(|| shadow(ExecutionPath::DirectFallback)),
                    duration_ms: if bits(number, 7) { i64::MAX } else { i64::MIN },
                    ..attempt.unsaid()
                };
                let (recorded, _) = attempt.said(said);
                let fallback = recorded.execution_path == ExecutionPath::DirectFallback;
                assert_eq!(recorded.used_fallback, fallback, "{recorded:?}");
                assert!(
                    !fallback || recorded.used_skills && recorded.skill_failure.is_some(),
                    "{recorded:?}"
                );
                assert!(
                    recorded.execution_path != ExecutionPath::DirectOnly || !recorded.used_skills && recorded.skill_failure.is_none(),
                    "{recorded:?}"
                );
                assert!(
                    decided == ExecutionPath::Skill || recorded.execution_path == decided,
                    "{recorded:?}"
                );
                assert_eq!(recorded.shadow_mode_requested, decision.shadow_mode);
                assert!(recorded.shadow.is_none() || decision.shadow_mode);
                assert!(
                    recorded
                        .shadow
                        .as_ref()
                        .is_none_or(|shadow| shadow.execution_path != recorded.execution_path)
                );
                assert!((1..=1_000).contains(&recorded.duration_ms));
                // It is as true when it is said again.
                assert_eq!(attempt.said(recorded.clone()), (recorded, Vec::new()));
            }
        }
    }
}

#[test]
fn a_lie_is_named_and_long_words_are_cut() {
    let decision = decision(ExecutionPath::Skill, false);
    let long = Failure {
        code: "X".repeat(9_000),
        message: "y\0\n".repeat(9_000),
        details: (0..99).map(|number| (format!("d{number}"), "z".repeat(9_000))).collect(),
        ..failure("")
    };
    let said = Execution {
        stage: Stage::Publish,
        selected_skill: "another".to_owned(),
        execution_path: ExecutionPath::DirectFallback,
        used_skills: false,
        used_fallback: false,
        shadow_mode_requested: true,
        duration_ms: 999_999,
        skill_failure: Some(long),
        skill_digest: "xyz".to_owned(),
        shadow: Some(shadow(ExecutionPath::DirectOnly)),
    };
    let (recorded, wrong) = attempt(&decision, false).said(said);
    let fields = "stage selected_skill used_skills used_fallback shadow_mode_requested duration_ms skill_failure skill_digest shadow";
    assert_eq!(wrong.join(" "), fields);
    assert_eq!((recorded.stage, recorded.selected_skill.as_str()), (Stage::Submit, "speckit"));
    assert_eq!((recorded.duration_ms, recorded.skill_digest.as_str()), (1_000, ""));
    let failure = recorded.skill_failure.unwrap();
    assert_eq!(failure.code.len(), CODE_MAX);
    assert_eq!(failure.message.chars().count(), MESSAGE_MAX);
    assert_eq!(failure.details.len(), DETAILS_MAX);
    assert!(failure.details.values().all(|value| value.len() == MESSAGE_MAX));
}
