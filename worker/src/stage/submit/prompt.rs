//! What the agent is asked to do.

use moorline_proto::v1::TaskPhase;

const TEMPLATE: &str = include_str!("prompt.md");

/// The prompt for one phase of a feature.
pub(super) fn write(feature_key: &str, phase: &TaskPhase) -> String {
    let tasks = phase.tasks.iter().map(|task| {
        let parallel = if task.parallel { " [P]" } else { "" };
        let story = match task.story.as_str() {
            "" => String::new(),
            story => format!(" [{story}]"),
        };
        format!("- {}{parallel}{story} {}", task.task_id, task.description)
    });
    let tasks: Vec<String> = tasks.collect();
    let values = [
        ("{feature}", feature_key),
        ("{number}", &phase.number),
        ("{title}", &phase.title),
        ("{tasks}", &tasks.join("\n")),
    ];
    fill(TEMPLATE, &values)
}

/// Fills a template in one pass, so that a value that looks like a placeholder stays what it is.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let (mut filled, mut rest) = (String::new(), template);
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        filled.push_str(before);
        let known = values.iter().find(|(name, _)| from.starts_with(name));
        let (text, taken) = known.map_or(("{", 1), |(name, value)| (*value, name.len()));
        filled.push_str(text);
        rest = &from[taken..];
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use moorline_proto::v1::Task;

    use super::*;

    #[test]
    fn the_prompt_names_feature_phase_and_tasks() {
        let task = |id: &str, parallel, story: &str| Task {
            task_id: id.to_owned(),
            description: format!("Do {id} in {{title}}"),
            parallel,
            story: story.to_owned(),
            line: 1,
        };
        let phase = TaskPhase {
            number: "2".to_owned(),
            title: "Foundational {tasks}".to_owned(),
            tasks: vec![task("T004", false, ""), task("T005", true, "US1")],
            depends_on: Vec::new(),
        };
        let prompt = write("001-login", &phase);
        assert!(prompt.contains("Phase 2: Foundational {tasks}\n"), "{prompt}");
        assert!(
            prompt.contains("- T004 Do T004 in {title}\n- T005 [P] [US1] Do T005 in {title}\n"),
            "{prompt}"
        );
        assert!(prompt.contains("`specs/001-login/plan.md`"));
        assert!(!prompt.contains("{feature}") && !prompt.contains("{number}"));
    }
}
