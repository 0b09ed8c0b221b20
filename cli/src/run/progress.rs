//! How the events of a run are shown to people: as lines, and on a terminal with a moving last line for the stage at work.

use std::time::{Duration, SystemTime};

use indicatif::{ProgressBar, ProgressStyle};
use moorline_proto::v1::{self, JobStatus, Stage, run_event::Event as Kind};

use crate::{console::Console, error::Error, names, table::one_line, view::Event};

/// Shows events.
pub struct Progress {
    /// The moving line; `None` when nobody would see it move.
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Begins to show events.
    pub fn new(console: &Console<'_>) -> Self {
        Self {
            bar: console.animated().then(bar),
        }
    }

    /// Shows an event: a line, or on a terminal a new text on the moving line where it is mere progress.
    pub fn show(&self, event: v1::RunEvent, console: &mut Console<'_>) -> Result<(), Error> {
        let Some(bar) = &self.bar else {
            return console.line(Event::from(event).line());
        };
        match &event.event {
            Some(Kind::Progress(progress)) => {
                bar.set_message(one_line(&progress.message));
                Ok(())
            }
            kind => {
                if let Some(Kind::JobChanged(job)) = kind {
                    let since = event.created_at.and_then(|time| SystemTime::try_from(time).ok());
                    begin_stage(bar, job, since);
                }
                bar.suspend(|| console.line(Event::from(event).line()))
            }
        }
    }

    /// Tells people something that is no event.
    pub fn note(&self, text: String, console: &mut Console<'_>) -> Result<(), Error> {
        match &self.bar {
            Some(bar) => bar.suspend(|| console.note(text)),
            None => console.note(text),
        }
    }

    /// Removes the moving line.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The clock of a stage starts when the stage did, which may be long before it is watched.
fn begin_stage(bar: &ProgressBar, job: &v1::JobChanged, since: Option<SystemTime>) {
    let stage = names::of::<Stage>(job.stage).unwrap_or_default();
    match job.status() {
        JobStatus::Queued => bar.set_message("waits for a worker"),
        JobStatus::Running => bar.set_message("at work"),
        JobStatus::Unspecified | JobStatus::Succeeded | JobStatus::Failed | JobStatus::Skipped | JobStatus::Cancelled => {
            bar.set_message("")
        }
    }
    bar.set_prefix(stage);
    bar.set_elapsed(since.and_then(|since| since.elapsed().ok()).unwrap_or_default());
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
