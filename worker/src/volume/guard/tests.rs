//! The guard, run by real shells.

use std::{
    fs,
    io::Write,
    os::unix::{
        fs::PermissionsExt,
        process::{CommandExt, ExitStatusExt},
    },
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::*;

/// A volume, and the shell that guards it.
struct Place {
    root: tempfile::TempDir,
    shell: &'static [&'static str],
}

/// The shells that images have.
const SHELLS: [&[&str]; 2] = [&["dash"], &["busybox", "sh"]];

fn places() -> impl Iterator<Item = Place> {
    let there = |shell: &&&[&str]| Command::new(shell[0]).args(&shell[1..]).args(["-c", ":"]).output().is_ok();
    let found: Vec<_> = SHELLS.iter().filter(there).collect();
    assert!(!found.is_empty(), "install dash or busybox");
    found.into_iter().map(|shell| Place {
        root: tempfile::tempdir().unwrap(),
        shell,
    })
}

fn used(id: &str, kind: Kind) -> Use {
    Use {
        patience: Duration::ZERO,
        ..Use::new(id, kind, 0, "w1")
    }
}

impl Place {
    fn command(&self, lock: &Use, argv: &[&str]) -> Command {
        let guarded = lock.guard(self.root.path(), argv.iter().map(ToString::to_string).collect());
        let mut command = Command::new(self.shell[0]);
        // A group of its own, as an engine gives it.
        command.args(&self.shell[1..]).args(&guarded[1..]).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, lock: &Use, argv: &[&str]) -> Output {
        self.command(lock, argv).output().unwrap()
    }

    /// Runs what prints a line when it is at work, and returns then.
    fn start(&self, lock: &Use, script: &str) -> (Child, String) {
        use std::io::BufRead;
        let mut child = self.command(lock, &["sh", "-c", script]).spawn().unwrap();
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        (child, line.trim().to_owned())
    }

    fn own(&self, name: &str) -> PathBuf {
        self.root.path().join(OWN_FOLDER).join(name)
    }

    /// The lock log without its times.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.own(LOG)).unwrap_or_default();
        let lines = log.lines().map(|line| {
            let (at, rest) = line.split_once(' ').unwrap();
            let (seconds, nanos) = at.split_once('.').unwrap();
            assert!(seconds.parse::<u64>().unwrap() > 1_700_000_000 && nanos.len() == 9, "{line}");
            rest.to_owned()
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn refused(output: &Output) -> Option<Error> {
    refusal(
        "codex_auth_0",
        Exit::Code(output.status.code()?),
        &String::from_utf8_lossy(&output.stderr),
    )
}

fn signal(id: u32, signal: Signal) {
    kill_process(Pid::from_raw(id.try_into().unwrap()).unwrap(), signal).unwrap();
}

#[test]
fn a_command_gets_its_input_and_its_exit_code_is_passed_on() {
    for place in places() {
        let mut child = place
            .command(&used("u1", Kind::Check), &["sh", "-c", "cat; exit 7"])
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"hello").unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(7), &b"hello"[..]));
        // An agent's own code is not the guard's word.
        let output = place.run(&used("u2", Kind::Check), &["sh", "-c", "echo busy >&2; exit 75"]);
        assert_eq!((output.status.code(), refused(&output).is_none()), (Some(75), true));
        let output = place.run(&used("u3", Kind::Check), &["sh", "-c", "kill -9 $$"]);
        assert_eq!(output.status.code(), Some(128 + 9));
        insta::allow_duplicates! { insta::assert_snapshot!(place.log(), @"
        acquire u1 check 0 w1
        release u1 7
        acquire u2 check 0 w1
        release u2 75
        acquire u3 check 0 w1
        release u3 137
        ")};
        for (name, mode) in [("", 0o700), (LOG, 0o600), ("lock", 0o600)] {
            assert_eq!(fs::metadata(place.own(name)).unwrap().permissions().mode() & 0o777, mode, "{name}");
        }
    }
}

#[test]
fn the_users_own_umask_is_the_commands_too() {
    for place in places() {
        let output = place.run(&used("u1", Kind::Agent), &["sh", "-c", "umask"]);
        let own = Command::new("sh").args(["-c", "umask"]).output().unwrap();
        assert_eq!(output.stdout, own.stdout);
    }
}

#[test]
fn who_comes_second_is_told_who_has_the_volume() {
    for place in places() {
        let (mut first, _) = place.start(&used("moorline-job-7", Kind::Agent), "echo up; read -r line");
        let output = place.run(&used("u2", Kind::Check), &["true"]);
        assert_eq!(output.status.code(), Some(75));
        let said = refused(&output).unwrap().to_string();
        assert!(
            said.starts_with("the volume codex_auth_0 is in use by agent moorline-job-7 of worker w1, since 2"),
            "{said}"
        );
        drop(first.stdin.take());
        first.wait().unwrap();
        assert!(place.run(&used("u3", Kind::Check), &["true"]).status.success());
    }
}

#[test]
fn who_waits_gets_the_volume_when_it_is_free() {
    for place in places() {
        let (mut first, _) = place.start(&used("u1", Kind::Agent), "echo up; read -r line");
        let patient = Use {
            patience: Duration::from_secs(60),
            ..used("u2", Kind::Check)
        };
        let second = place.command(&patient, &["echo", "mine"]).spawn().unwrap();
        drop(first.stdin.take());
        first.wait().unwrap();
        let output = second.wait_with_output().unwrap();
        assert_eq!(output.stdout, b"mine\n", "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_child_that_outlives_the_command_keeps_the_lock() {
    for place in places() {
        let pipe = place.root.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        let script = format!("cat <{} >/dev/null 2>&1 & echo $!", pipe.display());
        let (first, _) = place.start(&used("u1", Kind::Agent), &script);
        // It has written its release, and its child is still there.
        assert_eq!(place.run(&used("u2", Kind::Check), &["true"]).status.code(), Some(75));
        fs::write(&pipe, "").unwrap();
        first.wait_with_output().unwrap();
        let patient = Use {
            patience: Duration::from_secs(60),
            ..used("u3", Kind::Check)
        };
        assert!(place.run(&patient, &["true"]).status.success());
    }
}

#[test]
fn a_use_that_was_killed_frees_the_lock_and_is_told_as_broken() {
    for place in places() {
        let (mut first, child) = place.start(&used("u1", Kind::Agent), "echo $$; exec sleep 1000");
        signal(first.id(), Signal::KILL);
        assert_eq!(first.wait().unwrap().signal(), Some(9));
        // The guard is gone, and what it has started has the lock.
        assert_eq!(place.run(&used("u2", Kind::Check), &["true"]).status.code(), Some(75));
        signal(child.parse().unwrap(), Signal::KILL);
        let patient = Use {
            patience: Duration::from_secs(60),
            ..used("u3", Kind::Check)
        };
        assert!(place.run(&patient, &["true"]).status.success());
        insta::allow_duplicates! { insta::assert_snapshot!(place.log(), @"
        acquire u1 agent 0 w1
        broken u1
        acquire u3 check 0 w1
        release u3 0
        ")};
        assert_eq!(fs::read_to_string(place.own("doubt")).unwrap(), "u1 broke off\n");
        assert!(place.run(&used("u4", Kind::Check), &["true"]).status.success());
        assert_eq!(place.log().matches("broken").count(), 1, "{}", place.log());
    }
}

#[test]
fn only_what_may_rewrite_a_login_leaves_a_doubt_when_it_does_not_end_well() {
    for place in places() {
        place.run(&used("u1", Kind::Check), &["sh", "-c", "kill -9 $$"]);
        place.run(&used("u2", Kind::Agent), &["true"]);
        assert!(!place.own("doubt").exists());
        place.run(&used("u3", Kind::Login), &["sh", "-c", "kill -9 $$"]);
        place.run(&used("u4", Kind::Agent), &["sh", "-c", "exit 1"]);
        let doubt = fs::read_to_string(place.own("doubt")).unwrap();
        assert_eq!(doubt, "u3 ended with code 137\nu4 ended with code 1\n");
    }
}

#[test]
fn a_use_of_an_older_generation_is_refused() {
    for place in places() {
        let of = |generation| Use {
            generation,
            ..used(&format!("u{generation}"), Kind::Check)
        };
        assert!(place.run(&of(3), &["true"]).status.success());
        assert!(matches!(refused(&place.run(&of(2), &["true"])), Some(Error::Fenced { .. })));
        assert!(place.run(&of(0), &["true"]).status.success(), "it doesn't know any generation");
        assert!(place.run(&of(3), &["true"]).status.success());
        assert!(place.run(&of(12), &["true"]).status.success());
        assert_eq!(fs::read_to_string(place.own("generation")).unwrap(), "12\n");
        assert!(!place.log().contains("u2"), "{}", place.log());
    }
}

#[test]
fn what_an_agent_has_put_in_the_guards_place_holds_nobody_up() {
    for place in places() {
        assert!(place.run(&used("u1", Kind::Check), &["true"]).status.success());
        for name in ["lock", "lock.log", "generation", "doubt"] {
            let path = place.own(name);
            drop(fs::remove_file(&path));
            let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
            assert!(made.success());
        }
        assert!(place.run(&used("u2", Kind::Check), &["true"]).status.success());
        fs::write(place.own("generation"), "9".repeat(30)).unwrap();
        let of_a_server = Use {
            generation: 5,
            ..used("u3", Kind::Check)
        };
        assert!(place.run(&of_a_server, &["true"]).status.success());
    }
}

#[test]
fn a_volume_may_be_shared_by_those_who_say_so() {
    for place in places() {
        let of = |id: &str, mode| Use {
            mode,
            ..used(id, Kind::Agent)
        };
        let (mut first, _) = place.start(&of("u1", Mode::Either), "echo up; read -r line");
        assert_eq!(
            place.run(&of("u2", Mode::Shared), &["true"]).status.code(),
            Some(75),
            "it is alone at first"
        );
        drop(first.stdin.take());
        first.wait().unwrap();
        let (mut first, _) = place.start(&of("u3", Mode::Shared), "echo up; read -r line");
        assert!(place.run(&of("u4", Mode::Shared), &["true"]).status.success());
        assert!(place.run(&of("u5", Mode::Either), &["true"]).status.success());
        assert_eq!(place.run(&of("u6", Mode::Exclusive), &["true"]).status.code(), Some(75));
        drop(first.stdin.take());
        first.wait().unwrap();
        // Nobody who was at work was taken for broken.
        assert!(place.run(&of("u7", Mode::Exclusive), &["true"]).status.success());
        assert!(!place.log().contains("broken"), "{}", place.log());
    }
}

#[test]
fn a_stop_reaches_the_command_which_ends_as_it_likes() {
    for place in places() {
        // A SIGINT would be ignored where whoever runs the tests ignores it.
        for (sent, heard) in [(Signal::TERM, "TERM"), (Signal::HUP, "HUP")] {
            let script = format!("sleep 1000 & trap \"kill $!; echo stopped; exit 5\" {heard}; echo up; wait");
            let (first, _) = place.start(&used("u1", Kind::Agent), &script);
            signal(first.id(), sent);
            let output = first.wait_with_output().unwrap();
            assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(5), &b"stopped\n"[..]));
        }
        assert!(place.log().ends_with("release u1 5"), "{}", place.log());
    }
}

#[test]
fn a_long_log_is_cut_to_its_last_half() {
    for place in places() {
        place.run(&used("u1", Kind::Check), &["true"]);
        let line = "1800000000.000000000 acquire old check 0 w1\n";
        fs::write(place.own(LOG), line.repeat(2000)).unwrap();
        place.run(&used("u2", Kind::Check), &["true"]);
        let log = fs::read_to_string(place.own(LOG)).unwrap();
        assert!((40_000..46_000).contains(&log.len()), "{}", log.len());
        assert!(log.starts_with("1800000000.") && place.log().ends_with("release u2 0"));
        assert_eq!(fs::metadata(place.own(LOG)).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_program_that_is_missing_is_named_and_not_taken_for_a_use() {
    for place in places() {
        let output = place.run(&used("u1", Kind::Agent), &["no-such-codex"]);
        assert_eq!(output.status.code(), Some(127));
        assert!(matches!(refused(&output), Some(Error::ProgramMissing { program }) if program == "no-such-codex"));
        assert_eq!(place.log(), "");
    }
}
