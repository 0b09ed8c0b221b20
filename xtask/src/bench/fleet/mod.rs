//! Scripted workers: the protocol as real workers speak it, without stages.
//!
//! Each is a task with a stream. It says Hello, grants credit for its slots once the [`Gate`] is open, accepts every offer, reports its end
//! as its [`Pace`] says, and grants a credit again when that is acknowledged. It redials as the worker does, with what it holds as its
//! inventory, and sends unacknowledged reports again.

mod desk;
mod hello;
mod redial;
mod session;
mod tally;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use tokio::{sync::watch, task::JoinSet};
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

pub use desk::{BACKLOG, Held};
pub use tally::{Offered, Tally};

/// When a job ends after it was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Pace {
    /// At once.
    AtOnce,
    /// After so long.
    After(Duration),
    /// Never.
    Never,
}

/// One worker.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Script {
    /// Its name.
    pub name: String,
    /// Its process.
    pub instance_id: Uuid,
    /// The queue that it serves; a shard's with the shard's volume.
    pub queue: String,
    /// Jobs at once.
    pub slots: i32,
    /// When they end.
    pub pace: Pace,
    /// What an earlier process of it has left.
    pub inventory: Vec<Held>,
}

impl Script {
    /// A worker with a new instance and nothing in hand.
    pub fn new(name: impl Into<String>, queue: impl Into<String>, slots: i32, pace: Pace) -> Self {
        Self {
            name: name.into(),
            instance_id: Uuid::now_v7(),
            queue: queue.into(),
            slots,
            pace,
            inventory: Vec::new(),
        }
    }
}

/// How streams get to the server.
#[derive(Debug, Clone)]
enum Line {
    /// Several on one connection.
    Shared(Channel),
    /// Each on its own.
    Own(Endpoint),
}

/// Workers grant no credit before it opens.
#[derive(Debug)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// Lets them begin.
    pub fn open(&self) {
        self.0.send_replace(true);
    }
}

/// Workers at work, until this is dropped.
#[derive(Debug)]
pub struct Fleet {
    /// What they have seen.
    pub tally: Arc<Tally>,
    /// When they begin.
    pub gate: Gate,
    opened: watch::Receiver<bool>,
    workers: JoinSet<()>,
}

impl Fleet {
    /// A fleet without workers.
    pub fn new(tally: Tally) -> Self {
        let (gate, opened) = watch::channel(false);
        Self {
            tally: Arc::new(tally),
            gate: Gate(gate),
            opened,
            workers: JoinSet::new(),
        }
    }

    /// Adds workers whose streams share so many connections.
    pub fn share(&mut self, server: SocketAddr, connections: usize, scripts: impl IntoIterator<Item = Script>) -> Result<()> {
        let endpoint = endpoint(server)?;
        let channels: Vec<Channel> = (0..connections).map(|_| endpoint.connect_lazy()).collect();
        for (script, channel) in scripts.into_iter().zip(channels.iter().cycle()) {
            self.add(script, Line::Shared(channel.clone()));
        }
        Ok(())
    }

    /// Adds a worker with a connection of its own.
    pub fn alone(&mut self, server: SocketAddr, script: Script) -> Result<()> {
        self.add(script, Line::Own(endpoint(server)?));
        Ok(())
    }

    fn add(&mut self, script: Script, line: Line) {
        self.workers
            .spawn(redial::live(script, line, self.opened.clone(), Arc::clone(&self.tally)));
    }
}

/// How the server is reached.
pub fn endpoint(server: SocketAddr) -> Result<Endpoint> {
    Ok(Endpoint::from_shared(format!("http://{server}"))?)
}
