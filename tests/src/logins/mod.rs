//! The soak of logins: many runs and many others want one ChatGPT login whose refresh tokens count once, and nobody may lose it.
//!
//! | module | is |
//! | --- | --- |
//! | [`stack`] | an issuer, its model, Postgres, a server and its workers, with one volume |
//! | [`load`] | runs, checks and a login, all at once, under the volume's lease |
//! | [`unguarded`] | the agent's own command lines on one home at once, without it: they must break the login, or the soak proves nothing |
//! | [`kills`] | an agent that is killed around the renewal of its login: what the next check must say |
//! | [`cost`] | what a check costs, beside the bare status command |
//! | [`lock_log`] | who had the volume when, in the words of the volume itself |

pub mod cost;
pub mod kills;
pub mod load;
pub mod lock_log;
pub mod stack;
pub mod unguarded;

use std::{fmt, path::PathBuf, time::Duration};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use self::{
    load::Loaded,
    stack::{Options, Stack},
    unguarded::{Broken, Home},
};

/// How the soak of logins is run.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Runs that want the login at once.
    #[arg(long, default_value_t = 200)]
    pub runs: usize,
    /// Longest time that they may take.
    #[arg(long, default_value_t = 30.0)]
    pub minutes: f64,
    /// Where logs go.
    #[arg(long)]
    pub folder: PathBuf,
}

/// So old a token may be before a use renews it: hardly any use finds one that is younger.
pub const RENEWED_AFTER: Duration = Duration::from_secs(2);

/// Loads one login with and without its lease, and checks.
///
/// # Errors
///
/// When a part can't be started, a login under its lease came to harm, or one without it didn't.
pub async fn run(args: Args) -> anyhow::Result<()> {
    eprintln!("soak of logins with {} runs, logs in {}", args.runs, args.folder.display());
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        outcome = soak(&args) => outcome.with_context(|| format!("the soak of logins failed: see {}", args.folder.display())),
        _ = interrupt.recv() => anyhow::bail!("interrupted"),
        _ = terminate.recv() => anyhow::bail!("interrupted"),
    }
}

async fn soak(args: &Args) -> anyhow::Result<()> {
    let stack = Stack::start(&args.folder, Options::default()).await?;
    let limit = Duration::from_secs_f64(args.minutes * 60.0);
    let loaded = load::run(&stack, args.runs, limit).await?;
    let folder = tempfile::tempdir()?;
    let home = Home {
        issuer: &stack.issuer,
        config: &stack.config,
        folder: folder.path(),
    };
    let broken = unguarded::run(&home, args.runs.min(unguarded::AT_ONCE)).await?;
    stack.stop().await?;
    let report = Report { loaded, broken };
    println!("{report}");
    let wrong = report.wrong();
    for line in &wrong {
        eprintln!("BROKEN: {line}");
    }
    anyhow::ensure!(wrong.is_empty(), "{} things are not as they must be", wrong.len());
    Ok(())
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// Under the lease.
    pub loaded: Loaded,
    /// Without it.
    pub broken: Broken,
}

impl Report {
    /// What isn't as it must be.
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong = self.loaded.wrong();
        if !self.broken.is_broken() {
            let harmless = "the same command lines without a lease did not break the login: this load proves nothing";
            wrong.push(harmless.to_owned());
        }
        wrong
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (loaded, broken) = (&self.loaded, &self.broken);
        let failed = loaded.failed.len();
        let kinds: Vec<String> = loaded.log.kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let lines = [
            (
                "with the lease",
                format!("{} runs, {failed} failed, in {:.0} s", loaded.runs, loaded.took.as_secs_f64()),
            ),
            (
                "checks beside",
                format!(
                    "{} passed, {} with a probe, {} found the volume in use",
                    loaded.checks, loaded.probes, loaded.in_use
                ),
            ),
            ("logins", loaded.logins.to_string()),
            ("uses of the volume", format!("{}: {}", loaded.log.uses, kinds.join(", "))),
            ("overlapping uses", loaded.log.wrong.len().to_string()),
            ("refreshes", format!("{}, {} with a used token", loaded.refreshes, loaded.reused)),
            ("without it", format!("{} agents at once, {} failed", broken.agents, broken.failed)),
            (
                "refreshes",
                format!(
                    "{}, {} refused, {} of them for a used token",
                    broken.refreshes, broken.refused, broken.reused
                ),
            ),
            (
                "its login after",
                if broken.lost { "lost".to_owned() } else { "still good".to_owned() },
            ),
        ];
        for (name, value) in lines {
            writeln!(f, "{name:>20}  {value}")?;
        }
        Ok(())
    }
}
