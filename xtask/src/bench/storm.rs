//! *storm*: the server is killed under many streams with work in the queue, and started again at once on the same port.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::{
    check,
    fleet::{Fleet, Pace, Script, Tally},
    line::{Line, Target},
    process::{Share, allow_files},
    requests::Requests,
    run::within,
    stage::{Stage, float},
};

/// Streams, a connection each, one slot each.
const STREAMS: usize = 1_000;
/// Runs for each of them: some before the kill, and enough that every one finds work afterwards.
const RUNS_EACH: usize = 12;
/// How long a job takes.
const JOB: Duration = Duration::from_secs(1);
/// At work before the kill.
const BEFORE: Duration = Duration::from_secs(3);
/// How often the CPU is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// For at least so long after the start: the workers' jobs go on where they were.
const LOOKS: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures it.
pub async fn measure(stage: &mut Stage) -> Result<()> {
    let streams = stage.size(STREAMS, 100);
    allow_files(u64::try_from(streams + 500)?)?;
    let (database, server) = stage.serve("storm").await?;
    let requests = Requests::cheap(server.address)?;
    let count = streams * RUNS_EACH;
    stage.say(&format!("queueing {count} runs"));
    within(Duration::from_secs(600), "queueing", requests.fill(count)).await?;

    let mut fleet = Fleet::new(Tally::new());
    for index in 0..streams {
        fleet.alone(
            server.address,
            Script::new(format!("storm-{index}"), "default", 1, Pace::After(JOB)),
        )?;
    }
    fleet
        .tally
        .until(PATIENCE, "the workers' Welcome", |counts| counts.welcomes >= streams)
        .await?;
    fleet.gate.open();
    tokio::time::sleep(BEFORE).await;

    stage.say(&format!("killing the server under {streams} streams"));
    let plan = stage.plan(&database);
    let (address, killed) = (server.address, Instant::now());
    fleet.tally.mark();
    drop(server);
    let server = plan.start_at(address).await?;
    let started = killed.elapsed();
    let mut share = Share::begin(server.pid())?;
    let mut peak: f64 = 0.0;
    let (mut welcomed, mut claiming) = (None, None);
    let mut look = tokio::time::interval(Duration::from_millis(20));
    let mut looked = Instant::now();
    while claiming.is_none() || killed.elapsed() < LOOKS {
        look.tick().await;
        if looked.elapsed() >= LOOK {
            peak = peak.max(share.next()?);
            looked = Instant::now();
        }
        let (back, offered) = fleet.tally.since_mark();
        if welcomed.is_none() && back >= streams {
            welcomed = Some(killed.elapsed());
        }
        if claiming.is_none() && offered >= streams {
            claiming = Some(killed.elapsed());
        }
        if killed.elapsed() > PATIENCE * 2 {
            bail!(
                "after {:?} only {back} of {streams} workers were back and {offered} were claiming",
                killed.elapsed()
            );
        }
    }
    let seconds = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64();
    stage.record(Line::new("storm", "server_up", started.as_secs_f64(), "s"))?;
    stage.record(Line::new("storm", "welcomed", seconds(welcomed.or(claiming)), "s"))?;
    stage.record(Line::new("storm", "all_claiming", seconds(claiming), "s").target(Target::AtMost(10.0)))?;
    stage.record(Line::new("storm", "peak_cpu", peak, "% of a core"))?;

    // A claim that was lost shows here: its run never ends.
    fleet
        .tally
        .until(PATIENCE, "every run's end", |counts| counts.finished >= count)
        .await?;
    let twice = fleet.tally.finished_twice();
    ensure!(twice.is_empty(), "{} jobs were finished twice", twice.len());
    stage.record(Line::new("storm", "finished_twice", 0.0, "jobs").target(Target::AtMost(0.0)))?;
    let again = check::attempts_beyond_the_first(&database).await?;
    stage.record(Line::new("storm", "second_attempts", float(again), "jobs"))?;
    check::rules(&database, Some(count), count, &fleet.tally).await?;
    stage.record(Line::new("storm", "claims_lost", 0.0, "jobs").target(Target::AtMost(0.0)))
}
