//! The server that is measured, as a child process: its log in a file, its memory and CPU time from `/proc`.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::cluster::Database;

/// Longest time until it listens.
const START: Duration = Duration::from_secs(30);

/// A running server. Dropping it kills it: what it leaves in the database goes with the cluster.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The program.
    pub program: PathBuf,
    /// A folder for its log and its artifacts.
    pub folder: PathBuf,
    /// Its database.
    pub database: Database,
    /// Variables beside those that it needs. Everything else is as it comes.
    pub settings: Vec<(&'static str, String)>,
}

impl Plan {
    /// Starts a server on a free port, and waits until it listens.
    pub async fn start(&self) -> Result<Server> {
        self.start_at("127.0.0.1:0".parse()?).await
    }

    /// Starts a server at an address, and waits until it listens.
    pub async fn start_at(&self, listen: SocketAddr) -> Result<Server> {
        let log = self.folder.join("server.log");
        let output = File::create(&log).with_context(|| format!("could not write {}", log.display()))?;
        let mut command = Command::new(&self.program);
        command
            .arg("serve")
            .env("MOORLINE_DATABASE_URL", &self.database.url)
            .env("MOORLINE_LISTEN", listen.to_string())
            .env("MOORLINE_HTTP_LISTEN", "off")
            .env("MOORLINE_DATA_DIR", self.folder.join("data"))
            .envs(self.settings.iter().map(|(name, value)| (*name, value.as_str())))
            .stdin(Stdio::null())
            .stdout(Stdio::from(output.try_clone()?))
            .stderr(Stdio::from(output));
        // In a group of its own, Ctrl-C reaches the benchmark alone, which then stops everything in order.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().context("could not start the server")?;
        // From here on it is killed if something goes wrong.
        let mut server = Server { child, address: listen };
        let begun = Instant::now();
        loop {
            if let Some(address) = listening(&log) {
                server.address = address;
                return Ok(server);
            }
            if server.child.try_wait()?.is_some() || begun.elapsed() > START {
                bail!(
                    "the server did not start; it said:\n{}",
                    fs::read_to_string(&log).unwrap_or_default()
                );
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// What the last server has warned of, which goes with the folder otherwise.
pub fn complaints(folder: &Path) -> String {
    let log = fs::read_to_string(folder.join("server.log")).unwrap_or_default();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains(" WARN ") || line.contains(" ERROR "))
        .collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// The address that a server has written into its log.
fn listening(log: &Path) -> Option<SocketAddr> {
    let text = fs::read_to_string(log).ok()?;
    let line = text.lines().find(|line| line.contains("server listens"))?;
    let address = line.split_once("address=")?.1;
    address.split_whitespace().next()?.parse().ok()
}

impl Server {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is what was wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
