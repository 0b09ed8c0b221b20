//! Runs `cargo test`: shows its output, keeps all of it, and adds up its results.

use std::{
    ffi::OsString,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{Session, results::Results, section::Section};
use crate::{cargo::cargo, demo::clean, interrupt};

/// Modules whose tests start Postgres or the Codex CLI, though they stand beside the code.
const NEED_PARTS: [&str; 4] = ["embedded::tests", "db::tests", "issuer::tests", "model::tests"];

/// The fast loop: tests beside the code, but for those that need more than the code.
pub fn unit_tests_alone(session: &mut Session) {
    let skips: Vec<&str> = NEED_PARTS.iter().flat_map(|module| ["--skip", module]).collect();
    cargo_test(session, "unit tests", &["--lib", "--bins"], &skips, &[]);
}

/// Runs the tests that `which` selects, always of the whole workspace: for a part of it cargo would choose other features for the
/// dependencies, and build them anew.
pub fn cargo_test(session: &mut Session, name: &str, which: &[&str], harness: &[&str], env: &[(&str, OsString)]) {
    let log = session.paths.output.join(format!("{}.log", name.replace(' ', "-")));
    let command = clean(cargo())
        .args(["test", "--workspace", "--features", "xtask/bench", "--no-fail-fast"])
        .args(which)
        // Tests say that they skip themselves in output that the harness would swallow.
        .args(["--", "--show-output"])
        .args(harness)
        .dir(&session.paths.root);
    let command = env
        .iter()
        .fold(command, |command, (name, value)| command.env(name, value))
        .into_inner();
    let mut results = Results::default();
    session
        .steps
        .attempt(name, || run(command, &log, &mut results, |line| eprintln!("{line}")));
    session.results.add(results);
}

/// Where lines for people go.
type Show = fn(&str);

/// How long output may go on after cargo has ended.
const GRACE: Duration = Duration::from_secs(5);

fn run(mut command: Command, log: &Path, results: &mut Results, show: Show) -> Result<()> {
    let mut log_file = File::create(log).with_context(|| format!("could not write {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("could not run cargo")?;
    let _told = interrupt::tell(child.id());
    let (sender, lines) = mpsc::sync_channel(1024);
    read(child.stdout.take(), 0, sender.clone());
    read(child.stderr.take(), 1, sender);
    let mut sections = [Section::default(); 2];
    let mut ended: Option<Instant> = None;
    loop {
        match lines.recv_timeout(Duration::from_millis(100)) {
            Ok((stream, line)) => {
                let section: &mut Section = &mut sections[stream];
                *section = section.after(&line);
                results.read(*section, &line);
                if section.shown() {
                    show(&line);
                }
                writeln!(log_file, "{line}")?;
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if ended.is_some_and(|ended| ended.elapsed() > GRACE) => {
                bail!(
                    "a process that a test started still runs and holds its output (log: {})",
                    log.display()
                );
            }
            Err(RecvTimeoutError::Timeout) if ended.is_none() && child.try_wait()?.is_some() => ended = Some(Instant::now()),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    match child.wait()? {
        status if status.success() => Ok(()),
        _ => bail!("{} failed (log: {})", failures(results), log.display()),
    }
}

/// Sends the lines of a stream until its end.
fn read(pipe: Option<impl Read + Send + 'static>, stream: usize, lines: mpsc::SyncSender<(usize, String)>) {
    let Some(pipe) = pipe else { return };
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            if lines.send((stream, String::from_utf8_lossy(&line).into_owned())).is_err() {
                return;
            }
        }
    });
}

fn failures(results: &Results) -> String {
    match results.failed {
        0 => "cargo test".to_owned(),
        1 => "1 test".to_owned(),
        many => format!("{many} tests"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn run_script(script: &str) -> (Result<()>, Results, String) {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let mut results = Results::default();
        let outcome = run(command, log.path(), &mut results, |_| ());
        (outcome, results, fs::read_to_string(log.path()).unwrap())
    }

    #[test]
    fn a_skip_in_the_output_of_a_passing_test_is_counted_and_everything_is_kept() {
        let text =
            "successes:\n---- a stdout ----\nskipped: no engine\nsuccesses:\n    a\n\ntest result: ok. 1 passed; 0 failed; 0 ignored\n";
        let (outcome, results, log) = run_script(&format!("printf '{text}'"));
        outcome.unwrap();
        assert_eq!((results.passed, results.skipped), (1, vec!["no engine".to_owned()]));
        assert_eq!(log, text);
    }

    #[test]
    fn a_failed_test_fails_the_run_and_is_counted() {
        let script = "echo 'test a ... FAILED'; echo 'test result: FAILED. 0 passed; 1 failed; 0 ignored'; exit 101";
        let (outcome, results, _) = run_script(script);
        let error = outcome.unwrap_err().to_string();
        assert!(error.starts_with("1 test failed"), "{error}");
        assert_eq!((results.failed, results.failed_names), (1, vec!["a".to_owned()]));
    }

    #[test]
    fn a_process_that_a_test_left_behind_fails_the_run() {
        let (outcome, _, _) = run_script("sleep 8 & exit 0");
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("still runs"), "{error}");
    }
}
