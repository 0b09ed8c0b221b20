//! Runs: their stages, one after the other, and how they end.

use moorline_server::{
    domain::{
        job::{self, FailureClass},
        retry::{LOST_ATTEMPTS_MAX, Policy},
        run::{self, Phase, Status},
        stage::Stage,
    },
    flow::retry::Mode,
};

use super::{Answer, Due, Job, Queue, Run, World};

impl World {
    pub(super) fn create(&mut self, feature: usize, force: Option<Phase>) -> Answer {
        if self.open_run_of(feature) {
            return Answer::Refused("RUN_ALREADY_OPEN");
        }
        let first = run::stages(force)[0];
        self.runs.push(Run {
            feature,
            force,
            status: Status::Pending,
            phase: Phase::from(first),
        });
        self.enqueue(self.runs.len() - 1, first, 0);
        Answer::Done
    }

    pub(super) fn cancel(&mut self, run: usize) -> Answer {
        match self.runs[run].status {
            Status::Cancelled => return Answer::Done,
            status if status.is_terminal() => return Answer::Refused("RUN_ENDED"),
            _ => {}
        }
        let mut running = false;
        for job in self.jobs.iter_mut().filter(|job| job.run == run) {
            match job.status {
                job::Status::Queued => job.end(job::Status::Cancelled),
                job::Status::Running => {
                    running = true;
                    job.cancel = true;
                }
                _ => {}
            }
        }
        if !running {
            self.runs[run].status = Status::Cancelled;
        }
        Answer::Done
    }

    pub(super) fn retry(&mut self, run: usize, mode: Mode) -> Answer {
        if self.runs[run].status != Status::Failed {
            return Answer::Refused("RUN_NOT_FAILED");
        }
        if self.open_run_of(self.runs[run].feature) {
            return Answer::Refused("RUN_ALREADY_OPEN");
        }
        let failed = self
            .jobs
            .iter()
            .rev()
            .find(|job| job.run == run && job.status == job::Status::Failed);
        let stage = match (mode, failed) {
            (Mode::ResumeFailedStage, Some(failed)) => failed.stage,
            _ => run::stages(self.runs[run].force)[0],
        };
        self.runs[run].status = Status::Retrying;
        self.runs[run].phase = Phase::from(stage);
        let before = self.jobs.iter().filter(|job| job.run == run).map(|job| job.round).max();
        self.enqueue(run, stage, before.unwrap_or_default() + 1);
        Answer::Done
    }

    /// A job did what it should; `work` says whether discover found some.
    pub(super) fn succeeded(&mut self, job: usize, work: bool) {
        let (run, stage, round) = (self.jobs[job].run, self.jobs[job].stage, self.jobs[job].round);
        self.jobs[job].end(job::Status::Succeeded);
        if self.jobs[job].cancel {
            self.runs[run].status = Status::Cancelled;
            return;
        }
        let rest: Vec<Stage> = run::stages(self.runs[run].force)
            .iter()
            .copied()
            .filter(|next| *next > stage)
            .collect();
        if !work {
            for stage in rest {
                self.enqueue(run, stage, 0);
                if let Some(job) = self.jobs.last_mut() {
                    job.end(job::Status::Skipped);
                }
            }
            (self.runs[run].status, self.runs[run].phase) = (Status::NoWork, Phase::Complete);
        } else if let Some(next) = rest.first() {
            self.runs[run].phase = Phase::from(*next);
            self.enqueue(run, *next, round);
        } else {
            (self.runs[run].status, self.runs[run].phase) = (Status::Succeeded, Phase::Complete);
        }
    }

    /// A job failed: another attempt, or the end of the run.
    pub(super) fn failed(&mut self, job: usize, class: FailureClass) {
        self.jobs[job].failure = Some(class);
        self.jobs[job].end(job::Status::Failed);
        let failed = self.jobs[job].clone();
        if failed.cancel {
            self.runs[failed.run].status = Status::Cancelled;
            return;
        }
        let same = |job: &&Job| (job.run, job.stage, job.round, job.failure) == (failed.run, failed.stage, failed.round, Some(class));
        let times = self.jobs.iter().filter(same).count() as u32;
        match class {
            FailureClass::LostWorker if times < LOST_ATTEMPTS_MAX => self.enqueue(failed.run, failed.stage, failed.round),
            FailureClass::Environment if times < Policy::default().attempts(failed.stage) => {
                self.enqueue(failed.run, failed.stage, failed.round);
                if let Some(next) = self.jobs.last_mut() {
                    next.due = Due::NotYet;
                    next.avoid = failed.worker.filter(|_| failed.stage != Stage::Submit);
                }
            }
            _ => self.runs[failed.run].status = Status::Failed,
        }
    }

    fn enqueue(&mut self, run: usize, stage: Stage, round: usize) {
        let attempts = self.jobs.iter().filter(|job| job.run == run && job.stage == stage).count();
        self.jobs.push(Job {
            run,
            stage,
            attempt: attempts as i32 + 1,
            status: job::Status::Queued,
            held: Self::queue(stage) == Queue::Shard && !self.active,
            due: Due::Now,
            avoid: None,
            round,
            failure: None,
            lease: None,
            holder: None,
            worker: None,
            sequence: 0,
            cancel: false,
        });
    }

    fn open_run_of(&self, feature: usize) -> bool {
        self.runs.iter().any(|run| run.feature == feature && !run.status.is_terminal())
    }
}

impl Job {
    pub(super) fn end(&mut self, status: job::Status) {
        self.status = status;
        self.held = false;
        self.holder = None;
    }
}
