//! What happens without a lease: the same agent, by the same command lines, on one home at once.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use futures::future::try_join_all;
use moorline_worker::{
    agent::{Agent as _, codex::Codex},
    config::Config,
};
use serde_json::Value;
use tokio::{process::Command, time::timeout};

use super::RENEWED_AFTER;
use crate::issuer::{Issuer, Kind, Outcome, RENEWED_BEFORE};

/// More agents than this at once show nothing new, and a small machine no end.
pub const AT_ONCE: usize = 20;
/// Longest time of one command.
const LONGEST: Duration = Duration::from_secs(180);

/// What came of it.
#[derive(Debug)]
pub struct Broken {
    /// How many agents there were.
    pub agents: usize,
    /// How many of them did not do their turn.
    pub failed: usize,
    /// How many times the issuer was asked for new tokens.
    pub refreshes: usize,
    /// How many times it was shown a token that had been used.
    pub reused: usize,
    /// How many times it said no, for that or because the login had ended.
    pub refused: usize,
    /// Whether the login is lost afterwards, at the issuer or at the next real call.
    pub lost: bool,
}

impl Broken {
    /// Whether the login came to harm.
    pub fn is_broken(&self) -> bool {
        self.reused > 0 && self.lost
    }
}

/// One home, and who is at it.
#[derive(Debug)]
pub struct Home<'a> {
    /// Who issues its login.
    pub issuer: &'a Issuer,
    /// Settings of the worker whose command lines are used.
    pub config: &'a Config,
    /// An empty folder for the home and the agents' work.
    pub folder: &'a Path,
}

/// Logs a home in and lets that many agents at it, all of whom find a token that has to be renewed.
///
/// # Errors
///
/// When the agent can't be run at all.
pub async fn run(home: &Home<'_>, agents: usize) -> anyhow::Result<Broken> {
    fs::create_dir(home.agents())?;
    fs::write(home.prompt(), "Say something.")?;
    let (issuer, before) = (home.issuer, (home.issuer.journal().len(), home.issuer.reused()));
    issuer.set_lifetime(RENEWED_BEFORE - Duration::from_secs(1));
    let url = issuer.url();
    let login = ["login", "--device-auth", "--experimental_issuer", &url].map(str::to_owned);
    anyhow::ensure!(home.codex(&login).await?.success(), "the login of the unguarded home failed");
    issuer.renew_after(RENEWED_AFTER);
    let ended = try_join_all((0..agents).map(|_| home.agent())).await?;
    let failed = ended.iter().filter(|status| !status.success()).count();
    let journal = &issuer.journal()[before.0..];
    let refused = journal
        .iter()
        .filter(|exchange| matches!(exchange.outcome, Outcome::Refused(_)))
        .count();
    let refreshes = journal.iter().filter(|exchange| exchange.kind == Kind::Refresh).count();
    let reused = issuer.reused() - before.1;
    let lost = !issuer.counts(&home.refresh_token()?) && !home.agent().await?.success();
    Ok(Broken {
        agents,
        failed,
        refreshes,
        reused,
        refused,
        lost,
    })
}

impl Home<'_> {
    fn agents(&self) -> PathBuf {
        self.folder.join(".codex")
    }

    fn prompt(&self) -> PathBuf {
        self.folder.join("prompt.md")
    }

    /// The command line of a job.
    async fn agent(&self) -> anyhow::Result<ExitStatus> {
        self.codex(&Codex::new(self.config).work_command(self.folder, &self.agents())[1..])
            .await
    }

    async fn codex(&self, arguments: &[String]) -> anyhow::Result<ExitStatus> {
        let mut command = Command::new(&self.config.codex_program);
        command.args(arguments).env("CODEX_HOME", self.agents()).env("HOME", self.folder);
        command.env("CODEX_REFRESH_TOKEN_URL_OVERRIDE", self.issuer.refresh_url());
        command.current_dir(self.folder).stdin(File::open(self.prompt())?);
        command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let ended = timeout(LONGEST, command.status()).await;
        ended
            .context("an agent without a lease has not ended")?
            .context("could not run Codex: set MOORLINE_CODEX_PROGRAM")
    }

    fn refresh_token(&self) -> anyhow::Result<String> {
        let content: Value = serde_json::from_slice(&fs::read(self.agents().join("auth.json"))?).unwrap_or_default();
        Ok(content["tokens"]["refresh_token"].as_str().unwrap_or_default().to_owned())
    }
}
