//! What only local processes have.

use moorline_worker::engine::{Engine, Error, Exit};
use rustix::process::{Pid, Signal, kill_process};

use crate::world::{World, process};

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
