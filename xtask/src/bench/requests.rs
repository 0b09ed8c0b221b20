//! Runs as clients create them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use moorline_proto::v1::{self, run_service_client::RunServiceClient};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::fleet::endpoint;

/// Repositories among which the runs are spread.
const REPOSITORIES: usize = 100;
/// Calls at once, and connections that they share.
const CALLS: usize = 64;
const CONNECTIONS: usize = 2;
/// Before a caller that has nothing to create looks again.
const PAUSE: Duration = Duration::from_millis(2);

/// Creates runs, each of a feature of its own.
#[derive(Debug)]
pub struct Requests {
    clients: Vec<RunServiceClient<Channel>>,
    next: Arc<AtomicUsize>,
    make: fn(usize) -> v1::CreateRunRequest,
}

impl Requests {
    /// Requests to a server, a tenth of them for agent work.
    pub fn to(server: SocketAddr) -> Result<Self> {
        Self::of(server, request)
    }

    /// Requests to a server, none of them for agent work.
    pub fn cheap(server: SocketAddr) -> Result<Self> {
        Self::of(server, cheap)
    }

    fn of(server: SocketAddr, make: fn(usize) -> v1::CreateRunRequest) -> Result<Self> {
        let endpoint = endpoint(server)?;
        let clients = (0..CONNECTIONS).map(|_| RunServiceClient::new(endpoint.connect_lazy())).collect();
        Ok(Self {
            clients,
            next: Arc::new(AtomicUsize::new(0)),
            make,
        })
    }

    /// How many have been asked for so far.
    pub fn created(&self) -> usize {
        self.next.load(Ordering::Relaxed)
    }

    /// Creates one run; its id.
    pub async fn create(&self, request: v1::CreateRunRequest) -> Result<String> {
        let mut client = self.clients.first().context("no connection")?.clone();
        let run = client.create_run(request).await?.into_inner().run.context("no run in the answer")?;
        Ok(run.run_id)
    }

    /// Creates runs, many at once, until `count` more are there.
    pub async fn fill(&self, count: usize) -> Result<()> {
        let until = self.created() + count;
        self.create_up_to(move || until, false).await
    }

    /// Creates runs, many at once, up to a total that grows, and never ends by itself.
    pub async fn keep(&self, total: impl Fn() -> usize + Clone + Send + 'static) -> Result<()> {
        self.create_up_to(total, true).await
    }

    async fn create_up_to(&self, total: impl Fn() -> usize + Clone + Send + 'static, for_ever: bool) -> Result<()> {
        let mut calls = JoinSet::new();
        for (_, client) in (0..CALLS).zip(self.clients.iter().cycle()) {
            let (mut client, next, total, make) = (client.clone(), Arc::clone(&self.next), total.clone(), self.make);
            calls.spawn(async move {
                loop {
                    let more = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| (next < total()).then_some(next + 1));
                    match more {
                        Ok(number) => drop(client.create_run(make(number)).await?),
                        Err(_) if for_ever => tokio::time::sleep(PAUSE).await,
                        Err(_) => return anyhow::Ok(()),
                    }
                }
            });
        }
        while let Some(ended) = calls.join_next().await {
            ended??;
        }
        Ok(())
    }
}

/// The `number`-th run: a tenth of them is agent work for three shards, the others read a task list.
pub fn request(number: usize) -> v1::CreateRunRequest {
    let submit = number % 10 == 9;
    v1::CreateRunRequest {
        repository: format!("bench/repository-{}", number % REPOSITORIES),
        feature_key: format!("{number:07}-feature"),
        codex_queue: format!("codex-{}", number / 10 % 3),
        force_phase: if submit { v1::Phase::Submit } else { v1::Phase::Discover }.into(),
        ..Default::default()
    }
}

/// The `number`-th run, if it reads a task list.
fn cheap(number: usize) -> v1::CreateRunRequest {
    request(number * 10)
}
