//! What a container can't do, as seen from inside of one.

use bollard::{
    Docker,
    query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder},
};
use moorline_worker::engine::{
    Engine, Error, Exit,
    docker::{DockerEngine, Policy},
    images::Images,
};

use crate::{
    submits::{BEGIN, Job},
    world::{USER, World, image},
};

async fn says(world: &World, script: &str) -> String {
    assert_eq!(world.run(&world.script(script)).await, Exit::Code(0));
    world.read("out")
}

/// Writes where a program might, and says where it could.
const WRITE: &str = r#"for place in / /bin /etc /usr/bin /usr/local/lib /var/lib /opt /root /home /srv /dev /proc /sys /tmp /var/tmp /run "$PWD"; do
    if (echo x >"$place/written") 2>/dev/null; then echo "$place"; fi
done"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_image_is_read_only_and_scratch_folders_are_in_memory() {
    let Some(world) = World::docker().await else { return };
    let run_dir = world.run_dir().display().to_string();
    let written = says(&world, WRITE).await;
    assert_eq!(written.lines().collect::<Vec<_>>(), ["/tmp", "/var/tmp", "/run", &run_dir]);
    let mounts = says(&world, "cat /proc/mounts").await;
    let options = |place: &str| {
        let line = mounts.lines().find(|line| line.split(' ').nth(1) == Some(place));
        line.unwrap_or_else(|| panic!("{place} in {mounts}"))
            .split(' ')
            .nth(3)
            .unwrap()
            .to_owned()
    };
    assert!(options("/").split(',').any(|option| option == "ro"), "{}", options("/"));
    for (place, size) in [("/tmp", "size=131072k"), ("/var/tmp", "size=32768k"), ("/run", "size=16384k")] {
        let options = options(place);
        for option in ["nosuid", "nodev", size] {
            assert!(
                options.split(',').any(|other| other == option),
                "{place}: {option} is not in {options}"
            );
        }
    }
    // Builds run what they put there.
    says(
        &world,
        "printf '#!/bin/sh\\nexit 0\\n' >/tmp/program; chmod +x /tmp/program; /tmp/program",
    )
    .await;
    // Short commands have the same walls.
    let captured = world.capture(&world.script(WRITE)).await;
    assert_eq!(captured.stdout, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writable_image_is_a_setting() {
    let Some(world) = World::docker().await else { return };
    let policy = Policy {
        read_only: false,
        ..Policy::default()
    };
    let engine = DockerEngine::connect(USER, &image()).unwrap().with_policy(policy);
    let captured = engine.capture(&world.script("cat /proc/mounts"), None).await.unwrap();
    let root = captured.stdout.lines().find(|line| line.split(' ').nth(1) == Some("/")).unwrap();
    assert!(root.contains(" rw,"), "{root}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_memory_can_not_outgrow_its_size() {
    let Some(world) = World::docker().await else { return };
    let script = "dd if=/dev/zero of=/run/much bs=1M count=64 2>&1 | tail -1; stat -c %s /run/much";
    let said = says(&world, script).await;
    assert_eq!(said.lines().last(), Some("16777216"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_cores_processes_and_core_dumps_are_limited() {
    let Some(world) = World::docker().await else { return };
    let limit = |old: &str, new: &str| format!("cat /sys/fs/cgroup/{new} /sys/fs/cgroup/{old} 2>/dev/null | tr ' ' '\\n' | head -1;");
    let script = [
        limit("memory/memory.limit_in_bytes", "memory.max"),
        limit("cpu/cpu.cfs_quota_us", "cpu.max"),
        limit("pids/pids.max", "pids.max"),
        "ulimit -c;".to_owned(),
    ];
    let said = says(&world, &script.concat()).await;
    // What the specification of these tests asks for: 256 MiB, one core, 64 processes.
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["268435456", "100000", "64", "0"]);
    let forks = "for i in $(seq 100); do sleep 20 & done; wait";
    let captured = world.capture(&world.script(forks)).await;
    assert!(captured.stderr.contains("ork"), "a hundred processes were let in: {captured:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_engine_answers_inside() {
    let Some(world) = World::docker().await else { return };
    let said = says(
        &world,
        "find / -xdev -type s 2>/dev/null; ls /run /var/run; env | grep -i docker; grep -i docker.sock /proc/mounts; true",
    )
    .await;
    assert_eq!(
        said.split_whitespace().filter(|word| !word.ends_with(':')).collect::<Vec<_>>(),
        [""; 0],
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_is_the_one_that_was_chosen() {
    let Some(world) = World::docker().await else { return };
    let interfaces = async |network: &str| {
        let mut spec =
            world.script("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' | grep -E '^(lo|eth[0-9]+)$' | sort | tr '\\n' ' '");
        spec.network = network.to_owned();
        assert_eq!(world.run(&spec).await, Exit::Code(0));
        world.read("out")
    };
    assert_eq!(interfaces("none").await.trim(), "lo");
    assert_eq!(interfaces("bridge").await.trim(), "eth0 lo");
    for (name, there) in [("none", true), ("bridge", true), ("moorline-test-no-such-network", false)] {
        assert_eq!(world.engine.has_network(name).await.unwrap(), there, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_is_missing_is_told_to_short_commands_too() {
    let Some(world) = World::docker().await else { return };
    let mut spec = world.script("true");
    spec.network = "moorline-test-no-such-network".to_owned();
    for refused in [
        world.engine.start(&spec).await.map(drop),
        world.engine.capture(&spec, None).await.map(drop),
    ] {
        assert!(
            matches!(&refused, Err(Error::NetworkMissing { network }) if *network == spec.network),
            "{refused:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_not_on_the_list_is_not_run() {
    let Some(world) = World::docker().await else { return };
    let policy = Policy {
        images: Some(Images::only(["moorline-test-other"])),
        ..Policy::default()
    };
    let engine = DockerEngine::connect(USER, &image()).unwrap().with_policy(policy);
    let spec = world.script("true");
    for refused in [
        engine.start(&spec).await.map(drop),
        engine.capture(&spec, None).await.map(drop),
        engine.create_volume(&format!("{}-volume", world.tag), USER).await,
    ] {
        assert!(
            matches!(&refused, Err(Error::ImageNotAllowed { image: named }) if *named == image()),
            "{refused:?}"
        );
        let said = refused.unwrap_err().to_string();
        assert!(said.contains("MOORLINE_JOB_IMAGES"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_say_whose_it_is_and_nothing_secret() {
    let Some(world) = World::docker().await else { return };
    let mut spec = world.script("true");
    for (name, value) in [("run", "run-1"), ("job", "job-1"), ("attempt", "2"), ("lease", "7")] {
        spec.labels.insert(format!("moorline.{name}"), value.to_owned());
    }
    let container = world.engine.start(&spec).await.unwrap();
    let docker = Docker::connect_with_defaults().unwrap();
    let config = docker.inspect_container(&container.id, None).await.unwrap().config.unwrap();
    world.engine.remove(&container).await.unwrap();
    let mut labels = config.labels.unwrap();
    assert_eq!(labels.remove("moorline.time-limit").as_deref(), Some("60"));
    assert_eq!(labels.remove("moorline.kind").as_deref(), Some("job"));
    let expected: std::collections::HashMap<_, _> = spec.labels.into_iter().collect();
    assert_eq!(labels, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_shares_nothing_with_its_host() {
    let Some(world) = World::docker().await else { return };
    let docker = Docker::connect_with_defaults().unwrap();
    let container = world.engine.start(&world.script("sleep 1000")).await.unwrap();
    let host = docker.inspect_container(&container.id, None).await.unwrap().host_config.unwrap();
    world.engine.remove(&container).await.unwrap();
    assert_eq!(host.privileged, Some(false));
    assert_eq!((host.pid_mode.as_deref(), host.ipc_mode.as_deref()), (Some(""), Some("private")));
    assert!(host.devices.unwrap_or_default().is_empty() && host.binds.unwrap_or_default().is_empty());
}

/// A container beside the job's, as another run's would be.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_sees_no_process_of_another_container() {
    let Some(world) = World::docker().await else { return };
    let docker = Docker::connect_with_defaults().unwrap();
    let name = format!("{}-neighbour", world.tag);
    let body = bollard::models::ContainerCreateBody {
        image: Some(image()),
        cmd: Some(["sleep", "4242"].map(str::to_owned).to_vec()),
        ..Default::default()
    };
    let options = CreateContainerOptionsBuilder::new().name(&name).build();
    let id = docker.create_container(Some(options), body).await.unwrap().id;
    docker.start_container(&id, None).await.unwrap();
    let said = says(&world, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").await;
    let options = RemoveContainerOptionsBuilder::new().force(true).build();
    docker.remove_container(&id, Some(options)).await.unwrap();
    assert!(said.contains("timeout") && !said.contains("4242"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_to_a_writable_image_counts_as_disk() {
    let Some(world) = World::docker().await else { return };
    let job = Job::new(world, &format!("{BEGIN}head -c 48M /dev/zero >/var/tmp/much; sleep 1000")).await;
    let mut job = job.with_disk(32);
    let policy = Policy {
        read_only: false,
        ..Policy::default()
    };
    job.context.engine = std::sync::Arc::new(DockerEngine::connect(USER, &image()).unwrap().with_policy(policy));
    job.fills_the_disk().await;
}
