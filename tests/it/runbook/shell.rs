//! Runs the blocks of a procedure as an operator does: one shell, block after block, in a folder of its own.

use std::{fs, process::Stdio, time::Duration};

use moorline_tests::issuer::{Decision, Issuer};
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::Command,
    time::timeout,
};

use super::document::{Block, Place, Procedure};

/// Longest time for a whole procedure.
const PATIENCE: Duration = Duration::from_secs(240);

/// What lines for the test begin with.
const MARK: &str = "@@ ";

/// Runs the blocks of a procedure that are for a place, with these variables alone, and returns what was shown. Fails with all of it when a
/// command did.
pub async fn run(procedure: &Procedure, place: Place, variables: &[(String, String)], issuer: Option<&Issuer>) -> String {
    let folder = TempDir::new().expect("a folder");
    let blocks: Vec<_> = procedure.blocks.iter().filter(|block| block.place == place).collect();
    let script: String = blocks
        .iter()
        .map(|block| step(block, &folder))
        .chain([format!("echo '{MARK}end'\n")])
        .collect();
    fs::write(
        folder.path().join("procedure.sh"),
        format!("set -uo pipefail\nexec 7<&0 </dev/null 2>&1\n{script}"),
    )
    .expect("a script");
    let mut shell = Command::new("bash")
        .arg("procedure.sh")
        .current_dir(folder.path())
        .env_clear()
        .envs(variables.iter().cloned())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("bash");
    // What it has started in the background ends with it.
    let _group = Group(Pid::from_raw(i32::try_from(shell.id().expect("a process")).expect("its id")).expect("its id"));
    let mut answers = shell.stdin.take().expect("its input");
    let mut lines = BufReader::new(shell.stdout.take().expect("its output")).lines();
    let (mut shown, mut approving, mut ended) = (String::new(), false, false);
    let reading = async {
        // Not to the end of the output: what runs in the background has it too.
        while let Some(line) = lines.next_line().await.expect("text") {
            match line.strip_prefix(MARK) {
                Some("approve") => approving = true,
                Some("revoke") => {
                    issuer.expect("an issuer").revoke_all();
                    answers.write_all(b"\n").await.expect("the shell waits");
                }
                Some("end") => {
                    ended = true;
                    return;
                }
                Some(_) | None => {}
            }
            if approving && let Some(code) = code_in(&line, issuer.expect("an issuer")) {
                assert!(issuer.expect("an issuer").decide(&code, Decision::Approve), "the code {code} waits");
                approving = false;
            }
            shown.push_str(&line);
            shown.push('\n');
        }
    };
    let in_time = timeout(PATIENCE, reading).await.is_ok();
    assert!(in_time && ended, "{}:\n{shown}\n{}", procedure.heading, logs(&folder));
    assert!(!approving, "{}: no code was shown:\n{shown}", procedure.heading);
    let status = timeout(PATIENCE, shell.wait()).await.expect("in time").expect("its end");
    assert!(status.success(), "{}: {status}:\n{shown}", procedure.heading);
    shown
}

/// The code that a person reads in a line, if it waits to be entered.
fn code_in(line: &str, issuer: &Issuer) -> Option<String> {
    issuer.waiting().into_iter().find(|code| line.contains(code.as_str()))
}

/// What programs have written that were started in the background.
fn logs(folder: &TempDir) -> String {
    let files = fs::read_dir(folder.path()).into_iter().flatten().filter_map(Result::ok);
    let logs = files.filter(|file| file.file_name().to_string_lossy().ends_with(".log"));
    logs.filter_map(|log| Some(format!("{:?}:\n{}", log.file_name(), fs::read_to_string(log.path()).ok()?)))
        .collect()
}

/// The part of the script for a block. Each is a file, so that the shell says where it went wrong by file and line.
fn step(block: &Block, folder: &TempDir) -> String {
    let file = format!("line-{}.sh", block.line);
    fs::write(folder.path().join(&file), &block.commands).expect("a block");
    let mut script = format!("echo '{MARK}block of line {}'\n", block.line);
    if block.approve {
        script.push_str(&format!("echo '{MARK}approve'\n"));
    }
    if block.revoke {
        // Not before it is done.
        script.push_str(&format!("echo '{MARK}revoke'\nread -r -u 7\n"));
    }
    match block.exit {
        0 => script.push_str(&format!("set -ev\n. ./{file}\nset +ev\n")),
        expected => script.push_str(&format!(
            "set -v\n. ./{file}\ncode=$?\nset +v\n[ $code = {expected} ] || {{ echo \"it exited with $code, not {expected}\"; exit 1; }}\n"
        )),
    }
    script
}

/// Processes that end when this is dropped.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // Gone already, perhaps.
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}
