//! Folders that the real Spec Kit CLI has made.

use std::{fs, path::Path, process::Command};

use moorline_worker::tasks::{TaskList, checklists};
use proptest::strategy::Just;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    parity::{CASES, compare, lists, reader},
    program::{artifacts, discover, request},
};
use crate::support::program;

/// A project with the feature `001-login`, made by the CLI and by the scripts that it brings.
struct Project(TempDir);

impl Project {
    fn new() -> Self {
        let project = Self(TempDir::new().expect("a folder"));
        let specify = program("MOORLINE_SPECKIT_PROGRAM", "specify");
        let flags = [
            "--integration",
            "codex",
            "--ignore-agent-tools",
            "--non-interactive",
            "--script",
            "sh",
            "--force",
        ];
        project.run(Command::new(specify).args(["init", "--here"]).args(flags));
        let scripts = project.0.path().join(".specify/scripts/bash");
        let text = "People log in with their e-mail address";
        project.run(
            Command::new("bash")
                .arg(scripts.join("create-new-feature.sh"))
                .args(["--json", "--short-name", "login", text]),
        );
        project.run(Command::new("bash").arg(scripts.join("setup-plan.sh")).arg("--json"));
        project
    }

    fn run(&self, command: &mut Command) {
        let output = command
            .current_dir(self.0.path())
            .env("HOME", self.0.path())
            .output()
            .expect("the program starts");
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn feature(&self) -> std::path::PathBuf {
        self.0.path().join("specs/001-login")
    }

    /// One of the templates that the CLI brings.
    fn template(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(".specify/templates").join(name)).expect("a template")
    }

    fn write(&self, path: &str, text: &str) {
        let file = self.feature().join(path);
        fs::create_dir_all(file.parent().expect("a parent")).expect("folders");
        fs::write(file, text).expect("a file");
    }

    fn discover(&self) -> Value {
        artifacts(&request("speckit", "discover", discover(self.0.path())))
    }
}

/// The next phase as the direct path finds it.
fn direct(file: &Path) -> Value {
    let list = TaskList::parse(&fs::read(file).expect("a list")).expect("it parses");
    list.next_phase().as_ref().map(reader::phase).into()
}

#[test]
fn a_folder_of_the_cli_is_read_alike_phase_by_phase() {
    let project = Project::new();
    let list = project.feature().join("tasks.md");
    let mut text = project.template("tasks-template.md");
    project.write("checklists/requirements.md", &project.template("checklist-template.md"));
    let mut seen = Vec::new();
    loop {
        project.write("tasks.md", &text);
        let found = project.discover();
        assert_eq!(found["phase"], direct(&list));
        let counted = checklists::count("requirements", project.template("checklist-template.md").as_bytes());
        assert_eq!(
            found["checklists"],
            json!([{"name": "requirements", "total": counted.total, "done": counted.done}])
        );
        assert_eq!((counted.total, counted.done), (6, 0));
        let Some(tasks) = found["phase"]["tasks"].as_array() else { break };
        let phase = &found["phase"];
        seen.push(format!(
            "{} {} after {} with {} tasks",
            phase["number"],
            phase["title"],
            phase["depends_on"],
            tasks.len()
        ));
        for task in tasks {
            let open = format!("- [ ] {}", task["task_id"].as_str().expect("an id"));
            text = text.replace(&open, &open.replace("[ ]", "[x]"));
        }
    }
    // The last phase has nothing but placeholders.
    insta::assert_snapshot!(seen.join("\n"), @r#"
    "1" "Setup (Shared Infrastructure)" after [] with 3 tasks
    "2" "Foundational (Blocking Prerequisites)" after ["1"] with 6 tasks
    "3" "User Story 1 - [Title] (Priority: P1) 🎯 MVP" after ["2"] with 8 tasks
    "4" "User Story 2 - [Title] (Priority: P2)" after ["2"] with 6 tasks
    "5" "User Story 3 - [Title] (Priority: P3)" after ["2"] with 5 tasks
    "#);
}

#[test]
fn its_template_with_mistakes_is_read_or_refused_alike() {
    let template = Project::new().template("tasks-template.md");
    let taken = compare(lists::mistaken(Just(template)));
    assert!((CASES / 20..CASES - CASES / 20).contains(&taken), "{taken} of {CASES} were taken");
}

#[test]
fn its_title_and_files_are_in_the_pull_request() {
    let project = Project::new();
    project.write("tasks.md", &project.template("tasks-template.md"));
    let spec = project.template("spec-template.md").replace("[FEATURE NAME]", "Login by e-mail");
    assert!(spec.contains("Login by e-mail"));
    project.write("spec.md", &spec);
    let mut payload = discover(project.0.path());
    payload["phase"] = project.discover()["phase"].clone();
    payload["tasks_done"] = json!(["T001", "T002", "T003"]);
    payload["branch_name"] = json!("moorline/001-login/0123456789ab");
    let written = artifacts(&request("speckit", "publish", payload));
    let body = written["pull_request"]["body"].as_str().expect("a body");
    for part in [
        "Phase 1 of Login by e-mail (`specs/001-login`). 3 of 3 tasks are done.",
        "- [x] T003 [P] Configure linting and formatting tools\n",
        "`specs/001-login/spec.md`, `specs/001-login/plan.md`, `specs/001-login/tasks.md`",
    ] {
        assert!(body.contains(part), "{part}: {body}");
    }
}
