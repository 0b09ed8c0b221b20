//! What runs where: folders, and the settings of server and workers.

use std::{
    env,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use moorline_server::config::Database;
use moorline_worker::{
    config::{Config as Worker, EngineChoice},
    embedding::Settings as Embedding,
};

use super::{Args, volumes::ShardVolume};
use crate::error::Error;

/// What runs where.
#[derive(Debug)]
pub struct Plan {
    /// Folder of everything.
    pub data_dir: PathBuf,
    /// What all workers have in common.
    pub worker: Worker,
    /// Whether the folder of skills is this one's to fill, for jobs on this machine.
    own_skills: bool,
    server: moorline_server::Config,
}

impl Plan {
    /// Works the settings out of the command line and the environment, and makes the folders.
    pub fn new(args: &Args) -> Result<Self, Error> {
        let data_dir = match &args.data_dir {
            Some(folder) => std::path::absolute(folder).context("can't tell where --data-dir is")?,
            None => default_folder(rustix::process::geteuid().is_root(), |name| env::var_os(name).map(PathBuf::from))?,
        };
        let mut worker = Worker::from_env().context("the workers' settings can't be used")?;
        // What the environment says of these two wins: a job image may want its runs elsewhere.
        if env::var_os("MOORLINE_WORK_ROOT").is_none() {
            worker.work_root = data_dir.join("work");
        }
        if env::var_os("MOORLINE_VOLUME_ROOT").is_none() {
            worker.volume_root = data_dir.join("volumes");
        }
        let own_skills = env::var_os("MOORLINE_SKILLS_ROOT").is_none_or(|root| root.is_empty());
        // Trying things needs no key of a provider; who wants one says so.
        if env::var_os("DEFAULT_EMBEDDING_PROVIDER").is_none_or(|provider| provider.is_empty()) {
            worker.embedding = Embedding::none();
        }
        worker.drain_grace = args.grace;
        worker.engine = args.engine.unwrap_or(worker.engine);
        worker.job_image = args.job_image.clone().unwrap_or(worker.job_image);
        worker.codex_program = args.codex_program.clone().unwrap_or(worker.codex_program);

        let artifacts = data_dir.join("artifacts");
        for folder in [&data_dir, &worker.work_root, &worker.volume_root, &artifacts] {
            make(folder)?;
        }
        let database = Database::Embedded {
            data_dir: data_dir.join("postgres"),
        };
        let mut server = moorline_server::Config::new(args.listen, database, artifacts);
        server.http_listen = args.http_listen.map_or_else(|| Some(next_port(args.listen)), |listen| listen.0);
        server.insecure = args.insecure;
        server.shards = args.shards;
        server.volume_prefix = args.volume_prefix.clone();
        if args.volume_prefix != super::VOLUME_PREFIX {
            // Names of their own, for all volumes.
            server.gemini_volume = format!("{}gemini", args.volume_prefix);
        }
        Ok(Self {
            data_dir,
            worker,
            own_skills,
            server,
        })
    }

    /// Settings of the server.
    pub fn server(&self) -> moorline_server::Config {
        self.server.clone()
    }

    /// Lays this release's skills out where jobs run as processes of this machine. A job image has its own.
    pub fn lay_skills(&mut self, engine: &str) -> Result<(), Error> {
        if engine == "docker" || !self.own_skills {
            return Ok(());
        }
        let root = self.data_dir.join("skills");
        crate::bundle::lay(&root).map_err(|source| Error::File {
            doing: format!("lay skills into {}", root.display()),
            source,
        })?;
        self.worker.skills_root = root;
        Ok(())
    }

    /// Settings of every worker: one a shard, and one for everything that isn't Codex work.
    pub fn workers(&self, endpoint: &str, engine: &str, shards: &[ShardVolume]) -> Vec<Worker> {
        let common = Worker {
            server: endpoint.to_owned(),
            // They must agree, though Docker may come or go while they start.
            engine: if engine == "docker" {
                EngineChoice::Docker
            } else {
                EngineChoice::Process
            },
            ..self.worker.clone()
        };
        let of_shard = |shard: &ShardVolume| Worker {
            name: format!("dev-{}", shard.queue),
            queues: vec![shard.queue.clone()],
            volume: Some(shard.volume.clone()),
            ..common.clone()
        };
        let default = Worker {
            name: "dev-default".to_owned(),
            queues: vec!["default".to_owned()],
            volume: None,
            ..common.clone()
        };
        shards.iter().map(of_shard).chain([default]).collect()
    }
}

/// Where clients on this machine reach the server.
pub fn endpoint(mut address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    format!("http://{address}")
}

/// The XDG data folder. Root's is closed to the users that Postgres and jobs run as, so root gets another.
fn default_folder(root: bool, variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, Error> {
    let absolute = |name| variable(name).filter(|folder| folder.is_absolute());
    let base = absolute("XDG_DATA_HOME")
        .or_else(|| root.then(|| PathBuf::from("/var/lib")))
        .or_else(|| Some(absolute("HOME")?.join(".local/share")))
        .ok_or_else(|| anyhow!("there is no home folder to keep data in: give --data-dir"))?;
    Ok(base.join("moorline/dev"))
}

/// One port higher; a free one where a free one was asked for.
fn next_port(address: SocketAddr) -> SocketAddr {
    let port = match address.port() {
        0 => 0,
        port => port.checked_add(1).unwrap_or(0),
    };
    SocketAddr::new(address.ip(), port)
}

fn make(folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(|source| Error::File {
        doing: format!("make the folder {}", folder.display()),
        source,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn data_lives_where_xdg_says_and_never_in_the_home_of_root() {
        let home = |name: &str| (name == "HOME").then(|| PathBuf::from("/home/ada"));
        let xdg = |name: &str| (name == "XDG_DATA_HOME").then(|| PathBuf::from("/data"));
        assert_eq!(
            default_folder(false, home).expect("a folder"),
            Path::new("/home/ada/.local/share/moorline/dev")
        );
        assert_eq!(default_folder(true, home).expect("a folder"), Path::new("/var/lib/moorline/dev"));
        assert_eq!(default_folder(true, xdg).expect("a folder"), Path::new("/data/moorline/dev"));
        assert!(default_folder(false, |_| None).is_err());
    }

    #[derive(clap::Parser)]
    struct Only {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn the_workers_give_jobs_as_long_as_grace_says() {
        let folder = tempfile::tempdir().expect("a folder");
        let data_dir = folder.path().display().to_string();
        let plan = |more: &[&str]| {
            let words = ["dev", "--data-dir", &data_dir].into_iter().chain(more.iter().copied());
            Plan::new(&Only::try_parse_from(words).expect("arguments").args).expect("a plan")
        };
        let graces = |plan: Plan| -> Vec<u64> {
            let workers = plan.workers("http://127.0.0.1:1", "process", &[]);
            workers.iter().map(|worker| worker.drain_grace.as_secs()).collect()
        };
        assert_eq!(graces(plan(&["--grace", "7s"])), [7]);
        assert_eq!(graces(plan(&[])), [30]);
    }

    #[test]
    fn jobs_on_this_machine_find_the_skills_of_this_release() {
        let folder = tempfile::tempdir().expect("a folder");
        let words = ["dev", "--data-dir", &folder.path().display().to_string()];
        let mut plan = Plan::new(&Only::try_parse_from(words).expect("arguments").args).expect("a plan");
        plan.lay_skills("docker").expect("nothing to do");
        assert_eq!(plan.worker.skills_root, Path::new("/opt/moorline"));
        plan.lay_skills("process").expect("skills");
        assert_eq!(plan.worker.skills_root, folder.path().join("skills"));
        assert!(
            moorline_worker::skill::Registry::read(&plan.worker.skills_root)
                .find("speckit")
                .is_some()
        );
    }

    #[test]
    fn geminis_volume_has_a_name_of_its_own_where_the_others_have_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let data_dir = folder.path().display().to_string();
        let named = |more: &[&str]| {
            let words = ["dev", "--data-dir", &data_dir].into_iter().chain(more.iter().copied());
            let plan = Plan::new(&Only::try_parse_from(words).expect("arguments").args).expect("a plan");
            plan.server().gemini_volume
        };
        assert_eq!(named(&[]), "gemini_auth");
        assert_eq!(named(&["--volume-prefix", "try_"]), "try_gemini");
    }

    #[test]
    fn an_endpoint_is_an_address_that_can_be_dialled() {
        let endpoint = |address: &str| endpoint(address.parse().expect("an address"));
        assert_eq!(endpoint("0.0.0.0:7420"), "http://127.0.0.1:7420");
        assert_eq!(endpoint("[::]:1"), "http://[::1]:1");
        assert_eq!(endpoint("10.0.0.5:9"), "http://10.0.0.5:9");
    }
}
