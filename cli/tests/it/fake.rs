//! A stand-in for the server: it answers from what a test puts in, over real gRPC.

mod shards;
mod skills;

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::{Stream, StreamExt, stream};
use moorline_proto::v1::{self, run_service_server::RunService};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status};

use crate::samples;

/// What the server has, and what it was asked.
#[derive(Default)]
pub struct Fake {
    /// Runs; the first one is what calls about one run answer with.
    pub runs: Vec<v1::Run>,
    /// Events of the first run.
    pub events: Vec<v1::RunEvent>,
    /// What watching does, in the order of the calls; then it sends all events and ends.
    pub watches: Vec<Watch>,
    /// Answer of every call instead of the real one.
    pub refusal: Option<Status>,
    /// Bytes that a download sends in place of the artifact's.
    pub content: Option<&'static [u8]>,
    /// Every request, in order, in its debug form.
    pub requests: Mutex<Vec<String>>,
    /// How many streams are opened before the run has ended; until then its status is running.
    pub ends_after: usize,
    /// How often watching, or reading logs, was begun.
    pub watched: AtomicUsize,
    /// Jobs of the first run; the sample jobs when unset.
    pub jobs: Option<Vec<v1::Job>>,
    /// What login checks find; the sample check when unset.
    pub found: Option<v1::Preflight>,
    /// What a login leads to.
    pub login: Login,
    /// Cancelled when a login that waited for its user was given up by the client.
    pub login_stopped: CancellationToken,
}

/// How a stream of events goes wrong, after so many of them.
#[derive(Clone, Copy)]
pub enum Watch {
    /// Nothing more comes, and the stream stays open.
    Silence(usize),
    /// The server says that it is going away.
    Farewell(usize),
    /// The stream ends as if it were over.
    End(usize),
}

/// How a login goes on once the code has been shown.
#[derive(Clone, Copy, Default)]
pub enum Login {
    /// The user enters it.
    #[default]
    Entered,
    /// The user never does.
    Awaited,
    /// The issuer says no.
    Denied,
}

/// A running stand-in; it ends when dropped.
pub struct Running {
    pub url: String,
    pub port: u16,
    pub fake: Arc<Fake>,
    _stop: DropGuard,
}

impl Fake {
    /// A server that has the sample run.
    pub fn with_run(run: v1::Run, events: Vec<v1::RunEvent>) -> Self {
        Self {
            runs: vec![run],
            events,
            ..Self::default()
        }
    }

    /// Starts to serve on a free port.
    pub async fn start(self) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (fake, stop) = (Arc::new(self), CancellationToken::new());
        let server = tonic::transport::Server::builder()
            .add_service(v1::run_service_server::RunServiceServer::from_arc(fake.clone()))
            .add_service(v1::shard_service_server::ShardServiceServer::from_arc(fake.clone()))
            .add_service(v1::fleet_service_server::FleetServiceServer::from_arc(fake.clone()))
            .add_service(v1::skill_service_server::SkillServiceServer::from_arc(fake.clone()))
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.clone().cancelled_owned());
        tokio::spawn(server);
        Running {
            url: format!("http://127.0.0.1:{port}"),
            port,
            fake,
            _stop: stop.drop_guard(),
        }
    }

    fn answer<Q: std::fmt::Debug, A>(&self, request: &Request<Q>, answer: impl FnOnce(&Q) -> A) -> Result<Response<A>, Status> {
        self.requests.lock().expect("unpoisoned").push(format!("{:?}", request.get_ref()));
        match &self.refusal {
            Some(refusal) => Err(refusal.clone()),
            None => Ok(Response::new(answer(request.get_ref()))),
        }
    }

    fn run(&self) -> Option<v1::Run> {
        let mut run = self.runs.first().cloned()?;
        if self.watched.load(Ordering::Relaxed) < self.ends_after {
            run.status = v1::RunStatus::Running.into();
        }
        Some(run)
    }

    fn events_after(&self, after: i64) -> Answers<v1::WatchRunResponse> {
        let wanted = self.events.iter().filter(|event| event.sequence > after).cloned();
        let events: Vec<_> = wanted.map(|event| Ok(v1::WatchRunResponse { event: Some(event) })).collect();
        match self.watches.get(self.watched.fetch_add(1, Ordering::Relaxed)).copied() {
            None => stream::iter(events).boxed(),
            Some(Watch::Silence(n)) => stream::iter(events).take(n).chain(stream::pending()).boxed(),
            Some(Watch::End(n)) => stream::iter(events).take(n).boxed(),
            Some(Watch::Farewell(n)) => {
                let gone = stream::iter([Err(Status::unavailable("the server is shutting down"))]);
                stream::iter(events).take(n).chain(gone).boxed()
            }
        }
    }
}

/// A stream of answers.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl RunService for Fake {
    type WatchRunStream = Answers<v1::WatchRunResponse>;
    type StreamRunLogsStream = Answers<v1::StreamRunLogsResponse>;
    type DownloadArtifactStream = Answers<v1::DownloadArtifactResponse>;

    async fn create_run(&self, request: Request<v1::CreateRunRequest>) -> Result<Response<v1::CreateRunResponse>, Status> {
        self.answer(&request, |_| v1::CreateRunResponse {
            run: self.run(),
            already_existed: false,
        })
    }

    async fn get_run(&self, request: Request<v1::GetRunRequest>) -> Result<Response<v1::GetRunResponse>, Status> {
        self.answer(&request, |_| v1::GetRunResponse {
            run: self.run(),
            jobs: self.jobs.clone().unwrap_or_else(samples::jobs),
            artifacts: vec![samples::artifact()],
            preflight: Some(samples::preflight()),
            credential_audit: Some(samples::audit()),
        })
    }

    /// Page tokens are the number of the next run.
    async fn list_runs(&self, request: Request<v1::ListRunsRequest>) -> Result<Response<v1::ListRunsResponse>, Status> {
        self.answer(&request, |asked| {
            let first = asked.page_token.parse().unwrap_or(0);
            let last = self.runs.len().min(first + usize::try_from(asked.page_size).expect("not negative"));
            let next_page_token = if last < self.runs.len() { last.to_string() } else { String::new() };
            v1::ListRunsResponse {
                runs: self.runs[first..last].to_vec(),
                next_page_token,
            }
        })
    }

    async fn watch_run(&self, request: Request<v1::WatchRunRequest>) -> Result<Response<Self::WatchRunStream>, Status> {
        self.answer(&request, |asked| self.events_after(asked.after_sequence))
    }

    async fn cancel_run(&self, request: Request<v1::CancelRunRequest>) -> Result<Response<v1::CancelRunResponse>, Status> {
        self.answer(&request, |_| v1::CancelRunResponse { run: self.run() })
    }

    async fn retry_run(&self, request: Request<v1::RetryRunRequest>) -> Result<Response<v1::RetryRunResponse>, Status> {
        self.answer(&request, |_| v1::RetryRunResponse { run: self.run() })
    }

    /// Sends `hello world` in two pieces. When it is asked for the first time it breaks off after the first one, or ends there as
    /// [`Watch::End`] says.
    async fn stream_run_logs(&self, request: Request<v1::StreamRunLogsRequest>) -> Result<Response<Self::StreamRunLogsStream>, Status> {
        let piece = |offset, content: &'static [u8]| {
            let content = bytes::Bytes::from_static(content);
            Ok(v1::StreamRunLogsResponse {
                job_id: samples::JOB.into(),
                stage: v1::Stage::Submit.into(),
                attempt: 1,
                offset,
                content,
            })
        };
        let first = self.watched.fetch_add(1, Ordering::Relaxed) == 0;
        let second = match self.watches.first() {
            Some(Watch::End(_)) if first => None,
            _ if first => Some(Err(Status::unavailable("the server is shutting down"))),
            _ => Some(piece(6, b"world\n")),
        };
        self.answer(&request, |_| stream::iter([piece(0, b"hello ")].into_iter().chain(second)).boxed())
    }

    async fn list_artifacts(&self, request: Request<v1::ListArtifactsRequest>) -> Result<Response<v1::ListArtifactsResponse>, Status> {
        self.answer(&request, |_| v1::ListArtifactsResponse {
            artifacts: vec![samples::artifact()],
        })
    }

    async fn download_artifact(
        &self,
        request: Request<v1::DownloadArtifactRequest>,
    ) -> Result<Response<Self::DownloadArtifactStream>, Status> {
        let content = bytes::Bytes::from_static(self.content.unwrap_or(b"hello"));
        let (one, two) = (content.slice(..2), content.slice(2..));
        let first = v1::DownloadArtifactResponse {
            artifact: Some(samples::artifact()),
            content: one,
        };
        let second = v1::DownloadArtifactResponse {
            artifact: None,
            content: two,
        };
        self.answer(&request, |_| stream::iter([Ok(first), Ok(second)]).boxed())
    }
}

#[tonic::async_trait]
impl v1::fleet_service_server::FleetService for Fake {
    async fn list_workers(&self, request: Request<v1::ListWorkersRequest>) -> Result<Response<v1::ListWorkersResponse>, Status> {
        self.answer(&request, |_| v1::ListWorkersResponse {
            workers: samples::workers(),
        })
    }

    async fn get_worker(&self, request: Request<v1::GetWorkerRequest>) -> Result<Response<v1::GetWorkerResponse>, Status> {
        self.answer(&request, |_| v1::GetWorkerResponse {
            worker: samples::workers().into_iter().next(),
            profile: Some(samples::profile()),
        })
    }

    async fn drain_worker(&self, request: Request<v1::DrainWorkerRequest>) -> Result<Response<v1::DrainWorkerResponse>, Status> {
        self.answer(&request, |_| v1::DrainWorkerResponse { running_jobs: 2 })
    }
}
