//! The shell command that the model asks the agent to run.

use std::{fmt::Write, time::Duration};

use super::prompt::Assignment;

/// A command that does the assigned tasks: a file for each, a tick for each. It stops at the first step that fails.
pub(super) fn work(assignment: &Assignment) -> String {
    let mut command = "set -e\nmkdir -p docs\n".to_owned();
    for task in &assignment.tasks {
        let file = quote(&format!("docs/{}-{}.md", assignment.feature, task.id));
        let text = quote(&format!("# {} {}\n\n{}", assignment.feature, task.id, task.description));
        let list = quote(&assignment.task_list);
        let tick = quote(&format!(r"s/^\([[:space:]]*- \[\) \(\] {}\)\($\|[^0-9]\)/\1x\2\3/", task.id));
        // A new file beside the list, since `sed -i` differs between systems.
        let _ = writeln!(
            command,
            "printf '%s\\n' {text} > {file}\nsed {tick} {list} > {list}.new\nmv {list}.new {list}"
        );
    }
    command
}

/// The same, and a commit by the agent itself.
pub(super) fn commit(assignment: &Assignment) -> String {
    let message = quote(&format!("Work on {}", assignment.feature));
    let git = "git -c user.name='Scripted agent' -c user.email=agent@localhost -c commit.gpgsign=false";
    format!("{}git add --all\n{git} commit --quiet --message {message}\n", work(assignment))
}

/// The same, and changes of all kinds that a patch can hold. Without `rm -f`, which Codex refuses to run.
pub(super) fn rework(assignment: &Assignment) -> String {
    let plan = quote(&format!("specs/{}/plan.md", assignment.feature));
    format!(
        "{}mv README.md docs/README.md\n[ ! -e {plan} ] || rm {plan}\nprintf '\\000\\001\\377' > docs/logo.bin\nprintf '#!/bin/sh\\necho hello\\n' > 'docs/say hello'\n\
         chmod +x 'docs/say hello'\nln -s README.md docs/index.md\nprintf 'no end' > docs/end.txt\n: > docs/empty\n",
        work(assignment)
    )
}

/// The same, after everything that the agent could give away.
pub(super) fn leak(assignment: &Assignment) -> String {
    let look = "env\ncat \"${CODEX_HOME:-/nonexistent}/auth.json\" \"${MOORLINE_GEMINI_HOME:-/nonexistent}/.env\"\n";
    format!("{look}{}", work(assignment))
}

/// The same, after a while.
pub(super) fn slow(assignment: &Assignment, delay: Duration) -> String {
    format!("sleep {}\n{}", delay.as_secs(), work(assignment))
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
