//! Removing hosts: those of a test that ends, and those of test processes that are gone.

use std::{fs, time::Duration};

use rustix::process::{Pid, Signal, kill_process};

use super::network::ip;

/// What names of namespaces begin with; then come process and time of start of the test's process.
const PREFIX: &str = "moorline-test-";

/// What the names of this process's namespaces begin with. A process id alone may be another's by now.
pub fn prefix() -> String {
    let pid = std::process::id();
    format!("{PREFIX}{pid}-{}-", started(pid).expect("its own time of start"))
}

/// Removes the namespaces of test processes that are gone, with what still runs in them.
pub fn left_by_the_dead() {
    for name in namespaces().iter().filter(|name| is_left(name)) {
        remove(name);
    }
}

/// Kills what runs in a namespace, and removes it; its end of a cable takes the other one along. It may be gone already.
pub fn remove(namespace: &str) {
    for _ in 0..50 {
        let pids = ip(&["netns", "pids", namespace]).unwrap_or_default();
        let pids: Vec<i32> = pids.lines().filter_map(|pid| pid.trim().parse().ok()).collect();
        if pids.is_empty() {
            break;
        }
        for pid in pids.into_iter().filter_map(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
        // They are not children of this process, so nobody tells it of their ends.
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(ip(&["netns", "delete", namespace]));
}

/// Names of the machine's namespaces.
pub fn namespaces() -> Vec<String> {
    let listed = ip(&["netns", "list"]).unwrap_or_default();
    listed
        .lines()
        .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
        .collect()
}

/// Whether a name is one of a test process which is gone.
pub fn is_left(namespace: &str) -> bool {
    let Some(rest) = namespace.strip_prefix(PREFIX) else { return false };
    let mut parts = rest.split('-').map(str::parse);
    let (Some(Ok(pid)), Some(Ok(start))) = (parts.next(), parts.next()) else {
        return false;
    };
    u32::try_from(pid).ok().and_then(started) != Some(start)
}

/// When a process was started, in ticks since the machine was; `None` once it is gone.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything; the time is the 20th field after it.
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

mod tests {
    use std::process::Command;

    use super::{super::network::Network, *};

    #[test]
    fn what_a_dead_test_process_left_is_removed_and_what_a_live_one_has_is_not() {
        let Some(network) = Network::new(&["alive"]) else { return };
        let mut gone = Command::new("true").spawn().unwrap();
        let dead = format!("{PREFIX}{}-1-0-dead", gone.id());
        gone.wait().unwrap();
        ip(&["netns", "add", &dead]).unwrap();
        let mut inside = Command::new("nsenter")
            .args([&format!("--net=/run/netns/{dead}"), "sleep", "600"])
            .spawn()
            .unwrap();

        left_by_the_dead();
        assert!(!inside.wait().unwrap().success(), "what ran in it was killed");
        let left = namespaces();
        assert!(!left.contains(&dead), "{left:?}");
        let alive = left.iter().filter(|name| name.starts_with(&prefix()) && name.ends_with("-alive"));
        assert_eq!(alive.count(), 1, "{left:?}");
        drop(network);
        assert!(
            !namespaces()
                .iter()
                .any(|name| name.starts_with(&prefix()) && name.ends_with("-alive"))
        );
    }
}
