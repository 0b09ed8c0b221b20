//! What only Docker has.

use std::path::Path;

use moorline_worker::{
    engine::{Engine, Error, Exit, docker::DockerEngine},
    tree::{Entry, Whole},
};

use crate::world::{USER, World, eventually, image};

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_missing_is_named() {
    let Some(world) = World::docker().await else { return };
    let mut spec = world.script("true");
    spec.image = "moorline-test-no-such-image:1".to_owned();
    let missing = |error| matches!(error, Error::ImageMissing { image } if image == spec.image);
    assert!(missing(world.engine.start(&spec).await.unwrap_err()));
    assert!(missing(world.engine.capture(&spec, None).await.unwrap_err()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_can_not_be_handed_over_does_not_stay() {
    let Some(world) = World::docker().await else { return };
    let name = format!("{}-volume", world.tag);
    let engine = DockerEngine::connect(USER, "moorline-test-no-such-image:1").unwrap();
    let refused = engine.create_volume(&name, USER).await;
    assert!(matches!(refused, Err(Error::ImageMissing { .. })), "{refused:?}");
    assert!(world.engine.volume(&name).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_is_missing_is_named_with_its_setting() {
    let Some(world) = World::docker().await else { return };
    let mut spec = world.script("true");
    spec.network = "moorline-test-no-such-network".to_owned();
    let error = world.engine.start(&spec).await.unwrap_err().to_string();
    assert!(
        error.contains("moorline-test-no-such-network") && error.contains("MOORLINE_JOB_NETWORK"),
        "{error}"
    );
    assert_eq!(
        names(&spec.name).await,
        Vec::<String>::new(),
        "what could not start must not stay behind"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_takes_too_much_memory_is_told_so() {
    let Some(world) = World::docker().await else { return };
    let mut spec = world.spec(&["tail", "/dev/zero"]);
    spec.limits.memory_bytes = 32 << 20;
    assert_eq!(world.run(&spec).await, Exit::OutOfMemory);
}

#[tokio::test(flavor = "multi_thread")]
async fn capture_leaves_no_container() {
    let Some(world) = World::docker().await else { return };
    let spec = world.script("true");
    world.capture(&spec).await;
    assert_eq!(names(&spec.name).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_capture_leaves_no_container() {
    let Some(world) = World::docker().await else { return };
    let spec = world.script("sleep 1000");
    let (engine, name) = (world.engine.clone(), spec.name.clone());
    let capture = tokio::spawn(async move { engine.capture(&spec, None).await });
    eventually("the container is there", async || (!names(&name).await.is_empty()).then_some(())).await;
    capture.abort();
    eventually("the container is gone", async || names(&name).await.is_empty().then_some(())).await;
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_told_apart() {
    for endpoint in ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1"] {
        let info = match DockerEngine::at(endpoint, USER, &image()) {
            Ok(engine) => engine.info().await.map(drop),
            Err(error) => Err(error),
        };
        assert!(
            matches!(&info, Err(Error::Unreachable { endpoint: named, .. }) if named == endpoint),
            "{info:?}"
        );
    }
}

/// Containers whose name contains this, as the engine's own API tells.
async fn names(part: &str) -> Vec<String> {
    let docker = bollard::Docker::connect_with_defaults().unwrap();
    let options = bollard::query_parameters::ListContainersOptionsBuilder::new().all(true).build();
    let found = docker.list_containers(Some(options)).await.unwrap();
    let names = found.into_iter().flat_map(|container| container.names.unwrap_or_default());
    names.filter(|name| name.contains(part)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_of_an_image_are_read_without_running_anything_of_it() {
    let Some(world) = World::docker().await else { return };
    let whole = Whole {
        name: "os-release",
        most: 4096,
    };
    let folders = ["lib/no-such-folder", "share/base-files", "bin"];
    let tree = world
        .engine
        .read_folders(&image(), Path::new("/usr"), &folders, whole)
        .await
        .unwrap();
    assert!(!tree.names(Path::new("share/base-files"), 9).unwrap().is_empty());
    assert_eq!(tree.follow(Path::new("lib/no-such-folder")).unwrap().1, Entry::Missing);
    // /usr/bin/sh is a link to dash beside it.
    let (at, found) = tree.follow(Path::new("bin/sh")).unwrap();
    assert!(
        at != Path::new("bin/sh")
            && matches!(
                found,
                Entry::File {
                    executable: true,
                    size: 1..
                }
            ),
        "{at:?} {found:?}"
    );
    assert!(tree.content(&at).unwrap().whole.is_none());
    let none = world
        .engine
        .read_folders("moorline-test-no-such-image:1", Path::new("/usr"), &["bin"], whole)
        .await;
    assert!(matches!(none, Err(Error::ImageMissing { .. })), "{none:?}");
}
