//! What differs beside files: field by field, by name.

use std::collections::BTreeMap;

use moorline_proto::v1::{Checklist, DiscoverResult, Task, TaskPhase};
use serde::Serialize;

use super::Published;

/// Longest value that is told, in characters.
const VALUE: usize = 2000;
/// Longest name of a field, in characters.
const NAME: usize = 200;
/// Most fields that are told.
const FIELDS: usize = 200;

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Its name, such as `phase.title` or `phase.tasks.T001.story`.
    pub name: String,
    /// Its value in the way that counted, cut where it is long.
    pub primary: String,
    /// Its value in the shadow.
    pub shadow: String,
    /// Whether it may differ.
    pub tolerated: bool,
}

impl Field {
    pub(super) fn new(name: &str, primary: &str, shadow: &str) -> Self {
        Self {
            name: name.chars().take(NAME).collect(),
            primary: primary.chars().take(VALUE).collect(),
            shadow: shadow.chars().take(VALUE).collect(),
            tolerated: false,
        }
    }
}

/// Fields that differ, as many as are told.
#[derive(Default)]
struct Differences(Vec<Field>);

impl Differences {
    fn look(&mut self, name: &str, primary: &str, shadow: &str) {
        if primary != shadow && self.0.len() < FIELDS {
            self.0.push(Field::new(name, primary, shadow));
        }
    }
}

/// What differs in what was found.
pub(super) fn of_discover(one: &DiscoverResult, other: &DiscoverResult) -> Vec<Field> {
    let mut found = Differences::default();
    found.look("base_ref", &one.base_ref, &other.base_ref);
    found.look("base_commit", &one.base_commit, &other.base_commit);
    match (&one.phase, &other.phase) {
        (Some(one), Some(other)) => of_phase(&mut found, one, other),
        (one, other) => found.look("phase", &named(one.as_ref()), &named(other.as_ref())),
    }
    let lists = |lists: &[Checklist]| {
        lists
            .iter()
            .map(|list| format!("{} {}/{}", list.name, list.done, list.total))
            .collect()
    };
    let (one, other): (Vec<_>, Vec<_>) = (lists(&one.checklists), lists(&other.checklists));
    found.look("checklists", &one.join(", "), &other.join(", "));
    found.0
}

fn named(phase: Option<&TaskPhase>) -> String {
    phase.map_or_else(|| "none".to_owned(), |phase| format!("{} {}", phase.number, phase.title))
}

fn of_phase(found: &mut Differences, one: &TaskPhase, other: &TaskPhase) {
    found.look("phase.number", &one.number, &other.number);
    found.look("phase.title", &one.title, &other.title);
    found.look("phase.depends_on", &one.depends_on.join(", "), &other.depends_on.join(", "));
    let ids = |phase: &TaskPhase| phase.tasks.iter().map(|task| task.task_id.as_str()).collect::<Vec<_>>().join(", ");
    found.look("phase.tasks", &ids(one), &ids(other));
    let others: BTreeMap<&str, &Task> = other.tasks.iter().rev().map(|task| (task.task_id.as_str(), task)).collect();
    for task in &one.tasks {
        if let Some(other) = others.get(task.task_id.as_str()) {
            let mut look = |name: &str, one: &str, other: &str| found.look(&format!("phase.tasks.{}.{name}", task.task_id), one, other);
            look("description", &task.description, &other.description);
            look("parallel", &task.parallel.to_string(), &other.parallel.to_string());
            look("story", &task.story, &other.story);
            look("line", &task.line.to_string(), &other.line.to_string());
        }
    }
}

/// What differs in the tasks that two patches tick.
pub(super) fn of_tasks_done(one: &[String], other: &[String]) -> Vec<Field> {
    let mut found = Differences::default();
    found.look("tasks_done", &one.join(", "), &other.join(", "));
    found.0
}

/// What differs in what would be published. Texts may.
pub(super) fn of_publish(one: &Published, other: &Published) -> Vec<Field> {
    let mut found = Differences::default();
    found.look("tree", &one.tree, &other.tree);
    found.look("branch_name", &one.branch, &other.branch);
    let must_not = found.0.len();
    found.look("commit_message", &one.commit_message, &other.commit_message);
    found.look("pull_request.title", &one.title, &other.title);
    found.look("pull_request.body", &one.body, &other.body);
    for field in &mut found.0[must_not..] {
        field.tolerated = true;
    }
    found.0
}
