//! What the skill `speckit` writes into commits and pull requests.

use serde_json::{Value, json};

use super::program::{artifacts, checkout, discover, request};

const TASKS: &str = "\
# Tasks: Login

## Phase 1: Setup

- [x] T001 Begin

## Phase 2: User Story 1 - Log in (Priority: P1)

**Goal**: People get in with their
**Independent Test**: Log in with a password, and see the name

- [ ] T002 [P] [US1] Write the form in src/form.html
- [ ] T003 [US1] Check the password in src/check.py
- [ ] T004 [US1] Say why it was refused

## Phase 3: Polish

**Goal**: Another

- [ ] T005 Shine
";

/// A request for publish with the phase that discover finds and some of its tasks done.
fn publish(files: &[(&str, &str)], done: &[&str]) -> Value {
    let root = checkout(files);
    let mut payload = discover(root.path());
    payload["phase"] = artifacts(&request("speckit", "discover", payload.clone()))["phase"].clone();
    payload["tasks_done"] = json!(done);
    payload["branch_name"] = json!("moorline/001-login/0123456789ab");
    payload["patch"] = json!("/nowhere/publish.patch");
    artifacts(&request("speckit", "publish", payload))
}

#[test]
fn commit_and_pull_request_say_what_is_done_and_what_is_left() {
    let written = publish(
        &[
            ("specs/001-login/tasks.md", TASKS),
            ("specs/001-login/spec.md", "# Feature Specification: Login by e-mail\n\n# Other\n"),
            ("specs/001-login/checklists/requirements.md", "- [x] CHK001 a\n- [ ] CHK002 b\n"),
        ],
        &["T002", "T003"],
    );
    assert_eq!(written["branch_name"], "moorline/001-login/0123456789ab");
    assert_eq!(written["pull_request"]["title"], "001-login: User Story 1 - Log in (Priority: P1)");
    insta::assert_snapshot!(written["commit_message"].as_str().unwrap(), @r"
    001-login: User Story 1 - Log in (Priority: P1)

    Phase 2 of Login by e-mail (`specs/001-login`).

    Done:
    - T002 Write the form in src/form.html
    - T003 Check the password in src/check.py

    Left open:
    - T004 Say why it was refused
    ");
    insta::assert_snapshot!(written["pull_request"]["body"].as_str().unwrap(), @r"
    ## Summary

    Phase 2 of Login by e-mail (`specs/001-login`). 2 of 3 tasks are done.

    **Goal**: People get in with their

    ## Tasks

    - [x] T002 [P] [US1] Write the form in src/form.html
    - [x] T003 [US1] Check the password in src/check.py
    - [ ] T004 [US1] Say why it was refused

    ## Checklists

    | checklist | checked |
    | --- | --- |
    | requirements | 1 of 2 |

    ## How to review

    - Read `specs/001-login/spec.md`, `specs/001-login/tasks.md`: what was asked for, and how.
    - Independent test: Log in with a password, and see the name
    - Compare each ticked task with the files that it names.
    - Tasks left open stay in the list; the next run takes them up.

    Made by Moorline, run `01980000-0000-7000-8000-0123456789ab`.
    ");
}

#[test]
fn a_folder_with_nothing_but_tasks_is_enough() {
    let written = publish(&[("specs/001-login/tasks.md", "## Phase 1: Setup\n- [ ] T001 Begin\n")], &[]);
    insta::assert_snapshot!(written["commit_message"].as_str().unwrap(), @r"
    001-login: Setup

    Phase 1 of `specs/001-login`.

    Left open:
    - T001 Begin
    ");
    insta::assert_snapshot!(written["pull_request"]["body"].as_str().unwrap(), @r"
    ## Summary

    Phase 1 of `specs/001-login`. 0 of 1 tasks are done.

    ## Tasks

    - [ ] T001 Begin

    ## How to review

    - Read `specs/001-login/tasks.md`: what was asked for, and how.
    - Compare each ticked task with the files that it names.
    - Tasks left open stay in the list; the next run takes them up.

    Made by Moorline, run `01980000-0000-7000-8000-0123456789ab`.
    ");
}

/// The bounds are the worker's.
#[test]
fn texts_stay_within_what_is_taken_of_them() {
    let tasks: String = (1..=300).map(|n| format!("- [ ] T{n:03} {}\n", "🎯".repeat(2000))).collect();
    let list = format!("## Phase 1: a\tb{}\n**Goal**: {}\n{tasks}", "🎯".repeat(190), "🎯".repeat(5000));
    let spec = format!("# {}\n", "🎯".repeat(5000));
    let (one, two) = ("specs/001-login/checklists/", "🎯".repeat(60));
    let checklists: Vec<String> = (0..50).map(|n| format!("{one}{n}{two}.md")).collect();
    let mut files: Vec<(&str, &str)> = checklists.iter().map(|file| (file.as_str(), "- [ ] a\n")).collect();
    files.extend([("specs/001-login/tasks.md", list.as_str()), ("specs/001-login/spec.md", &spec)]);
    let done: Vec<String> = (1..=150).map(|n| format!("T{n:03}")).collect();
    let written = publish(&files, &done.iter().map(String::as_str).collect::<Vec<_>>());
    let length = |text: &Value| text.as_str().expect("a text").len();
    let (message, body) = (&written["commit_message"], &written["pull_request"]["body"]);
    assert!((6 << 10..=16 << 10).contains(&length(message)), "{}", length(message));
    assert!((36 << 10..=60 << 10).contains(&length(body)), "{}", length(body));
    assert!(body.as_str().unwrap().contains("\n- and ") && message.as_str().unwrap().contains("\n- and "));
    let title = written["pull_request"]["title"].as_str().unwrap();
    assert!(title.starts_with("001-login: a b🎯") && title.chars().count() <= 256, "{title}");
}
