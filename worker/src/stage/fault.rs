//! Why a stage ends early, and what of it is a skill's own fault.

use moorline_proto::v1::{self, FailureClass};

use super::{Error, failure};
use crate::{
    engine, git,
    redact::{Redactor, chain, one_line},
    skill,
};

/// Longest text of a program's in a message, in characters.
pub(super) const SAID: usize = 400;
/// Longest code of a skill's own, in characters.
const CODE: usize = 64;
/// What each half of a message about two failures may take, in characters.
const HALF: usize = 800;

/// How a leg of a stage fails.
#[derive(Debug)]
pub(crate) enum Fault {
    /// By the skill itself: the built-in code may do better.
    Skill(v1::Failure),
    /// In a way that the built-in code would share.
    Stage(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Stage(error)
    }
}

impl From<git::Error> for Fault {
    fn from(error: git::Error) -> Self {
        Self::Stage(error.into())
    }
}

impl From<skill::Error> for Fault {
    fn from(error: skill::Error) -> Self {
        Self::Skill(error.failure())
    }
}

impl Fault {
    /// A failure of the skill.
    pub(crate) fn of_skill(code: &str, message: impl Into<String>) -> Self {
        Self::Skill(failure(code, FailureClass::Job, message))
    }

    /// A failure that the skill has declared itself, in its own words.
    pub(crate) fn declared(name: &str, code: &str, message: &str, redactor: &Redactor) -> Self {
        let (code, message) = (redactor.line(code, CODE), redactor.line(message, SAID));
        let mut failure = failure(
            "SKILL_FAILED",
            FailureClass::Job,
            format!("the skill {name} failed ({code}: {message}): see its log, mend what it names, then retry the run"),
        );
        failure.details.insert("skill_code".to_owned(), code);
        failure.details.insert("skill_message".to_owned(), message);
        Self::Skill(failure)
    }

    /// The end of a stage that goes no other way.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Skill(failure) => Error::Failed(failure),
            Self::Stage(error) => error,
        }
    }

    /// What the failure of an agent means that worked by a skill's instructions. Its own failures are the skill's, but for want of time, which is
    /// wanting for the built-in way too, and for limits of the account.
    pub(crate) fn of_agent(error: Error) -> Self {
        match error {
            Error::Failed(failure)
                if failure.class() == FailureClass::Job && !["AGENT_TIMED_OUT", "RATE_LIMITED"].contains(&failure.code.as_str()) =>
            {
                Self::Skill(failure)
            }
            error => Self::Stage(error),
        }
    }
}

/// The failure of a stage whose both ways have failed, with both reasons. It is of the built-in way's class: that decides what follows.
pub(super) fn both(name: &str, of_skill: &v1::Failure, direct: v1::Failure) -> v1::Failure {
    let message = format!(
        "the skill {name} failed ({}: {}), and so did the built-in way ({}: {})",
        of_skill.code,
        one_line(&of_skill.message, HALF),
        direct.code,
        one_line(&direct.message, HALF),
    );
    let mut both = failure("SKILL_AND_FALLBACK_FAILED", direct.class(), message);
    both.details = direct.details;
    for (key, value) in [
        ("skill", name),
        ("skill_code", of_skill.code.as_str()),
        ("skill_message", of_skill.message.as_str()),
        ("direct_code", direct.code.as_str()),
        ("direct_message", direct.message.as_str()),
    ] {
        both.details.insert(key.to_owned(), value.to_owned());
    }
    both
}

/// The engine's errors say themselves what to do.
pub(crate) fn of_engine(error: &engine::Error, redactor: &Redactor) -> Error {
    use engine::Error as Engine;
    let (code, class) = match error {
        Engine::ImageMissing { .. } => ("IMAGE_MISSING", FailureClass::Environment),
        Engine::Unreachable { .. } => ("ENGINE_UNREACHABLE", FailureClass::Environment),
        Engine::ImageNotAllowed { .. } => ("IMAGE_NOT_ALLOWED", FailureClass::Environment),
        Engine::NetworkMissing { .. } => ("NETWORK_MISSING", FailureClass::Environment),
        Engine::ProgramMissing { .. } => ("AGENT_CLI_MISSING", FailureClass::Environment),
        Engine::VolumeMissing { .. } => ("VOLUME_MISSING", FailureClass::Login),
        Engine::VolumeInUse { .. } => ("VOLUME_IN_USE", FailureClass::Environment),
        Engine::Fenced { .. } => ("FENCED", FailureClass::Environment),
        Engine::VolumeUnusable { .. } => ("VOLUME_UNUSABLE", FailureClass::Environment),
        Engine::Other { .. } => ("ENGINE_FAILED", FailureClass::Environment),
    };
    Error::Failed(failure(code, class, redactor.line(&chain(error), SAID)))
}

/// The worker can't use its own folder.
pub(crate) fn unusable(ctx: &super::Context, error: &std::io::Error) -> Error {
    let folder = ctx.folder.root.display();
    let message = format!("the worker can't use its folder {folder} ({error}): set MOORLINE_WORK_ROOT to a folder that it may write");
    Error::Failed(failure("WORK_ROOT_UNUSABLE", FailureClass::Environment, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_agent_did_itself_starts_the_fallback() {
        let skills = |code, class| matches!(Fault::of_agent(Error::Failed(failure(code, class, ""))), Fault::Skill(_));
        assert!(skills("NO_CHANGES", FailureClass::Job) && skills("AGENT_FAILED", FailureClass::Job));
        for (code, class) in [
            ("AGENT_TIMED_OUT", FailureClass::Job),
            ("RATE_LIMITED", FailureClass::Job),
            ("REVOKED", FailureClass::Login),
            ("ENGINE_FAILED", FailureClass::Environment),
            ("AGENT_KILLED", FailureClass::LostWorker),
        ] {
            assert!(!skills(code, class), "{code}");
        }
        assert!(matches!(Fault::of_agent(Error::Stopped("stopped")), Fault::Stage(_)));
    }

    #[test]
    fn both_reasons_are_kept_with_the_details_of_the_direct_one() {
        let of_skill = failure("SKILL_NO_RESULT", FailureClass::Job, "it printed `hello`");
        let mut direct = failure("TASKS_MALFORMED", FailureClass::Environment, "line 2");
        direct.details.insert("line".to_owned(), "2".to_owned());
        let both = both("speckit", &of_skill, direct);
        assert_eq!(
            (both.code.as_str(), both.class()),
            ("SKILL_AND_FALLBACK_FAILED", FailureClass::Environment)
        );
        assert_eq!(
            both.message,
            "the skill speckit failed (SKILL_NO_RESULT: it printed `hello`), and so did the built-in way (TASKS_MALFORMED: line 2)"
        );
        let mut details: Vec<_> = both.details.into_iter().collect();
        details.sort();
        let expected = [
            ("direct_code", "TASKS_MALFORMED"),
            ("direct_message", "line 2"),
            ("line", "2"),
            ("skill", "speckit"),
            ("skill_code", "SKILL_NO_RESULT"),
            ("skill_message", "it printed `hello`"),
        ];
        assert_eq!(details, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
}
