//! What docs/skills.md shows is what the programs do.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use clap::Parser as _;
use serde_json::{Value, json};

use super::program::{Ended, call, skill};
use crate::{architecture::ROOT, support::program};

/// The document.
fn document() -> String {
    fs::read_to_string(Path::new(ROOT).join("docs/skills.md")).expect("the document")
}

/// The blocks that are named by a comment above them.
fn examples() -> BTreeMap<String, String> {
    let document = document();
    let named = document.split("<!-- example: ").skip(1).map(|rest| {
        let (name, rest) = rest.split_once(" -->\n```").expect("a block below the name");
        let (_, rest) = rest.split_once('\n').expect("a block");
        let (block, _) = rest.split_once("\n```").expect("the block's end");
        (name.to_owned(), format!("{block}\n"))
    });
    named.collect()
}

fn example(name: &str) -> String {
    examples().remove(name).unwrap_or_else(|| panic!("the document has no {name}"))
}

fn json_example(name: &str) -> Value {
    serde_json::from_str(&example(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A result, without the time that it took, beside the one in the document.
fn assert_as_documented(ended: &Ended, name: &str) {
    assert_eq!((ended.code, ended.said.as_str()), (0, ""));
    let [shown, got] = [json_example(name), ended.result.clone()].map(|mut result| {
        assert!(result["duration_ms"].take().is_u64(), "{name}");
        result
    });
    assert_eq!(shown, got, "{name}: {:#}", ended.result);
}

#[test]
fn discover_answers_as_the_document_shows() {
    let root = super::program::checkout(&[("specs/001-login/tasks.md", &example("tasks"))]);
    let mut request = json_example("discover request");
    request["payload"]["checkout"] = json!(root.path());
    let stage = skill("speckit").join("scripts/stage");
    assert_as_documented(&call(&stage, &request.to_string()), "discover result");
    request["feature_id"] = json!("002-logout");
    assert_as_documented(&call(&stage, &request.to_string()), "failed result");
}

#[test]
fn publish_answers_as_the_document_shows_when_it_is_called_as_the_document_says() {
    let root = super::program::checkout(&[("publish.patch", &example("patch")), ("request.json", &example("publish request"))]);
    std::os::unix::fs::symlink(Path::new(ROOT).join("deploy"), root.path().join("deploy")).expect("a link");
    let python = program("MOORLINE_TEST_PYTHON", "python3");
    let output = Command::new("sh")
        .args(["-c", &example("by hand").replace("python3", &python)])
        .current_dir(root.path())
        .output()
        .expect("a shell");
    let ended = Ended {
        code: output.status.code().unwrap_or(-1),
        result: serde_json::from_slice(&output.stdout).expect("JSON"),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    assert_as_documented(&ended, "publish result");
}

#[test]
fn the_front_matter_and_the_lines_of_code_are_those_of_the_skill() {
    let text = fs::read_to_string(skill("conventional-commits").join("SKILL.md")).expect("SKILL.md");
    assert!(
        text.starts_with(&format!("---\n{}---\n", example("front matter"))),
        "{}",
        example("front matter")
    );
    let code = fs::read_to_string(skill("conventional-commits").join("scripts/publish")).expect("the program");
    let document = document();
    let blocks: Vec<_> = document
        .split("```python\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect();
    assert_eq!(blocks.len(), 4);
    for block in blocks {
        assert!(code.contains(block), "no longer in the program:\n{block}");
    }
    assert!(code.lines().count() <= 120);
}

#[test]
fn the_commands_are_ones_that_the_cli_takes() {
    let document = document();
    let blocks = document.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let commands: Vec<_> = blocks.flat_map(str::lines).filter(|line| line.starts_with("moorline ")).collect();
    assert!(commands.len() > 8, "{commands:?}");
    for command in commands {
        // Words in quotes are one.
        let words = command.split('"').enumerate().flat_map(|(at, part)| match at % 2 {
            0 => part.split_whitespace().collect(),
            _ => vec![part],
        });
        if let Err(error) = moorline::args::Cli::try_parse_from(words) {
            panic!("{command}: {error}");
        }
    }
}

#[test]
fn every_example_of_a_request_is_whole() {
    for (name, text) in examples().into_iter().filter(|(name, _)| name.ends_with("request")) {
        let request: BTreeMap<String, Value> = serde_json::from_str(&text).expect(&name);
        let fields: Vec<_> = request.keys().map(String::as_str).collect();
        assert_eq!(
            fields,
            ["feature_id", "metadata", "payload", "requested_skill_id", "run_id", "stage"],
            "{name}"
        );
        let mut payload = vec!["base_commit", "base_ref", "checkout", "repository"];
        payload.extend(match request["stage"].as_str() {
            Some("submit") => &["checklists", "phase"][..],
            Some("publish") => &["branch_name", "patch", "phase", "tasks_done"][..],
            _ => &[],
        });
        payload.sort_unstable();
        let shown: Vec<_> = request["payload"].as_object().expect("an object").keys().collect();
        assert_eq!(shown, payload, "{name}");
        let metadata: Vec<_> = request["metadata"].as_object().expect("an object").keys().collect();
        assert_eq!(metadata, ["attempt", "job_id", "policy_version", "protocol", "shadow"], "{name}");
    }
}
