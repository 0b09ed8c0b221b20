//! The cases, each for any engine.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt, time::Duration};

use moorline_worker::engine::{Error, Exit};
use secrecy::{ExposeSecret, SecretString};

use crate::world::{World, is_missing_volume};

pub async fn output_and_exit_code_go_where_the_spec_says(world: World) {
    let mut spec = world.script("cat; pwd; echo oh >&2; exit 3");
    fs::write(world.file("in"), "given\n").unwrap();
    spec.stdin = Some(world.file("in"));
    assert_eq!(world.run(&spec).await, Exit::Code(3));
    assert_eq!(world.read("out"), format!("given\n{}\n", world.run_dir().display()));
    assert_eq!(world.read("err"), "oh\n");
}

pub async fn arguments_mean_nothing_to_a_shell(world: World) {
    let nasty = ["printf", "%s\n", "$(id)", "a b;'c\"", "`id`", "-e", ""];
    assert_eq!(world.run(&world.spec(&nasty)).await, Exit::Code(0));
    assert_eq!(world.read("out"), "$(id)\na b;'c\"\n`id`\n-e\n\n");
}

pub async fn the_environment_is_what_the_spec_says(world: World) {
    assert_eq!(world.run(&world.spec(&["env"])).await, Exit::Code(0));
    let out = world.read("out");
    assert!(out.lines().any(|line| line == "GREETING=hello"), "{out}");
    assert!(out.lines().any(|line| line.starts_with("PATH=")), "{out}");
    // Cargo sets it for this test, so a worker would have it too.
    assert!(!out.contains("CARGO"), "{out}");
}

pub async fn a_job_is_the_job_user_without_privileges(world: World) {
    let spec = world.script("id -u; id -g; grep -E '^(CapEff|NoNewPrivs)' /proc/self/status");
    assert_eq!(world.run(&spec).await, Exit::Code(0));
    let out = world.read("out");
    let words: Vec<&str> = out.split_whitespace().collect();
    let me = rustix::process::geteuid();
    let expected = if me.is_root() { 1000 } else { me.as_raw() };
    assert_eq!(words[0], expected.to_string());
    assert_eq!(words[2..], ["CapEff:", "0000000000000000", "NoNewPrivs:", "1"]);
}

pub async fn a_job_that_outlives_its_limit_has_timed_out(world: World) {
    let mut spec = world.script("sleep 1000");
    spec.limits.time = Duration::from_millis(500);
    assert_eq!(world.run(&spec).await, Exit::TimedOut);
}

pub async fn a_code_of_its_own_is_no_time_out(world: World) {
    assert_eq!(world.run(&world.script("exit 124")).await, Exit::Code(124));
}

pub async fn stop_lets_a_job_end_by_itself(world: World) {
    let pipe = world.pipe("pipe");
    let spec = world.script("trap 'echo bye; exit 7' TERM; exec 3>pipe; echo up >&3; sleep 1000 >/dev/null 3>&- & wait");
    let container = world.engine.start(&spec).await.unwrap();
    wait_until_up(pipe).await;
    world.engine.stop(&container, Duration::from_secs(20)).await.unwrap();
    assert_eq!(world.engine.wait(&container).await.unwrap(), Exit::Code(7));
    assert_eq!(world.read("out"), "bye\n");
    world.engine.stop(&container, Duration::ZERO).await.unwrap();
    world.engine.remove(&container).await.unwrap();
}

pub async fn stop_kills_what_does_not_listen(world: World) {
    let pipe = world.pipe("pipe");
    let spec = world.script("trap '' TERM; echo up >pipe; while :; do sleep 1; done");
    let container = world.engine.start(&spec).await.unwrap();
    wait_until_up(pipe).await;
    world.engine.stop(&container, Duration::from_secs(1)).await.unwrap();
    assert_eq!(world.engine.wait(&container).await.unwrap(), Exit::Signal(9));
    world.engine.remove(&container).await.unwrap();
}

pub async fn nothing_survives_the_end_of_a_job(world: World) {
    let pipe = world.pipe("pipe");
    // It leaves the session and the group, and has no terminal to lose.
    let spec = world.script("exec 3>pipe; setsid sleep 1000 >&3 2>&3 & exit 0");
    let container = world.engine.start(&spec).await.unwrap();
    let (_, closed) = up_and_closed(pipe);
    assert_eq!(world.engine.wait(&container).await.unwrap(), Exit::Code(0));
    let closed = tokio::time::timeout(Duration::from_secs(10), closed).await;
    closed.expect("somebody still holds the pipe open").unwrap();
    world.engine.remove(&container).await.unwrap();
}

pub async fn what_clears_its_environment_does_not_survive_its_job(world: World) {
    let pipe = world.pipe("pipe");
    let spec = world.script("exec 3>pipe; env -i sleep 1000 >&3 2>&3 & exit 0");
    let container = world.engine.start(&spec).await.unwrap();
    let (_, closed) = up_and_closed(pipe);
    assert_eq!(world.engine.wait(&container).await.unwrap(), Exit::Code(0));
    let closed = tokio::time::timeout(Duration::from_secs(10), closed).await;
    closed.expect("somebody still holds the pipe open").unwrap();
    world.engine.remove(&container).await.unwrap();
}

pub async fn a_worker_that_starts_anew_finds_its_jobs(world: World) {
    let pipe = world.pipe("pipe");
    let spec = world.script("read line <pipe; echo $line; exit 5");
    let started = world.engine.start(&spec).await.unwrap();
    let engine = world.again();
    let found = engine.list(&spec.labels).await.unwrap();
    assert_eq!(found, [started]);
    let waiting = tokio::spawn({
        let (engine, container) = (engine.clone(), found[0].clone());
        async move { engine.wait(&container).await }
    });
    tokio::fs::write(pipe, "go\n").await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), Exit::Code(5));
    assert_eq!(world.read("out"), "go\n");
    engine.remove(&found[0]).await.unwrap();
}

pub async fn what_has_ended_meanwhile_tells_a_new_worker_how(mut world: World) {
    let pipe = world.pipe("pipe");
    let spec = world.script("exec 3>pipe; echo said; exit 6");
    world.engine.start(&spec).await.unwrap();
    // Nobody waits for it, and who has started it is gone.
    world.engine = world.again();
    up_and_closed(pipe).1.await.unwrap();
    let found = world.engine.list(&spec.labels).await.unwrap();
    assert_eq!(found.len(), 1);
    // Asked twice: a worker may be killed between the answer and its report.
    for _ in 0..2 {
        assert_eq!(world.engine.wait(&found[0]).await.unwrap(), Exit::Code(6));
    }
    assert_eq!(world.read("out"), "said\n");
    world.engine.stop(&found[0], Duration::from_secs(5)).await.unwrap();
    assert_eq!(
        world.engine.wait(&found[0]).await.unwrap(),
        Exit::Code(6),
        "a stop changes nothing now"
    );
    world.engine.remove(&found[0]).await.unwrap();
    assert_eq!(world.engine.list(&spec.labels).await.unwrap(), []);
}

pub async fn a_new_worker_stops_what_an_old_one_has_started(mut world: World) {
    for (script, exit) in [
        ("trap 'exit 7' TERM; echo up >pipe; sleep 1000 & wait", Exit::Code(7)),
        ("trap '' TERM; echo up >pipe; while :; do sleep 1; done", Exit::Signal(9)),
    ] {
        let pipe = world.pipe("pipe");
        let spec = world.script(script);
        world.engine.start(&spec).await.unwrap();
        wait_until_up(pipe.clone()).await;
        world.engine = world.again();
        let found = world.engine.list(&spec.labels).await.unwrap();
        world.engine.stop(&found[0], Duration::from_secs(1)).await.unwrap();
        assert_eq!(world.engine.wait(&found[0]).await.unwrap(), exit);
        world.engine.remove(&found[0]).await.unwrap();
        fs::remove_file(pipe).unwrap();
    }
}

pub async fn a_job_keeps_its_limit_without_its_worker(mut world: World) {
    let pipe = world.pipe("pipe");
    let mut spec = world.script("exec 3>pipe; sleep 1000");
    spec.limits.time = Duration::from_secs(2);
    world.engine.start(&spec).await.unwrap();
    world.engine = world.again();
    // Nothing is asked of the engine until it has ended.
    let closed = tokio::time::timeout(Duration::from_secs(20), up_and_closed(pipe).1).await;
    closed.expect("it runs beyond its limit").unwrap();
    let found = world.engine.list(&spec.labels).await.unwrap();
    assert_eq!(world.engine.wait(&found[0]).await.unwrap(), Exit::TimedOut);
    world.engine.remove(&found[0]).await.unwrap();
}

pub async fn list_takes_all_labels_and_remove_forgets(world: World) {
    let mut spec = world.script("true");
    spec.labels.insert("moorline.job".to_owned(), "j1".to_owned());
    let container = world.engine.start(&spec).await.unwrap();
    world.engine.wait(&container).await.unwrap();
    let with = |job: &str| {
        let mut labels = BTreeMap::from([("moorline.test".to_owned(), world.tag.clone())]);
        labels.insert("moorline.job".to_owned(), job.to_owned());
        labels
    };
    assert_eq!(world.engine.list(&with("j1")).await.unwrap(), std::slice::from_ref(&container));
    assert_eq!(world.engine.list(&with("j2")).await.unwrap(), []);
    world.engine.remove(&container).await.unwrap();
    assert_eq!(world.engine.list(&with("j1")).await.unwrap(), []);
    world.engine.remove(&container).await.unwrap();
}

pub async fn removing_a_running_job_ends_it(world: World) {
    let pipe = world.pipe("pipe");
    let spec = world.script("trap '' TERM; exec 3>pipe; echo up >&3; while :; do sleep 1; done");
    let container = world.engine.start(&spec).await.unwrap();
    let (up, closed) = up_and_closed(pipe);
    up.await.unwrap();
    world.engine.remove(&container).await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(10), closed).await;
    closed.expect("it still runs").unwrap();
    assert_eq!(world.engine.list(&spec.labels).await.unwrap(), []);
}

pub async fn a_missing_volume_is_refused_and_not_created(world: World) {
    let name = format!("{}-nothing", world.tag);
    let mut spec = world.script("true");
    spec.volume = Some(world.mount(&name));
    assert!(is_missing_volume(&world.engine.start(&spec).await.unwrap_err(), &name));
    assert!(is_missing_volume(&world.engine.capture(&spec, None).await.unwrap_err(), &name));
    assert!(is_missing_volume(
        &world.engine.read_volume_file(&name, "auth.json").await.unwrap_err(),
        &name
    ));
    assert!(world.engine.volume(&name).await.unwrap().is_none());
}

pub async fn a_new_volume_belongs_to_its_owner_and_is_private(world: World) {
    let volume = world.new_volume().await;
    let facts = world.engine.volume(&volume).await.unwrap().unwrap();
    assert_eq!(facts.in_place, facts.driver == "directory");
    let mut spec = world.script("stat -L -c '%u:%g %a' home/.codex && touch home/.codex/mine");
    spec.volume = Some(world.mount(&volume));
    assert_eq!(world.run(&spec).await, Exit::Code(0), "{}", world.read("err"));
    let root = fs::metadata(world.run_dir()).unwrap();
    assert_eq!(world.read("out"), format!("{}:{} 700\n", root.uid(), root.gid()));
    // A second time leaves what is there.
    world.new_volume().await;
    assert!(world.engine.read_volume_file(&volume, "mine").await.unwrap().is_some());
}

pub async fn a_job_writes_to_its_volume_and_the_worker_reads_it(world: World) {
    let volume = world.new_volume().await;
    let mut spec = world.script("umask 077; printf secret >home/.codex/auth.json");
    spec.volume = Some(world.mount(&volume));
    assert_eq!(world.run(&spec).await, Exit::Code(0), "{}", world.read("err"));
    let read = |path: &'static str| world.engine.read_volume_file(&volume, path);
    assert_eq!(read("auth.json").await.unwrap().unwrap().expose_secret(), b"secret");
    assert!(read("other.json").await.unwrap().is_none());
}

pub async fn a_link_in_a_volume_is_not_followed(world: World) {
    let volume = world.new_volume().await;
    let mut spec = world.script("ln -s /etc/hostname home/.codex/auth.json; mkdir home/.codex/folder");
    spec.volume = Some(world.mount(&volume));
    assert_eq!(world.run(&spec).await, Exit::Code(0));
    for path in ["auth.json", "folder"] {
        let read = world.engine.read_volume_file(&volume, path).await;
        assert!(matches!(read, Err(Error::Other { .. })), "{path}: {read:?}");
    }
}

pub async fn capture_returns_what_a_command_says(world: World) {
    let captured = world.capture(&world.script("echo out; echo err >&2; exit 4")).await;
    assert_eq!(captured.exit, Exit::Code(4));
    assert_eq!((captured.stdout.as_str(), captured.stderr.as_str()), ("out\n", "err\n"));
}

pub async fn capture_passes_input_and_else_none(world: World) {
    let input = SecretString::from("the key");
    let captured = world.engine.capture(&world.spec(&["cat"]), Some(&input)).await.unwrap();
    assert_eq!((captured.exit, captured.stdout.as_str()), (Exit::Code(0), "the key"));
    let captured = world.capture(&world.spec(&["cat"])).await;
    assert_eq!((captured.exit, captured.stdout.as_str()), (Exit::Code(0), ""));
}

pub async fn capture_cuts_long_output(world: World) {
    let captured = world
        .capture(&world.script("head -c 300000 /dev/zero | tr '\\0' x; echo done >&2"))
        .await;
    assert_eq!((captured.exit, captured.stdout.len()), (Exit::Code(0), 64 * 1024));
    assert_eq!(captured.stderr, "done\n");
}

pub async fn capture_keeps_the_time_limit(world: World) {
    let mut spec = world.script("echo before; sleep 1000");
    spec.limits.time = Duration::from_millis(500);
    let captured = world.capture(&spec).await;
    assert_eq!((captured.exit, captured.stdout.as_str()), (Exit::TimedOut, "before\n"));
}

pub async fn capture_tells_a_missing_program(world: World) {
    let missing = world.engine.capture(&world.spec(&["no-such-program"]), None).await;
    assert!(
        matches!(&missing, Err(Error::ProgramMissing { program }) if program == "no-such-program"),
        "{missing:?}"
    );
    let own = world.capture(&world.script("echo no such file >&2; exit 127")).await;
    assert_eq!(own.exit, Exit::Code(127));
}

pub async fn capture_does_not_wait_for_what_a_command_left_running(world: World) {
    let captured = world.capture(&world.script("setsid sleep 1000 & echo done")).await;
    assert_eq!((captured.exit, captured.stdout.as_str()), (Exit::Code(0), "done\n"));
}

pub async fn a_dropped_capture_leaves_nothing_running(world: World) {
    let pipe = world.pipe("pipe");
    let spec = world.script("exec 3>pipe; echo up >&3; sleep 1000");
    let engine = world.engine.clone();
    let capture = tokio::spawn(async move { engine.capture(&spec, None).await });
    let (up, closed) = up_and_closed(pipe);
    up.await.unwrap();
    capture.abort();
    assert!(capture.await.unwrap_err().is_cancelled());
    tokio::time::timeout(Duration::from_secs(10), closed)
        .await
        .expect("it still runs")
        .unwrap();
}

/// Waits until a job has written a line to its pipe.
async fn wait_until_up(pipe: std::path::PathBuf) {
    up_and_closed(pipe).0.await.unwrap();
}

/// Told when a job has written a line to its pipe, and when it no longer holds it open.
pub fn up_and_closed(pipe: std::path::PathBuf) -> (tokio::sync::oneshot::Receiver<()>, tokio::sync::oneshot::Receiver<()>) {
    use std::io::{BufRead, BufReader, Read};
    let (up, is_up) = tokio::sync::oneshot::channel();
    let (closed, is_closed) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(fs::File::open(pipe).unwrap());
        let mut line = String::new();
        pipe.read_line(&mut line).unwrap();
        let _ = up.send(());
        pipe.read_to_string(&mut line).unwrap();
        let _ = closed.send(());
    });
    (is_up, is_closed)
}
