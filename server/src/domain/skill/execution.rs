//! Which way an attempt went: what its worker says of it, put right, or what is known without any word of it.
//!
//! A record must be one that can be true. What contradicts itself or the decision is corrected, and the caller logs what was.

use std::collections::BTreeMap;

use super::{Decision, Execution, ExecutionPath, Shadow};
use crate::domain::{
    job::{Failure, FailureClass},
    line,
    stage::Stage,
};

/// Longest texts, in characters, and most details of a failure.
const CODE_MAX: usize = 64;
const MESSAGE_MAX: usize = 2048;
const DETAILS_MAX: usize = 32;

/// An attempt that has ended, as the server knows it.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// Its stage.
    pub stage: Stage,
    /// What was decided of it; none before there were skills, which counts as the built-in code.
    pub decision: Option<&'a Decision>,
    /// From its acceptance to its end, in milliseconds; 0 when it never began.
    pub took_ms: i64,
    /// The longest that it can have taken: from its queueing on, since an acceptance may be heard of late.
    pub most_ms: i64,
    /// Whether it did what it should.
    pub succeeded: bool,
}

impl Attempt<'_> {
    /// What is recorded where no worker says anything: the way that was decided, with nothing used.
    pub fn unsaid(&self) -> Execution {
        Execution {
            stage: self.stage,
            selected_skill: self.decision.map(|decision| decision.selected_skill.clone()).unwrap_or_default(),
            execution_path: self.decided(),
            used_skills: false,
            used_fallback: false,
            shadow_mode_requested: self.shadow(),
            duration_ms: self.took_ms,
            skill_failure: None,
            skill_digest: String::new(),
            shadow: None,
        }
    }

    /// What a worker says, as far as it can be true, and what of it could not.
    pub fn said(&self, said: Execution) -> (Execution, Vec<&'static str>) {
        use ExecutionPath::{DirectFallback, DirectOnly, Skill};
        let unsaid = self.unsaid();
        // Where no skill was to be tried, none was. Otherwise the worker knows best.
        let execution_path = match self.decided() {
            DirectOnly => DirectOnly,
            Skill | DirectFallback => said.execution_path,
        };
        let failure = said.skill_failure.clone().map(short_failure);
        let right = Execution {
            execution_path,
            used_skills: match execution_path {
                Skill => said.used_skills,
                DirectFallback => true,
                DirectOnly => false,
            },
            used_fallback: execution_path == DirectFallback,
            skill_failure: match execution_path {
                DirectFallback => Some(failure.unwrap_or_else(unexplained)),
                // One that has done the stage's work has not failed.
                Skill => failure.filter(|_| !self.succeeded),
                DirectOnly => None,
            },
            duration_ms: match said.duration_ms.clamp(0, self.most_ms) {
                0 => self.took_ms,
                said => said,
            },
            skill_digest: digest(said.skill_digest.clone()),
            shadow: said
                .shadow
                .clone()
                .filter(|_| self.shadow())
                .map(|shadow| self.shadow_of(execution_path, shadow)),
            ..unsaid
        };
        let wrong = differences(&said, &right);
        (right, wrong)
    }

    fn decided(&self) -> ExecutionPath {
        self.decision.map_or(ExecutionPath::DirectOnly, |decision| decision.execution_path)
    }

    fn shadow(&self) -> bool {
        self.decision.is_some_and(|decision| decision.shadow_mode)
    }

    /// The shadow takes the other way.
    fn shadow_of(&self, primary: ExecutionPath, said: Shadow) -> Shadow {
        Shadow {
            execution_path: match primary {
                ExecutionPath::Skill | ExecutionPath::DirectFallback => ExecutionPath::DirectOnly,
                ExecutionPath::DirectOnly => ExecutionPath::Skill,
            },
            status: said.status,
            files: said.files.max(0),
            artifact_id: said.artifact_id,
            detail: cut(&said.detail),
            duration_ms: said.duration_ms.clamp(0, self.most_ms),
        }
    }
}

/// A digest of a skill's folder as it may be stored: 64 lower-case hex digits, or none.
pub fn digest(digest: String) -> String {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digest.len() == 64 && digest.bytes().all(is_hex) {
        digest
    } else {
        String::new()
    }
}

fn short_failure(failure: Failure) -> Failure {
    let short = |(name, value): (String, String)| (line::short(&name, CODE_MAX), cut(&value));
    Failure {
        code: line::short(&failure.code, CODE_MAX),
        message: cut(&failure.message),
        class: failure.class,
        details: failure.details.into_iter().take(DETAILS_MAX).map(short).collect(),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MESSAGE_MAX).collect()
}

/// A fallback always has a reason, also where the worker has kept it to itself.
fn unexplained() -> Failure {
    Failure {
        code: "UNKNOWN".to_owned(),
        message: "the worker did not say why the skill failed: see its log".to_owned(),
        class: FailureClass::Job,
        details: BTreeMap::new(),
    }
}

fn differences(said: &Execution, right: &Execution) -> Vec<&'static str> {
    let differs = [
        ("stage", said.stage != right.stage),
        ("selected_skill", said.selected_skill != right.selected_skill),
        ("execution_path", said.execution_path != right.execution_path),
        ("used_skills", said.used_skills != right.used_skills),
        ("used_fallback", said.used_fallback != right.used_fallback),
        ("shadow_mode_requested", said.shadow_mode_requested != right.shadow_mode_requested),
        // What only wasn't said is no lie.
        ("duration_ms", said.duration_ms != 0 && said.duration_ms != right.duration_ms),
        ("skill_failure", said.skill_failure != right.skill_failure),
        ("skill_digest", said.skill_digest != right.skill_digest),
        ("shadow", said.shadow != right.shadow),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests;
