//! Spec Kit task lists (`specs/<feature>/tasks.md`): phases, and the tasks left in them.
//!
//! The skill `speckit` reads them by the same grammar (`deploy/skills/speckit`); a test compares the two.

mod bounds;
pub mod checklists;
mod dependencies;
mod markdown;
mod words;

use std::collections::HashMap;

use moorline_proto::v1::{Failure, FailureClass, Task, TaskPhase};

pub use self::bounds::check as check_phase;
use self::markdown::{Hidden, checkbox};
use crate::redact::one_line;

/// Longest title of a phase and description of a task, in characters, and most tasks of a phase: commit messages, prompts and reports
/// hold all of them.
const TITLE: usize = 200;
const DESCRIPTION: usize = 2000;
const TASKS: usize = 300;
/// Longest phase number and task id, in bytes.
const NUMBER: usize = 16;
/// Longest reason, in characters; it quotes the line.
const REASON: usize = 300;

/// A task list, in the order of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskList {
    /// Its phases.
    pub phases: Vec<Phase>,
}

/// One phase, as `## Phase 3: Title` begins it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// As written: a number, or `N`.
    pub number: String,
    /// Title as written.
    pub title: String,
    /// Its tasks, done and not done.
    pub tasks: Vec<Item>,
    /// Numbers of the phases that must be done before it, as far as the list says so for sure.
    pub depends_on: Vec<String>,
}

/// One task and whether it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Whether its box is checked.
    pub done: bool,
    /// The task.
    pub id: String,
    /// Text after the marks.
    pub description: String,
    /// Whether it bears `[P]`.
    pub parallel: bool,
    /// Such as `US2`; empty outside user stories.
    pub story: String,
    /// Line in the file, from 1.
    pub line: usize,
}

/// Why a task list can't be used. Each message names the line where there is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such file.
    #[error(
        "{path} does not exist on {branch}: run the Spec Kit tasks step for this feature and push its files, or name another feature_key"
    )]
    Missing {
        /// Where it was looked for.
        path: String,
        /// In which branch.
        branch: String,
    },
    /// There is something else in its place.
    #[error("{path} is {what}, not a file: put the task list itself there")]
    NotAFile {
        /// Where it was looked for.
        path: String,
        /// What is there.
        what: &'static str,
    },
    /// It has no text, no phase or no task.
    #[error("tasks.md {0}: write at least one `## Phase 1: Title` with a task line such as `- [ ] T001 Do this in that file`")]
    Empty(&'static str),
    /// A line breaks the grammar.
    #[error("tasks.md line {line}: {reason}")]
    Malformed {
        /// From 1.
        line: usize,
        /// What is wrong with it, and how it should be.
        reason: String,
    },
}

impl TaskList {
    /// Reads a task list.
    pub fn parse(content: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(content).map_err(|error| Error::Malformed {
            line: content[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1,
            reason: "is not UTF-8 text: save the file as UTF-8".to_owned(),
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim().is_empty() {
            return Err(Error::Empty("is empty"));
        }
        let mut list = Reader::default().read(text)?;
        let depends_on = dependencies::read(text, &list.phases);
        for (phase, depends_on) in list.phases.iter_mut().zip(depends_on) {
            phase.depends_on = depends_on;
        }
        match list.phases.iter().map(|phase| phase.tasks.len()).sum() {
            0 if list.phases.is_empty() => Err(Error::Empty("has no phase")),
            0 => Err(Error::Empty("has no task")),
            _ => Ok(list),
        }
    }

    /// The first phase with tasks that aren't done, with those tasks; `None` when all is done. The order of the file decides: what a phase
    /// depends on is told, and is for people to put before it.
    pub fn next_phase(&self) -> Option<TaskPhase> {
        let phase = self.phases.iter().find(|phase| phase.tasks.iter().any(|task| !task.done))?;
        Some(TaskPhase {
            number: phase.number.clone(),
            title: phase.title.clone(),
            tasks: phase.tasks.iter().filter(|task| !task.done).map(Item::to_proto).collect(),
            depends_on: phase.depends_on.clone(),
        })
    }
}

impl Item {
    fn to_proto(&self) -> Task {
        Task {
            task_id: self.id.clone(),
            description: self.description.clone(),
            parallel: self.parallel,
            story: self.story.clone(),
            line: i32::try_from(self.line).unwrap_or(i32::MAX),
        }
    }
}

impl Error {
    /// The failure that the server records.
    pub fn failure(&self) -> Failure {
        let code = match self {
            Self::Missing { .. } => "TASKS_MISSING",
            Self::NotAFile { .. } => "TASKS_NOT_A_FILE",
            Self::Empty(_) => "TASKS_EMPTY",
            Self::Malformed { .. } => "TASKS_MALFORMED",
        };
        let mut failure = crate::stage::failure(code, FailureClass::Job, self.to_string());
        if let Self::Malformed { line, .. } = self {
            failure.details.insert("line".to_owned(), line.to_string());
        }
        failure
    }
}

/// Reads line by line. What looks like no phase and no task is text for people and passes.
#[derive(Default)]
struct Reader<'a> {
    phases: Vec<Phase>,
    /// Where each task id was first seen.
    seen: HashMap<&'a str, usize>,
    /// Whether the lines belong to a phase: any other heading of the first two levels ends it.
    in_phase: bool,
    hidden: Hidden,
}

impl<'a> Reader<'a> {
    fn read(mut self, text: &'a str) -> Result<TaskList, Error> {
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let read = check_characters(line).and_then(|()| self.line(line, number));
            read.map_err(|reason| Error::Malformed {
                line: number,
                reason: one_line(&reason, REASON),
            })?;
        }
        Ok(TaskList { phases: self.phases })
    }

    fn line(&mut self, line: &'a str, number: usize) -> Result<(), String> {
        if self.hidden.hides(line) {
            return Ok(());
        }
        let text = line.trim_start();
        if let Some(heading) = line.strip_prefix("## ").or_else(|| line.strip_prefix("# ")) {
            return self.heading(heading.trim());
        } else if let Some((mark, rest)) = checkbox(text) {
            return self.task(mark, rest, line.len() > text.len(), number);
        }
        Ok(())
    }

    fn heading(&mut self, heading: &str) -> Result<(), String> {
        // `## Phase Dependencies` is a heading for people.
        let Some(rest) = phase_heading(heading) else {
            self.in_phase = false;
            return Ok(());
        };
        let Some((number, title)) = rest.split_once(':') else {
            return Err(format!("the heading `{heading}` has no colon: write `## Phase 1: Title`"));
        };
        let (number, title) = (number.trim(), title.trim());
        if number.len() > NUMBER || !number.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.') {
            return Err(format!("`{number}` is no phase number: write `## Phase 1: Title`"));
        }
        if title.is_empty() {
            return Err(format!("phase {number} has no title: write `## Phase {number}: Title`"));
        }
        if title.chars().count() > TITLE {
            return Err(format!("the title of phase {number} is longer than {TITLE} characters: shorten it"));
        }
        self.in_phase = true;
        self.phases.push(Phase {
            number: number.to_owned(),
            title: title.to_owned(),
            tasks: Vec::new(),
            depends_on: Vec::new(),
        });
        Ok(())
    }

    fn task(&mut self, mark: &str, rest: &'a str, indented: bool, line: usize) -> Result<(), String> {
        let (id, after) = rest.split_once(' ').unwrap_or((rest, ""));
        if is_placeholder(id) {
            return Ok(());
        }
        let done = match mark {
            " " => Some(false),
            "x" | "X" => Some(true),
            _ => None,
        };
        if !looks_like_id(id) {
            // Steps of a task may be indented under it. Elsewhere a box without an id is a task that would never be done.
            return match done {
                Some(_) if self.in_phase && !indented => Err(format!("`{rest}` has no task id: write `- [ ] T001 {rest}`")),
                _ => Ok(()),
            };
        }
        let Some(done) = done else {
            return Err(format!(
                "`[{mark}]` is no checkbox: write `[ ]` for a task to do, `[x]` for one that is done"
            ));
        };
        if !(4..=NUMBER).contains(&id.len()) || !id[1..].bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("`{id}` is no task id: write T and at least three digits, such as T001"));
        }
        let (parallel, after) = match after.trim_start().strip_prefix("[P]") {
            Some(rest) => (true, rest.trim_start()),
            None => (false, after.trim_start()),
        };
        let (story, description) = story(after);
        let description = description.trim();
        if description.is_empty() {
            return Err(format!("task {id} has no description: say what to do, and in which file"));
        }
        if description.chars().count() > DESCRIPTION {
            return Err(format!(
                "the description of task {id} is longer than {DESCRIPTION} characters: split the task, or move details to the feature's plan"
            ));
        }
        if let Some(first) = self.seen.insert(id, line) {
            return Err(format!("task {id} is on line {first} already: give each task an id of its own"));
        }
        let Some(phase) = self.phases.last_mut().filter(|_| self.in_phase) else {
            return Err(format!("task {id} stands under no phase: put a `## Phase 1: Title` above it"));
        };
        if phase.tasks.len() >= TASKS {
            return Err(format!("phase {} has more than {TASKS} tasks: split the phase", phase.number));
        }
        phase.tasks.push(Item {
            done,
            id: id.to_owned(),
            description: description.to_owned(),
            parallel,
            story: story.to_owned(),
            line,
        });
        Ok(())
    }
}

/// No control characters: they hide what a line says, and no database takes all of them.
fn check_characters(line: &str) -> Result<(), String> {
    let control = |c: &char| c.is_control() && *c != '\t';
    match line.trim_end_matches('\r').chars().find(control) {
        Some(found) => Err(format!("holds the control character U+{:04X}: remove it", u32::from(found))),
        None => Ok(()),
    }
}

/// What follows the word `Phase` in the heading of one; `None` for another heading.
fn phase_heading(heading: &str) -> Option<&str> {
    let rest = heading.strip_prefix("Phase ")?.trim_start();
    (rest.starts_with(|c: char| c.is_ascii_digit()) || rest.starts_with("N:")).then_some(rest)
}

/// A task id, or what was meant to be one: `T` and then capitals and digits.
fn looks_like_id(word: &str) -> bool {
    let meant = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit()) || rest.bytes().all(|byte| byte.is_ascii_uppercase());
    word.strip_prefix('T').is_some_and(meant)
}

/// `TXXX` and the like stand in Spec Kit's templates.
fn is_placeholder(word: &str) -> bool {
    word.strip_prefix('T')
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte == b'X'))
}

/// `[US1]` without its brackets, and what follows it.
fn story(text: &str) -> (&str, &str) {
    let found = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match found {
        Some((story, rest)) if is_story(story) => (story, rest),
        _ => ("", text),
    }
}

fn is_story(text: &str) -> bool {
    text.strip_prefix("US")
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests;
