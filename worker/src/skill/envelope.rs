//! What a skill's program is asked, and what it answers: one JSON object each way.

use moorline_proto::v1;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    redact::Redactor,
    stage::{Context, Fault, Leg, plain},
};

/// Most that is taken of a result, in bytes.
pub(crate) const LARGEST: u64 = 4 << 20;
/// The contract, for programs that know more than one.
const PROTOCOL: &str = "moorline.stage/1";
/// What is quoted of something that is no result, in characters.
const QUOTED: usize = 200;

/// What a program reads from standard input.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Request {
    run_id: String,
    feature_id: String,
    stage: String,
    requested_skill_id: String,
    payload: Value,
    metadata: Value,
}

/// What it writes to standard output. Fields that are not known are ignored; one that is missing is an error.
#[derive(Debug, Deserialize)]
struct Answer {
    run_id: String,
    stage: String,
    selected_skill_id: String,
    execution_path: String,
    status: Status,
    #[serde(rename = "duration_ms")]
    _duration_ms: u64,
    artifacts: Map<String, Value>,
    // By this a field that is missing is told from one that is null.
    #[serde(deserialize_with = "Option::deserialize")]
    error: Option<Said>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Succeeded,
    Failed,
}

#[derive(Debug, Deserialize)]
struct Said {
    code: String,
    message: String,
}

impl Request {
    /// The request for the stage at hand.
    pub(crate) fn new(ctx: &Context, skill: &str, leg: Leg, payload: Value) -> Self {
        let offer = &ctx.offer;
        let decision = offer.decision.clone().unwrap_or_default();
        Self {
            run_id: offer.run_id.clone(),
            feature_id: offer.spec.as_ref().map(|spec| spec.feature_key.clone()).unwrap_or_default(),
            stage: plain(offer.stage().as_str_name(), "STAGE_"),
            requested_skill_id: skill.to_owned(),
            payload,
            metadata: json!({
                "job_id": offer.job_id,
                "attempt": offer.attempt,
                "policy_version": decision.policy_version,
                "shadow": leg == Leg::Shadow,
                "protocol": PROTOCOL,
            }),
        }
    }
}

/// The artifacts of a result, once it is certain that it is this request's.
///
/// # Errors
///
/// `SKILL_NO_RESULT`, `SKILL_RESULT_MISMATCH`, and `SKILL_FAILED` where the result says so.
pub(crate) fn read(content: &[u8], ctx: &Context, skill: &str, redactor: &Redactor) -> Result<Map<String, Value>, Fault> {
    let answer: Answer = serde_json::from_slice(content).map_err(|error| no_result(skill, content, &error.to_string(), redactor))?;
    let stage = plain(ctx.offer.stage().as_str_name(), "STAGE_");
    for (field, said, right) in [
        ("run_id", &answer.run_id, ctx.offer.run_id.as_str()),
        ("stage", &answer.stage, stage.as_str()),
        ("selected_skill_id", &answer.selected_skill_id, skill),
        ("execution_path", &answer.execution_path, "skill"),
    ] {
        if said != right {
            return Err(mismatch(skill, field, said, right, redactor));
        }
    }
    match (answer.status, answer.error) {
        (Status::Succeeded, _) => Ok(answer.artifacts),
        (Status::Failed, Some(said)) => Err(Fault::declared(skill, &said.code, &said.message, redactor)),
        (Status::Failed, None) => Err(Fault::declared(skill, "UNSPECIFIED", "it gave no reason", redactor)),
    }
}

/// A result that is another's.
pub(crate) fn mismatch(skill: &str, field: &str, said: &str, right: &str, redactor: &Redactor) -> Fault {
    let message = format!(
        "the result of the skill {skill} has the {field} `{}` where `{right}` was asked for: let its program copy that from the request",
        redactor.line(said, QUOTED)
    );
    Fault::of_skill("SKILL_RESULT_MISMATCH", message)
}

/// A result whose artifacts aren't what the stage needs.
pub(crate) fn unfit(skill: &str, why: &str) -> Fault {
    let message = format!("the result of the skill {skill} can't be used: {why}; docs/skills.md says what a stage's artifacts are");
    Fault::of_skill("SKILL_NO_RESULT", message)
}

fn no_result(skill: &str, content: &[u8], why: &str, redactor: &Redactor) -> Fault {
    // Enough of it that what looks like a secret is still seen as one when it is cut.
    let begin = &content[..content.len().min(64 * QUOTED)];
    let said = match redactor.line(&String::from_utf8_lossy(begin), QUOTED) {
        said if said.is_empty() => "nothing".to_owned(),
        said => format!("`{said}`"),
    };
    let why = redactor.line(why, QUOTED);
    let message = format!(
        "the program of the skill {skill} printed no result ({why}), but {said}: let it write the result alone to standard output, and what is for people to \
         standard error"
    );
    Fault::of_skill("SKILL_NO_RESULT", message)
}

/// A phase as requests have it; null without one.
pub(crate) fn phase(phase: Option<&v1::TaskPhase>) -> Value {
    let task = |task: &v1::Task| {
        json!({
            "task_id": task.task_id,
            "description": task.description,
            "parallel": task.parallel,
            "story": task.story,
            "line": task.line,
        })
    };
    phase.map_or(Value::Null, |phase| {
        json!({
            "number": phase.number,
            "title": phase.title,
            "depends_on": phase.depends_on,
            "tasks": phase.tasks.iter().map(task).collect::<Vec<_>>(),
        })
    })
}

/// Checklists as requests have them.
pub(crate) fn checklists(checklists: &[v1::Checklist]) -> Value {
    checklists
        .iter()
        .map(|list| json!({"name": list.name, "total": list.total, "done": list.done}))
        .collect()
}

#[cfg(test)]
mod tests;
