use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::domain::skill::{SPECKIT, StagePolicy};

const DOCUMENT: &str = include_str!("../../../../../specs/007-scalable-codex-worker/contracts/skill-policy.md");

/// A table of the document: what decides, and what is decided.
struct Table {
    title: &'static str,
    header: Vec<&'static str>,
    rows: Vec<Vec<&'static str>>,
    used: BTreeSet<usize>,
}

impl Table {
    fn read(title: &'static str) -> Self {
        let section = DOCUMENT.split("\n## ").find(|section| section.lines().next() == Some(title));
        let section = section.unwrap_or_else(|| panic!("there is no section {title:?}"));
        let mut rows = section.lines().filter(|line| line.starts_with('|')).map(cells);
        let header = rows.next().unwrap();
        Self {
            title,
            header,
            rows: rows.skip(1).collect(),
            used: BTreeSet::new(),
        }
    }

    /// What the one row says that these facts lead to. A fact that a row leaves open is `any` in it.
    fn outcome(&mut self, facts: &[&str]) -> BTreeMap<&'static str, &'static str> {
        let leads = |row: &Vec<&str>| row.iter().zip(facts).all(|(cell, fact)| cell == fact || *cell == "any");
        let found: Vec<usize> = (0..self.rows.len()).filter(|index| leads(&self.rows[*index])).collect();
        let [index] = found[..] else {
            panic!("{}: {facts:?} lead to {} rows", self.title, found.len())
        };
        self.used.insert(index);
        let outcome = self.header.iter().zip(&self.rows[index]).skip(facts.len());
        outcome.map(|(name, cell)| (*name, *cell)).collect()
    }
}

fn cells(line: &'static str) -> Vec<&'static str> {
    line.trim_matches('|')
        .split('|')
        .map(|cell| cell.trim().trim_matches('`'))
        .collect()
}

fn word<'a>(is: bool, yes: &'a str, no: &'a str) -> &'a str {
    if is { yes } else { no }
}

/// What may be said of a skill: nothing, one that is allowed, one that isn't.
fn choices(allowed: &'static str) -> [(&'static str, Option<&'static str>); 3] {
    [
        ("nothing", None),
        ("an allowed skill", Some(allowed)),
        ("another skill", Some("unheard-of")),
    ]
}

const SWITCH: [bool; 2] = [true, false];

#[test]
fn every_combination_is_decided_as_the_document_says() {
    let [mut which, mut way, mut need] = ["Which skill", "Which way", "What a worker must have"].map(Table::read);
    let run_id = Uuid::parse_str("01932c07-a3f0-7aaa-8bbb-0123456789ab").unwrap();
    let stage = Stage::Submit;
    let bucket = bucket(run_id, stage);
    let mut combinations = 0;
    for (asked_word, asked) in choices("of-run") {
        for (configured_word, configured) in choices("of-stage") {
            for flags in 0..64_u8 {
                let flag = |n: u8| SWITCH[usize::from(flags >> n & 1)];
                let (global, of_stage, inside, shadow, fallback, repository) = (flag(0), flag(1), flag(2), flag(3), flag(4), flag(5));
                let allowed: BTreeSet<String> = ["of-run", "of-stage", SPECKIT].map(str::to_owned).into();
                let policy = Policy {
                    version: 7,
                    use_skills: global,
                    stages: BTreeMap::from([(
                        stage,
                        StagePolicy {
                            use_skills: of_stage,
                            skill: configured.map(str::to_owned),
                        },
                    )]),
                    repository_skills: if repository { allowed.clone() } else { BTreeSet::new() },
                    allowed_skills: allowed,
                    canary_percent: bucket + u8::from(inside),
                    shadow_mode: shadow,
                    fallback_enabled: fallback,
                    ..Policy::default()
                };
                assert_eq!(policy.check(), Ok(()));
                let decision = decide(&policy, run_id, stage, asked);

                let chosen = which.outcome(&[asked_word, configured_word]);
                let named = |cell: &str| match cell {
                    "the run's" => "of-run",
                    "the stage's" => "of-stage",
                    "the default" => SPECKIT,
                    "what was asked for" => "unheard-of",
                    "none" => "",
                    other => panic!("{other:?} is no skill"),
                };
                let went = way.outcome(&[
                    word(global, "on", "off"),
                    word(of_stage, "on", "off"),
                    word(inside, "in", "out"),
                    word(shadow, "on", "off"),
                ]);
                let yes = |cell: &str| cell == "yes";
                let needs = need.outcome(&[went["use_skills"], went["shadow_mode"], word(repository, "yes", "no")]);
                let expected = Decision {
                    stage,
                    selected_skill: named(chosen["selected_skill"]).to_owned(),
                    execution_path: went["execution_path"].parse().unwrap(),
                    use_skills: yes(went["use_skills"]),
                    fallback_enabled: fallback,
                    shadow_mode: yes(went["shadow_mode"]),
                    source: chosen["source"].parse().unwrap(),
                    replaced_skill: named(chosen["replaced_skill"]).to_owned(),
                    direct_reason: Some(went["direct_reason"])
                        .filter(|reason| *reason != "none")
                        .map(|reason| reason.parse().unwrap()),
                    canary_percent: policy.canary_percent,
                    canary_bucket: bucket,
                    policy_version: 7,
                    repository_skill: repository,
                };
                assert_eq!(decision, expected);
                let needed = decision.needed_skill().unwrap_or_default();
                assert_eq!(
                    needed,
                    word(needs["needs"] == "the selected skill", &expected.selected_skill, ""),
                    "{expected:?}"
                );
                combinations += 1;
            }
        }
    }
    assert_eq!(combinations, 576);
    for table in [which, way, need] {
        assert_eq!(
            table.used.len(),
            table.rows.len(),
            "{}: a row is never led to: {:?}",
            table.title,
            table.used
        );
    }
}

#[test]
fn what_does_not_hang_on_the_canary_can_be_told_before_there_is_a_run() {
    let at = |canary_percent, use_skills| {
        let policy = Policy {
            canary_percent,
            use_skills,
            ..Policy::default()
        };
        match foresee(&policy, Stage::Discover, None) {
            Foreseen::ForAnyRun(decision) => Some(decision.execution_path),
            Foreseen::Open(decision) => {
                assert_eq!(decision.execution_path, ExecutionPath::Skill);
                None
            }
            Foreseen::Settled(decision) => panic!("there is no run: {decision:?}"),
        }
    };
    assert_eq!(at(100, true), Some(ExecutionPath::Skill));
    assert_eq!(at(0, true), Some(ExecutionPath::DirectOnly));
    assert_eq!(at(50, false), Some(ExecutionPath::DirectOnly));
    assert_eq!((at(1, true), at(99, true)), (None, None));
}
