//! An agent is killed around the renewal of its login, again and again: only while the answer is on its way may the login be lost, and then the
//! next check must say so.

mod scene;
mod table;

use std::fmt;

use moorline_proto::v1::PreflightRung as Rung;

pub use self::{
    scene::{Scene, bridge},
    table::Table,
};
use crate::issuer::Point;

/// When the agent is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    /// It has asked, and the issuer hasn't decided.
    Asked,
    /// The issuer has decided, and its answer is still there.
    Answered,
    /// The answer is on its way to the agent's disk.
    Sent,
    /// The answer is on disk.
    Stored,
}

impl Case {
    /// In the order of what happens.
    pub const ALL: [Self; 4] = [Self::Asked, Self::Answered, Self::Sent, Self::Stored];

    fn point(self) -> Point {
        match self {
            Self::Asked => Point::Asked,
            Self::Answered => Point::Decided,
            Self::Sent | Self::Stored => Point::Sent,
        }
    }

    /// Whether the login may be lost then.
    fn may_lose(self) -> bool {
        matches!(self, Self::Answered | Self::Sent)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Asked => "before the issuer answers",
            Self::Answered => "answered, not sent",
            Self::Sent => "sent, not yet on disk",
            Self::Stored => "on disk",
        })
    }
}

/// What one kill came to.
#[derive(Debug, Clone)]
pub struct Kill {
    /// When.
    pub case: Case,
    /// Whether the token on disk still counts at the issuer.
    pub counts: bool,
    /// What the worker's check found afterwards.
    pub rung: Rung,
    /// Its words.
    pub message: String,
    /// Whether it let jobs start.
    pub passed: bool,
    /// Whether the agent could then work.
    pub works: bool,
}

impl Kill {
    /// What isn't as it must be.
    pub fn wrong(&self) -> Option<String> {
        let why = match self {
            Self {
                passed: true,
                works: false,
                ..
            } => "it shows ready, and a real call fails",
            Self {
                passed: false,
                works: true,
                ..
            } => "it shows a login as bad that works",
            Self { works: false, case, .. } if !case.may_lose() => "the login was lost",
            Self { works: false, rung, .. } if !matches!(rung, Rung::NotLoggedIn | Rung::Corrupt) => {
                "the login is lost, and the check doesn't say that somebody must log in"
            }
            _ => return None,
        };
        Some(format!("killed {}: {why} ({:?}: {})", self.case, self.rung, self.message))
    }
}

/// How agents are killed.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// How many.
    #[arg(long, default_value_t = 100)]
    pub kills: usize,
    /// Where they run.
    #[arg(long, value_enum, default_value_t = Where::Docker)]
    pub engine: Where,
}

/// Where agents run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Where {
    /// In Docker containers.
    Docker,
    /// As local processes.
    Process,
}

/// Kills, prints the table, and fails when something isn't as it must be.
///
/// # Errors
///
/// When a kill could not be set up, or a login came to harm that may not, or one is shown as what it isn't.
pub async fn main(args: Args) -> anyhow::Result<()> {
    let scene = match args.engine {
        Where::Docker => Scene::docker().await?,
        Where::Process => Scene::process().await?,
    };
    let table = run(&scene, args.kills).await?;
    println!("{table}");
    let wrong = table.wrong();
    for line in &wrong {
        eprintln!("BROKEN: {line}");
    }
    anyhow::ensure!(
        wrong.is_empty(),
        "{} of {} kills did not end as they must",
        wrong.len(),
        table.0.len()
    );
    Ok(())
}

/// Kills that many agents, each case as often.
///
/// # Errors
///
/// When a kill could not be set up at all.
pub async fn run(scene: &Scene, kills: usize) -> anyhow::Result<Table> {
    let mut table = Table::default();
    for case in Case::ALL.into_iter().cycle().take(kills) {
        table.0.push(scene.kill(case).await?);
    }
    Ok(table)
}
