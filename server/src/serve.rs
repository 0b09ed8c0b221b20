//! Wiring and shutdown: what a server is made of, in the order in which it starts and, backwards, stops.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use moorline_telemetry::recorder;
use object_store::local::LocalFileSystem;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::transport::server::TcpIncoming;
use tracing::{info, warn};

use crate::{
    api,
    background::{self, Surroundings},
    config::{Config, Database},
    db, embedded,
    flow::{self, Flow, seed, servers},
    http, metrics,
    session::{Admission, Dispatcher, Registry, Sessions},
};

/// How long open calls have to end once the server shuts down. Streams are told at once; this is for what doesn't listen.
const GRACE: Duration = Duration::from_secs(10);

/// How long the last statement may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why a server could not start, or did not stop cleanly.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was asked to stop before it had started.
    #[error("asked to stop before the server had started")]
    Stopped,
    /// Listening there needs a word.
    #[error(
        "{0} is not a loopback address, and callers are not identified yet: listen on 127.0.0.1, or pass --insecure (MOORLINE_INSECURE=1) if nobody else reaches that network"
    )]
    Insecure(SocketAddr),
    /// The address can't be had.
    #[error("{address} can't be listened on: stop what listens there, or set {variable} to another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What it is set by.
        variable: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The artifact folder can't be used.
    #[error("the artifact folder {folder} can't be used: make it writable, or set SPEC_WORKFLOW_ARTIFACT_ROOT to one that is")]
    Artifacts {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The embedded Postgres.
    #[error(transparent)]
    Embedded(#[from] embedded::Error),
    /// The migrations.
    #[error(transparent)]
    Migrations(#[from] db::migrations::Error),
    /// The pool.
    #[error("the connection pool could not be made")]
    Pool(#[from] db::pool::deadpool_build::Error),
    /// The first statements.
    #[error("the database could not be prepared")]
    Seed(#[from] flow::Error),
    /// The reflection service.
    #[error("the reflection service could not be made")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The HTTP API.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// The HTTP transport.
    #[error("the HTTP transport failed")]
    HttpTransport(#[source] std::io::Error),
    /// The transport.
    #[error("the gRPC transport failed")]
    Transport(#[from] tonic::transport::Error),
    /// A task of the server panicked.
    #[error("the server's own task panicked: its log says where; please report it")]
    Panic(#[from] tokio::task::JoinError),
}

/// A server that listens.
#[derive(Debug)]
pub struct Running {
    /// Where, with the port that was chosen when 0 was asked for.
    pub address: SocketAddr,
    /// Where HTTP listens, if it does.
    pub http_address: Option<SocketAddr>,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    /// Waits until the server has shut down, which it does when the token that it was started with is cancelled.
    ///
    /// # Errors
    ///
    /// When it ended otherwise.
    pub async fn finished(self) -> Result<(), Error> {
        self.task.await?
    }
}

/// Starts a server; it listens when this returns.
///
/// # Errors
///
/// When a part can't start; then all that was started is stopped again.
pub async fn start(config: Config, shutdown: CancellationToken) -> Result<Running, Error> {
    // Postgres may take its time to start, to answer, or to give the lock of the migrations; what was begun then ends with its owner.
    let asked_to_stop = shutdown.clone();
    tokio::select! {
        biased;
        () = asked_to_stop.cancelled() => Err(Error::Stopped),
        started = begin(config, shutdown) => started,
    }
}

async fn begin(config: Config, shutdown: CancellationToken) -> Result<Running, Error> {
    let (listener, address) = listen(&config, config.listen, "MOORLINE_LISTEN").await?;
    let http = match config.http_listen {
        Some(wanted) => Some(listen(&config, wanted, "MOORLINE_HTTP_LISTEN").await?),
        None => None,
    };
    let http_address = http.as_ref().map(|(_, address)| *address);
    let http = http.map(|(listener, address)| Http {
        listener,
        hosts: http::Hosts {
            listen: address.ip(),
            names: config.http_hosts.clone(),
        },
    });

    let (database, cluster) = open(&config.database).await?;
    let groups = TaskTracker::new();
    let prepared = prepare(&config, &database, &groups).await;
    let flow = match (prepared, cluster) {
        (Ok(flow), cluster) => (flow, cluster),
        (Err(error), Some(cluster)) => {
            cluster.stop().await?;
            return Err(error);
        }
        (Err(error), None) => return Err(error),
    };
    let (flow, cluster) = flow;
    // Before the first session, whose server must be known to be alive.
    let hostname = hostname();
    if let Err(error) = servers::beat(&flow, &hostname, &address.to_string()).await {
        if let Some(cluster) = cluster {
            cluster.stop().await?;
        }
        return Err(error.into());
    }
    info!(%address, http_address = http_address.map(tracing::field::display), server_id = %flow.server_id, "server listens");
    let around = Surroundings {
        flow,
        registry: Registry::default(),
        database,
        hostname,
        address: address.to_string(),
        tasks: TaskTracker::new(),
        ended: CancellationToken::new(),
    };
    let admission = Arc::new(Admission::new(config.admission));
    let task = tokio::spawn(run(around, admission, (listener, http), shutdown, groups, cluster));
    Ok(Running {
        address,
        http_address,
        task,
    })
}

/// HTTP's part of a server.
struct Http {
    listener: TcpListener,
    hosts: http::Hosts,
}

/// Listens on an address that a variable has set.
async fn listen(config: &Config, wanted: SocketAddr, variable: &'static str) -> Result<(TcpListener, SocketAddr), Error> {
    if !wanted.ip().is_loopback() {
        if !config.insecure {
            return Err(Error::Insecure(wanted));
        }
        warn!(address = %wanted, "INSECURE: this server listens beyond loopback and does not know its callers");
    }
    let failed = |source| Error::Listen {
        address: wanted,
        variable,
        source,
    };
    let listener = TcpListener::bind(wanted).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Brings the schema up to date, for `moorline-server migrate`. Returns what ran.
///
/// # Errors
///
/// When the database can't be reached, or a migration fails.
pub async fn migrate(config: &Config) -> Result<Vec<String>, Error> {
    let (database, cluster) = open(&config.database).await?;
    let ran = db::migrations::run(database.expose_secret()).await;
    if let Some(cluster) = cluster {
        cluster.stop().await?;
    }
    Ok(ran?)
}

async fn open(database: &Database) -> Result<(SecretString, Option<embedded::Cluster>), Error> {
    match database {
        Database::External(url) => Ok((url.clone(), None)),
        Database::Embedded { data_dir } => {
            let cluster = embedded::start(embedded::Options::from_env(data_dir)).await?;
            Ok((SecretString::from(cluster.connection_string(embedded::DATABASE)), Some(cluster)))
        }
    }
}

async fn prepare(config: &Config, database: &SecretString, tasks: &TaskTracker) -> Result<Flow, Error> {
    let ran = db::migrations::run(database.expose_secret()).await?;
    if !ran.is_empty() {
        info!(migrations = ?ran, "schema brought up to date");
    }
    let artifacts_failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Artifacts {
        folder: config.artifact_root.clone(),
        source,
    };
    tokio::fs::create_dir_all(&config.artifact_root)
        .await
        .map_err(|source| artifacts_failed(source.into()))?;
    let artifacts = LocalFileSystem::new_with_prefix(&config.artifact_root)
        .map_err(|source| artifacts_failed(source.into()))?
        .with_fsync(true);
    let flow = Flow::start(
        db::connect(database)?,
        Arc::new(artifacts),
        config.timers,
        &config.volume_prefix,
        tasks,
    );
    seed::seed(&flow, config.shards, &config.volume_prefix, &config.gemini_volume, &config.skills).await?;
    Ok(flow)
}

/// Name of this host, for people.
fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

async fn run(
    around: Surroundings,
    admission: Arc<Admission>,
    listeners: (TcpListener, Option<Http>),
    shutdown: CancellationToken,
    groups: TaskTracker,
    cluster: Option<embedded::Cluster>,
) -> Result<(), Error> {
    background::start(&around);
    if listeners.1.is_some() {
        recorder::begin("moorline-server", env!("CARGO_PKG_VERSION"), metrics::ALL);
        let ended = around.ended.clone();
        around.tasks.spawn(async move { ended.run_until_cancelled(recorder::keep()).await });
    }
    let tasks = TaskTracker::new();
    let sessions = Sessions {
        dispatcher: Dispatcher::new(&around.flow, &tasks, &shutdown),
        flow: around.flow.clone(),
        registry: around.registry.clone(),
        admission,
        tasks,
        shutdown: shutdown.clone(),
    };

    let served = serve(&sessions, listeners, &shutdown, cluster.as_ref()).await;

    // Sessions take themselves out of the database, which must still be there; until they have, their leases are renewed.
    shutdown.cancel();
    left(&sessions.tasks, "sessions").await;
    around.ended.cancel();
    left(&around.tasks, "background tasks").await;
    if let Err(error) = tokio::time::timeout(GOODBYE, servers::goodbye(&sessions.flow)).await {
        warn!(%error, "the other servers were not told; they find out by this one's silence");
    }
    // The groups end when nobody can bring them anything any more.
    let pool = sessions.flow.pool.clone();
    drop(sessions);
    drop(around);
    groups.close();
    if tokio::time::timeout(GRACE, groups.wait()).await.is_err() {
        warn!("not everything was written in time");
    }
    pool.close();
    if let Some(cluster) = cluster {
        cluster.stop().await?;
    }
    info!("server stopped");
    served
}

async fn left(tasks: &TaskTracker, what: &'static str) {
    tasks.close();
    if tokio::time::timeout(GRACE, tasks.wait()).await.is_err() {
        warn!(what, left = tasks.len(), "not everything ended in time");
    }
}

async fn serve(
    sessions: &Sessions,
    (listener, http): (TcpListener, Option<Http>),
    shutdown: &CancellationToken,
    cluster: Option<&embedded::Cluster>,
) -> Result<(), Error> {
    let (health, health_service) = tonic_health::server::health_reporter();
    let reflection = |builder: tonic_reflection::server::Builder<'static>| {
        builder
            .register_encoded_file_descriptor_set(moorline_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let services = api::Services::new(sessions);
    let service = tonic::transport::Server::builder()
        .layer(api::KnowCaller)
        .layer(api::Tell::Grpc)
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .add_service(health_service)
        .add_service(reflection(tonic_reflection::server::Builder::configure()).build_v1()?)
        .add_service(reflection(tonic_reflection::server::Builder::configure()).build_v1alpha()?)
        .add_service(services.runs)
        .add_service(services.shards)
        .add_service(services.workers)
        .add_service(services.fleet)
        .add_service(services.skills)
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(KEEPALIVE)),
            drained(sessions),
        );

    let http = serve_http(sessions, http)?;
    let service = async { tokio::try_join!(async { Ok(service.await?) }, http) };

    tokio::select! {
        served = service => served.map(|_| ()),
        () = watch_health(sessions, health) => Ok(()),
        // Open calls are told by the token; one that doesn't listen can't hold the server up.
        () = async { shutdown.cancelled().await; tokio::time::sleep(GRACE).await } => {
            warn!("open calls were cut");
            Ok(())
        }
        how = async { match cluster { Some(cluster) => cluster.ended().await, None => std::future::pending().await } } => {
            warn!(how, "the embedded Postgres ended; this server ends with it");
            Ok(())
        }
    }
}

/// HTTP goes as gRPC does; a server without it has nothing to wait for.
fn serve_http(sessions: &Sessions, http: Option<Http>) -> Result<impl Future<Output = Result<(), Error>> + use<>, Error> {
    let leaving = sessions.clone();
    let http = match http {
        Some(Http { listener, hosts }) => Some((listener, http::router(sessions, hosts)?)),
        None => None,
    };
    Ok(async move {
        let Some((listener, router)) = http else { return Ok(()) };
        let leaving = async move { drained(&leaving).await };
        http::serve(listener, router, leaving).await.map_err(Error::HttpTransport)
    })
}

/// Ends when the server is told to go and its sessions have left. Until then it listens on, so that its health can be asked for; workers
/// that dial are refused.
async fn drained(sessions: &Sessions) {
    sessions.shutdown.cancelled().await;
    sessions.tasks.close();
    drop(tokio::time::timeout(GRACE / 2, sessions.tasks.wait()).await);
}

/// After this long without traffic the system asks whether a client is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Calls that one connection may have open at once.
const STREAMS_PER_CONNECTION: u32 = 4096;

/// The health of the services is that of the database: without it they can do nothing. A server that is told to go is not serving, long
/// before it is gone: whoever balances load needs the time.
async fn watch_health(sessions: &Sessions, health: tonic_health::server::HealthReporter) {
    loop {
        let leaving = sessions.shutdown.is_cancelled();
        let status = match flow::view::alive(&sessions.flow).await {
            Ok(()) if !leaving => tonic_health::ServingStatus::Serving,
            _ => tonic_health::ServingStatus::NotServing,
        };
        for service in [
            "",
            "moorline.v1.FleetService",
            "moorline.v1.RunService",
            "moorline.v1.ShardService",
            "moorline.v1.SkillService",
            "moorline.v1.WorkerService",
        ] {
            health.set_service_status(service, status).await;
        }
        if leaving {
            std::future::pending::<()>().await;
        }
        tokio::select! {
            () = sessions.shutdown.cancelled() => {}
            () = tokio::time::sleep(sessions.flow.timers.poll) => {}
        }
    }
}
