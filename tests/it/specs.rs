//! The features' own documents hold: their task lists are ones that Moorline itself could work on, what they tick is there, and what tests
//! cite exists.

use std::{collections::BTreeSet, fs, path::Path};

use super::architecture::{ROOT, sources};

const FEATURES: [&str; 2] = ["001-celery-oauth-volumes", "007-scalable-codex-worker"];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_projects_task_lists_can_be_read_by_its_own_parser() {
    for feature in FEATURES {
        let list = moorline_worker::tasks::TaskList::parse(read(&format!("specs/{feature}/tasks.md")).as_bytes()).unwrap();
        assert!(list.next_phase().is_some(), "{feature} is not done yet");
    }
}

#[test]
fn what_a_ticked_task_names_is_there() {
    let mut missing = Vec::new();
    for feature in FEATURES {
        for line in read(&format!("specs/{feature}/tasks.md"))
            .lines()
            .filter(|line| line.starts_with("- [x] "))
        {
            for path in line
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|text| text.contains('/') && !text.contains([' ', '<', '$']))
            {
                if !Path::new(ROOT).join(path).exists() {
                    missing.push(format!("{feature}: {path} in: {line}"));
                }
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn requirements_that_tests_cite_exist() {
    let mut known = BTreeSet::new();
    for feature in FEATURES {
        let number = &feature[..3];
        for word in read(&format!("specs/{feature}/spec.md")).split(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
            if word.starts_with("FR-") {
                known.insert(format!("{number}/{word}"));
            }
        }
    }
    assert!(known.len() > 50);
    let mut cited = BTreeSet::new();
    for file in sources(&Path::new(ROOT).join("tests/it")) {
        let text = fs::read_to_string(file).unwrap();
        for number in ["001", "007"] {
            let pattern = format!("{number}/FR-");
            cited.extend(
                text.match_indices(&pattern)
                    .filter_map(|(at, _)| text.get(at..at + pattern.len() + 3))
                    .map(str::to_owned),
            );
        }
    }
    cited.retain(|citation| citation.chars().last().is_some_and(|c| c.is_ascii_digit()));
    assert!(cited.len() >= 20, "tests cite {} requirements only", cited.len());
    let unknown: Vec<_> = cited.difference(&known).collect();
    assert_eq!(unknown, Vec::<&String>::new());
}
