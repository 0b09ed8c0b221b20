//! One login, and everybody who wants it: runs, checks with and without a probe, and a person who logs in again.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures::future::try_join_all;
use moorline_proto::v1;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic_types::StatusExt as _;

use super::{
    lock_log::{self, Follower, Uses},
    stack::Stack,
};
use crate::{
    db,
    issuer::{Kind, Outcome},
    repo::{FEATURE, SampleRepository},
};

/// How long whoever looks again waits before that.
const LOOK: Duration = Duration::from_millis(200);

/// What came of it.
#[derive(Debug, Default)]
pub struct Loaded {
    /// How many runs there were.
    pub runs: usize,
    /// Those that did not succeed, and why.
    pub failed: Vec<String>,
    /// Checks that passed, with and without a probe.
    pub checks: usize,
    /// Those of them with a probe.
    pub probes: usize,
    /// Checks that found a job at work.
    pub in_use: usize,
    /// Checks and logins that went wrong.
    pub refused: Vec<String>,
    /// Logins by device code.
    pub logins: usize,
    /// How many times a token was renewed.
    pub refreshes: usize,
    /// How many times the issuer saw a token that had been used.
    pub reused: usize,
    /// What the volume says.
    pub log: Uses,
    /// How long the runs took.
    pub took: Duration,
}

impl Loaded {
    /// What isn't as it must be.
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong = [self.failed.as_slice(), &self.refused, &self.log.wrong].concat();
        wrong.extend(
            self.log
                .broken
                .iter()
                .map(|by| format!("the use {by} of the volume ended without a word, though nobody was killed")),
        );
        let mut must = |holds: bool, what: &str| {
            if !holds {
                wrong.push(what.to_owned());
            }
        };
        must(self.reused == 0, "a refresh token was used twice under the lease");
        must(
            self.log.kinds.get("agent").is_some_and(|agents| *agents >= self.runs),
            "the lock log knows fewer agents than there were runs",
        );
        // Tokens are renewed by age, so a quick machine renews less often for as many runs.
        must(
            self.refreshes >= self.runs / 10,
            "hardly any use renewed the login: this load proves nothing",
        );
        must(self.checks > 0 && self.probes > 0, "no check passed beside the runs");
        must(self.logins >= 2, "nobody logged in again beside the runs");
        wrong
    }
}

/// Logs in, and has this many runs at once.
///
/// # Errors
///
/// When something can't be done at all; what only goes wrong is in the result.
pub async fn run(stack: &Stack, runs: usize, limit: Duration) -> anyhow::Result<Loaded> {
    let mut loaded = Loaded { runs, ..Loaded::default() };
    let follower = Follower::start(&stack.volume_folder());
    stack.log_in().await.context("the first login")?;
    let samples = Samples::new(runs)?;
    let (began, done) = (Instant::now(), CancellationToken::new());
    let clients = try_join_all(samples.origins().map(|origin| create(stack, origin)));
    clients.await.context("a run was refused")?;
    let ended = async {
        let ended = all_ended(stack, runs, limit).await;
        done.cancel();
        ended
    };
    let (ended, checked, logged_in) = tokio::join!(ended, check(stack, &done), log_in_again(stack, runs));
    ended?;
    loaded.took = began.elapsed();
    (loaded.checks, loaded.probes, loaded.in_use) = (checked.passed, checked.probes, checked.in_use);
    loaded.refused = checked.refused;
    match logged_in {
        Ok(()) => loaded.logins = 2,
        Err(error) => loaded.refused.push(format!("the second login: {error:#}")),
    }
    loaded.failed = failures(stack).await?;
    let journal = stack.issuer.journal();
    let renewed = |exchange: &&crate::issuer::Exchange| exchange.kind == Kind::Refresh && matches!(exchange.outcome, Outcome::Issued(_));
    (loaded.refreshes, loaded.reused) = (journal.iter().filter(renewed).count(), stack.issuer.reused());
    let lines = follower.finish().await;
    loaded.log = lock_log::read(lines.iter().map(String::as_str));
    Ok(loaded)
}

/// As many repositories as there are runs, since a feature has one run at a time: copies of one sample.
#[derive(Debug)]
pub struct Samples {
    folder: tempfile::TempDir,
    count: usize,
}

impl Samples {
    /// Makes them.
    ///
    /// # Errors
    ///
    /// When git fails, or the disk is full.
    pub fn new(count: usize) -> anyhow::Result<Self> {
        let (folder, sample) = (tempfile::tempdir()?, SampleRepository::builder().build()?);
        for number in 0..count {
            copy(sample.origin(), &folder.path().join(format!("{number}.git")))?;
        }
        Ok(Self { folder, count })
    }

    /// Their URLs.
    pub fn origins(&self) -> impl Iterator<Item = String> {
        (0..self.count).map(|number| format!("file://{}/{number}.git", self.folder.path().display()))
    }
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (entry, target) = (entry?.path(), to.to_owned());
        let target = target.join(entry.file_name().unwrap_or_default());
        match entry.is_dir() {
            true => copy(&entry, &target)?,
            false => fs::copy(&entry, &target).map(drop)?,
        }
    }
    Ok(())
}

async fn create(stack: &Stack, repository: String) -> Result<(), Status> {
    let request = v1::CreateRunRequest {
        repository,
        feature_key: FEATURE.to_owned(),
        codex_queue: stack.queue().to_owned(),
        ..Default::default()
    };
    stack.runs().create_run(request).await.map(drop)
}

async fn ended(stack: &Stack) -> anyhow::Result<usize> {
    let database = db::connect(stack.database()).await?;
    let row = database
        .query_one("select count(*) from runs where finished_at is not null", &[])
        .await?;
    Ok(usize::try_from(row.get::<_, i64>(0))?)
}

async fn all_ended(stack: &Stack, runs: usize, limit: Duration) -> anyhow::Result<()> {
    let began = Instant::now();
    while ended(stack).await? < runs {
        anyhow::ensure!(
            began.elapsed() < limit,
            "{} of {runs} runs have ended after {} s",
            ended(stack).await?,
            limit.as_secs()
        );
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

async fn failures(stack: &Stack) -> anyhow::Result<Vec<String>> {
    let database = db::connect(stack.database()).await?;
    let query = "select id::text, status, coalesce((select failure::text from jobs where run_id = runs.id and status = 'failed' limit 1), '') \
                 from runs where status <> 'succeeded'";
    let rows = database.query(query, &[]).await?;
    let line = |row: &tokio_postgres::Row| {
        format!(
            "run {} is {}: {}",
            row.get::<_, String>(0),
            row.get::<_, String>(1),
            row.get::<_, String>(2)
        )
    };
    Ok(rows.iter().map(line).collect())
}

#[derive(Debug, Default)]
struct Checked {
    passed: usize,
    probes: usize,
    in_use: usize,
    refused: Vec<String>,
}

/// Checks the login over and over, every other time with a probe.
async fn check(stack: &Stack, done: &CancellationToken) -> Checked {
    let mut checked = Checked::default();
    for count in 0_usize.. {
        if done.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
            break;
        }
        let request = v1::CheckVolumeRequest {
            volume: stack.volume().to_owned(),
            probe: count % 2 == 1,
        };
        let probe = usize::from(request.probe);
        match stack
            .shards()
            .check_volume(request)
            .await
            .map(|answer| answer.into_inner().preflight.unwrap_or_default())
        {
            Ok(preflight) if preflight.status() == v1::PreflightStatus::Passed => {
                checked.passed += 1;
                checked.probes += probe;
            }
            Ok(preflight) => checked.refused.push(format!("a check failed: {}", preflight.message)),
            Err(status) if is_in_use(&status) => checked.in_use += 1,
            Err(status) => checked.refused.push(format!("a check was refused: {status}")),
        }
    }
    checked
}

/// An operator takes the shard out of service once half of the runs are done, logs in again, and puts it back.
async fn log_in_again(stack: &Stack, runs: usize) -> anyhow::Result<()> {
    while ended(stack).await? < runs / 2 {
        tokio::time::sleep(LOOK).await;
    }
    let drain = v1::DrainShardRequest {
        queue: stack.queue().to_owned(),
        reason: "a new login".to_owned(),
    };
    stack.shards().drain_shard(drain).await.context("the drain")?;
    let logged_in = loop {
        match stack.log_in().await {
            Err(status) if is_in_use(&status) => tokio::time::sleep(LOOK).await,
            logged_in => break logged_in,
        }
    };
    let activate = v1::ActivateShardRequest {
        queue: stack.queue().to_owned(),
    };
    stack.shards().activate_shard(activate).await.context("the end of the drain")?;
    let preflight = logged_in.context("the login")?;
    anyhow::ensure!(
        preflight.status() == v1::PreflightStatus::Passed,
        "its check: {}",
        preflight.message
    );
    Ok(())
}

fn is_in_use(status: &Status) -> bool {
    status.get_details_error_info().is_some_and(|info| info.reason == "VOLUME_IN_USE")
}
