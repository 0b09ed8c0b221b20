//! What is broken next. Each fault is mended a while later, often when others have been done in between.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use fastrand::Rng;

use super::stack::{Stack, Stop};
use crate::proxy::{Cut, Flow};

/// See the module.
#[derive(Debug)]
pub struct Chaos {
    rng: Rng,
    /// How often each fault was done.
    pub done: BTreeMap<&'static str, usize>,
    /// What is to be mended when.
    due: Vec<(Instant, Mend)>,
    /// When servers and Postgres may be broken again: nothing is learnt from those that are never up, as on a machine that is slow to start
    /// them.
    spare: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mend {
    Worker(usize),
    Server(usize),
    Line(usize),
    Postgres,
}

impl Chaos {
    /// Faults by a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            done: BTreeMap::new(),
            due: Vec::new(),
            spare: None,
        }
    }

    /// Time until the next look.
    pub fn pause(&mut self) -> Duration {
        self.between(50, 700)
    }

    /// Mends what is due, and breaks something.
    pub async fn next(&mut self, stack: &mut Stack) -> anyhow::Result<()> {
        let now = Instant::now();
        let (due, later) = std::mem::take(&mut self.due).into_iter().partition(|(at, _)| *at <= now);
        self.due = later;
        for (_, mend) in due {
            match mend {
                Mend::Worker(index) => stack.workers[index].mend().await?,
                Mend::Server(index) => stack.servers[index].mend().await?,
                Mend::Line(index) => stack.lines[index].change(|rules| *rules = Default::default()),
                Mend::Postgres => stack.postgres.start_again().await?,
            }
        }
        // A server that ended by itself, since it found no database at its start, is started again, as a supervisor does.
        for index in 0..stack.servers.len() {
            if !stack.servers[index].runs() && !self.is_due(Mend::Server(index)) && !self.is_due(Mend::Postgres) {
                stack.servers[index].mend().await?;
                self.count("server started again");
            }
        }
        if !stack.is_up().await {
            self.spare = None;
        } else if self.spare.is_none() {
            self.spare = Some(Instant::now() + self.between(500, 4000));
        }
        self.break_something(stack).await
    }

    async fn break_something(&mut self, stack: &mut Stack) -> anyhow::Result<()> {
        let worker = self.rng.usize(..stack.workers.len());
        let server = self.rng.usize(..stack.servers.len());
        let spared = self.spare.is_none_or(|until| Instant::now() < until);
        match self.rng.u32(..100) {
            // In the place of what is done to servers and to Postgres.
            36..54 | 70..73 if spared => {}
            0..14 if !self.is_due(Mend::Worker(worker)) => {
                stack.workers[worker].kill().await?;
                self.broke("worker killed", Mend::Worker(worker), 0, 6000);
            }
            14..22 if !self.is_due(Mend::Worker(worker)) => {
                stack.workers[worker].terminate()?;
                self.broke("worker terminated", Mend::Worker(worker), 4500, 7000);
            }
            22..36 if !self.is_due(Mend::Worker(worker)) => {
                stack.workers[worker].freeze()?;
                self.broke("worker stopped", Mend::Worker(worker), 200, 7000);
            }
            36..44 if !self.is_due(Mend::Server(server)) => {
                stack.servers[server].kill().await?;
                self.broke("server killed", Mend::Server(server), 0, 3000);
            }
            44..48 if !self.is_due(Mend::Server(server)) => {
                stack.servers[server].terminate()?;
                self.broke("server terminated", Mend::Server(server), 0, 3000);
            }
            48..52 if !self.is_due(Mend::Server(server)) => {
                stack.servers[server].freeze()?;
                self.broke("server stopped", Mend::Server(server), 200, 6000);
            }
            52..54 => {
                for index in 0..stack.servers.len() {
                    if !self.is_due(Mend::Server(index)) {
                        stack.servers[index].kill().await?;
                        self.broke("server killed with all others", Mend::Server(index), 0, 2000);
                    }
                }
            }
            54..64 => {
                let how = if self.rng.bool() { Cut::Reset } else { Cut::End };
                stack.lines[server].cut(how);
                self.count("lines cut");
            }
            64..70 if !self.is_due(Mend::Line(server)) => {
                let flow = [Flow::Hold, Flow::Vanish, Flow::Block][self.rng.usize(..3)];
                let (up, down) = (self.rng.bool(), self.rng.bool());
                stack.lines[server].change(|rules| {
                    // One direction, or both.
                    if up || !down {
                        rules.up.flow = flow;
                    }
                    if down {
                        rules.down.flow = flow;
                    }
                });
                self.broke("lines dead", Mend::Line(server), 200, 5000);
            }
            70..73 if !self.is_due(Mend::Postgres) => {
                let how = if self.rng.bool() { Stop::Immediate } else { Stop::Kill };
                stack.postgres.stop(how).await?;
                let what = if how == Stop::Kill {
                    "postgres killed"
                } else {
                    "postgres stopped at once"
                };
                self.broke(what, Mend::Postgres, 0, 3000);
            }
            // Nothing: some time in which work gets done.
            _ => {}
        }
        Ok(())
    }

    fn broke(&mut self, what: &'static str, mend: Mend, soonest: u64, latest: u64) {
        let after = self.between(soonest, latest);
        self.due.push((Instant::now() + after, mend));
        self.count(what);
    }

    fn count(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }

    fn is_due(&self, mend: Mend) -> bool {
        self.due.iter().any(|(_, due)| *due == mend)
    }

    fn between(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.rng.u64(least..most))
    }
}
