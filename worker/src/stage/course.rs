//! The course that an attempt takes: what is known of it so far, whatever ends it.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use moorline_proto::v1::{self, ExecutionPath, finished::Outcome};
use tokio::sync::watch;

use crate::boot::Moment;

/// What will be reported of the way that an attempt has gone. All clones are one: the stage writes it, and whoever reports the attempt's end
/// reads it, also where the stage broke, was given up, or was never begun.
#[derive(Debug, Clone)]
pub struct Course {
    execution: Arc<Mutex<v1::StageExecution>>,
    /// What the stage has come to, where a shadow follows.
    end: Arc<OnceLock<Outcome>>,
    began: Moment,
}

impl Course {
    /// The course of an offer that is accepted now: as decided, and nothing tried yet.
    pub fn of(offer: &v1::Offer) -> Self {
        let decision = offer.decision.clone().unwrap_or_default();
        let path = match decision.execution_path() {
            ExecutionPath::Skill => ExecutionPath::Skill,
            _ => ExecutionPath::DirectOnly,
        };
        let execution = v1::StageExecution {
            stage: offer.stage,
            selected_skill: decision.selected_skill,
            execution_path: path.into(),
            shadow_mode_requested: decision.shadow_mode,
            ..v1::StageExecution::default()
        };
        Self {
            execution: Arc::new(Mutex::new(execution)),
            end: Arc::default(),
            began: Moment::now(),
        }
    }

    /// The same for an attempt that an earlier process has begun, at that time.
    pub(crate) fn since(mut self, began: Moment) -> Self {
        self.began = began;
        self
    }

    /// When the attempt began.
    pub(crate) fn began(&self) -> Moment {
        self.began.clone()
    }

    /// How long it has taken so far; nothing, where the machine has started anew since.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed().unwrap_or_default()
    }

    /// The skill is tried for the stage's own sake.
    pub(crate) fn skill_tried(&self) {
        self.open().used_skills = true;
    }

    /// Which text or program it is.
    pub(crate) fn skill_found(&self, digest: &str) {
        digest.clone_into(&mut self.open().skill_digest);
    }

    /// It failed. That stays, whatever comes afterwards.
    pub(crate) fn skill_failed(&self, failure: &v1::Failure) {
        let mut execution = self.open();
        execution.used_skills = true;
        execution.skill_failure = Some(failure.clone());
    }

    /// The built-in code takes over from the skill.
    pub(crate) fn fell_back(&self) {
        let mut execution = self.open();
        (execution.used_skills, execution.used_fallback) = (true, true);
        execution.set_execution_path(ExecutionPath::DirectFallback);
    }

    /// The stage has come to this, and only its shadow is to come. The first word stands.
    pub(crate) fn came_to(&self, outcome: Outcome) {
        drop(self.end.set(outcome));
    }

    /// What the stage has come to, where its shadow has begun or is about to.
    pub fn known_end(&self) -> Option<&Outcome> {
        self.end.get()
    }

    /// What came of the shadow.
    pub fn shadowed(&self, outcome: v1::ShadowOutcome) {
        self.open().shadow = Some(outcome);
    }

    /// What is known so far.
    pub fn so_far(&self) -> v1::StageExecution {
        self.open().clone()
    }

    /// What is reported of an attempt that took so long.
    pub fn end(&self, took: Duration) -> v1::StageExecution {
        v1::StageExecution {
            duration_ms: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
            ..self.so_far()
        }
    }

    fn open(&self) -> MutexGuard<'_, v1::StageExecution> {
        // Each change is one assignment or two: what a task that broke has left can be read.
        self.execution.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the agent has ended by itself: from then on the stage has no deadline, since the agent's work is paid for. A built-in agent that
/// takes over from a skill's brings the deadline back.
#[derive(Debug, Clone, Default)]
pub struct AgentEnded(Arc<watch::Sender<bool>>);

impl AgentEnded {
    /// It has.
    pub fn set(&self) {
        self.0.send_replace(true);
    }

    /// Another one is to begin.
    pub(crate) fn reset(&self) {
        self.0.send_replace(false);
    }

    /// Whether it has.
    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Passes once it is so.
    pub async fn becomes(&self, ended: bool) {
        // Its sender is held by this very value.
        drop(self.0.subscribe().wait_for(|now| *now == ended).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(path: ExecutionPath) -> v1::Offer {
        let mut decision = v1::StageDecision {
            selected_skill: "speckit".to_owned(),
            shadow_mode: true,
            ..v1::StageDecision::default()
        };
        decision.set_execution_path(path);
        v1::Offer {
            stage: v1::Stage::Publish.into(),
            decision: Some(decision),
            ..v1::Offer::default()
        }
    }

    #[test]
    fn what_was_never_begun_has_the_way_that_was_decided() {
        let said = Course::of(&decided(ExecutionPath::Skill)).end(Duration::ZERO);
        assert_eq!((said.stage(), said.selected_skill.as_str()), (v1::Stage::Publish, "speckit"));
        assert_eq!(
            (said.execution_path(), said.used_skills, said.used_fallback),
            (ExecutionPath::Skill, false, false)
        );
        assert!(said.shadow_mode_requested && said.duration_ms == 0);
        // An older server decides nothing.
        let said = Course::of(&v1::Offer::default()).end(Duration::from_millis(7));
        assert_eq!(
            (said.execution_path(), said.used_skills, said.duration_ms),
            (ExecutionPath::DirectOnly, false, 7)
        );
    }

    #[test]
    fn what_broke_off_tells_what_was_known() {
        let course = Course::of(&decided(ExecutionPath::Skill));
        let of_stage = course.clone();
        let broke = std::thread::spawn(move || {
            of_stage.skill_tried();
            of_stage.skill_found("c0ffee");
            of_stage.skill_failed(&v1::Failure::default());
            of_stage.fell_back();
            let _held = of_stage.open();
            panic!("a stage of the test breaks on purpose");
        });
        assert!(broke.join().is_err());
        let said = course.so_far();
        assert_eq!(said.execution_path(), ExecutionPath::DirectFallback);
        assert!(said.used_skills && said.used_fallback && said.skill_failure.is_some() && said.skill_digest == "c0ffee");
    }
}
