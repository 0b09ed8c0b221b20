//! The repositories that both ways are held to.

use std::{fs, path::Path, process::Command, sync::OnceLock};

use moorline_tests::repo::{Builder, FEATURE, SampleRepository, TASKS};
use tempfile::TempDir;

use crate::support::{fleet::repository, program};

/// What comes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A branch.
    Published,
    /// Nothing, since all is done.
    NoWork,
    /// A failure, by the code of the one that has it.
    Fails(&'static str),
}

/// A repository, which agent works in it, and what comes of it.
pub struct Case {
    pub name: &'static str,
    pub origin: SampleRepository,
    pub feature: &'static str,
    /// Index of the shard whose agent does it.
    pub shard: u32,
    pub end: End,
}

/// Shards, by what their agents do.
pub const WORKS: u32 = 0;
pub const COMMITS: u32 = 1;
pub const REWORKS: u32 = 2;

const CELERY: &str = include_str!("../../../../worker/src/fixtures/001-celery-oauth-volumes.tasks.md");
const SCALABLE: &str = include_str!("../../../../worker/src/fixtures/007-scalable-codex-worker.tasks.md");

/// Phases that depend on each other, stories, marks, and what editors leave behind.
const LONG: &str = "\
# Tasks: Greeting\r
\r
## Phase 1: Setup\r
\r
- [x] T001 Begin\r
\r
## Phase 2: Foundational (Blocking Prerequisites)\r
\r
- [X] T002 [P] Lay the ground in `docs/ground.md`\r
- [ ] T003 [P] Say *what* it is: \"it's\" <here> $HOME `x` ünï\u{e7}\u{f8}de\r
\r
## Phase 3: User Story 1 - Greet (Priority: P1) \u{1f3af} MVP\r
\r
- [ ] T004 [P] [US1] Greet (depends on T003)\r
\r
## Phase N: Polish\r
\r
- [ ] T005 Polish\r
\r
## Dependencies & Execution Order\r
\r
### Phase Dependencies\r
\r
- **Foundational (Phase 2)**: Depends on Setup completion\r
- **User Story 1 (Phase 3)**: Depends on Foundational phase completion\r
";

const CHECKLIST: &str = "# Checklist\n\n- [x] CHK001 One\n- [ ] CHK002 Two\n* [X] CHK003 Three\n";

/// With other origins each time: what one run has pushed must not be seen by another.
pub fn all() -> Vec<Case> {
    let builder = SampleRepository::builder;
    let case = |name, builder, shard, end| Case {
        name,
        origin: repository(builder),
        feature: FEATURE,
        shard,
        end,
    };
    let mut cases = vec![
        case(
            "one phase",
            builder().tasks("## Phase 1: Only\n\n- [ ] T001 Do it\n"),
            WORKS,
            End::Published,
        ),
        case("phases, stories and marks", builder().tasks(TASKS), WORKS, End::Published),
        case(
            "dependencies, checklists and odd characters",
            builder()
                .tasks(LONG)
                .file("specs/001-greeting/checklists/ux.md", CHECKLIST)
                .file("specs/001-greeting/checklists/requirements.md", CHECKLIST)
                .file("specs/001-greeting/checklists/notes.txt", "- [ ] none\n"),
            WORKS,
            End::Published,
        ),
        case("a list of another project", builder().tasks(CELERY), WORKS, End::Published),
        case(
            "a list of another project that is done",
            builder().tasks(SCALABLE),
            WORKS,
            End::NoWork,
        ),
        case(
            "the same begun anew",
            builder().tasks(&SCALABLE.replace("- [x]", "- [ ]")),
            WORKS,
            End::Published,
        ),
        case("an agent that commits", builder(), COMMITS, End::Published),
        case("changes of all kinds", builder(), REWORKS, End::Published),
        case(
            "nothing is left",
            builder().tasks("## Phase 1: A\n\n- [x] T001 Done\n"),
            WORKS,
            End::NoWork,
        ),
        case(
            "a line that is no task",
            builder().tasks("## Phase 1: A\n\n- [ ] T001 One\n- [y] T002 Two\n"),
            WORKS,
            End::Fails("TASKS_MALFORMED"),
        ),
        case("an empty list", builder().tasks(""), WORKS, End::Fails("TASKS_EMPTY")),
        case("no list", builder().without_tasks(), WORKS, End::Fails("TASKS_MISSING")),
    ];
    cases.push(Case {
        feature: "001-login",
        ..case("a folder of the Spec Kit CLI", spec_kit().clone(), WORKS, End::Published)
    });
    cases
}

/// A project with the feature `001-login`, made by the CLI and the scripts that it brings, with its own template as the list.
fn spec_kit() -> &'static Builder {
    static MADE: OnceLock<Builder> = OnceLock::new();
    MADE.get_or_init(made_by_cli)
}

fn made_by_cli() -> Builder {
    let folder = TempDir::new().expect("a folder");
    let run = |command: &mut Command| {
        let output = command
            .current_dir(&folder)
            .env("HOME", folder.path())
            .output()
            .expect("the program starts");
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let flags = "init --here --integration codex --ignore-agent-tools --non-interactive --script sh --force";
    run(Command::new(program("MOORLINE_SPECKIT_PROGRAM", "specify")).args(flags.split(' ')));
    let scripts = folder.path().join(".specify/scripts/bash");
    let create = ["--json", "--short-name", "login", "People log in with their e-mail address"];
    run(Command::new("bash").arg(scripts.join("create-new-feature.sh")).args(create));
    run(Command::new("bash").arg(scripts.join("setup-plan.sh")).arg("--json"));
    let template = |name: &str| fs::read_to_string(folder.path().join(".specify/templates").join(name)).expect("a template");
    let mut builder = SampleRepository::builder()
        .feature("001-login")
        .tasks(&template("tasks-template.md"))
        .file("specs/001-login/checklists/requirements.md", &template("checklist-template.md"));
    for (path, text) in texts(folder.path()) {
        builder = builder.file(&path, &text);
    }
    builder
}

/// The text files below a folder.
fn texts(folder: &Path) -> Vec<(String, String)> {
    let (mut found, mut left) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(inside) = left.pop() {
        for entry in fs::read_dir(&inside)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
        {
            let path = entry.strip_prefix(folder).expect("inside").to_str().expect("text").to_owned();
            match entry.is_dir() {
                true if path != ".git" && !path.starts_with(".cache") && !path.starts_with(".local") => left.push(entry),
                true => {}
                false => found.extend(fs::read_to_string(&entry).ok().map(|text| (path, text))),
            }
        }
    }
    found
}
