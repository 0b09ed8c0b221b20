//! What the use cases are told, and what they answer, in the words of the reference.

use moorline_server::{
    domain::{
        error::Kind,
        job::{Failure, FailureClass},
        stage::{Discovered, Outcome, Published, Stage, Submitted, TaskPhase},
    },
    flow::{
        self,
        report::{self, End},
    },
};
use uuid::Uuid;

use crate::model::{op::News, world::Answer};

pub fn news(news: News, stage: Stage) -> report::News {
    // Which way it went is left to the server to fill in.
    let ended = |end| report::News::Ended(end, None);
    let failed = |class| {
        ended(End::Failed(Failure {
            code: "MODEL".to_owned(),
            message: "of the model test".to_owned(),
            class,
            details: Default::default(),
        }))
    };
    match news {
        News::Progress => report::News::Progress("at work".to_owned()),
        News::Failed => failed(FailureClass::Job),
        News::Broke => failed(FailureClass::Environment),
        News::Lost => failed(FailureClass::LostWorker),
        News::Stopped => ended(End::Stopped("stopped".to_owned())),
        News::Succeeded => ended(End::Succeeded(outcome(stage, true))),
        News::NothingToDo => ended(End::Succeeded(outcome(stage, false))),
    }
}

fn outcome(stage: Stage, work: bool) -> Outcome {
    let commit = "a".repeat(40);
    match stage {
        Stage::Discover => Outcome::Discover(Discovered {
            base_ref: "main".to_owned(),
            base_commit: commit,
            phase: work.then(|| TaskPhase {
                number: "1".to_owned(),
                title: "Setup".to_owned(),
                tasks: Vec::new(),
                depends_on: Vec::new(),
            }),
            checklists: Vec::new(),
        }),
        Stage::Submit => Outcome::Submit(Submitted {
            codex_task_id: "thread".to_owned(),
            base_commit: commit,
            patch_artifact_id: Uuid::nil(),
            files_changed: 1,
            insertions: 1,
            deletions: 0,
            input_tokens: 0,
            output_tokens: 0,
            tasks_done: Vec::new(),
        }),
        Stage::Publish => Outcome::Publish(Published {
            branch_name: "moorline/feature/0".to_owned(),
            commit,
            pr_url: String::new(),
            pr_existed: false,
        }),
    }
}

pub fn done<T>(outcome: Result<T, flow::Error>) -> Answer {
    outcome.map_or_else(refused, |_| Answer::Done)
}

/// A refusal is an answer; anything else is the end of the test.
pub fn refused(error: flow::Error) -> Answer {
    match error {
        flow::Error::Refused(refusal) => Answer::Refused(refusal.reason),
        other => panic!("{other}: {:?}", std::error::Error::source(&other)),
    }
}

pub fn told(outcome: Result<i64, flow::Error>) -> Option<i64> {
    match outcome {
        Ok(sequence) => Some(sequence),
        Err(flow::Error::Refused(refusal)) if refusal.kind == Kind::Fenced => None,
        Err(other) => panic!("{other}: {:?}", std::error::Error::source(&other)),
    }
}
