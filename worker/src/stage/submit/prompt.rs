//! What the agent is asked to do.

use moorline_proto::v1::{JobSpec, TaskPhase};

use crate::skill::Skill;

const TEMPLATE: &str = include_str!("prompt.md");
const OF_SKILL: &str = include_str!("prompt_of_skill.md");

/// Whose words the agent works by.
#[derive(Debug, Clone, Copy)]
pub(super) enum Prompt<'a> {
    /// The built-in ones.
    BuiltIn,
    /// A skill's.
    Skill(&'a Skill),
}

impl Prompt<'_> {
    /// The prompt for one phase of a feature.
    pub(super) fn write(self, spec: &JobSpec, phase: &TaskPhase) -> String {
        match self {
            Self::BuiltIn => built_in(&spec.feature_key, phase),
            Self::Skill(skill) => by_skill(skill, spec, phase),
        }
    }
}

/// The skill's own text, and the request after it. What must hold whatever the text says comes last.
fn by_skill(skill: &Skill, spec: &JobSpec, phase: &TaskPhase) -> String {
    let checklists = spec.discover.iter().flat_map(|discover| &discover.checklists);
    let checklists: Vec<String> = checklists
        .map(|list| {
            format!(
                "- `specs/{}/checklists/{}.md`: {} of {} points checked",
                spec.feature_key, list.name, list.done, list.total
            )
        })
        .collect();
    let checklists = match checklists.is_empty() {
        true => "The feature has none.".to_owned(),
        false => checklists.join("\n"),
    };
    let depends_on = match phase.depends_on.is_empty() {
        true => String::new(),
        false => format!("\nThe list puts it behind these phases: {}.\n", phase.depends_on.join(", ")),
    };
    let values = [
        ("{skill}", skill.name.as_str()),
        ("{folder}", &skill.folder.display().to_string()),
        ("{text}", skill.text.trim()),
        ("{feature}", &spec.feature_key),
        ("{number}", &phase.number),
        ("{title}", &phase.title),
        ("{tasks}", &tasks(phase)),
        ("{depends_on}", &depends_on),
        ("{checklists}", &checklists),
    ];
    fill(OF_SKILL, &values)
}

fn built_in(feature_key: &str, phase: &TaskPhase) -> String {
    let values = [
        ("{feature}", feature_key),
        ("{number}", &phase.number),
        ("{title}", &phase.title),
        ("{tasks}", &tasks(phase)),
    ];
    fill(TEMPLATE, &values)
}

fn tasks(phase: &TaskPhase) -> String {
    let tasks = phase.tasks.iter().map(|task| {
        let parallel = if task.parallel { " [P]" } else { "" };
        let story = match task.story.as_str() {
            "" => String::new(),
            story => format!(" [{story}]"),
        };
        format!("- {}{parallel}{story} {}", task.task_id, task.description)
    });
    let tasks: Vec<String> = tasks.collect();
    tasks.join("\n")
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
        let prompt = built_in("001-login", &phase);
        assert!(prompt.contains("Phase 2: Foundational {tasks}\n"), "{prompt}");
        assert!(
            prompt.contains("- T004 Do T004 in {title}\n- T005 [P] [US1] Do T005 in {title}\n"),
            "{prompt}"
        );
        assert!(prompt.contains("`specs/001-login/plan.md`"));
        assert!(!prompt.contains("{feature}") && !prompt.contains("{number}"));
    }
}
