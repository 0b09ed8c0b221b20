//! Goes through the workloads, and cleans up whatever happens.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum as _;

use super::{Args, Workload, backlog, cluster::Cluster, drain, idle, line, lost, ping, server, stage::Stage, storm};
use crate::interrupt;

/// Runs the workloads that were asked for; fails when one could not run or broke a rule, never for a figure.
pub fn main(args: &Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(args))
}

async fn measure(args: &Args) -> Result<()> {
    let program = std::env::current_exe()?.with_file_name("moorline-server");
    if !program.is_file() {
        bail!(
            "{} is missing: start this with `cargo xtask bench`, which builds it",
            program.display()
        );
    }
    let cluster = tokio::select! {
        started = Cluster::start(&program) => started?,
        () = interrupted() => bail!("interrupted"),
    };
    let mut stage = Stage::new(cluster, program, args.scale, args.json);
    // Whatever a workload has started ends with its future, so that leaving it half way is safe.
    let outcome = tokio::select! {
        done = workloads(&mut stage, args) => done,
        () = interrupted() => Err(anyhow::anyhow!("interrupted")),
    };
    if !args.json && !stage.lines.is_empty() {
        eprintln!("\n{}", line::table(&stage.lines));
    }
    let stopped = stage.cluster.stop().await;
    outcome.and(stopped)
}

async fn workloads(stage: &mut Stage, args: &Args) -> Result<()> {
    let mut failed = Vec::new();
    for workload in Workload::value_variants() {
        if !args.only.is_empty() && !args.only.contains(workload) {
            continue;
        }
        let name = format!("{workload:?}").to_lowercase();
        stage.say(&format!("\n==> {name}"));
        let begun = std::time::Instant::now();
        let measured = match workload {
            Workload::Drain => drain::measure(stage).await,
            Workload::Ping => ping::measure(stage).await,
            Workload::Backlog => backlog::measure(stage).await,
            Workload::Idle => idle::measure(stage).await,
            Workload::Storm => storm::measure(stage).await,
            Workload::Lost => lost::measure(stage).await,
        };
        stage.say(&format!("{name} took {:.0} s", begun.elapsed().as_secs_f64()));
        if let Err(error) = measured {
            // The others can still be measured.
            eprintln!("{name}: {error:#}");
            eprintln!("{}", server::complaints(stage.cluster.folder()));
            failed.push(name);
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        bail!("these workloads failed: {}", failed.join(", "))
    }
}

async fn interrupted() {
    while !interrupt::requested() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Cuts a wait that should never be that long, saying what it was for.
pub async fn within<T>(limit: Duration, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, work)
        .await
        .with_context(|| format!("{what} took longer than {} s", limit.as_secs()))?
}
