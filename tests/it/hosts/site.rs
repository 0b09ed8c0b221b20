//! A server and a fleet on hosts of their own.

use std::time::Duration;

use moorline_proto::v1;
use moorline_tests::{
    db::{PrivateCluster, TestDb},
    proxy::Target,
};
use moorline_worker::config::Config;
use tempfile::TempDir;

use super::network::Network;
use crate::support::{Fleet, Process, TestApp, fleet::open_folder, process};

/// See the module. The processes end before their hosts are removed.
pub struct Site {
    pub fleet: Fleet,
    pub network: Network,
    /// What each host keeps on its disk.
    disks: Vec<(&'static str, TempDir)>,
    _cluster: Option<PrivateCluster>,
}

impl Site {
    /// A server on one host, with the defaults' proportions around this lease, and two more hosts. `None` where hosts can't be made.
    pub async fn new(lease: Duration) -> Option<Self> {
        let hosts = ["east", "west"];
        let network = Network::new(&hosts)?;
        let (database, cluster) = database().await;
        let artifacts = tempfile::tempdir().expect("a folder");
        let mut variables = times(lease);
        variables.extend([
            ("MOORLINE_LISTEN", format!("{}:7420", network.server())),
            ("MOORLINE_HTTP_LISTEN", "off".to_owned()),
            ("MOORLINE_INSECURE", "1".to_owned()),
            ("MOORLINE_DATABASE_URL", database.url().to_owned()),
            ("SPEC_WORKFLOW_ARTIFACT_ROOT", artifacts.path().display().to_string()),
        ]);
        let server = process::listening(Process::start_by(network.on_server(process::SERVER), &variables)).await;
        let app = TestApp::of(database, artifacts, server);
        let fleet = Fleet::of_at(app, "work", &format!("{}:0", network.test())).await;
        Some(Self {
            fleet,
            network,
            disks: hosts.map(|host| (host, open_folder())).into(),
            _cluster: cluster,
        })
    }

    /// A worker's settings on a host, whose disk it has.
    pub fn on(&self, host: &str, mut config: Config) -> Config {
        let (_, disk) = self.disks.iter().find(|(name, _)| *name == host).expect("a host of this site");
        config.work_root = disk.path().to_owned();
        config.volume_root = disk.path().join("volumes");
        config
    }

    /// Starts a worker on a host; the server has welcomed it.
    pub async fn worker(&self, host: &str, config: &Config, more: &[(&'static str, String)]) -> Process {
        let worker = self.standby(host, config, more);
        worker.says("the server has welcomed this worker").await;
        worker
    }

    /// The same for one that the server need not welcome.
    pub fn standby(&self, host: &str, config: &Config, more: &[(&'static str, String)]) -> Process {
        let mut variables = process::worker_variables(config);
        variables.extend([
            ("MOORLINE_CONNECT_SECONDS", "1".to_owned()),
            ("MOORLINE_WELCOME_SECONDS", "4".to_owned()),
            ("MOORLINE_REDIAL_SECONDS", "1".to_owned()),
            ("MOORLINE_REDIAL_LATE_SECONDS", "1".to_owned()),
        ]);
        variables.extend(more.iter().cloned());
        Process::start_by(self.network.on(host, process::WORKER), &variables)
    }
}

/// The attempts of a stage: number, status, what it failed of, and who had it.
pub fn attempts(view: &v1::GetRunResponse, stage: v1::Stage) -> Vec<(i32, v1::JobStatus, String, String)> {
    let code = |job: &v1::Job| job.failure.as_ref().map(|failure| failure.code.clone()).unwrap_or_default();
    let jobs = view.jobs.iter().filter(|job| job.stage() == stage);
    jobs.map(|job| (job.attempt, job.status(), code(job), job.worker_name.clone()))
        .collect()
}

/// A database that a server on another host reaches: by its socket, which is a file.
async fn database() -> (TestDb, Option<PrivateCluster>) {
    let shared = TestDb::new().await.expect("a test database");
    if matches!(shared.target(), Ok(Target::Unix(_))) {
        return (shared, None);
    }
    let cluster = PrivateCluster::start().await.expect("a Postgres");
    (cluster.database().await.expect("a test database"), Some(cluster))
}

/// Times around a lease: a line is found dead after a second and a half.
fn times(lease: Duration) -> Vec<(&'static str, String)> {
    let time = |name, millis: u128| (name, format!("{millis}ms"));
    vec![
        time("MOORLINE_LEASE", lease.as_millis()),
        time("MOORLINE_PING_INTERVAL", 500),
        time("MOORLINE_PING_TIMEOUT", 1500),
        time("MOORLINE_POLL_INTERVAL", 100),
        time("MOORLINE_SERVER_TIMEOUT", 3000),
        time("MOORLINE_ACCEPT_DEADLINE", 3000),
        time("MOORLINE_HELLO_DEADLINE", 3000),
        time("MOORLINE_RETRY_BASE", 100),
    ]
}
