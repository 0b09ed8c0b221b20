//! `RunService`: starts runs, shows them, hands out what they have made.

use std::collections::HashMap;

use futures::StreamExt as _;
use moorline_proto::v1;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{
    Caller, PIECE, page,
    stream::{Stream, async_stream, wait},
    told,
};
use crate::{
    db::runs::Filter,
    domain::{self, run, stage::Stage},
    flow::{Error, Flow, Topic, artifact, cancel, logs, retry, start, view},
    session::Sessions,
    wire::{self, names::FromWire as _, status::status},
};

/// See the module.
pub struct Service {
    flow: Flow,
    shutdown: CancellationToken,
}

impl Service {
    pub(super) fn new(sessions: &Sessions) -> Self {
        Self {
            flow: sessions.flow.clone(),
            shutdown: sessions.shutdown.clone(),
        }
    }

    async fn show(&self, id: uuid::Uuid) -> Result<v1::Run, Status> {
        let view = view::run(&self.flow, id).await.map_err(status)?;
        Ok(wire::run::message(&view.run, wire::run::failure_of(&view.jobs)))
    }
}

fn refuse(refusal: domain::Error) -> Status {
    wire::status::refused(&refusal)
}

fn id(field: &'static str, text: &str) -> Result<uuid::Uuid, Status> {
    wire::id(field, text).map_err(refuse)
}

#[tonic::async_trait]
impl v1::run_service_server::RunService for Service {
    type WatchRunStream = Stream<v1::WatchRunResponse>;
    type StreamRunLogsStream = Stream<v1::StreamRunLogsResponse>;
    type DownloadArtifactStream = Stream<v1::DownloadArtifactResponse>;

    async fn create_run(&self, request: Request<v1::CreateRunRequest>) -> Result<Response<v1::CreateRunResponse>, Status> {
        let requested_by = Caller::of(&request).name().to_owned();
        let traceparent = told::place(&request).to_string();
        let wire = request.into_inner();
        let options = wire::run::options_of(&wire.options.unwrap_or_default()).map_err(refuse)?;
        let force_phase = wire::known::<run::Phase, v1::Phase>("force_phase", wire.force_phase).map_err(refuse)?;
        let agent = wire::known::<run::Agent, v1::Agent>("agent", wire.agent).map_err(refuse)?;
        let request = start::Request {
            force_phase,
            agent: agent.unwrap_or(run::Agent::Codex),
            repository: wire.repository.trim().to_owned(),
            feature_key: wire.feature_key,
            affinity_key: wire.affinity_key,
            base_ref: wire.base_ref,
            task_id: wire.task_id,
            codex_queue: wire.codex_queue,
            notes: wire.notes,
            idempotency_key: wire.idempotency_key,
            options,
            requested_by,
            traceparent,
        };
        let (run, already_existed) = start::start(&self.flow, request).await.map_err(status)?;
        // One that has just begun is as it was written; one that was there may have come far.
        let run = match already_existed {
            true => self.show(run.id).await?,
            false => wire::run::message(&run, None),
        };
        Ok(Response::new(v1::CreateRunResponse {
            run: Some(run),
            already_existed,
        }))
    }

    async fn get_run(&self, request: Request<v1::GetRunRequest>) -> Result<Response<v1::GetRunResponse>, Status> {
        let view = view::run(&self.flow, id("run_id", &request.into_inner().run_id)?)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::GetRunResponse {
            run: Some(wire::run::message(&view.run, wire::run::failure_of(&view.jobs))),
            jobs: view.jobs.iter().map(|job| wire::job::message(job, view.lacking(job))).collect(),
            artifacts: view.artifacts.iter().map(wire::run::artifact).collect(),
            preflight: view.preflight.as_ref().map(wire::preflight::message),
            credential_audit: view.audit.map(wire::audit::stored),
        }))
    }

    async fn list_runs(&self, request: Request<v1::ListRunsRequest>) -> Result<Response<v1::ListRunsResponse>, Status> {
        let wire = request.into_inner();
        let limit = page::size(wire.page_size);
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let created_after = wire::moment("created_after", wire.created_after.as_ref()).map_err(refuse)?;
        let filter = Filter {
            statuses: wire.statuses().filter_map(run::Status::from_wire).collect(),
            repository: given(&wire.repository),
            feature_key: given(&wire.feature_key),
            codex_queue: given(&wire.codex_queue),
            created_after,
        };
        let begin = page::begin(&filter, &wire.page_token).map_err(refuse)?;
        let mut runs = view::runs(&self.flow, filter.clone(), begin, limit + 1).await.map_err(status)?;
        let next_page_token = page::next(&mut runs, limit, |last| page::after(&filter, last.created_at, last.id));
        let failures = view::failures(&self.flow, &runs).await.map_err(status)?;
        let runs = runs
            .iter()
            .map(|run| wire::run::message(run, failures.get(&run.id).cloned()))
            .collect();
        Ok(Response::new(v1::ListRunsResponse { runs, next_page_token }))
    }

    async fn watch_run(&self, request: Request<v1::WatchRunRequest>) -> Result<Response<Self::WatchRunStream>, Status> {
        let wire = request.into_inner();
        let run_id = id("run_id", &wire.run_id)?;
        // An unknown run is told before the stream begins.
        view::has_ended(&self.flow, run_id).await.map_err(status)?;
        let (flow, shutdown) = (self.flow.clone(), self.shutdown.clone());
        let events = async_stream(async move |out| {
            let subscription = flow.hints.subscribe([Topic::Run(run_id)]);
            let mut seen = wire.after_sequence.max(0);
            loop {
                let (events, ended) = view::events(&flow, run_id, seen).await.map_err(status)?;
                let more = !events.is_empty();
                for event in &events {
                    seen = event.sequence;
                    if let Some(event) = wire::run::event(event) {
                        out.send(v1::WatchRunResponse { event: Some(event) }).await?;
                    }
                }
                if ended {
                    return Ok(());
                }
                if !more {
                    wait(&flow, &subscription, &shutdown, &out).await?;
                }
            }
        });
        Ok(Response::new(events))
    }

    async fn cancel_run(&self, request: Request<v1::CancelRunRequest>) -> Result<Response<v1::CancelRunResponse>, Status> {
        let wire = request.into_inner();
        let reason: String = wire.reason.chars().take(REASON_MAX).collect();
        let run = cancel::cancel(&self.flow, id("run_id", &wire.run_id)?, &reason)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::CancelRunResponse {
            run: Some(self.show(run.id).await?),
        }))
    }

    async fn retry_run(&self, request: Request<v1::RetryRunRequest>) -> Result<Response<v1::RetryRunResponse>, Status> {
        let wire = request.into_inner();
        let mode = match wire.mode() {
            v1::RetryMode::Unspecified | v1::RetryMode::ResumeFailedStage => retry::Mode::ResumeFailedStage,
            v1::RetryMode::RestartFromDiscovery => retry::Mode::RestartFromDiscovery,
        };
        let run = retry::retry(&self.flow, id("run_id", &wire.run_id)?, mode).await.map_err(status)?;
        Ok(Response::new(v1::RetryRunResponse {
            run: Some(self.show(run.id).await?),
        }))
    }

    async fn stream_run_logs(&self, request: Request<v1::StreamRunLogsRequest>) -> Result<Response<Self::StreamRunLogsStream>, Status> {
        let wire = request.into_inner();
        let run_id = id("run_id", &wire.run_id)?;
        view::has_ended(&self.flow, run_id).await.map_err(status)?;
        let only = Stage::from_wire(wire.stage());
        let (flow, shutdown) = (self.flow.clone(), self.shutdown.clone());
        let pieces = async_stream(async move |out| {
            let subscription = flow.hints.subscribe([Topic::Run(run_id)]);
            let mut offsets: HashMap<uuid::Uuid, i64> = HashMap::new();
            loop {
                // Whether the run has ended is asked first: output that came before its end is then still read.
                let ended = view::has_ended(&flow, run_id).await.map_err(status)?;
                let mut more = false;
                for job in logs::jobs(&flow, run_id)
                    .await
                    .map_err(status)?
                    .iter()
                    .filter(|job| only.is_none_or(|stage| stage == job.stage))
                {
                    let offset = offsets.entry(job.id).or_default();
                    for piece in logs::pieces(&flow, job.id, *offset).await.map_err(status)? {
                        more = true;
                        *offset = piece.byte_offset + i64::try_from(piece.content.len()).unwrap_or(i64::MAX);
                        let message = v1::StreamRunLogsResponse {
                            job_id: piece.job_id.to_string(),
                            stage: v1::Stage::from(piece.stage).into(),
                            attempt: piece.attempt,
                            offset: piece.byte_offset,
                            content: piece.content.into(),
                        };
                        out.send(message).await?;
                    }
                }
                if !more && (ended || !wire.follow) {
                    return Ok(());
                }
                if !more {
                    wait(&flow, &subscription, &shutdown, &out).await?;
                }
            }
        });
        Ok(Response::new(pieces))
    }

    async fn list_artifacts(&self, request: Request<v1::ListArtifactsRequest>) -> Result<Response<v1::ListArtifactsResponse>, Status> {
        let view = view::run(&self.flow, id("run_id", &request.into_inner().run_id)?)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::ListArtifactsResponse {
            artifacts: view.artifacts.iter().map(wire::run::artifact).collect(),
        }))
    }

    async fn download_artifact(
        &self,
        request: Request<v1::DownloadArtifactRequest>,
    ) -> Result<Response<Self::DownloadArtifactStream>, Status> {
        let artifact_id = id("artifact_id", &request.into_inner().artifact_id)?;
        let (row, content) = artifact::fetch(&self.flow, artifact_id).await.map_err(status)?;
        let first = v1::DownloadArtifactResponse {
            artifact: Some(wire::run::artifact(&row)),
            content: bytes::Bytes::new(),
        };
        let pieces = content.flat_map(|chunk| match chunk {
            Ok(chunk) => {
                let pieces: Vec<_> = (0..chunk.len())
                    .step_by(PIECE)
                    .map(|at| {
                        let content = chunk.slice(at..chunk.len().min(at + PIECE));
                        Ok(v1::DownloadArtifactResponse { artifact: None, content })
                    })
                    .collect();
                futures::stream::iter(pieces)
            }
            Err(error) => futures::stream::iter(vec![Err(status(Error::from(error)))]),
        });
        Ok(Response::new(futures::stream::iter([Ok(first)]).chain(pieces).boxed()))
    }
}

const REASON_MAX: usize = 512;
