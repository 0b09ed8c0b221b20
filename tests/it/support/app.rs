//! A server on a database of its own, and clients of it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use moorline_proto::v1::{
    self, fleet_service_client::FleetServiceClient, run_service_client::RunServiceClient, shard_service_client::ShardServiceClient,
    skill_service_client::SkillServiceClient, worker_service_client::WorkerServiceClient,
};
use moorline_server::{
    Config, Running,
    config::Database,
    domain::{retry::Policy, skill},
    flow::Timers,
    session::Limits,
};
use moorline_tests::{
    db::TestDb,
    proxy::{Proxy, Target},
};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::{Process, process};

/// See the module. Stops when dropped.
pub struct TestApp {
    pub database: Arc<TestDb>,
    pub artifacts: Arc<TempDir>,
    pub timers: Timers,
    /// How the server finds the database: as the test does, or by a way that the test can break.
    database_url: String,
    volume_prefix: String,
    /// Which skills carry which stages, in the database's beginning: none, unless a test asks for them.
    skills: skill::Policy,
    channel: Channel,
    server: Option<Server>,
}

/// Where the server runs.
enum Server {
    /// In the test's own process.
    Here { running: Running, shutdown: CancellationToken },
    /// In one that can be killed.
    Apart { process: Process, address: SocketAddr },
    /// In the test's own process, beside another, with threads of its own.
    Peer {
        running: Running,
        shutdown: CancellationToken,
        runtime: tokio::runtime::Runtime,
    },
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
            retry: Policy {
                base: Duration::from_millis(100),
                ..Policy::default()
            },
            ..Timers::default()
        };
        Self::with(timers, prefix).await
    }

    async fn with(timers: Timers, volume_prefix: &str) -> Self {
        let database = TestDb::new().await.expect("a test database");
        let url = database.url().to_owned();
        Self::on(database, url, timers, volume_prefix).await
    }

    /// The same with stages that go by skills as this policy says.
    pub async fn with_skills(skills: skill::Policy) -> Self {
        let timers = Timers {
            poll: Duration::from_millis(100),
            ..Timers::default()
        };
        let database = TestDb::new().await.expect("a test database");
        let url = database.url().to_owned();
        let mut app = Self::without_server(database, url, timers, "codex_auth_");
        app.skills = skills;
        app.serve().await;
        app
    }

    /// The same on a database that it finds at `url`.
    pub async fn on(database: TestDb, url: String, timers: Timers, volume_prefix: &str) -> Self {
        let mut app = Self::without_server(database, url, timers, volume_prefix);
        app.serve().await;
        app
    }

    /// A server in a process of its own, which [`TestApp::kill`] kills.
    pub async fn apart() -> Self {
        let database = TestDb::new().await.expect("a test database");
        let url = database.url().to_owned();
        Self::apart_on(database, url).await
    }

    /// The same on a database that it finds at `url`.
    pub async fn apart_on(database: TestDb, url: String) -> Self {
        let mut app = Self::without_server(database, url, Timers::default(), "codex_auth_");
        app.serve_apart().await;
        app
    }

    /// A server on a database that the test has started itself, in a process of its own.
    pub fn of(database: TestDb, artifacts: TempDir, (process, address): (Process, SocketAddr)) -> Self {
        let url = database.url().to_owned();
        let mut app = Self::without_server(database, url, Timers::default(), "codex_auth_");
        app.artifacts = Arc::new(artifacts);
        app.server = Some(Server::Apart { process, address });
        app.channel = channel(&app.url());
        app
    }

    fn without_server(database: TestDb, database_url: String, timers: Timers, volume_prefix: &str) -> Self {
        Self {
            database: Arc::new(database),
            artifacts: Arc::new(tempfile::tempdir().expect("a folder")),
            timers,
            database_url,
            volume_prefix: volume_prefix.to_owned(),
            skills: skill::Policy {
                use_skills: false,
                ..skill::Policy::default()
            },
            channel: channel("http://127.0.0.1:1"),
            server: None,
        }
    }

    async fn serve(&mut self) {
        let shutdown = CancellationToken::new();
        let running = moorline_server::start(self.config(), shutdown.clone()).await.expect("a server");
        self.server = Some(Server::Here { running, shutdown });
        self.channel = channel(&self.url());
    }

    async fn serve_apart(&mut self) {
        let (process, address) = process::server(&self.database_url, self.artifacts.path()).await;
        self.server = Some(Server::Apart { process, address });
        self.channel = channel(&self.url());
    }

    fn config(&self) -> Config {
        let database = Database::External(SecretString::from(self.database_url.clone()));
        Config {
            http_listen: Some("127.0.0.1:0".parse().expect("an address")),
            timers: self.timers,
            volume_prefix: self.volume_prefix.clone(),
            gemini_volume: self.gemini_volume(),
            skills: self.skills.clone(),
            ..Config::new(
                "127.0.0.1:0".parse().expect("an address"),
                database,
                self.artifacts.path().to_owned(),
            )
        }
    }

    /// Name of Gemini's volume: one of its own where the others have that too.
    pub fn gemini_volume(&self) -> String {
        match self.volume_prefix.as_str() {
            "codex_auth_" => "gemini_auth".to_owned(),
            prefix => format!("{prefix}gemini"),
        }
    }

    /// Another server on the same database, with threads of its own, so that it can crash.
    pub async fn peer(&self) -> Self {
        self.peer_with(Limits::default()).await
    }

    /// The same with other limits on Hellos.
    pub async fn peer_with(&self, admission: Limits) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let shutdown = CancellationToken::new();
        let config = Config {
            admission,
            ..self.config()
        };
        let started = runtime.spawn(moorline_server::start(config, shutdown.clone()));
        let running = started.await.expect("no panic").expect("a server");
        let url = format!("http://{}", running.address);
        Self {
            database: Arc::clone(&self.database),
            artifacts: Arc::clone(&self.artifacts),
            timers: self.timers,
            database_url: self.database_url.clone(),
            volume_prefix: self.volume_prefix.clone(),
            skills: self.skills.clone(),
            channel: channel(&url),
            server: Some(Server::Peer {
                running,
                shutdown,
                runtime,
            }),
        }
    }

    /// Ends a peer as a crash does: nothing is stored, told or taken back.
    pub fn crash(mut self) {
        match self.server.take() {
            Some(Server::Peer { runtime, .. }) => runtime.shutdown_background(),
            _ => panic!("the server is no peer"),
        }
    }

    /// Tells a server to go, as SIGTERM does, without waiting for its end.
    pub fn terminate(&self) {
        match &self.server {
            Some(Server::Here { shutdown, .. } | Server::Peer { shutdown, .. }) => shutdown.cancel(),
            _ => panic!("the server has a process of its own, or has ended"),
        }
    }

    /// Tells a peer to go, and waits until it has.
    pub async fn stop(mut self) {
        self.terminate();
        match self.server.take() {
            Some(Server::Peer { running, runtime, .. }) => {
                running.finished().await.expect("a clean stop");
                runtime.shutdown_background();
            }
            _ => panic!("the server is no peer"),
        }
    }

    /// Stops the server and starts another on the same database and another port.
    pub async fn restart(&mut self) {
        match self.server.take() {
            Some(Server::Apart { mut process, .. }) => {
                process.kill().await;
                self.serve_apart().await;
            }
            Some(Server::Here { running, shutdown }) => {
                shutdown.cancel();
                running.finished().await.expect("a clean stop");
                self.serve().await;
            }
            Some(Server::Peer { .. }) => panic!("start another peer"),
            None => self.serve_apart().await,
        }
    }

    /// Kills a server that has a process of its own, as `kill -9` does. [`TestApp::restart`] starts another.
    pub async fn kill(&mut self) {
        match self.server.take() {
            Some(Server::Apart { mut process, .. }) => process.kill().await,
            _ => panic!("the server is no process of its own"),
        }
    }

    /// The process of a server that has one of its own.
    pub fn process(&self) -> &Process {
        match &self.server {
            Some(Server::Apart { process, .. }) => process,
            _ => panic!("the server is no process of its own"),
        }
    }

    /// `host:port` of the server.
    pub fn address(&self) -> String {
        match self.server.as_ref().expect("a running server") {
            Server::Here { running, .. } | Server::Peer { running, .. } => running.address.to_string(),
            Server::Apart { address, .. } => address.to_string(),
        }
    }

    /// The server's address as clients take it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Where the server answers HTTP, if it runs in the test's own process.
    pub fn http(&self) -> String {
        match self.server.as_ref().expect("a running server") {
            Server::Here { running, .. } | Server::Peer { running, .. } => format!("http://{}", running.http_address.expect("HTTP")),
            Server::Apart { .. } => panic!("the server has a process of its own"),
        }
    }

    /// A line to the server that the test can break.
    pub async fn proxy(&self) -> Proxy {
        Proxy::start(Target::Tcp(self.address())).await.expect("a proxy")
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

    pub fn skills(&self) -> SkillServiceClient<Channel> {
        SkillServiceClient::new(self.channel.clone())
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
        match self.server.take() {
            Some(Server::Here { shutdown, .. }) => shutdown.cancel(),
            Some(Server::Peer { shutdown, runtime, .. }) => {
                shutdown.cancel();
                runtime.shutdown_background();
            }
            Some(Server::Apart { .. }) | None => {}
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

/// A connection of its own, dialled when it is first used.
pub fn channel(url: &str) -> Channel {
    Channel::from_shared(url.to_owned()).expect("an endpoint").connect_lazy()
}
