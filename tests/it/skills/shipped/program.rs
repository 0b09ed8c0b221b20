//! A skill's program, called as a worker calls it: a request on standard input, a result on standard output.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{architecture::ROOT, support::program};

/// How a call ended.
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// What it printed, if that is JSON.
    pub result: Value,
    /// What it said on standard error.
    pub said: String,
}

/// The folder of one of Moorline's own skills.
pub fn skill(name: &str) -> PathBuf {
    Path::new(ROOT).join("deploy/skills").join(name)
}

/// Runs a program of a skill with some text on standard input.
pub fn call(program_file: &Path, input: &str) -> Ended {
    let mut child = Command::new(program("MOORLINE_TEST_PYTHON", "python3"))
        .arg(program_file)
        .env_clear()
        .env("LANG", "C.UTF-8")
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python starts");
    // A program that doesn't read has its reasons; its end says them.
    let _ = child.stdin.take().expect("its input").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    Ended {
        code: output.status.code().unwrap_or(-1),
        result: serde_json::from_slice(&output.stdout).unwrap_or_default(),
        said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    }
}

/// The artifacts of a stage that `speckit` carries, which must succeed.
pub fn artifacts(request: &Value) -> Value {
    let ended = call(&skill("speckit").join("scripts/stage"), &request.to_string());
    assert_eq!((ended.code, ended.said.as_str()), (0, ""));
    assert_eq!(ended.result["status"], "succeeded", "{}", ended.result);
    ended.result["artifacts"].clone()
}

/// A request for a stage of the feature `001-login`.
pub fn request(skill: &str, stage: &str, payload: Value) -> Value {
    json!({
        "run_id": "01980000-0000-7000-8000-0123456789ab",
        "feature_id": "001-login",
        "stage": stage,
        "requested_skill_id": skill,
        "payload": payload,
        "metadata": {"job_id": "j", "attempt": 1, "policy_version": 1, "shadow": false, "protocol": "moorline.stage/1"},
    })
}

/// A payload for discover.
pub fn discover(checkout: &Path) -> Value {
    json!({"repository": "acme/site", "base_ref": "main", "base_commit": "c0ffee", "checkout": checkout})
}

/// A checkout with these files.
pub fn checkout(files: &[(&str, &str)]) -> TempDir {
    let root = TempDir::new().expect("a folder");
    for (path, content) in files {
        let file = root.path().join(path);
        fs::create_dir_all(file.parent().expect("a parent")).expect("folders");
        fs::write(file, content).expect("a file");
    }
    root
}
