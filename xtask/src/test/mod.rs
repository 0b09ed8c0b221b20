//! `cargo xtask test`: everything that CI runs, in one order, with one summary.

mod checks;
mod ci;
mod integration;
mod results;
mod runner;
mod section;
mod skips;
mod smoke;

use anyhow::{Result, bail};

use crate::{paths::Paths, step::Steps};
use results::Results;

/// What to run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The fast loop: formatting, clippy and unit tests, without services or network.
    #[arg(long)]
    unit: bool,
    /// Don't ask before system packages are installed.
    #[arg(long)]
    yes: bool,
}

/// Everything that the steps share.
#[derive(Debug)]
struct Session {
    paths: Paths,
    steps: Steps,
    results: Results,
    yes: bool,
}

/// Runs the checks and tests; fails when one of them does.
pub fn main(args: &Args) -> Result<()> {
    let mut session = Session {
        paths: Paths::find()?,
        steps: Steps::new(),
        results: Results::default(),
        yes: args.yes,
    };
    checks::formatting_and_clippy(&mut session);
    if args.unit {
        runner::unit_tests_alone(&mut session);
    } else {
        checks::docs_and_policies(&mut session);
        integration::run(&mut session);
    }
    finish(session)
}

/// Tells what came of it: for people first, and on the last line for programs.
fn finish(mut session: Session) -> Result<()> {
    crate::interrupt::check()?;
    let allowed = skips::allowed(&session.paths.root)?;
    let unexpected = skips::unexpected(&session.results.skipped, &allowed);
    if ci::is_ci() && !unexpected.is_empty() {
        let count = unexpected.len();
        let _ = session.steps.attempt("skipped tests", || -> Result<()> {
            bail!("{count} skips that tests/skips-allowed.txt doesn't list")
        });
    }
    eprintln!("\n{}", session.steps.summary());
    for name in &session.results.failed_names {
        eprintln!("failed: {name}");
    }
    for why in &session.results.skipped {
        eprintln!(
            "skipped: {why}{}",
            if unexpected.contains(&why.as_str()) { "" } else { " (allowed)" }
        );
    }
    eprintln!("everything that tests printed: {}", session.paths.output.display());
    // A step that fails without a failed test, such as clippy, counts as one, so that the line can't look better than it is.
    let failures = session.steps.failures();
    let failed = session.results.failed + failures.saturating_sub(session.results.runs_with_failures);
    println!("{}", session.results.line(failed));
    if failures > 0 || failed > 0 {
        bail!("{failures} {} failed", if failures == 1 { "step" } else { "steps" });
    }
    Ok(())
}
