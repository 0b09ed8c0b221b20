//! What a line about a step of a run or a job is about.
//!
//! An audit reads the log of one program and needs no guess: each such line bears all of these fields that it can have, under these names.

use std::fmt::Display;

/// The fields of a line. What doesn't apply is left out of it: a `discover` job has no shard.
#[derive(Clone, Copy)]
pub struct About<'a> {
    /// The run.
    pub run_id: &'a dyn Display,
    /// The job; none for a step of the run itself.
    pub job_id: Option<&'a dyn Display>,
    /// Its stage.
    pub stage: Option<&'a str>,
    /// Its attempt, from 1.
    pub attempt: Option<i32>,
    /// Its queue.
    pub queue: Option<&'a str>,
    /// The auth volume of the run.
    pub volume: Option<&'a str>,
    /// The shard of the run, where its queue has a number.
    pub shard_index: Option<i32>,
    /// What the run's login check has found, `passed`, `failed` or `skipped`; none before there was one.
    pub preflight: Option<&'a str>,
    /// The worker that has the job.
    pub worker: Option<&'a str>,
    /// The run's trace.
    pub trace_id: Option<&'a str>,
    /// The skill that was chosen for the job's stage.
    pub skill: Option<&'a str>,
    /// The way that the stage went or, before its end, is to go: `skill`, `direct_fallback` or `direct_only`.
    pub execution_path: Option<&'a str>,
    /// Whether the built-in code took over from a skill; none before the end.
    pub used_fallback: Option<bool>,
    /// `requested` where the other way is taken as well, and then what came of it, `same`, `drift` or `not_compared`.
    pub shadow: Option<&'a str>,
}

impl<'a> About<'a> {
    /// A line about this run, with nothing else filled in.
    pub fn run(run_id: &'a dyn Display) -> Self {
        Self {
            run_id,
            job_id: None,
            stage: None,
            attempt: None,
            queue: None,
            volume: None,
            shard_index: None,
            preflight: None,
            worker: None,
            trace_id: None,
            skill: None,
            execution_path: None,
            used_fallback: None,
            shadow: None,
        }
    }
}

/// Logs a line about a step: `step!(info, about, status = "running"; "job running")`. It hangs on no span: its own fields say all that there is to
/// say, also to whoever drops what the log adds of the task that wrote it.
#[macro_export]
macro_rules! step {
    ($level:ident, $about:expr, $($field:ident = $value:expr),* ; $($message:tt)+) => {{
        let about: &$crate::about::About<'_> = &$about;
        $crate::tracing::$level!(
            parent: None,
            run_id = %about.run_id,
            job_id = about.job_id.map($crate::tracing::field::display),
            stage = about.stage,
            attempt = about.attempt,
            queue = about.queue,
            volume = about.volume,
            shard_index = about.shard_index,
            preflight = about.preflight,
            worker = about.worker,
            trace_id = about.trace_id,
            skill = about.skill,
            execution_path = about.execution_path,
            used_fallback = about.used_fallback,
            shadow = about.shadow,
            $($field = $value,)*
            $($message)+
        )
    }};
}
