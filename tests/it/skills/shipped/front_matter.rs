//! Front matter that every agent which knows the Agent Skills format can read.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _};

use serde_json::Value;

use super::program::{call, skill};

const SHIPPED: [&str; 2] = ["conventional-commits", "speckit"];

/// Keys of the format; further ones are for agents to stumble over.
const KEYS: [&str; 6] = ["allowed-tools", "compatibility", "description", "license", "metadata", "name"];

fn front_matter(name: &str) -> BTreeMap<String, Value> {
    let text = fs::read_to_string(skill(name).join("SKILL.md")).expect("SKILL.md");
    let (yaml, body) = text
        .strip_prefix("---\n")
        .and_then(|rest| rest.split_once("\n---\n"))
        .expect("front matter");
    assert!(body.trim().starts_with("# "), "{name} has no text");
    serde_saphyr::from_str(yaml).expect("YAML")
}

#[test]
fn it_has_only_keys_of_the_format_with_values_that_it_takes() {
    for name in SHIPPED {
        let found = front_matter(name);
        for key in found.keys() {
            assert!(KEYS.contains(&key.as_str()), "{name}: {key}");
        }
        assert_eq!(found["name"], name);
        let description = found["description"].as_str().expect("a description");
        assert!((1..=1024).contains(&description.chars().count()), "{name}");
        assert!(found["license"].is_string(), "{name}");
        for (key, value) in found["metadata"].as_object().expect("metadata") {
            assert!(value.is_string(), "{name}: {key}");
        }
    }
}

#[test]
fn programs_that_it_names_can_be_run() {
    for name in SHIPPED {
        let metadata = front_matter(name)["metadata"].clone();
        let stages = metadata["moorline-stages"].as_str().expect("stages").split(' ');
        let programs = stages
            .filter_map(|stage| Some(stage.split_once('=')?.1))
            .chain(metadata["moorline-health"].as_str());
        for program in programs {
            let file = skill(name).join(program);
            let mode = fs::metadata(&file).expect(program).permissions().mode();
            assert_eq!(mode & 0o111, 0o111, "{name}: {program}");
            assert!(
                fs::read_to_string(&file).expect("text").starts_with("#!/usr/bin/env python3\n"),
                "{name}: {program}"
            );
        }
    }
    let health = call(&skill("speckit").join("scripts/health"), "");
    assert_eq!((health.code, health.said.as_str()), (0, ""));
}

/// Two copies of a skill must stay alike, byte for byte.
#[test]
fn programs_leave_nothing_in_their_folder() {
    let copy = tempfile::tempdir().expect("a folder");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(skill("speckit"))
        .arg(copy.path())
        .status();
    assert!(copied.expect("cp").success());
    let files = || {
        let listed = std::process::Command::new("find").arg(copy.path()).output().expect("find");
        let mut files: Vec<_> = String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect();
        files.sort();
        files
    };
    let before = files();
    for program in ["scripts/health", "scripts/stage"] {
        call(&copy.path().join("speckit").join(program), "{}");
    }
    assert_eq!(files(), before);
}
