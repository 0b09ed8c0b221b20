//! The first process of a container: keeps the time limit, and redirects to files.

use std::time::Duration;

use super::{ContainerSpec, Exit};

/// How long a program that ignores SIGTERM lives on after its limit, in seconds.
const KILL_AFTER: &str = "10";

/// Takes the files of standard input, output and error, then the program. They come as positional parameters, so that no
/// character in them means anything to the shell.
const REDIRECT: &str = r#"in=$1 out=$2 err=$3; shift 3; exec "$@" <"$in" >"$out" 2>"$err""#;

/// The command line of `spec` under its time limit, its output going to the spec's files.
pub(super) fn redirected(spec: &ContainerSpec) -> Vec<String> {
    let file = |path: &Option<std::path::PathBuf>| path.as_ref().map_or("/dev/null".to_owned(), |path| path.display().to_string());
    let mut argv = timeout(spec.limits.time);
    argv.extend(["sh", "-c", REDIRECT, "sh"].map(str::to_owned));
    argv.extend([file(&spec.stdin), file(&spec.stdout), file(&spec.stderr)]);
    argv.extend(spec.argv.iter().cloned());
    argv
}

/// The command line of `spec` under its time limit, its output going where the engine's does.
pub(super) fn plain(spec: &ContainerSpec) -> Vec<String> {
    let mut argv = timeout(spec.limits.time);
    argv.extend(spec.argv.iter().cloned());
    argv
}

fn timeout(limit: Duration) -> Vec<String> {
    // `timeout 0` would mean no limit at all.
    let limit = limit.max(Duration::from_millis(1));
    vec![
        "timeout".to_owned(),
        "--signal=TERM".to_owned(),
        format!("--kill-after={KILL_AFTER}"),
        format!("{:.3}", limit.as_secs_f64()),
    ]
}

/// What an exit code means for a first process that has run for `ran` under `limit`.
///
/// `timeout` reports its own work as 124, or as 137 after SIGKILL, which a program may also end with by itself: only the time that
/// has passed tells them apart. An engine notes a start a little late, hence the tolerance.
pub(super) fn exit(code: i32, ran: Duration, limit: Duration) -> Exit {
    let tolerance = Duration::from_secs(2).min(limit / 2);
    match code {
        124 | 137 if ran + tolerance >= limit => Exit::TimedOut,
        _ => signal(code).map_or(Exit::Code(code), Exit::Signal),
    }
}

/// The signal that a shell would report by this code; others than these don't end a process, so a program chose the code.
fn signal(code: i32) -> Option<i32> {
    let signal = code - 128;
    matches!(signal, 1..=4 | 6..=15 | 24 | 25 | 31).then_some(signal)
}

/// The program that `timeout` or the engine's init process could not run, if that is how a short command ended.
pub(super) fn missing_program(argv: &[String], exit: Exit, stderr: &str) -> Option<String> {
    let told = |marks: [&str; 2]| marks.iter().all(|mark| stderr.contains(mark));
    match exit {
        Exit::Code(127) if told(["timeout: failed to run command", "No such file"]) => argv.first().cloned(),
        Exit::Code(127) if told(["exec timeout failed", "No such file"]) => Some("timeout".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_time_that_has_passed_makes_124_a_time_out() {
        let limit = Duration::from_secs(60);
        assert_eq!(exit(124, limit, limit), Exit::TimedOut);
        assert_eq!(exit(137, limit + Duration::from_secs(10), limit), Exit::TimedOut);
        assert_eq!(exit(124, Duration::from_secs(1), limit), Exit::Code(124));
        assert_eq!(exit(137, Duration::from_secs(1), limit), Exit::Signal(9));
    }

    #[test]
    fn a_code_above_128_is_a_signal_only_if_that_signal_kills() {
        let now = |code| exit(code, Duration::ZERO, Duration::from_secs(60));
        assert_eq!(now(143), Exit::Signal(15));
        assert_eq!(now(145), Exit::Code(145), "an HTTP status 401, cut to a byte, and no SIGCHLD");
        assert_eq!(now(255), Exit::Code(255));
    }
}
