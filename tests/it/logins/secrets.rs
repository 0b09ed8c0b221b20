//! Logins of each kind come and go, runs succeed and fail, agents print all that they know: no secret may be anywhere afterwards but in the
//! volume's own credential.

use std::{
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use moorline_proto::v1;
use moorline_tests::{
    forge::{LocalForge, TOKEN},
    issuer::Decision,
    logins::stack::{Options, Stack},
    repo::{FEATURE, SampleRepository},
};
use moorline_worker::config::EngineChoice;
use uuid::Uuid;

use super::search::{Haystack, Needles, Watch};
use crate::support::{eventually, http::client, left::Volumes, within};

/// A stack whose agents print their environment and their credential, and all that must be found nowhere.
struct Scene {
    stack: Stack,
    forge: LocalForge,
    folder: tempfile::TempDir,
    good_key: String,
    bad_key: String,
    of_agent: String,
}

impl Scene {
    async fn new(engine: EngineChoice, volumes: &str) -> Self {
        let secret = |prefix: &str| {
            format!(
                "{prefix}{}",
                hex::encode(Uuid::now_v7().as_bytes().iter().rev().copied().collect::<Vec<_>>())
            )
        };
        let (folder, forge) = (tempfile::tempdir().unwrap(), LocalForge::start().await.unwrap());
        let of_agent = secret("agent-env-recognisable-");
        let options = Options {
            engine,
            shard: 0,
            volumes: volumes.to_owned(),
            mode: "leak",
            agent: vec![("PROJECT_SECRET", of_agent.clone())],
            programs: vec![
                ("MOORLINE_LOG", "debug".to_owned()),
                ("MOORLINE_HTTP_LISTEN", "127.0.0.1:0".to_owned()),
                ("MOORLINE_HEALTH_LISTEN", "127.0.0.1:0".to_owned()),
                ("GITHUB_TOKEN", TOKEN.to_owned()),
                ("MOORLINE_GITHUB_URL", forge.url().to_owned()),
                ("MOORLINE_GITHUB_API_URL", forge.api_url()),
            ],
        };
        let stack = Stack::start(folder.path(), options).await.unwrap();
        let (good_key, bad_key) = (secret("sk-moorline-good-"), secret("sk-moorline-bad-"));
        stack.issuer.add_key(&good_key);
        Self {
            stack,
            forge,
            folder,
            good_key,
            bad_key,
            of_agent,
        }
    }

    /// Runs the next phase of a repository of its own, and returns how that ended.
    async fn run(&self) -> v1::Run {
        let name = format!("octo/{}", Uuid::now_v7().simple());
        self.forge.add(&name, SampleRepository::builder()).unwrap();
        let request = v1::CreateRunRequest {
            repository: name,
            feature_key: FEATURE.to_owned(),
            codex_queue: self.stack.queue().to_owned(),
            ..Default::default()
        };
        let run_id = self
            .stack
            .runs()
            .create_run(request)
            .await
            .unwrap()
            .into_inner()
            .run
            .unwrap()
            .run_id;
        let ended = within(Duration::from_secs(120), "the end of the run", async || {
            let request = v1::GetRunRequest { run_id: run_id.clone() };
            let run = self.stack.runs().get_run(request).await.unwrap().into_inner().run.unwrap();
            run.finished_at.is_some().then_some(run)
        });
        ended.await
    }

    /// Every kind of login and what comes after it.
    async fn everything(&self) {
        let (issuer, model_says_no) = (&self.stack.issuer, v1::RunStatus::Failed);
        issuer.approve_at_once();
        self.stack.log_in().await.expect("a login by device code");
        let run = self.run().await;
        assert_eq!(run.status(), v1::RunStatus::Succeeded, "{:?}", run.failure);

        let (denied, ()) = tokio::join!(self.stack.log_in(), async {
            issuer.wait_for_a_person();
            let code = eventually("a code", async || issuer.waiting().pop()).await;
            assert!(issuer.decide(&code, Decision::Deny));
        });
        assert!(denied.is_err(), "{denied:?}");

        issuer.approve_at_once();
        self.stack
            .log_in_with(&self.bad_key)
            .await
            .expect("a login with a key that is no good");
        assert_eq!(self.run().await.status(), model_says_no);
        self.stack.log_in_with(&self.good_key).await.expect("a login with a good key");
        let run = self.run().await;
        assert_eq!(run.status(), v1::RunStatus::Succeeded, "{:?}", run.failure);

        self.stack.log_in().await.expect("another login by device code");
        issuer.revoke_all();
        assert_eq!(self.run().await.status(), model_says_no);
    }

    fn needles(&self) -> Needles {
        let mut needles = Needles::default();
        for key in [&self.good_key, &self.bad_key] {
            needles.add("an API key", key);
        }
        needles.add("the forge's token", TOKEN);
        needles.add("a value of CODEX_ENV", &self.of_agent);
        for token in self.stack.issuer.secrets() {
            needles.add("a token of a login", &token);
        }
        needles
    }

    /// What server and workers tell whoever scrapes them; where they listen is in their logs.
    async fn metrics(&self, haystack: &mut Haystack) {
        let listens = regex::Regex::new(r"(?:http_address|the health endpoint listens address)=(\S+)").unwrap();
        let mut scraped = 0;
        for name in ["server", "default", "shard"] {
            let log = fs::read_to_string(self.folder.path().join(format!("{name}.log"))).unwrap();
            let address = listens.captures_iter(&log).last().expect("where it listens")[1].to_owned();
            let told = client()
                .get(format!("http://{address}/metrics"))
                .send()
                .await
                .unwrap()
                .text()
                .await
                .unwrap();
            scraped += told.matches("# TYPE moorline_").count();
            haystack.add(&format!("metrics of {name}"), told.as_bytes());
        }
        assert!(scraped > 30, "only {scraped} metrics");
    }

    /// All files of server and workers, and of agents, but for the credential itself.
    fn files(&self) -> Vec<PathBuf> {
        let own = [
            self.stack.volume_folder().join("auth.json"),
            self.stack.volume_folder().join(".moorline/snapshot/auth.json"),
        ];
        let mut files = Vec::new();
        for root in [self.folder.path(), self.stack.root.path()] {
            collect(root, &mut files);
        }
        files.retain(|file| !own.contains(file));
        files
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(&entry.path(), files),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
}

/// Every row of every table, as text.
async fn database(stack: &Stack, haystack: &mut Haystack) {
    let (client, connection) = tokio_postgres::connect(stack.database(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let tables = "select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables where schemaname = 'public'";
    let tables: Vec<String> = client.query(tables, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert!(tables.len() > 5, "{tables:?}");
    for table in tables {
        for row in client.query(&format!("select t::text from {table} t"), &[]).await.unwrap() {
            haystack.add(&format!("table {table}"), row.get::<_, String>(0).as_bytes());
        }
    }
}

async fn searched(engine: EngineChoice, volumes: &str) {
    let scene = Scene::new(engine, volumes).await;
    let watch = Watch::start(engine == EngineChoice::Docker);
    for process in scene.stack.processes() {
        let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(
            core.split_whitespace().nth(4),
            Some("0"),
            "a crash would write the memory to disk: {core}"
        );
    }
    scene.everything().await;
    let mut haystack = watch.stop().await;
    database(&scene.stack, &mut haystack).await;
    scene.metrics(&mut haystack).await;
    for file in scene.files() {
        let content = fs::read(&file).unwrap_or_default();
        haystack.add(&file.display().to_string(), &content);
        haystack.add("names of files", file.as_os_str().as_bytes());
    }
    let search = scene.needles().search();
    // What proves that the search would find something.
    assert!(haystack.len() > 100, "only {} things were searched", haystack.len());
    if engine != EngineChoice::Docker {
        let credential = fs::read(scene.stack.volume_folder().join("auth.json")).unwrap_or_default();
        assert!(search.first(&credential).is_some(), "the credential itself");
    }
    let found = haystack.search(&search);
    scene.stack.stop().await.unwrap();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_found_outside_of_the_credential_with_local_processes() {
    searched(EngineChoice::Process, "codex_auth_").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_found_outside_of_the_credential_with_containers() {
    // A name that no shard of this machine has.
    let volumes = Volumes(format!("moorline_test_{}_", Uuid::now_v7().simple()));
    searched(EngineChoice::Docker, &volumes.0).await;
}
