//! Both readers, with one form of answer.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use moorline_proto::v1;
use moorline_worker::tasks::{Phase, TaskList, checklists};
use serde_json::{Value, json};

use crate::{architecture::ROOT, skills::shipped::program::skill, support::program};

/// The skill's modules, in one Python process.
pub struct Reader {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Reader {
    pub fn start() -> Self {
        let mut child = Command::new(program("MOORLINE_TEST_PYTHON", "python3"))
            .arg(Path::new(ROOT).join("tests/python/read_spec_kit.py"))
            .arg(skill("speckit").join("scripts"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let input = child.stdin.take().expect("its input");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        Self { child, input, output }
    }

    pub fn tasks(&mut self, text: &[u8]) -> Value {
        self.ask("tasks", text)
    }

    pub fn checklist(&mut self, text: &[u8]) -> Value {
        self.ask("checklist", text)
    }

    fn ask(&mut self, what: &str, text: &[u8]) -> Value {
        writeln!(self.input, "{}", json!({what: BASE64_STANDARD.encode(text)})).expect("it reads");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it answers");
        serde_json::from_str(&line).expect("JSON")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the direct path makes of a task list.
pub fn direct_tasks(text: &[u8]) -> Value {
    match TaskList::parse(text) {
        Ok(list) => json!({"phases": list.phases.iter().map(told).collect::<Vec<_>>(), "next": list.next_phase().as_ref().map(phase)}),
        Err(error) => {
            let failure = error.failure();
            json!({"code": failure.code, "message": failure.message})
        }
    }
}

/// What the direct path counts in a checklist.
pub fn direct_checklist(text: &[u8]) -> Value {
    let counted = checklists::count("x", text);
    json!({"total": counted.total, "done": counted.done})
}

/// The next phase, as it is in a result's artifacts.
pub fn phase(phase: &v1::TaskPhase) -> Value {
    let task = |task: &v1::Task| json!({"task_id": task.task_id, "description": task.description, "parallel": task.parallel, "story": task.story, "line": task.line});
    let tasks: Vec<_> = phase.tasks.iter().map(task).collect();
    json!({"number": phase.number, "title": phase.title, "depends_on": phase.depends_on, "tasks": tasks})
}

fn told(phase: &Phase) -> Value {
    let task = phase.tasks.iter().map(|task| {
        json!({
            "done": task.done,
            "task_id": task.id,
            "description": task.description,
            "parallel": task.parallel,
            "story": task.story,
            "line": task.line,
        })
    });
    json!({"number": phase.number, "title": phase.title, "depends_on": phase.depends_on, "tasks": task.collect::<Vec<_>>()})
}
