//! What the workloads run on.

use std::path::PathBuf;

use anyhow::Result;

use super::{
    cluster::{Cluster, Database},
    line::Line,
    server::{Plan, Server},
};

/// See the module.
#[derive(Debug)]
pub struct Stage {
    /// Postgres.
    pub cluster: Cluster,
    /// The server's program.
    pub program: PathBuf,
    /// Sizes and times as a part of the full ones.
    pub scale: f64,
    /// Figures so far.
    pub lines: Vec<Line>,
    json_only: bool,
}

impl Stage {
    /// A stage without figures.
    pub fn new(cluster: Cluster, program: PathBuf, scale: f64, json_only: bool) -> Self {
        Self {
            cluster,
            program,
            scale,
            lines: Vec::new(),
            json_only,
        }
    }

    /// A number of the full size, scaled, and at least `least`.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "sizes are small and positive"
    )]
    pub fn size(&self, full: usize, least: usize) -> usize {
        ((full as f64 * self.scale) as usize).max(least)
    }

    /// Records a figure, and prints it for programs at once.
    pub fn record(&mut self, line: Line) -> Result<()> {
        println!("{}", line.json()?);
        self.lines.push(line);
        Ok(())
    }

    /// Tells people what goes on.
    pub fn say(&self, what: &str) {
        if !self.json_only {
            eprintln!("{what}");
        }
    }

    /// How a server on a database is started.
    pub fn plan(&self, database: &Database) -> Plan {
        Plan {
            program: self.program.clone(),
            folder: self.cluster.folder().to_owned(),
            database: database.clone(),
            settings: Vec::new(),
        }
    }

    /// A fresh database, and a server on it.
    pub async fn serve(&self, name: &str) -> Result<(Database, Server)> {
        let database = self.cluster.database(name).await?;
        let server = self.plan(&database).start().await?;
        Ok((database, server))
    }
}

/// A count as a figure.
#[allow(clippy::cast_precision_loss, reason = "counts are small")]
pub fn float(count: usize) -> f64 {
    count as f64
}
