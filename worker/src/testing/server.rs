//! A server that a test plays by hand: each stream of a worker is handed to the test, which reads and answers frame by frame.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use moorline_proto::v1::{
    self, ConnectRequest, ConnectResponse,
    connect_request::Frame as Said,
    connect_response::Frame,
    run_service_server::{RunService, RunServiceServer},
    worker_service_server::{WorkerService, WorkerServiceServer},
};
use sha2::{Digest, Sha256};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_stream::{
    Stream,
    wrappers::{ReceiverStream, TcpListenerStream},
};
use tonic::{Request, Response, Status, Streaming};

/// What the server has been given, and how it is to misbehave.
#[derive(Default)]
pub(crate) struct Store {
    /// Streams are refused with these first.
    pub(crate) refusals: VecDeque<Status>,
    /// Uploads and downloads are refused with these first.
    pub(crate) broken: VecDeque<Status>,
    /// Artifacts as they came: file name and content.
    pub(crate) artifacts: Vec<(String, Vec<u8>)>,
    /// Output as it came, joined by its offsets.
    pub(crate) output: Vec<u8>,
    /// Bytes of output that one call stores at most.
    pub(crate) output_limit: Option<usize>,
    /// Content of every artifact that is asked for.
    pub(crate) download: Vec<u8>,
}

type Shared = Arc<Mutex<Store>>;

/// The server, until it is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) store: Shared,
    lines: mpsc::Receiver<Line>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, lines) = mpsc::channel(16);
        let store = Shared::default();
        let service = Service {
            store: store.clone(),
            lines: sender,
        };
        let router = tonic::transport::Server::builder()
            .add_service(WorkerServiceServer::new(service.clone()))
            .add_service(RunServiceServer::new(service));
        let task = tokio::spawn(async move {
            router
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .expect("a server");
        });
        Self { url, store, lines, task }
    }

    /// The next stream that a worker opens.
    pub(crate) async fn line(&mut self) -> Line {
        patient(self.lines.recv()).await.expect("a line")
    }

    /// The next stream, welcomed with calm timers.
    pub(crate) async fn welcomed(&mut self) -> Line {
        let mut line = self.line().await;
        line.send(Frame::Welcome(calm())).await;
        line
    }

    pub(crate) fn store(&self) -> std::sync::MutexGuard<'_, Store> {
        self.store.lock().expect("the store")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A welcome with timers that no test waits for.
pub(crate) fn calm() -> v1::Welcome {
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    v1::Welcome {
        session_id: "session".to_owned(),
        ping_interval: seconds(60),
        ping_timeout: seconds(180),
        lease_duration: seconds(600),
        ..Default::default()
    }
}

/// One stream of a worker. Dropping it cuts the line.
pub(crate) struct Line {
    pub(crate) hello: v1::Hello,
    said: Streaming<ConnectRequest>,
    answers: mpsc::Sender<Result<ConnectResponse, Status>>,
}

impl Line {
    pub(crate) async fn send(&mut self, frame: Frame) {
        self.answers
            .send(Ok(ConnectResponse { frame: Some(frame) }))
            .await
            .expect("a worker that listens");
    }

    /// The next frame of the worker, signs of life apart.
    pub(crate) async fn heard(&mut self) -> Said {
        loop {
            match patient(self.said.message())
                .await
                .expect("a line")
                .and_then(|request| request.frame)
            {
                Some(Said::Ping(_)) => {}
                Some(frame) => return frame,
                None => panic!("the worker has left"),
            }
        }
    }

    /// Frames up to and with the first of the kind that is wanted.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Said) -> bool) -> Vec<Said> {
        let mut heard = Vec::new();
        loop {
            heard.push(self.heard().await);
            if heard.last().is_some_and(&wanted) {
                return heard;
            }
        }
    }

    /// All that the worker still says before it leaves, signs of life apart.
    pub(crate) async fn rest(&mut self) -> Vec<Said> {
        let mut heard = Vec::new();
        while let Ok(Some(request)) = patient(self.said.message()).await {
            heard.extend(request.frame.filter(|frame| !matches!(frame, Said::Ping(_))));
        }
        heard
    }

    /// The end of a job, after whatever else is reported of it.
    pub(crate) async fn finished(&mut self) -> v1::Report {
        let is_end = |frame: &Said| {
            matches!(
                frame,
                Said::Report(v1::Report {
                    news: Some(v1::report::News::Finished(_)),
                    ..
                })
            )
        };
        match self.until(is_end).await.pop() {
            Some(Said::Report(report)) => report,
            other => panic!("no end: {other:?}"),
        }
    }

    /// The end of a job, while pings are answered with this age of the lease.
    pub(crate) async fn finished_while_pinging(&mut self, age: impl Fn() -> Option<Duration>) -> v1::Report {
        loop {
            match patient(self.said.message())
                .await
                .expect("a line")
                .and_then(|request| request.frame)
            {
                Some(Said::Ping(ping)) => {
                    let pong = v1::Pong {
                        nonce: ping.nonce,
                        lease_age: age().map(|age| age.try_into().expect("a duration")),
                    };
                    self.send(Frame::Pong(pong)).await;
                }
                Some(Said::Report(report)) if matches!(report.news, Some(v1::report::News::Finished(_))) => return report,
                Some(_) => {}
                None => panic!("the worker has left"),
            }
        }
    }

    /// Acknowledges a report and all before it.
    pub(crate) async fn acknowledge(&mut self, report: &v1::Report) {
        let ack = v1::Ack {
            job_id: report.job_id.clone(),
            lease_token: report.lease_token,
            sequence: report.sequence,
        };
        self.send(Frame::Ack(ack)).await;
    }

    /// Answers this many pings, without a word of the lease.
    pub(crate) async fn answer_pings(&mut self, count: usize) {
        self.answer_pings_with(count, |_| None).await;
    }

    /// Answers this many pings, each with an age of the lease.
    pub(crate) async fn answer_pings_with(&mut self, count: usize, age: impl Fn(usize) -> Option<Duration>) {
        for index in 0..count {
            match patient(self.said.message())
                .await
                .expect("a line")
                .and_then(|request| request.frame)
            {
                Some(Said::Ping(ping)) => {
                    self.send(Frame::Pong(v1::Pong {
                        nonce: ping.nonce,
                        lease_age: age(index).map(|age| age.try_into().expect("a duration")),
                    }))
                    .await
                }
                other => panic!("no ping: {other:?}"),
            }
        }
    }

    /// Waits until the worker has left.
    pub(crate) async fn left(&mut self) {
        while let Ok(Some(_)) = patient(self.said.message()).await {}
    }
}

/// What is waited for must come; a test that would hang fails instead.
pub(crate) async fn patient<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("in time")
}

#[derive(Clone)]
struct Service {
    store: Shared,
    lines: mpsc::Sender<Line>,
}

impl Service {
    fn broken(&self) -> Result<(), Status> {
        self.store.lock().expect("the store").broken.pop_front().map_or(Ok(()), Err)
    }
}

#[tonic::async_trait]
impl WorkerService for Service {
    type ConnectStream = ReceiverStream<Result<ConnectResponse, Status>>;

    async fn connect(&self, request: Request<Streaming<ConnectRequest>>) -> Result<Response<Self::ConnectStream>, Status> {
        if let Some(refusal) = self.store.lock().expect("the store").refusals.pop_front() {
            return Err(refusal);
        }
        let mut said = request.into_inner();
        let Some(Said::Hello(hello)) = said.message().await?.and_then(|request| request.frame) else {
            return Err(Status::failed_precondition("speak Hello first"));
        };
        let (answers, stream) = mpsc::channel(64);
        let _ = self.lines.send(Line { hello, said, answers }).await;
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn upload_artifact(
        &self,
        request: Request<Streaming<v1::UploadArtifactRequest>>,
    ) -> Result<Response<v1::UploadArtifactResponse>, Status> {
        self.broken()?;
        let (mut pieces, mut header, mut content) = (request.into_inner(), v1::ArtifactHeader::default(), Vec::new());
        while let Some(piece) = pieces.message().await? {
            assert!(piece.content.len() <= 64 << 10, "a piece is too large");
            header = piece.header.unwrap_or(header);
            content.extend_from_slice(&piece.content);
        }
        if hex::encode(Sha256::digest(&content)) != header.digest {
            return Err(Status::invalid_argument("the digest is wrong"));
        }
        self.store.lock().expect("the store").artifacts.push((header.file_name, content));
        Ok(Response::new(v1::UploadArtifactResponse {
            artifact: Some(v1::Artifact::default()),
        }))
    }

    async fn upload_logs(&self, request: Request<Streaming<v1::UploadLogsRequest>>) -> Result<Response<v1::UploadLogsResponse>, Status> {
        self.broken()?;
        let mut pieces = request.into_inner();
        let mut arrived = Vec::new();
        while let Some(piece) = pieces.message().await? {
            arrived.push(piece);
        }
        let mut store = self.store.lock().expect("the store");
        let limit = store.output.len() + store.output_limit.unwrap_or(usize::MAX / 2);
        for piece in arrived {
            if usize::try_from(piece.offset) == Ok(store.output.len()) {
                store.output.extend_from_slice(&piece.content);
            }
        }
        store.output.truncate(limit);
        Ok(Response::new(v1::UploadLogsResponse {
            next_offset: store.output.len() as i64,
        }))
    }
}

type Answer<T> = std::pin::Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn unused<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not for workers"))
}

#[tonic::async_trait]
impl RunService for Service {
    type WatchRunStream = Answer<v1::WatchRunResponse>;
    type StreamRunLogsStream = Answer<v1::StreamRunLogsResponse>;
    type DownloadArtifactStream = Answer<v1::DownloadArtifactResponse>;

    async fn create_run(&self, _: Request<v1::CreateRunRequest>) -> Result<Response<v1::CreateRunResponse>, Status> {
        unused()
    }
    async fn get_run(&self, _: Request<v1::GetRunRequest>) -> Result<Response<v1::GetRunResponse>, Status> {
        unused()
    }
    async fn list_runs(&self, _: Request<v1::ListRunsRequest>) -> Result<Response<v1::ListRunsResponse>, Status> {
        unused()
    }
    async fn watch_run(&self, _: Request<v1::WatchRunRequest>) -> Result<Response<Self::WatchRunStream>, Status> {
        unused()
    }
    async fn cancel_run(&self, _: Request<v1::CancelRunRequest>) -> Result<Response<v1::CancelRunResponse>, Status> {
        unused()
    }
    async fn retry_run(&self, _: Request<v1::RetryRunRequest>) -> Result<Response<v1::RetryRunResponse>, Status> {
        unused()
    }
    async fn stream_run_logs(&self, _: Request<v1::StreamRunLogsRequest>) -> Result<Response<Self::StreamRunLogsStream>, Status> {
        unused()
    }
    async fn list_artifacts(&self, _: Request<v1::ListArtifactsRequest>) -> Result<Response<v1::ListArtifactsResponse>, Status> {
        unused()
    }
    async fn download_artifact(&self, _: Request<v1::DownloadArtifactRequest>) -> Result<Response<Self::DownloadArtifactStream>, Status> {
        self.broken()?;
        let content = self.store.lock().expect("the store").download.clone();
        let artifact = v1::Artifact {
            digest: hex::encode(Sha256::digest(&content)),
            ..Default::default()
        };
        let first = v1::DownloadArtifactResponse {
            artifact: Some(artifact),
            content: Bytes::new(),
        };
        let pieces: Vec<_> = content
            .chunks(1000)
            .map(|piece| v1::DownloadArtifactResponse {
                artifact: None,
                content: Bytes::copy_from_slice(piece),
            })
            .collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(
            [first].into_iter().chain(pieces).map(Ok),
        ))))
    }
}
