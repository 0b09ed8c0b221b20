//! Roots with skills that a test has written, beside those that are part of Moorline.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use tempfile::TempDir;

use crate::support::fleet::open_folder;

/// Both mirrors of skills below a root, or in a repository.
pub const MIRRORS: [&str; 2] = [".codex/skills", ".agents/skills"];

/// What every stage program of these tests begins with.
const PRELUDE: &str = "\
#!/usr/bin/env python3
import json, os, sys, time
request = json.load(sys.stdin)
payload = request['payload']

def say(status, artifacts, error):
    json.dump({'run_id': request['run_id'], 'stage': request['stage'], 'selected_skill_id': request['requested_skill_id'],
               'execution_path': 'skill', 'status': status, 'duration_ms': 1, 'artifacts': artifacts, 'error': error}, sys.stdout)

def done(artifacts):
    say('succeeded', artifacts, None)

def refuse(code, message):
    say('failed', {}, {'code': code, 'message': message})

";

/// A root with Moorline's own skills, to which others can be added.
pub struct Root(TempDir);

impl Root {
    pub fn new() -> Self {
        let folder = open_folder();
        moorline::bundle::lay(folder.path()).expect("skills");
        Self(folder)
    }

    /// Adds a skill whose program, the body of a Python script, carries these stages.
    pub fn with(self, name: &str, stages: &[&str], body: &str) -> Self {
        for (path, text) in files(name, stages, body) {
            let file = self.0.path().join(&path);
            fs::create_dir_all(file.parent().expect("a folder")).expect("folders");
            fs::write(&file, text).expect("a file");
            let mode = if path.ends_with(".md") { 0o644 } else { 0o755 };
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("a mode");
        }
        self
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// The files of a skill in both mirrors, each with its text.
pub fn files(name: &str, stages: &[&str], body: &str) -> Vec<(String, String)> {
    let stages: Vec<String> = stages.iter().map(|stage| format!("{stage}=scripts/stage")).collect();
    let text = format!(
        "---\nname: {name}\ndescription: Carries stages in tests, and is of no other use.\nmetadata:\n  version: \"1.0.0\"\n  moorline-stages: \"{}\"\n---\n\n# {name}\n",
        stages.join(" ")
    );
    MIRRORS
        .iter()
        .flat_map(|mirror| {
            [
                (format!("{mirror}/{name}/SKILL.md"), text.clone()),
                (format!("{mirror}/{name}/scripts/stage"), format!("{PRELUDE}{body}")),
            ]
        })
        .collect()
}
