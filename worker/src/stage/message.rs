//! What commits and pull requests say.

use moorline_proto::v1::{JobSpec, Task};

/// The line in a commit's message by which a run knows its own commits again.
const TRAILER: &str = "Moorline-Run: ";

/// One line: feature and phase.
pub fn title(spec: &JobSpec) -> String {
    match spec.discover.as_ref().and_then(|discover| discover.phase.as_ref()) {
        Some(phase) => format!("{}: {}", spec.feature_key, phase.title),
        None => format!("{}: changes by an agent", spec.feature_key),
    }
}

/// The commit's message without the trailer: title and tasks.
pub fn commit(spec: &JobSpec) -> String {
    let tasks = list(spec, |task| format!("- {} {}", task.task_id, task.description));
    format!("{}\n\n{tasks}", title(spec))
}

/// A commit's message with the run's trailer, and without any other run's: by that line a branch is known as a run's own.
pub fn signed(message: &str, run_id: &str) -> String {
    let lines = message.lines().filter(|line| !line.starts_with(TRAILER.trim_end()));
    let lines: Vec<&str> = lines.map(str::trim_end).collect();
    format!("{}\n\n{TRAILER}{run_id}\n", lines.join("\n").trim_end())
}

/// The pull request's text, in Markdown.
pub fn body(spec: &JobSpec, run_id: &str) -> String {
    let tasks = list(spec, |task| format!("- **{}** {}", task.task_id, task.description));
    format!("Work on `specs/{}` by Moorline, run `{run_id}`.\n\n{tasks}", spec.feature_key)
}

/// Whether a commit with this message was made by the run.
pub fn is_of_run(message: &str, run_id: &str) -> bool {
    message.lines().any(|line| line.strip_prefix(TRAILER) == Some(run_id))
}

fn list(spec: &JobSpec, line: impl Fn(&Task) -> String) -> String {
    let phase = spec.discover.as_ref().and_then(|discover| discover.phase.as_ref());
    let tasks: Vec<String> = phase.map(|phase| phase.tasks.iter().map(line).collect()).unwrap_or_default();
    if tasks.is_empty() {
        String::new()
    } else {
        format!("{}\n\n", tasks.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_signed_by_its_own_run_alone() {
        let signed = signed("Add x\n\nAll of it. \nMoorline-Run: another\n\n\n", "run-1");
        assert_eq!(signed, "Add x\n\nAll of it.\n\nMoorline-Run: run-1\n");
        assert!(is_of_run(&signed, "run-1") && !is_of_run(&signed, "another"));
        assert!(!is_of_run(&super::signed("\n  Moorline-Run:another", "run-1"), "another"));
    }
}
