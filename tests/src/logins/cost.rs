//! What a login check costs: the worker's own, with all that it looks at, beside a bare `docker run --rm` of the status command.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use moorline_proto::v1::PreflightStatus;
use moorline_worker::agent::{Agent as _, codex::Codex};
use tokio::process::Command;

use super::kills::Scene;

/// How often a check may be dearer than the bare command.
const TARGET: f64 = 1.2;

/// How it is measured.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// How many of each, in turns.
    #[arg(long, default_value_t = 15)]
    pub checks: usize,
}

/// Measures, and prints medians and their ratio. A figure is never an error.
///
/// # Errors
///
/// When a check fails, or Docker doesn't answer.
pub async fn main(args: Args) -> anyhow::Result<()> {
    let scene = Scene::docker().await?;
    let cost = scene.with_volume(async |volume| measure(&scene, volume, args.checks).await).await?;
    let (check, bare) = (median(cost.checks), median(cost.bare));
    let ratio = check.as_secs_f64() / bare.as_secs_f64();
    println!("{:>16}  {} ms", "check", check.as_millis());
    println!("{:>16}  {} ms", "bare command", bare.as_millis());
    println!("{:>16}  {ratio:.2} (target: at most {TARGET})", "ratio");
    Ok(())
}

#[derive(Debug, Default)]
struct Cost {
    checks: Vec<Duration>,
    bare: Vec<Duration>,
}

async fn measure(scene: &Scene, volume: &str, count: usize) -> anyhow::Result<Cost> {
    let mut cost = Cost::default();
    // The first of each warms caches up.
    for turn in 0..=count {
        let (checked, ran) = (check(scene, volume).await?, bare(scene, volume).await?);
        if turn > 0 {
            cost.checks.push(checked);
            cost.bare.push(ran);
        }
    }
    Ok(cost)
}

async fn check(scene: &Scene, volume: &str) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let preflight = scene.check(volume).await.preflight;
    anyhow::ensure!(preflight.status() == PreflightStatus::Passed, "{}", preflight.message);
    Ok(began.elapsed())
}

async fn bare(scene: &Scene, volume: &str) -> anyhow::Result<Duration> {
    let (config, agent) = (scene.config(), Codex::new(scene.config()));
    let home = agent.image_home().display();
    let mut command = Command::new("docker");
    command.args(["run", "--rm", "--network", "none", "--user", &config.job_user]);
    command.args([
        "--volume",
        &format!("{volume}:{home}"),
        "--env",
        &format!("CODEX_HOME={home}"),
        &config.job_image,
    ]);
    command
        .args(agent.status_command())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let began = Instant::now();
    let status = command.status().await.context("could not run docker: put it on the PATH")?;
    anyhow::ensure!(status.success(), "the bare command ended with {status}");
    Ok(began.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
