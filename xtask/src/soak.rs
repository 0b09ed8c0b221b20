//! `cargo xtask soak`: servers, workers, Postgres and their lines broken at random for some minutes, and then held to what was promised.
//!
//! What it does is in the crate `moorline-tests`, module `soak`; this builds and starts it.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

use crate::{
    cargo::cargo,
    command::Cmd,
    install::{self, Need},
    paths::Paths,
    step::Steps,
};

/// How the soak is run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For how long things are broken.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Seed of what is broken when, from the summary of an earlier soak; a random one when left out.
    #[arg(long)]
    seed: Option<u64>,
    /// Servers on the one Postgres.
    #[arg(long, default_value_t = 2)]
    servers: usize,
    /// Don't ask before system packages are installed.
    #[arg(long)]
    yes: bool,
}

/// Builds what it needs, and soaks.
pub fn main(args: &Args) -> Result<()> {
    let paths = Paths::find()?;
    let mut steps = Steps::new();
    let soaked = steps
        .take("install", || install::system(&[Need::Postgres], args.yes))
        .and_then(|()| {
            steps.take("build", || {
                cargo()
                    .args(["build", "--package", "moorline-tests", "--bins"])
                    .dir(&paths.root)
                    .run()
            })?;
            steps.take("soak", || soak(&paths, args))
        });
    eprintln!("\n{}", steps.summary());
    soaked
}

/// A minute of it, for `cargo xtask test`, which has built its programs.
pub fn minute(paths: &Paths) -> Result<()> {
    let args = Args {
        minutes: 1.0,
        seed: None,
        servers: 2,
        yes: true,
    };
    soak(paths, &args)
}

fn soak(paths: &Paths, args: &Args) -> Result<()> {
    /// For the start, for all runs to end, and for a busy machine.
    const BESIDES: Duration = Duration::from_secs(600);
    let folder = paths.output.join("soak");
    // Journals and logs of the last one.
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("could not remove {}", folder.display()))?;
    }
    let mut soak = Cmd::new(paths.programs.join("moorline-soak"))
        .arg("run")
        .arg("--folder")
        .arg(&folder);
    soak = soak.args(["--minutes", &args.minutes.to_string(), "--servers", &args.servers.to_string()]);
    if let Some(seed) = args.seed {
        soak = soak.args(["--seed", &seed.to_string()]);
    }
    soak.limit(Duration::from_secs_f64(args.minutes * 60.0) + BESIDES).run()
}
