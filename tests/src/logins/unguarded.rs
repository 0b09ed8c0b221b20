//! What happens without a lease: the same agent, by the same command lines, on one home at once.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use futures::future::try_join_all;
use moorline_worker::agent::{Agent as _, codex::Codex};
use serde_json::Value;
use tokio::{process::Command, time::timeout};

use super::{RENEWED_AFTER, stack::Stack};
use crate::issuer::{Kind, RENEWED_BEFORE};

/// More agents than this at once show nothing new, and a small machine no end.
pub const AT_ONCE: usize = 20;
/// Longest time of one command.
const LONGEST: Duration = Duration::from_secs(180);
const PROMPT: &str = "Say something.";

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
    /// Whether the login is lost afterwards, at the issuer or at the next real call.
    pub lost: bool,
}

impl Broken {
    /// Whether the login came to harm.
    pub fn is_broken(&self) -> bool {
        self.reused > 0 && self.lost
    }
}

/// Logs a home of its own in and lets that many agents at it, all of whom find a token that has to be renewed.
///
/// # Errors
///
/// When the agent can't be run at all.
pub async fn run(stack: &Stack, agents: usize) -> anyhow::Result<Broken> {
    let home = stack.root.path().join("unguarded");
    fs::create_dir(&home)?;
    let before = (stack.issuer.journal().len(), stack.issuer.reused());
    stack.issuer.set_lifetime(RENEWED_BEFORE - Duration::from_secs(1));
    let issuer = stack.issuer.url();
    let login = ["login", "--device-auth", "--experimental_issuer", &issuer].map(str::to_owned);
    anyhow::ensure!(
        codex(stack, &home, &login).await?.success(),
        "the login of the unguarded home failed"
    );
    stack.issuer.renew_after(RENEWED_AFTER);
    let ended = try_join_all((0..agents).map(|_| agent(stack, &home))).await?;
    let failed = ended.iter().filter(|status| !status.success()).count();
    let journal = &stack.issuer.journal()[before.0..];
    let refreshes = journal.iter().filter(|exchange| exchange.kind == Kind::Refresh).count();
    let reused = stack.issuer.reused() - before.1;
    let lost = !stack.issuer.counts(&refresh_token(&home)?) && !agent(stack, &home).await?.success();
    Ok(Broken {
        agents,
        failed,
        refreshes,
        reused,
        lost,
    })
}

/// The command line of a job.
async fn agent(stack: &Stack, home: &Path) -> anyhow::Result<ExitStatus> {
    let work = tempfile::tempdir_in(stack.root.path())?;
    codex(stack, home, &Codex::new(&stack.config).work_command(work.path())[1..]).await
}

async fn codex(stack: &Stack, home: &Path, arguments: &[String]) -> anyhow::Result<ExitStatus> {
    let prompt = prompt(stack)?;
    let mut command = Command::new(&stack.config.codex_program);
    command.args(arguments).env("CODEX_HOME", home).env("HOME", stack.root.path());
    command.env("CODEX_REFRESH_TOKEN_URL_OVERRIDE", stack.issuer.refresh_url());
    command.current_dir(stack.root.path()).stdin(File::open(prompt)?);
    command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let ended = timeout(LONGEST, command.status()).await;
    ended
        .context("an agent without a lease has not ended")?
        .context("could not run Codex: set MOORLINE_CODEX_PROGRAM")
}

fn prompt(stack: &Stack) -> anyhow::Result<PathBuf> {
    let file = stack.root.path().join("prompt.md");
    fs::write(&file, PROMPT)?;
    Ok(file)
}

fn refresh_token(home: &Path) -> anyhow::Result<String> {
    let content: Value = serde_json::from_slice(&fs::read(home.join("auth.json"))?).unwrap_or_default();
    Ok(content["tokens"]["refresh_token"].as_str().unwrap_or_default().to_owned())
}
