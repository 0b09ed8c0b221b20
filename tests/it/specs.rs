//! The features' own documents hold: their task lists are ones that Moorline itself could work on, what they tick is there, what tests
//! cite exists, and contracts and data models are those of the code.

mod commands;
mod contracts;
mod models;

use std::{collections::BTreeSet, fs, path::Path};

use super::architecture::{ROOT, sources};

const FEATURES: [&str; 2] = ["001-celery-oauth-volumes", "007-scalable-codex-worker"];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// First cells, in backticks, of the rows of a document's tables.
fn first_cells(document: &str) -> Vec<String> {
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split_once('`'))
        .map(|(cell, _)| cell.to_owned())
        .collect()
}

#[test]
fn the_projects_task_lists_can_be_read_by_its_own_parser() {
    for feature in FEATURES {
        moorline_worker::tasks::TaskList::parse(read(&format!("specs/{feature}/tasks.md")).as_bytes()).unwrap();
    }
}

/// The tasks of the replaced system, by their numbers; `worker/src/fixtures` has its lists as they were.
#[test]
fn every_task_of_the_replaced_system_is_here_under_its_number() {
    for feature in FEATURES {
        let ids = |text: String| -> Vec<String> {
            let tasks = text
                .lines()
                .filter_map(|line| line.strip_prefix("- ["))
                .map(|line| line[3..].to_owned());
            tasks.filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
        };
        let (ours, theirs) = (
            ids(read(&format!("specs/{feature}/tasks.md"))),
            ids(read(&format!("worker/src/fixtures/{feature}.tasks.md"))),
        );
        assert!(
            theirs.len() >= 15 && ours[..theirs.len()] == theirs,
            "{feature}: {ours:?} {theirs:?}"
        );
    }
}

#[test]
fn what_a_tick_names_is_there() {
    let mut missing = Vec::new();
    for feature in FEATURES {
        for document in ["tasks.md", "checklists/requirements.md"] {
            for line in read(&format!("specs/{feature}/{document}"))
                .lines()
                .filter(|line| line.starts_with("- [x] "))
            {
                missing.extend(quoted(line).filter_map(absent).map(|what| format!("{feature}/{document}: {what}")));
                if !quoted(line).any(|text| text.contains(".rs::")) {
                    missing.push(format!("{feature}/{document}: no test in: {line}"));
                }
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

/// What a reference names and isn't there: `path`, or `path.rs::test`. Routes and other words are none.
fn absent(reference: &str) -> Option<String> {
    if !reference.contains('/') || reference.contains([' ', '<', '$', '{']) || reference.starts_with('/') || reference.contains("Service/")
    {
        return None;
    }
    let (path, test) = reference.split_once("::").unwrap_or((reference, ""));
    let file = Path::new(ROOT).join(path);
    let there = match test {
        "" => file.exists(),
        // Arguments follow; or a closing backtick would, were it no test.
        test => fs::read_to_string(&file).is_ok_and(|source| source.contains(&format!("fn {test}("))),
    };
    (!there).then(|| reference.to_owned())
}

#[test]
fn tests_that_a_page_names_are_there() {
    let mut missing = Vec::new();
    for feature in FEATURES {
        for folder in ["", "contracts/"] {
            let folder = format!("specs/{feature}/{folder}");
            for entry in fs::read_dir(Path::new(ROOT).join(&folder)).unwrap().map(Result::unwrap) {
                let name = format!("{folder}{}", entry.file_name().to_string_lossy());
                if name.ends_with(".md") {
                    let page = read(&name);
                    let tests = quoted(&page).filter(|text| text.contains(".rs::"));
                    missing.extend(tests.filter_map(absent).map(|test| format!("{name}: {test}")));
                }
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn a_reference_to_nothing_is_noticed() {
    assert_eq!(absent("tests/it/specs.rs::a_reference_to_nothing_is_noticed"), None);
    assert_eq!(
        absent("tests/it/specs.rs::a_reference_to_noth").as_deref(),
        Some("tests/it/specs.rs::a_reference_to_noth")
    );
    assert_eq!(absent("tests/it/nothing.rs").as_deref(), Some("tests/it/nothing.rs"));
    assert_eq!(absent("/api/workflows/speckit/runs"), None);
}

/// What `cargo xtask test` printed last is in the release notes as soon as the tasks that ask for it are ticked, and no sooner.
#[test]
fn the_outcome_of_the_test_run_is_recorded_when_it_is_said_to_be() {
    let notes = read("docs/release-notes/0.1.md");
    let outcome = notes
        .split_once("<!-- outcome:begin -->")
        .and_then(|(_, rest)| rest.split_once("<!-- outcome:end -->"));
    let mut lines = outcome.expect("the marks").0.lines();
    let recorded = lines.any(|line| line.contains(" passed, 0 failed, ") && line.starts_with(|c: char| c.is_ascii_digit()));
    for (feature, task) in FEATURES.iter().zip(["T026", "T015"]) {
        let ticked = read(&format!("specs/{feature}/tasks.md")).contains(&format!("- [x] {task} "));
        assert_eq!(ticked, recorded, "{feature} {task}");
    }
}

/// Names of requirements and criteria that begin a point of a list, such as `FR-001`.
fn points(document: &str) -> Vec<String> {
    let named = document.lines().filter_map(|line| line.split_once("**")?.1.split_once("**"));
    named
        .map(|(name, _)| name.to_owned())
        .filter(|name| name.starts_with("FR-") || name.starts_with("SC-"))
        .collect()
}

#[test]
fn every_requirement_is_on_its_checklist_and_says_how_it_is_known() {
    for feature in FEATURES {
        let mut asked = points(&read(&format!("specs/{feature}/spec.md")));
        let mut listed = points(&read(&format!("specs/{feature}/checklists/requirements.md")));
        asked.sort();
        listed.sort();
        assert!(asked.len() > 40, "{feature}: {asked:?}");
        assert_eq!(asked, listed, "{feature}");
    }
}

#[test]
fn requirements_that_tests_cite_exist() {
    let mut known = BTreeSet::new();
    for feature in FEATURES {
        let number = &feature[..3];
        known.extend(
            points(&read(&format!("specs/{feature}/spec.md")))
                .iter()
                .map(|point| format!("{number}/{point}")),
        );
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
