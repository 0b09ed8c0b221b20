//! `cargo xtask soak`: servers, workers, Postgres and their lines broken at random for some minutes, and then held to what was promised.
//!
//! With `--logins` nothing is broken but the peace: many runs want one login whose tokens count once, and agents are killed while they renew it.
//!
//! What it does is in the crate `moorline-tests`, modules `soak` and `logins`; this builds and starts it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    cargo::cargo,
    command::Cmd,
    images::{self, engine},
    install::{self, Need, codex, codex::Codex, speckit},
    paths::Paths,
    step::Steps,
};

/// How the soak is run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For how long things are broken, 10 when left out; with --logins, how long its runs may take at most, 60 when left out.
    #[arg(long)]
    minutes: Option<f64>,
    /// Seed of what is broken when, from the summary of an earlier soak; a random one when left out.
    #[arg(long)]
    seed: Option<u64>,
    /// Servers on the one Postgres.
    #[arg(long, default_value_t = 2)]
    servers: usize,
    /// Soak one login instead.
    #[arg(long)]
    logins: bool,
    /// Runs that want the login at once.
    #[arg(long, default_value_t = 200, requires = "logins")]
    runs: usize,
    /// Agents that are killed while they renew their login, in Docker containers.
    #[arg(long, default_value_t = 100, requires = "logins")]
    kills: usize,
    /// Don't ask before system packages are installed.
    #[arg(long)]
    yes: bool,
}

/// Builds what it needs, and soaks.
pub fn main(args: &Args) -> Result<()> {
    let paths = Paths::find()?;
    let mut steps = Steps::new();
    let soaked = steps.take("install", || install::system(needs(args), args.yes)).and_then(|()| {
        steps.take("build", || {
            cargo()
                .args(["build", "--package", "moorline-tests", "--bins"])
                .dir(&paths.root)
                .run()
        })?;
        match args.logins {
            true => logins(&paths, &mut steps, args),
            false => steps.take("soak", || soak(&paths, args.minutes.unwrap_or(10.0), args)),
        }
    });
    eprintln!("\n{}", steps.summary());
    soaked
}

fn needs(args: &Args) -> &'static [Need] {
    match args.logins {
        true => &[Need::Git, Need::Postgres, Need::Docker, Need::Busybox],
        false => &[Need::Postgres],
    }
}

/// A minute of it, for `cargo xtask test`, which has built its programs.
pub fn minute(paths: &Paths) -> Result<()> {
    let args = Args {
        minutes: None,
        seed: None,
        servers: 2,
        logins: false,
        runs: 0,
        kills: 0,
        yes: true,
    };
    soak(paths, 1.0, &args)
}

/// Few runs on one login, for `cargo xtask test`. Its kills are among the integration tests.
pub fn few_logins(paths: &Paths, codex: &Codex, speckit: &Path) -> Result<()> {
    /// So many that most of them wait.
    const RUNS: usize = 20;
    load(paths, codex, speckit, RUNS, 10.0)
}

fn logins(paths: &Paths, steps: &mut Steps, args: &Args) -> Result<()> {
    let (codex, speckit) = steps.take("agents' CLIs", || {
        let _lock = paths.lock("install")?;
        Ok((codex::install(paths, args.yes)?, speckit::install(paths, args.yes)?))
    })?;
    steps.take("soak of logins", || {
        load(paths, &codex, &speckit, args.runs, args.minutes.unwrap_or(60.0))
    })?;
    let engine = steps.take("Docker engine", || engine::ensure(paths))?;
    let killed = steps
        .take("job image", || images::ensure_job(&engine.docker, paths, &codex, args.yes))
        .and_then(|image| {
            steps.take("kills", || kill(paths, &image, args.kills))?;
            steps.take("cost of a check", || cost(paths, &image))
        });
    if let Some(service) = &engine.started {
        engine::stop(&engine.docker, service);
    }
    killed
}

fn load(paths: &Paths, codex: &Codex, speckit: &Path, runs: usize, minutes: f64) -> Result<()> {
    let soak = Cmd::new(paths.programs.join("moorline-soak"))
        .arg("logins")
        .arg("--folder")
        .arg(fresh(paths, "soak-logins")?)
        .args(["--runs", &runs.to_string(), "--minutes", &minutes.to_string()])
        .env("MOORLINE_CODEX_PROGRAM", &codex.program)
        .env("MOORLINE_SPECKIT_PROGRAM", speckit);
    soak.limit(Duration::from_secs_f64(minutes * 60.0) + BESIDES).run()
}

fn kill(paths: &Paths, image: &str, kills: usize) -> Result<()> {
    /// More than one takes on a slow machine.
    const ONE: Duration = Duration::from_secs(60);
    let soak = Cmd::new(paths.programs.join("moorline-soak"))
        .args(["kills", "--kills", &kills.to_string()])
        .env("MOORLINE_TEST_JOB_IMAGE", image);
    soak.limit(ONE * u32::try_from(kills)? + BESIDES).run()
}

fn cost(paths: &Paths, image: &str) -> Result<()> {
    let cost = Cmd::new(paths.programs.join("moorline-soak"))
        .arg("cost")
        .env("MOORLINE_TEST_JOB_IMAGE", image);
    cost.limit(BESIDES).run()
}

/// For the start, for all runs to end, and for a busy machine.
const BESIDES: Duration = Duration::from_secs(600);

/// A folder without the journals and logs of the last soak.
fn fresh(paths: &Paths, name: &str) -> Result<PathBuf> {
    let folder = paths.output.join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("could not remove {}", folder.display()))?;
    }
    Ok(folder)
}

fn soak(paths: &Paths, minutes: f64, args: &Args) -> Result<()> {
    let mut soak = Cmd::new(paths.programs.join("moorline-soak"))
        .arg("run")
        .arg("--folder")
        .arg(fresh(paths, "soak")?);
    soak = soak.args(["--minutes", &minutes.to_string(), "--servers", &args.servers.to_string()]);
    if let Some(seed) = args.seed {
        soak = soak.args(["--seed", &seed.to_string()]);
    }
    soak.limit(Duration::from_secs_f64(minutes * 60.0) + BESIDES).run()
}
