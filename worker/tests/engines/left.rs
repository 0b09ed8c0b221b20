//! What is left on Docker, and what of it is nobody's.

use std::{process::Command, time::Duration};

use moorline_worker::engine::{Engine as _, docker::DockerEngine};

use crate::world::{USER, World, image};

fn docker(args: &[&str]) -> String {
    let done = Command::new("docker").args(args).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn volumes(tag: &str) -> Vec<String> {
    let listed = docker(&["volume", "ls", "-q", "--filter", &format!("name={tag}")]);
    let mut names: Vec<String> = listed.split_whitespace().map(|name| name.replace(tag, "")).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn only_volumes_of_short_commands_go_and_never_one_with_a_login() {
    let Some(world) = World::docker().await else { return };
    let name = |what: &str| format!("{}-{what}", world.tag);
    world.engine.create_volume(&name("auth"), USER).await.unwrap();
    docker(&["volume", "create", &name("foreign")]);
    let (short, own) = ("moorline.kind=short", format!("moorline.test={}", world.tag));
    for what in ["short", "used"] {
        docker(&["volume", "create", "--label", short, "--label", &own, &name(what)]);
    }
    docker(&["volume", "create", "--label", short, &name("others")]);
    docker(&[
        "create",
        "--name",
        &name("user"),
        "-v",
        &format!("{}:/v", name("used")),
        &image(),
        "true",
    ]);
    let all = ["-auth", "-foreign", "-others", "-short", "-used"];
    // Others' stay: they may be at work with them at this moment.
    let engine = DockerEngine::connect(USER, &image()).unwrap().sweeping_only(&own);
    engine.sweep(Duration::from_secs(3600)).await.unwrap();
    assert_eq!(volumes(&world.tag), all, "they are young");
    let removed = engine.sweep(Duration::ZERO).await.unwrap();
    assert_eq!(removed, [name("short")]);
    assert_eq!(volumes(&world.tag), ["-auth", "-foreign", "-others", "-used"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_counts_as_ended_from_its_end_on() {
    let Some(world) = World::docker().await else { return };
    let ended = async |age| {
        let ended = world.engine.ended(age).await.unwrap();
        ended
            .into_iter()
            .filter(|container| container.labels.get("moorline.test") == Some(&world.tag))
            .collect::<Vec<_>>()
    };
    let at_work = world.engine.start(&world.script("sleep 1000")).await.unwrap();
    let container = world.engine.start(&world.script("true")).await.unwrap();
    world.engine.wait(&container).await.unwrap();
    assert_eq!(ended(Duration::ZERO).await, std::slice::from_ref(&container));
    assert_eq!(ended(Duration::from_secs(3600)).await, []);
    for container in [at_work, container] {
        world.engine.remove(&container).await.unwrap();
    }
}
