//! A server on a database of its own, and clients of it.

use std::{sync::Arc, time::Duration};

use moorline_proto::v1::{
    self, fleet_service_client::FleetServiceClient, run_service_client::RunServiceClient, shard_service_client::ShardServiceClient,
    worker_service_client::WorkerServiceClient,
};
use moorline_server::{Config, Running, config::Database, flow::Timers, session::Limits};
use moorline_tests::db::TestDb;
use secrecy::SecretString;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

/// See the module. Stops when dropped.
pub struct TestApp {
    pub database: Arc<TestDb>,
    pub artifacts: Arc<TempDir>,
    pub timers: Timers,
    volume_prefix: String,
    channel: Channel,
    running: Option<Running>,
    shutdown: CancellationToken,
    /// Of a server that can be killed.
    runtime: Option<tokio::runtime::Runtime>,
}

impl TestApp {
    /// A server with three shards and timers short enough for tests.
    pub async fn start() -> Self {
        Self::with_volumes("codex_auth_").await
    }

    /// The same with other timers.
    pub async fn with_timers(timers: Timers) -> Self {
        Self::with(timers, "codex_auth_").await
    }

    /// The same with other names of volumes.
    pub async fn with_volumes(prefix: &str) -> Self {
        let timers = Timers {
            poll: Duration::from_millis(100),
            ..Timers::default()
        };
        Self::with(timers, prefix).await
    }

    async fn with(timers: Timers, volume_prefix: &str) -> Self {
        let database = Arc::new(TestDb::new().await.expect("a test database"));
        let artifacts = Arc::new(tempfile::tempdir().expect("a folder"));
        let shutdown = CancellationToken::new();
        let running = serve(&database, &artifacts, timers, volume_prefix, &shutdown).await;
        let channel = connect(&running);
        Self {
            database,
            artifacts,
            timers,
            volume_prefix: volume_prefix.to_owned(),
            channel,
            running: Some(running),
            shutdown,
            runtime: None,
        }
    }

    /// Another server on the same database, with threads of its own, so that it can be killed.
    pub async fn peer(&self) -> Self {
        self.peer_with(Limits::default()).await
    }

    /// The same with other limits on Hellos.
    pub async fn peer_with(&self, limits: Limits) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let shutdown = CancellationToken::new();
        let config = Config {
            admission: limits,
            ..config(&self.database, &self.artifacts, self.timers, &self.volume_prefix)
        };
        let started = runtime.spawn(moorline_server::start(config, shutdown.clone()));
        let running = started.await.expect("no panic").expect("a server");
        Self {
            database: Arc::clone(&self.database),
            artifacts: Arc::clone(&self.artifacts),
            timers: self.timers,
            volume_prefix: self.volume_prefix.clone(),
            channel: connect(&running),
            running: Some(running),
            shutdown,
            runtime: Some(runtime),
        }
    }

    /// Ends a peer as a crash does: nothing is stored, told or taken back.
    pub fn kill(mut self) {
        // Dropping it must not tell the server to go in good order.
        self.shutdown = CancellationToken::new();
        self.runtime.take().expect("a peer").shutdown_background();
    }

    /// Tells the server to go, as SIGTERM does, without waiting for its end.
    pub fn terminate(&self) {
        self.shutdown.cancel();
    }

    /// Tells the server to go, and waits until it has.
    pub async fn stop(mut self) {
        self.terminate();
        let running = self.running.take().expect("a running server");
        running.finished().await.expect("a clean stop");
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Stops the server and starts another on the same database and another port.
    pub async fn restart(&mut self) {
        self.shutdown.cancel();
        if let Some(running) = self.running.take() {
            running.finished().await.expect("a clean stop");
        }
        self.shutdown = CancellationToken::new();
        let running = serve(&self.database, &self.artifacts, self.timers, &self.volume_prefix, &self.shutdown).await;
        self.channel = connect(&running);
        self.running = Some(running);
    }

    /// `host:port` of the server.
    pub fn address(&self) -> String {
        self.running.as_ref().expect("a running server").address.to_string()
    }

    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub fn runs(&self) -> RunServiceClient<Channel> {
        RunServiceClient::new(self.channel.clone())
    }

    pub fn shards(&self) -> ShardServiceClient<Channel> {
        ShardServiceClient::new(self.channel.clone())
    }

    pub fn fleet(&self) -> FleetServiceClient<Channel> {
        FleetServiceClient::new(self.channel.clone())
    }

    pub fn workers(&self) -> WorkerServiceClient<Channel> {
        WorkerServiceClient::new(self.channel.clone())
    }

    /// Creates a run of a feature, and returns it.
    pub async fn create(&self, feature_key: &str) -> v1::Run {
        self.create_with(request(feature_key)).await.expect("a run")
    }

    pub async fn create_with(&self, request: v1::CreateRunRequest) -> Result<v1::Run, tonic::Status> {
        Ok(self
            .runs()
            .create_run(request)
            .await?
            .into_inner()
            .run
            .expect("the run in the answer"))
    }

    pub async fn get(&self, run_id: &str) -> v1::GetRunResponse {
        self.runs()
            .get_run(v1::GetRunRequest { run_id: run_id.to_owned() })
            .await
            .expect("the run")
            .into_inner()
    }

    /// Watches a run to its end; the events are all that it has.
    pub async fn events(&self, run_id: &str) -> Vec<v1::RunEvent> {
        let request = v1::WatchRunRequest {
            run_id: run_id.to_owned(),
            after_sequence: 0,
        };
        let mut stream = self.runs().watch_run(request).await.expect("a watch").into_inner();
        let mut events = Vec::new();
        while let Some(message) = stream.message().await.expect("an event") {
            events.push(message.event.expect("the event in the message"));
        }
        events
    }

    /// Watches a run to its end, and returns it.
    pub async fn finished(&self, run_id: &str) -> v1::GetRunResponse {
        self.events(run_id).await;
        self.get(run_id).await
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A request for a run of `octo/hello`.
pub fn request(feature_key: &str) -> v1::CreateRunRequest {
    v1::CreateRunRequest {
        repository: "octo/hello".to_owned(),
        feature_key: feature_key.to_owned(),
        ..Default::default()
    }
}

async fn serve(database: &TestDb, artifacts: &TempDir, timers: Timers, volume_prefix: &str, shutdown: &CancellationToken) -> Running {
    let config = config(database, artifacts, timers, volume_prefix);
    moorline_server::start(config, shutdown.clone()).await.expect("a server")
}

fn config(database: &TestDb, artifacts: &TempDir, timers: Timers, volume_prefix: &str) -> Config {
    let listen = "127.0.0.1:0".parse().expect("an address");
    let database = Database::External(SecretString::from(database.url().to_owned()));
    Config {
        timers,
        volume_prefix: volume_prefix.to_owned(),
        ..Config::new(listen, database, artifacts.path().to_owned())
    }
}

fn connect(running: &Running) -> Channel {
    Channel::from_shared(format!("http://{}", running.address))
        .expect("an endpoint")
        .connect_lazy()
}
