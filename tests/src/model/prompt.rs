//! What a prompt asks for: which task list, and which of its tasks.

/// What a prompt asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    /// Path of the task list from the repository's root.
    pub(super) task_list: String,
    /// The folder under `specs/`.
    pub(super) feature: String,
    /// The open tasks, in order.
    pub(super) tasks: Vec<Task>,
}

/// An open task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    /// Its id, such as `T001`.
    pub(super) id: String,
    /// What it says.
    pub(super) description: String,
}

/// Finds `specs/<feature>/tasks.md` and the tasks, one a line, that aren't ticked. Words around them don't matter.
pub(super) fn parse(prompt: &str) -> Option<Assignment> {
    let feature = prompt.match_indices("specs/").find_map(|(at, prefix)| {
        let (feature, rest) = prompt[at + prefix.len()..].split_once('/')?;
        // `<feature>` stands for one, in texts that are written for all.
        let plain = !feature.is_empty() && !feature.contains(|c: char| c.is_whitespace() || c == '<') && feature != "..";
        (plain && rest.starts_with("tasks.md")).then(|| feature.to_owned())
    })?;
    let mut tasks: Vec<Task> = Vec::new();
    for task in prompt.lines().filter_map(open_task) {
        if tasks.iter().all(|known| known.id != task.id) {
            tasks.push(task);
        }
    }
    Some(Assignment {
        task_list: format!("specs/{feature}/tasks.md"),
        feature,
        tasks,
    })
}

/// The `T001` that a line begins with, whatever marks it as one of a list, and what follows it. One that a sentence mentions is no assignment.
fn open_task(line: &str) -> Option<Task> {
    if line.contains("[x]") || line.contains("[X]") {
        return None;
    }
    let begins = line
        .trim_start_matches(|c: char| c.is_whitespace() || "-*+[]".contains(c))
        .strip_prefix('T')?;
    let digits = begins.len() - begins.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (digits, after) = begins.split_at(digits);
    if digits.len() < 3 || after.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let description = after.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '[').trim();
    Some(Task {
        id: format!("T{digits}"),
        description: description.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feature_and_open_tasks_are_found_among_other_words() {
        let prompt = "Tick it in specs/<feature>/tasks.md.\nFeature: 001-greeting\nTask list: specs/001-greeting/tasks.md\nOpen tasks of Phase 1:\n\
                      - T001 Write the greeting\n- [ ] T002 [P] It's \"quoted\"\n- [x] T003 done\n**T004**: bold\nDo T001 first.\n\
                      It waits for those before it: `(depends on T012)`.\nT01 is none, T0123x neither.\n";
        let assignment = parse(prompt).unwrap();
        assert_eq!(
            (assignment.feature.as_str(), assignment.task_list.as_str()),
            ("001-greeting", "specs/001-greeting/tasks.md")
        );
        let tasks: Vec<_> = assignment
            .tasks
            .iter()
            .map(|task| (task.id.as_str(), task.description.as_str()))
            .collect();
        assert_eq!(
            tasks,
            [("T001", "Write the greeting"), ("T002", "[P] It's \"quoted\""), ("T004", "bold")]
        );
    }

    #[test]
    fn a_prompt_without_a_task_list_asks_for_nothing() {
        assert_eq!(parse("Say hello. TXXX T12"), None);
        assert_eq!(parse("see specs/a b/tasks.md"), None);
    }
}
