//! Everything that the soak breaks: Postgres, servers, workers, and the lines between them.

mod postgres;
mod program;

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use tokio::{net::TcpStream, time::Instant};

pub use postgres::{Postgres, Stop};
pub use program::Program;

use crate::proxy::Proxy;

/// Shards; each has two workers that want its volume.
const SHARDS: usize = 2;
/// Workers of the default queue.
const DEFAULT_WORKERS: usize = 4;

/// Times of the servers, short enough that leases run out often.
const TIMES: [(&str, &str); 9] = [
    ("MOORLINE_HELLO_DEADLINE", "2s"),
    ("MOORLINE_PING_INTERVAL", "500ms"),
    ("MOORLINE_PING_TIMEOUT", "1500ms"),
    ("MOORLINE_LEASE", "4s"),
    ("MOORLINE_SERVER_TIMEOUT", "1500ms"),
    ("MOORLINE_ACCEPT_DEADLINE", "1s"),
    ("MOORLINE_POLL_INTERVAL", "200ms"),
    ("MOORLINE_RETRY_BASE", "200ms"),
    ("MOORLINE_RETRY_CAP", "1s"),
];

/// See the module.
#[derive(Debug)]
pub struct Stack {
    /// The database's server.
    pub postgres: Postgres,
    /// Servers.
    pub servers: Vec<Program>,
    /// The lines to each server, in the same order.
    pub lines: Vec<Proxy>,
    /// Scripted workers.
    pub workers: Vec<Program>,
    ports: Vec<SocketAddr>,
    folder: PathBuf,
}

impl Stack {
    /// Starts everything, and waits until the servers listen.
    pub async fn start(folder: &Path, servers: usize, seed: u64) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
        let postgres = Postgres::start().await?;
        let mut stack = Self {
            postgres,
            servers: Vec::new(),
            lines: Vec::new(),
            workers: Vec::new(),
            ports: free_ports(servers)?,
            folder: folder.to_owned(),
        };
        for index in 0..servers {
            let server = stack.server(index)?;
            stack.servers.push(server);
            stack.lines.push(Proxy::start(stack.ports[index].into()).await?);
            stack.listens(index).await?;
        }
        let queues = (0..DEFAULT_WORKERS).map(|index| (format!("default-{index}"), "default".to_owned()));
        let shards = (0..2 * SHARDS).map(|index| {
            (
                format!("shard-{}-{}", index % SHARDS, index / SHARDS),
                format!("codex-{}", index % SHARDS),
            )
        });
        let workers: Vec<(String, String)> = queues.chain(shards).collect();
        for (number, (name, queue)) in (0..).zip(workers) {
            let worker = stack.worker(&name, &queue, seed.wrapping_add(number))?;
            stack.workers.push(worker);
        }
        Ok(stack)
    }

    fn server(&self, index: usize) -> anyhow::Result<Program> {
        let environment = [
            ("MOORLINE_LISTEN", self.ports[index].to_string()),
            ("MOORLINE_HTTP_LISTEN", "off".to_owned()),
            ("MOORLINE_DATABASE_URL", self.postgres.url().to_owned()),
            ("SPEC_WORKFLOW_ARTIFACT_ROOT", self.folder.join("artifacts").display().to_string()),
            ("CODEX_SHARDS", SHARDS.to_string()),
        ];
        let times = TIMES.map(|(name, value)| (name, value.to_owned()));
        let program = beside_this_one("moorline-server-under-test")?;
        Program::start(
            &format!("server-{index}"),
            program,
            &[],
            environment.into_iter().chain(times),
            &self.folder,
        )
    }

    fn worker(&self, name: &str, queue: &str, seed: u64) -> anyhow::Result<Program> {
        let mut arguments = vec!["worker".to_owned()];
        for address in self.addresses() {
            arguments.extend(["--server".to_owned(), address]);
        }
        let journal = self.folder.join(format!("{name}.journal"));
        let rest = [("--name", name), ("--queue", queue), ("--seed", &seed.to_string())];
        arguments.extend(rest.iter().flat_map(|(flag, value)| [(*flag).to_owned(), (*value).to_owned()]));
        arguments.extend(["--journal".to_owned(), journal.display().to_string()]);
        let program = beside_this_one("moorline-soak")?;
        Program::start(name, program, &arguments, [], &self.folder)
    }

    /// Addresses of the servers, as clients and workers see them.
    pub fn addresses(&self) -> Vec<String> {
        self.lines.iter().map(Proxy::url).collect()
    }

    /// Whether every server listens.
    pub async fn is_up(&self) -> bool {
        for port in &self.ports {
            if TcpStream::connect(port).await.is_err() {
                return false;
            }
        }
        true
    }

    /// How the database is reached.
    pub fn database(&self) -> &str {
        self.postgres.url()
    }

    /// Names and journals of the workers.
    pub fn journals(&self) -> Vec<(String, PathBuf)> {
        let journal = |worker: &Program| (worker.name().to_owned(), self.folder.join(format!("{}.journal", worker.name())));
        self.workers.iter().map(journal).collect()
    }

    /// Brings everything up that is down.
    pub async fn mend(&mut self) -> anyhow::Result<()> {
        self.postgres.start_again().await?;
        for line in &self.lines {
            line.change(|rules| *rules = Default::default());
        }
        for program in self.servers.iter_mut().chain(&mut self.workers) {
            program.mend().await?;
        }
        for index in 0..self.servers.len() {
            self.listens(index).await?;
        }
        Ok(())
    }

    /// Asks the workers to stop, so that what is in their journals is all that there will be.
    pub async fn stop_workers(&mut self) -> anyhow::Result<()> {
        for worker in &mut self.workers {
            worker.terminate()?;
        }
        for worker in &mut self.workers {
            worker.ended().await?;
        }
        Ok(())
    }

    /// Stops everything in order.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        for server in &mut self.servers {
            server.terminate()?;
        }
        for server in &mut self.servers {
            server.ended().await?;
        }
        self.postgres.stop(Stop::Fast).await
    }

    async fn listens(&mut self, index: usize) -> anyhow::Result<()> {
        const LIMIT: Duration = Duration::from_secs(60);
        let end = Instant::now() + LIMIT;
        while TcpStream::connect(self.ports[index]).await.is_err() {
            // One that found no database, say, ends with an error, as it should, and is started again, as a supervisor does.
            self.servers[index].mend().await?;
            anyhow::ensure!(Instant::now() < end, "server {index} does not listen: see its log");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

/// Ports that are free now; nobody else asks for one by number.
pub(crate) fn free_ports(count: usize) -> anyhow::Result<Vec<SocketAddr>> {
    let listeners: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    Ok(listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?)
}

pub(crate) fn beside_this_one(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().context("a program is in a folder")?;
    // Tests are one folder below the programs.
    let folder = if folder.ends_with("deps") {
        folder.parent().unwrap_or(folder)
    } else {
        folder
    };
    let program = folder.join(name);
    anyhow::ensure!(
        program.exists(),
        "{} is missing: `cargo xtask soak` builds it, or `cargo build -p moorline-tests --bins`",
        program.display()
    );
    Ok(program)
}
