//! What only local processes have.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use moorline_worker::engine::{Engine, Error, Exit};
use rustix::process::{Pid, Signal, kill_process};

use crate::world::{World, eventually, process};

/// Where a copy of this program is to start a job, when another test has started it for that.
const START_IN: &str = "MOORLINE_TEST_START_IN";

#[tokio::test]
async fn as_a_copy_started_by_another_test_it_starts_a_job_and_hangs() {
    let Some(root) = std::env::var_os(START_IN).map(PathBuf::from) else {
        return;
    };
    let mut spec = World::process().script("echo $$ >pid.new; mv pid.new pid; read line <pipe; echo $line; exit 4");
    spec.name = "outlives".to_owned();
    for (field, name) in [(&mut spec.stdout, "out"), (&mut spec.stderr, "err")] {
        *field = Some(root.join("run").join(name));
    }
    spec.workdir = Some(root.join("run"));
    spec.run_dir = spec.workdir.clone();
    process(&root).start(&spec).await.unwrap();
    fs::write(root.join("started"), "").unwrap();
    std::future::pending().await
}

/// A worker's process that has started a job in a world.
async fn starter(world: &World) -> Child {
    let root = world.root.path();
    let mut copy = Command::new(std::env::current_exe().unwrap());
    copy.args(["--exact", "process::as_a_copy_started_by_another_test_it_starts_a_job_and_hangs"]);
    let copy = copy.env(START_IN, root).stdout(Stdio::null()).spawn().unwrap();
    eventually("the job is started", async || root.join("started").exists().then_some(())).await;
    copy
}

/// A number in a line of `/proc/<pid>/status`, or a word.
fn status(pid: &str, name: &str) -> String {
    let status = fs::read_to_string(Path::new("/proc").join(pid).join("status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn a_job_outlives_the_kill_of_its_worker() {
    let world = World::process();
    let pipe = world.pipe("pipe");
    let mut worker = starter(&world).await;
    let container = world.engine.list(&[].into()).await.unwrap().pop().unwrap();
    worker.kill().unwrap();
    worker.wait().unwrap();
    let pid = eventually("the job is up", async || fs::read_to_string(world.file("pid")).ok()).await;
    let pid = pid.trim();
    // Time for whatever would end it with its worker: a signal, or the end of a pipe that it writes to.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(status(pid, "State:"), "S");
    let supervisor = fs::read_to_string(world.root.path().join("processes/outlives/supervisor")).unwrap();
    let supervisor = supervisor.split(' ').next().unwrap();
    for open in ["0", "1", "2"] {
        let file = fs::read_link(format!("/proc/{supervisor}/fd/{open}")).unwrap();
        assert_eq!(file, Path::new("/dev/null"), "nothing leads back to the worker");
    }
    fs::write(pipe, "go\n").unwrap();
    assert_eq!(world.engine.wait(&container).await.unwrap(), Exit::Code(4));
    assert_eq!(world.read("out"), "go\n");
    world.engine.remove(&container).await.unwrap();
}

#[tokio::test]
async fn a_process_that_got_the_number_of_a_supervisor_is_not_taken_for_it() {
    let world = World::process();
    let container = world.engine.start(&world.script("exit 3")).await.unwrap();
    assert_eq!(world.engine.wait(&container).await.unwrap(), Exit::Code(3));
    // As after the kernel has given the number away: the note is of the old process, with its start time.
    let note = world.root.path().join("processes").join(&container.id).join("supervisor");
    let noted = fs::read_to_string(&note).unwrap();
    let mut bystander = Command::new("sleep").arg("1000").spawn().unwrap();
    let (old, new) = (noted.split(' ').next().unwrap(), bystander.id().to_string());
    let fields: Vec<&str> = noted.split(' ').map(|field| if field == old { &new } else { field }).collect();
    fs::write(&note, fields.join(" ")).unwrap();

    let engine = world.again();
    let waited = tokio::time::timeout(Duration::from_secs(5), engine.wait(&container)).await;
    assert_eq!(waited.expect("it has ended").unwrap(), Exit::Code(3));
    engine.stop(&container, Duration::ZERO).await.unwrap();
    engine.remove(&container).await.unwrap();
    assert!(bystander.try_wait().unwrap().is_none(), "the bystander was ended");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[tokio::test]
async fn a_job_of_another_boot_has_ended_whoever_has_its_number() {
    let world = World::process();
    let container = world.engine.start(&world.script("sleep 1000")).await.unwrap();
    let record = world.root.path().join("processes").join(&container.id).join("record.json");
    let written = fs::read_to_string(&record).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let other = written.replace(boot.trim(), "another-boot");
    assert_ne!(written, other);
    fs::write(&record, other).unwrap();
    assert_eq!(world.again().wait(&container).await.unwrap(), Exit::Signal(9));
    fs::write(&record, written).unwrap();
    world.engine.remove(&container).await.unwrap();
}

#[tokio::test]
async fn a_job_whose_supervisor_was_killed_was_killed() {
    let world = World::process();
    let container = world.engine.start(&world.script("sleep 1000")).await.unwrap();
    let noted = std::fs::read_to_string(world.root.path().join("processes").join(&container.id).join("supervisor")).unwrap();
    let pid = noted.split(' ').next().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    assert_eq!(world.engine.wait(&container).await.unwrap(), Exit::Signal(9));
    world.engine.remove(&container).await.unwrap();
}

#[tokio::test]
async fn a_link_to_a_volume_goes_with_its_container_and_the_volume_stays() {
    let world = World::process();
    let volume = world.new_volume().await;
    let mut spec = world.script("touch home/.codex/kept");
    spec.volume = Some(world.mount(&volume));
    assert_eq!(world.run(&spec).await, Exit::Code(0));
    assert!(!world.run_dir().join("home/.codex").exists());
    assert!(world.engine.read_volume_file(&volume, "kept").await.unwrap().is_some());
}

#[tokio::test]
async fn a_name_that_leaves_the_folder_is_refused() {
    let world = World::process();
    for name in ["..", "../etc", "/etc", ""] {
        assert!(matches!(world.engine.volume(name).await, Err(Error::Other { .. })), "{name}");
    }
    let volume = world.new_volume().await;
    assert!(world.engine.read_volume_file(&volume, "../../x").await.is_err());
}

#[tokio::test]
async fn a_second_job_of_the_same_name_is_refused() {
    let world = World::process();
    let spec = world.script("true");
    let container = world.engine.start(&spec).await.unwrap();
    world.engine.wait(&container).await.unwrap();
    assert!(process(world.root.path()).start(&spec).await.is_err());
    world.engine.remove(&container).await.unwrap();
}
