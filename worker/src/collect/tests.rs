//! Work roots with what workers leave in them.

use std::{collections::BTreeSet, fs, path::Path};

use tempfile::TempDir;

use super::*;
use crate::{
    engine::{ContainerSpec, Limits, process::ProcessEngine},
    stage::{Owner, RunFolder},
    testing::{Idle, sh},
};

/// The id that stands for a name here: folders are named by ids, and no other is touched.
fn id(name: &str) -> String {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    uuid::Uuid::from_bytes(bytes).to_string()
}

/// The name that an id stands for; another name is as it is.
fn name(of: &str) -> String {
    let named = |id: uuid::Uuid| String::from_utf8_lossy(id.as_bytes()).trim_end_matches('\0').to_owned();
    uuid::Uuid::try_parse(of).map_or_else(|_| of.to_owned(), named)
}

/// A work root of workers whose settings these are.
struct Place {
    dir: TempDir,
    config: Config,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::try_parse_from(["moorline-worker", "--workspace-max-age", "2h"]).unwrap();
        (config.work_root, config.volume_root) = (dir.path().to_owned(), dir.path().join("volumes"));
        Self { dir, config }
    }

    /// Folders of a run and a job, so old, with so much in them.
    fn job(&self, run: &str, job: &str, hours: u32, mib: u32) -> RunFolder {
        let folder = RunFolder::below(self.dir.path(), &id(run), &id(job));
        folder.create_private().unwrap();
        let owner = Owner {
            job_id: id(job),
            lease_token: 1,
        };
        folder.create_shared("1000:1000", &owner).unwrap();
        self.sh(&format!(
            "head -c {mib}M /dev/zero >runs/@{run}/repo/much; touch -d '-{hours} hours' runs/@{run} git/@{run}/@{job}"
        ));
        folder
    }

    /// Runs a script in which `@name` is the id that stands for a name.
    fn sh(&self, script: &str) {
        let mut parts = script.split('@');
        let first = parts.next().unwrap_or_default().to_owned();
        let script = parts.fold(first, |script, part| {
            let end = part.find(|c: char| c != '-' && !c.is_ascii_alphanumeric()).unwrap_or(part.len());
            // What follows an id in a spool is a lease's number.
            let end = part[..end].find(|c: char| c.is_ascii_digit()).map_or(end, |digit| digit - 1);
            script + &id(&part[..end]) + &part[end..]
        });
        sh(self.dir.path(), &script);
    }

    fn left(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.dir.path().join(folder))
            .into_iter()
            .flatten()
            .map(|entry| name(&entry.unwrap().file_name().into_string().unwrap()))
            .collect();
        names.sort();
        names
    }

    async fn collect(&self) -> Collected {
        self.collect_with(Arc::new(Idle)).await
    }

    async fn collect_with(&self, engine: Arc<dyn Engine>) -> Collected {
        Collector::new(&Arc::new(self.config.clone()), &engine).collect().await
    }

    fn found(&self) -> Vec<Folder> {
        let root = self.dir.path();
        folders::find(root, &BTreeSet::new(), &spools::jobs(root).unwrap()).unwrap()
    }
}

#[tokio::test]
async fn what_is_old_and_nobodys_goes_and_all_else_stays() {
    let place = Place::new();
    for (run, hours) in [("old", 3), ("held", 3), ("ended", 3), ("young", 1)] {
        place.job(run, &format!("job-of-{run}"), hours, 1);
    }
    // Of other workers as well: at work, and with an end that the server lacks, of which the record can't even be read.
    place.sh("mkdir -p spool/w1 spool/w2; touch spool/w1/@job-of-held-7.offer; echo x >spool/w2/@job-of-ended-8.finished.damaged");
    place.sh(
        "mkdir -p logins/@a logins/@b volumes/codex_auth_0 trash/@half; touch .moorline-@a .moorline-@b volumes/codex_auth_0/auth.json",
    );
    place.sh("touch -d '-3 hours' logins/@a .moorline-@a volumes/codex_auth_0 volumes/codex_auth_0/auth.json spool/w1 spool/w2");
    let collected = place.collect().await;
    assert_eq!((collected.folders, collected.containers), (4, 0));
    assert!((1 << 20..2 << 20).contains(&collected.bytes), "{collected:?}");
    assert_eq!(place.left("runs"), ["ended", "held", "young"]);
    assert_eq!(place.left("git"), ["ended", "held", "young"]);
    assert_eq!(place.left("owners"), [".lock", "ended", "held", "young"]);
    assert_eq!((place.left("logins"), place.left("trash")), (vec!["b".to_owned()], vec![]));
    assert_eq!(place.left("volumes/codex_auth_0"), ["auth.json"]);
    assert_eq!(place.left("spool"), ["w1", "w2"]);
    let tried = |name| place.dir.path().join(format!(".moorline-{}", id(name)));
    assert!(!tried("a").exists() && tried("b").exists());
    assert_eq!(place.collect().await, Collected::default(), "there is nothing left to do");
}

#[tokio::test]
async fn beyond_the_quota_the_oldest_go_first_and_nobodys_alone() {
    let mut place = Place::new();
    place.config.walls.workspace_age = Duration::from_secs(100 * 3600);
    place.config.walls.workspace_bytes = 5 << 20;
    for (run, hours) in [("a", 9), ("b", 8), ("c", 7), ("d", 6)] {
        place.job(run, &format!("job-{run}"), hours, 2);
    }
    place.sh("mkdir -p spool/w1; touch spool/w1/@job-a-1.offer");
    place.collect().await;
    assert_eq!(place.left("runs"), ["a", "c", "d"], "b is the oldest that is nobody's");
    // What is that young may be on its way out by itself.
    place.sh("touch runs/* git/*/*; head -c 9M /dev/zero >runs/@c/repo/more; touch runs/@c");
    place.collect().await;
    assert_eq!(place.left("runs"), ["a", "c", "d"]);
    place.config.walls.workspace_bytes = 0;
    place.sh("touch -d '-9 hours' runs/* git/*/*");
    place.collect().await;
    assert_eq!(place.left("runs"), ["a", "c", "d"]);
}

#[tokio::test]
async fn a_folder_that_becomes_somebodys_while_it_is_looked_at_stays() {
    let place = Place::new();
    place.job("run", "job", 3, 1);
    let found = place.found();
    assert_eq!(found.len(), 2);
    place.sh("mkdir -p spool/w1; touch spool/w1/@job-8.offer");
    for folder in found {
        assert!(!folder.remove(place.dir.path()).unwrap(), "{folder:?}");
    }
    place.sh("test -f runs/@run/repo/much && test -d git/@run/@job");
}

#[tokio::test]
async fn links_lead_nowhere() {
    let place = Place::new();
    place.sh("mkdir -p elsewhere/repo runs git/@run logins; touch elsewhere/repo/x; touch -d '-3 hours' elsewhere");
    place.sh("ln -s ../elsewhere runs/@link; ln -s ../../elsewhere git/@run/@link; ln -s ../elsewhere logins/@link; touch -h -d '-3 hours' */@link git/@run/@link");
    assert_eq!(place.collect().await.folders, 0);
    assert!(place.dir.path().join("elsewhere/repo/x").exists());
    // Nor do those in a folder that goes.
    let folder = place.job("old", "job", 3, 1);
    place.sh("ln -s ../../../elsewhere runs/@old/repo/out; touch -d '-3 hours' runs/@old");
    assert_eq!(place.collect().await.folders, 2);
    assert!(!folder.root.exists() && place.dir.path().join("elsewhere/repo/x").exists());
}

#[tokio::test]
async fn what_others_keep_in_folders_of_these_names_stays() {
    let mut place = Place::new();
    place.sh(
        "mkdir -p git/project/src runs/2024/data logins/codex_auth_0 trash/mine; touch .moorline-notes git/project/src/x logins/codex_auth_0/auth.json
        touch -d '-3 hours' git/project/src git/project runs/2024 logins/codex_auth_0 trash/mine .moorline-notes",
    );
    let before = crate::testing::sh(place.dir.path(), "find . | sort");
    assert_eq!(place.collect().await, Collected::default());
    assert_eq!(
        crate::testing::sh(place.dir.path(), "find . -path ./owners -prune -o -print | sort"),
        before
    );
    // Nor does what is named as a worker names it where the volumes are.
    place.sh("mkdir -p logins/@volume trash/@volume; touch -d '-3 hours' logins/@volume");
    place.config.volume_root = place.dir.path().join("logins");
    place.collect().await;
    assert_eq!(
        (place.left("logins"), place.left("trash")),
        (vec!["codex_auth_0".to_owned(), "volume".to_owned()], vec!["mine".to_owned()])
    );
    place.sh("mkdir -p trash/@volume; ln -s trash volumes");
    place.config.volume_root = place.dir.path().join("volumes");
    place.collect().await;
    assert_eq!(place.left("trash"), ["mine", "volume"]);
}

#[tokio::test]
async fn folders_of_a_container_stay_and_one_that_ended_long_ago_goes_before_them() {
    let place = Place::new();
    let root = place.dir.path();
    let engine = ProcessEngine::new(&root.join("volumes"), &root.join("processes"), "1000:1000").unwrap();
    let folder = place.job("run", "job", 3, 1);
    let spec = spec(root, &folder, "cat ../go");
    let pipe = folder.root.join("go");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::from_raw_mode(0o666)).unwrap();
    place.sh("chmod 755 . ; chmod 711 runs; chmod 666 runs/@run/go; touch -d '-3 hours' runs/@run");
    let container = engine.start(&spec).await.unwrap();
    let engine: Arc<dyn Engine> = Arc::new(engine);
    place.sh("touch -d '-3 hours' processes/*");
    assert_eq!(place.collect_with(engine.clone()).await, Collected::default(), "it is at work");
    engine.stop(&container, Duration::ZERO).await.unwrap();
    place.sh("touch -d '-1 hours' processes/*");
    assert_eq!(
        place.collect_with(engine.clone()).await,
        Collected::default(),
        "somebody may still come back for it"
    );
    place.sh("touch -d '-3 hours' processes/*; mkdir -p spool/w1; touch spool/w1/@job-1.offer");
    assert_eq!(
        place.collect_with(engine.clone()).await,
        Collected::default(),
        "a worker has it in hand"
    );
    place.sh("rm spool/w1/@job-1.offer");
    let collected = place.collect_with(engine.clone()).await;
    assert_eq!((collected.containers, collected.folders), (1, 2));
    assert!(engine.list(&spec.labels).await.unwrap().is_empty() && !folder.root.exists());
}

fn spec(root: &Path, folder: &RunFolder, script: &str) -> ContainerSpec {
    let (run, job) = (id("run"), id("job"));
    let labels = [
        ("moorline.run", run.as_str()),
        ("moorline.job", &job),
        (ROOT, &root.display().to_string()),
    ];
    ContainerSpec {
        name: "moorline-job-1".to_owned(),
        image: String::new(),
        argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
        env: BTreeMap::new(),
        labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        run_dir: None,
        workdir: Some(folder.repo.clone()),
        volume: None,
        limits: Limits {
            memory_bytes: 64 << 20,
            cpu_millis: 1000,
            pids: 64,
            time: Duration::from_secs(60),
        },
        network: "none".to_owned(),
        stdin: None,
        stdout: None,
        stderr: None,
    }
}
