//! Whether a phase that something else has found is within the bounds of one that was read here.

use std::collections::BTreeSet;

use moorline_proto::v1::TaskPhase;

use super::{DESCRIPTION, NUMBER, TASKS, TITLE, is_story};

/// Most phases that one phase may depend on.
const DEPENDS_ON: usize = 64;

/// Checks a phase: commit messages, prompts and reports hold all of it.
///
/// # Errors
///
/// What is wrong with it, for people.
pub fn check(phase: &TaskPhase) -> Result<(), String> {
    let number = &phase.number;
    if !is_number(number) {
        return Err(format!("its phase has no number of at most {NUMBER} letters, digits and dots"));
    }
    if !is_line(&phase.title, TITLE) {
        return Err(format!("the title of phase {number} is not one line of 1 to {TITLE} characters"));
    }
    if phase.depends_on.len() > DEPENDS_ON || !phase.depends_on.iter().all(|number| is_number(number)) {
        return Err(format!(
            "phase {number} depends on something that is no phase number, or on more than {DEPENDS_ON}"
        ));
    }
    if phase.tasks.is_empty() || phase.tasks.len() > TASKS {
        return Err(format!(
            "phase {number} has {} tasks, where it may have 1 to {TASKS}",
            phase.tasks.len()
        ));
    }
    let mut seen = BTreeSet::new();
    for (index, task) in phase.tasks.iter().enumerate() {
        let (nth, id) = (index + 1, task.task_id.as_str());
        let digits = id.strip_prefix('T').unwrap_or_default();
        if !(4..=NUMBER).contains(&id.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("the id of task {nth} of phase {number} is not T and at least three digits"));
        }
        if !seen.insert(id) {
            return Err(format!("phase {number} has {id} twice"));
        }
        if !is_line(&task.description, DESCRIPTION) {
            return Err(format!("the description of {id} is not one line of 1 to {DESCRIPTION} characters"));
        }
        if !task.story.is_empty() && (task.story.len() > NUMBER || !is_story(&task.story)) {
            return Err(format!("the story of {id} is not empty and not US and a number"));
        }
        if task.line < 1 {
            return Err(format!("the line of {id} is not 1 or more"));
        }
    }
    Ok(())
}

fn is_number(text: &str) -> bool {
    (1..=NUMBER).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
}

fn is_line(text: &str, most: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= most && !text.contains(|c: char| c.is_control() && c != '\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::TaskList;

    #[test]
    fn what_was_read_here_is_within_them_and_what_is_too_much_is_not() {
        let list = "## Phase 2: Core\n- [ ] T001 [P] [US1] a\tb\n- [ ] T002 c\n";
        let good = TaskList::parse(list.as_bytes()).unwrap().next_phase().unwrap();
        assert_eq!(check(&good), Ok(()));
        let refused = |change: &dyn Fn(&mut TaskPhase)| {
            let mut phase = good.clone();
            change(&mut phase);
            check(&phase).unwrap_err()
        };
        let said = [
            refused(&|phase| phase.number = "2 a".to_owned()),
            refused(&|phase| phase.title = "a\nb".to_owned()),
            refused(&|phase| phase.title = "x".repeat(201)),
            refused(&|phase| phase.depends_on = vec![String::new()]),
            refused(&|phase| phase.tasks.clear()),
            refused(&|phase| phase.tasks = vec![phase.tasks[0].clone(); 301]),
            refused(&|phase| phase.tasks[0].task_id = "T1".to_owned()),
            refused(&|phase| phase.tasks[1].task_id = "T001".to_owned()),
            refused(&|phase| phase.tasks[0].description = "\u{1b}[2J".to_owned()),
            refused(&|phase| phase.tasks[0].story = "US".to_owned()),
            refused(&|phase| phase.tasks[0].line = 0),
        ];
        insta::assert_snapshot!(said.join("\n"), @r"
        its phase has no number of at most 16 letters, digits and dots
        the title of phase 2 is not one line of 1 to 200 characters
        the title of phase 2 is not one line of 1 to 200 characters
        phase 2 depends on something that is no phase number, or on more than 64
        phase 2 has 0 tasks, where it may have 1 to 300
        phase 2 has 301 tasks, where it may have 1 to 300
        the id of task 1 of phase 2 is not T and at least three digits
        phase 2 has T001 twice
        the description of T001 is not one line of 1 to 2000 characters
        the story of T001 is not empty and not US and a number
        the line of T001 is not 1 or more
        ");
    }
}
