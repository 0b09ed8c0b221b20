//! Steps with a name, a time and a result, and the table of them at the end.

use std::time::{Duration, Instant};

use anyhow::{Error, Result};

use crate::interrupt;

/// Longest reason in the table, in characters.
const WIDEST: usize = 110;

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Passed,
    /// Not as it should; why, on one line.
    Failed(String),
    /// It was not run; why.
    NotRun(String),
}

/// A step that was taken.
#[derive(Debug)]
pub struct Step {
    /// What it is called.
    pub name: String,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub outcome: Outcome,
}

/// The steps taken so far.
#[derive(Debug)]
pub struct Steps {
    start: Instant,
    done: Vec<Step>,
}

impl Steps {
    /// None yet; the total time counts from here.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            done: Vec::new(),
        }
    }

    /// Takes a step, records it and passes its result on.
    pub fn take<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("\n==> {name}");
        let start = Instant::now();
        let result = interrupt::check().and_then(|()| work());
        let outcome = match &result {
            Ok(_) => Outcome::Passed,
            Err(error) => Outcome::Failed(first_line(error)),
        };
        self.done.push(Step {
            name: name.to_owned(),
            took: start.elapsed(),
            outcome,
        });
        result
    }

    /// Takes a step that the next ones don't depend on: a failure is shown and recorded, and the work goes on.
    pub fn attempt<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Option<T> {
        self.take(name, work).inspect_err(|error| eprintln!("{name}: {error:#}")).ok()
    }

    /// Records a step that was not run.
    pub fn not_run(&mut self, name: &str, why: impl Into<String>) {
        let why = why.into();
        eprintln!("\n==> {name}: not run: {why}");
        self.done.push(Step {
            name: name.to_owned(),
            took: Duration::ZERO,
            outcome: Outcome::NotRun(why),
        });
    }

    /// How many steps failed.
    pub fn failures(&self) -> usize {
        self.done.iter().filter(|step| matches!(step.outcome, Outcome::Failed(_))).count()
    }

    /// The table for people: a line a step, and the total time.
    pub fn summary(&self) -> String {
        let width = self.done.iter().map(|step| step.name.chars().count()).max().unwrap_or(0);
        let mut lines: Vec<String> = self.done.iter().map(|step| line(step, width)).collect();
        lines.push(format!("{:width$}  {:>7.1} s", "total", self.start.elapsed().as_secs_f64()));
        lines.join("\n")
    }
}

fn line(step: &Step, width: usize) -> String {
    let (mark, why) = match &step.outcome {
        Outcome::Passed => ("ok", ""),
        Outcome::Failed(why) => ("FAILED", why.as_str()),
        Outcome::NotRun(why) => ("not run", why.as_str()),
    };
    format!("{:width$}  {:>7.1} s  {mark:7}  {why}", step.name, step.took.as_secs_f64())
        .trim_end()
        .to_owned()
}

fn first_line(error: &Error) -> String {
    let text = format!("{error:#}");
    let line = text.lines().next().unwrap_or_default();
    // The whole of it has been printed when it happened.
    if line.chars().count() <= WIDEST {
        line.to_owned()
    } else {
        line.chars().take(WIDEST - 1).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let line = first_line(&anyhow::anyhow!("é".repeat(WIDEST + 1)));
        assert_eq!(line.chars().count(), WIDEST);
        assert!(line.ends_with("é…"));
    }

    #[test]
    fn a_failed_step_is_counted_and_shown_and_the_next_still_runs() {
        let mut steps = Steps::new();
        assert_eq!(steps.attempt("first", || -> Result<()> { bail!("it broke\nbadly") }), None);
        assert_eq!(steps.attempt("second", || Ok(2)), Some(2));
        steps.not_run("third", "no engine");
        assert_eq!(steps.failures(), 1);
        let summary = steps.summary();
        let lines: Vec<&str> = summary.lines().collect();
        assert!(
            lines[0].starts_with("first ") && lines[0].ends_with("FAILED   it broke"),
            "{summary}"
        );
        assert!(lines[1].starts_with("second") && lines[1].ends_with("ok"), "{summary}");
        assert!(lines[2].ends_with("not run  no engine"), "{summary}");
        assert!(lines[3].starts_with("total"), "{summary}");
    }
}
