//! What the skill `speckit` refuses, and how it says so.

use std::{fs, os::unix::fs::symlink};

use serde_json::{Value, json};

use super::program::{call, checkout, discover, request, skill};

const TASKS: &str = "## Phase 1: Setup\n- [ ] T001 Begin\n";

/// Exit code, and error or words, of one request.
fn told(request: &Value) -> String {
    let ended = call(&skill("speckit").join("scripts/stage"), &request.to_string());
    match &ended.result["error"] {
        Value::Null => format!(
            "exit {}, {}{}",
            ended.code,
            ended.result["status"].as_str().unwrap_or_default(),
            ended.said
        ),
        error => {
            assert_eq!((&ended.result["status"], ended.said.as_str()), (&json!("failed"), ""));
            assert_eq!(
                (&ended.result["run_id"], &ended.result["artifacts"]),
                (&request["run_id"], &json!({}))
            );
            format!(
                "exit {}, {}: {}",
                ended.code,
                error["code"].as_str().unwrap(),
                error["message"].as_str().unwrap()
            )
        }
    }
}

#[test]
fn what_is_no_task_list_is_refused_as_the_direct_path_does() {
    let root = checkout(&[
        ("specs/001-login/tasks.md", "## Phase 1: Setup\n\n- [y] T001 Begin\n"),
        ("specs/empty/tasks.md", " \n"),
        ("specs/folder/tasks.md/x", ""),
        ("specs/file", ""),
        ("elsewhere/tasks.md", TASKS),
    ]);
    let specs = root.path().join("specs");
    fs::create_dir(specs.join("link")).unwrap();
    symlink("../../elsewhere/tasks.md", specs.join("link/tasks.md")).unwrap();
    symlink("../elsewhere", specs.join("linked")).unwrap();
    let mut said = Vec::new();
    for feature in ["001-login", "empty", "folder", "file", "link", "linked", "none", "..", "a/b", ""] {
        let mut asked = request("speckit", "discover", discover(root.path()));
        asked["feature_id"] = json!(feature);
        said.push(told(&asked));
    }
    insta::assert_snapshot!(said.join("\n"), @r"
    exit 0, TASKS_MALFORMED: tasks.md line 3: `[y]` is no checkbox: write `[ ]` for a task to do, `[x]` for one that is done
    exit 0, TASKS_EMPTY: tasks.md is empty: write at least one `## Phase 1: Title` with a task line such as `- [ ] T001 Do this in that file`
    exit 0, TASKS_NOT_A_FILE: specs/folder/tasks.md is a folder or a submodule, not a file: put the task list itself there
    exit 0, TASKS_MISSING: specs/file/tasks.md does not exist on main: run the Spec Kit tasks step for this feature and push its files, or name another feature_key
    exit 0, TASKS_NOT_A_FILE: specs/link/tasks.md is a symbolic link, not a file: put the task list itself there
    exit 0, TASKS_MISSING: specs/linked/tasks.md does not exist on main: run the Spec Kit tasks step for this feature and push its files, or name another feature_key
    exit 0, TASKS_MISSING: specs/none/tasks.md does not exist on main: run the Spec Kit tasks step for this feature and push its files, or name another feature_key
    exit 0, FEATURE_KEY_INVALID: the feature_key `..` names no folder of its own: give the name of one folder under specs/, such as 001-login
    exit 0, FEATURE_KEY_INVALID: the feature_key `a/b` contains a slash: give the name of one folder under specs/, such as 001-login
    exit 0, FEATURE_KEY_INVALID: the feature_key `` is empty: give the name of one folder under specs/, such as 001-login
    ");
}

#[test]
fn no_link_is_followed_whatever_it_leads_to() {
    let root = checkout(&[("real/001-login/tasks.md", TASKS), ("real/checklists/ux.md", "- [ ] a\n")]);
    symlink("real", root.path().join("specs")).unwrap();
    let asked = request("speckit", "discover", discover(root.path()));
    assert!(told(&asked).contains("TASKS_MISSING"));
    fs::remove_file(root.path().join("specs")).unwrap();
    fs::rename(root.path().join("real"), root.path().join("specs")).unwrap();
    symlink("../checklists", root.path().join("specs/001-login/checklists")).unwrap();
    let found = super::program::artifacts(&asked);
    assert_eq!((&found["phase"]["number"], &found["checklists"]), (&json!("1"), &json!([])));
}

#[test]
fn a_request_that_is_not_for_it_is_refused() {
    let root = checkout(&[("specs/001-login/tasks.md", TASKS)]);
    let good = request("speckit", "discover", discover(root.path()));
    let with = |pointer: &str, value: Value| {
        let mut asked = good.clone();
        *asked.pointer_mut(pointer).expect("a field") = value;
        told(&asked)
    };
    let said = [
        told(&good),
        with("/metadata/protocol", json!("moorline.stage/2")),
        with("/metadata/protocol", Value::Null),
        with("/requested_skill_id", json!("other")),
        with("/stage", json!("submit")),
        with("/payload/checkout", Value::Null),
        with("/payload", json!([])),
        with("/run_id", json!(7)),
        told(&json!([])),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    exit 0, succeeded
    exit 0, PROTOCOL_UNKNOWN: the request is of the protocol `moorline.stage/2`: this skill speaks moorline.stage/1; use matching releases
    exit 0, PROTOCOL_UNKNOWN: the request is of the protocol ``: this skill speaks moorline.stage/1; use matching releases
    exit 0, SKILL_MISMATCH: the request is for the skill other, and this is speckit: see to the folder's name in both mirrors
    exit 0, STAGE_UNKNOWN: this skill's program carries discover and publish, not submit: see to its moorline-stages
    exit 0, PAYLOAD_INVALID: the payload has no checkout, which is to be a text: see docs/skills.md for what a stage is given
    exit 1, the request has no payload, which is to be an object: give one stage request, as docs/skills.md shows
    exit 1, the request has no run_id, which is to be a text: give one stage request, as docs/skills.md shows
    exit 1, standard input is no JSON object: give one stage request, as docs/skills.md shows
    ");
    let ended = call(&skill("speckit").join("scripts/stage"), "{");
    assert_eq!((ended.code, &ended.result), (1, &Value::Null));
    assert!(ended.said.starts_with("standard input is no JSON"), "{}", ended.said);
}

#[test]
fn its_own_faults_end_it_with_another_code_and_a_reason() {
    let asked = request("speckit", "discover", discover("/nowhere/at/all".as_ref()));
    let ended = call(&skill("speckit").join("scripts/stage"), &asked.to_string());
    assert_eq!((ended.code, &ended.result), (1, &Value::Null));
    assert!(
        ended.said.ends_with("No such file or directory: '/nowhere/at/all'"),
        "{}",
        ended.said
    );
}
