//! Clients that create, cancel and retry runs all the while, through any server, and note what they were told.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fastrand::Rng;
use moorline_proto::v1::{self, run_service_client::RunServiceClient};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};
use uuid::Uuid;

use crate::check::Client as Notes;

/// How many clients there are.
const CLIENTS: usize = 6;
/// Longest time for a call; then it is repeated.
const CALL: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub struct Clients {
    tasks: JoinSet<anyhow::Result<()>>,
    notes: Arc<Mutex<Notes>>,
    stop: CancellationToken,
}

impl Clients {
    /// Begins.
    pub fn start(addresses: Vec<String>, seed: u64) -> Self {
        let (notes, stop) = (Arc::<Mutex<Notes>>::default(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        for number in 0..CLIENTS {
            let client = Client {
                number,
                addresses: addresses.clone(),
                rng: Rng::with_seed(seed ^ (number as u64 + 1)),
                notes: Arc::clone(&notes),
                recent: Vec::new(),
            };
            let stop = stop.clone();
            tasks.spawn(client.work(stop));
        }
        Self { tasks, notes, stop }
    }

    /// Ends: what was begun is repeated until it is answered.
    pub async fn finish(mut self) -> anyhow::Result<Notes> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        Ok(self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

struct Client {
    number: usize,
    addresses: Vec<String>,
    rng: Rng,
    notes: Arc<Mutex<Notes>>,
    /// Runs that it may cancel or retry.
    recent: Vec<Uuid>,
}

impl Client {
    async fn work(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        for count in 0_u64.. {
            if stop.is_cancelled() {
                break;
            }
            self.create(count).await?;
            match self.rng.u32(..100) {
                0..8 => self.cancel().await?,
                8..24 => self.retry().await?,
                _ => {}
            }
            let pause = Duration::from_millis(self.rng.u64(50..500));
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    /// Creates a run. Without an answer the same is asked again, maybe of another server: one run must come of it.
    async fn create(&mut self, count: u64) -> anyhow::Result<()> {
        let key = format!("soak-{}-{count}", self.number);
        let force_phase = match self.rng.u32(..10) {
            0..3 => v1::Phase::Discover,
            3..6 => v1::Phase::Submit,
            _ => v1::Phase::Unspecified,
        };
        let request = v1::CreateRunRequest {
            repository: format!("soak/repository-{}", self.rng.u32(..5)),
            feature_key: format!("{count:05}-of-client-{}", self.number),
            codex_queue: format!("codex-{}", self.rng.u32(..2)),
            force_phase: force_phase.into(),
            idempotency_key: key.clone(),
            ..Default::default()
        };
        let answer = self
            .ask(&request, |mut client, request| async move { client.create_run(request).await })
            .await?;
        let answer = answer.map_err(|refusal| anyhow::anyhow!("a run was refused: {refusal}"))?;
        let id: Uuid = answer.run.unwrap_or_default().run_id.parse()?;
        self.note(|notes| {
            notes.created.entry(key).or_default().insert(id);
        });
        self.recent.push(id);
        if self.recent.len() > 30 {
            self.recent.remove(0);
        }
        // Asked once more after the answer, as a client that didn't get it would.
        if self.rng.u32(..10) == 0
            && let Ok(again) = self
                .ask(&request, |mut client, request| async move { client.create_run(request).await })
                .await?
        {
            let id: Uuid = again.run.unwrap_or_default().run_id.parse()?;
            self.note(|notes| {
                notes.created.entry(request.idempotency_key.clone()).or_default().insert(id);
            });
        }
        Ok(())
    }

    async fn cancel(&mut self) -> anyhow::Result<()> {
        let Some(run) = self.rng.choice(&self.recent).copied() else {
            return Ok(());
        };
        let request = v1::CancelRunRequest {
            run_id: run.to_string(),
            reason: "soak".to_owned(),
        };
        // A refusal: it had ended by then.
        let answer = self
            .ask(&request, |mut client, request| async move { client.cancel_run(request).await })
            .await?;
        if answer.is_ok() {
            self.note(|notes| {
                notes.cancelled.insert(run);
            });
        }
        Ok(())
    }

    async fn retry(&mut self) -> anyhow::Result<()> {
        // Of the older ones, which may have failed by now.
        let older = &self.recent[..self.recent.len() / 2];
        let Some(run) = self.rng.choice(older).copied() else {
            return Ok(());
        };
        let request = v1::RetryRunRequest {
            run_id: run.to_string(),
            ..Default::default()
        };
        // A refusal: it hadn't failed.
        let answer = self
            .ask(&request, |mut client, request| async move { client.retry_run(request).await })
            .await?;
        if answer.is_ok() {
            self.note(|notes| notes.retried += 1);
        }
        Ok(())
    }

    /// Calls until there is an answer, or a refusal that repeating won't change.
    async fn ask<R: Clone, T, Answer>(
        &mut self,
        request: &R,
        call: impl Fn(RunServiceClient<Channel>, R) -> Answer,
    ) -> anyhow::Result<Result<T, Status>>
    where
        Answer: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        loop {
            let address = self.addresses[self.rng.usize(..self.addresses.len())].clone();
            let endpoint = Endpoint::from_shared(address)?.connect_timeout(CALL).timeout(CALL);
            let client = RunServiceClient::new(endpoint.connect_lazy());
            let answer = tokio::time::timeout(CALL, call(client, request.clone()))
                .await
                .unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")));
            match answer {
                Ok(answer) => return Ok(Ok(answer.into_inner())),
                Err(status) if is_settled(status.code()) => return Ok(Err(status)),
                Err(_) => self.note(|notes| notes.repeated += 1),
            }
            let pause = Duration::from_millis(self.rng.u64(20..300));
            tokio::time::sleep(pause).await;
        }
    }

    fn note(&self, note: impl FnOnce(&mut Notes)) {
        note(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Whether a refusal is about the request, and not about the servers' troubles.
fn is_settled(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidArgument | Code::NotFound | Code::AlreadyExists | Code::FailedPrecondition
    )
}
