//! The next phase as a skill's program has found it.

use moorline_proto::v1;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Discover, Found};
use crate::{
    git::Base,
    skill::{
        envelope,
        program::{Entry, Program},
    },
    stage::{Fault, Leg, attempt, site, skilled},
    tasks,
};

/// Most checklists, and longest name of one in characters.
const CHECKLISTS: usize = 100;
const NAME: usize = 200;

/// The artifacts of a result. Fields that are not known are ignored.
#[derive(Debug, Deserialize)]
struct Artifacts {
    #[serde(deserialize_with = "Option::deserialize")]
    phase: Option<Phase>,
    checklists: Vec<Checklist>,
}

#[derive(Debug, Deserialize)]
struct Phase {
    number: String,
    title: String,
    depends_on: Vec<String>,
    tasks: Vec<Task>,
}

#[derive(Debug, Deserialize)]
struct Task {
    task_id: String,
    description: String,
    parallel: bool,
    story: String,
    line: i32,
}

#[derive(Debug, Deserialize)]
struct Checklist {
    name: String,
    total: i32,
    done: i32,
}

impl Discover<'_> {
    /// Has the skill's program look at a work tree of the commit.
    pub(in crate::stage) async fn by_skill(&self, base: &Base, leg: Leg) -> Result<Found, Fault> {
        let ctx = self.ctx;
        let known = skilled::of_root(ctx)?;
        site::make(ctx).await?;
        site::lay_out(ctx, &self.git, base, None).await?;
        let chosen = match known {
            Some(chosen) => chosen,
            None => skilled::of_repository(ctx).await?,
        };
        skilled::tell(ctx, &chosen).await?;
        let payload = json!({
            "repository": self.spec.repository,
            "base_ref": base.branch,
            "base_commit": base.commit,
            "checkout": ctx.folder.repo,
        });
        let entry = Entry {
            skill: &chosen.skill,
            program: chosen.program()?,
            limit: attempt::of_program(ctx),
        };
        let name = &chosen.skill.name;
        let artifacts = Program::new(ctx, name, leg).run(entry, payload).await?;
        found(artifacts).map_err(|why| envelope::unfit(name, &why))
    }
}

/// What the artifacts say, within the bounds of a task list that is read here.
fn found(artifacts: Map<String, Value>) -> Result<Found, String> {
    let artifacts: Artifacts = serde_json::from_value(artifacts.into()).map_err(|error| format!("its artifacts: {error}"))?;
    if artifacts.checklists.len() > CHECKLISTS {
        return Err(format!("it has more than {CHECKLISTS} checklists"));
    }
    let checklists = artifacts.checklists.into_iter().map(Checklist::checked).collect::<Result<_, _>>()?;
    let phase = artifacts.phase.map(Phase::checked).transpose()?;
    Ok(Found { phase, checklists })
}

impl Checklist {
    fn checked(self) -> Result<v1::Checklist, String> {
        let Self { name, total, done } = self;
        if name.is_empty() || name.chars().count() > NAME || name.contains(|c: char| c.is_control() || c == '/') {
            return Err(format!(
                "a checklist has no name, or one of more than {NAME} characters, or one with a slash or a control character"
            ));
        }
        if done < 0 || done > total {
            return Err(format!("the checklist {name} has {done} of {total} points done"));
        }
        Ok(v1::Checklist { name, total, done })
    }
}

impl Phase {
    fn checked(self) -> Result<v1::TaskPhase, String> {
        let tasks = self.tasks.into_iter().map(|task| v1::Task {
            task_id: task.task_id,
            description: task.description,
            parallel: task.parallel,
            story: task.story,
            line: task.line,
        });
        let phase = v1::TaskPhase {
            number: self.number,
            title: self.title,
            tasks: tasks.collect(),
            depends_on: self.depends_on,
        };
        tasks::check_phase(&phase)?;
        Ok(phase)
    }
}

#[cfg(test)]
mod tests;
