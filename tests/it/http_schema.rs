//! schemathesis, which isn't ours, reads `/openapi.json` and tries the API against it.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::process::Command;

use super::architecture::ROOT;
use crate::support::{TestApp, program};

/// It takes a part of this; more means that something hangs.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread")]
async fn no_request_that_schemathesis_makes_up_is_answered_otherwise_than_described() {
    let app = TestApp::start().await;
    for feature in ["001-a", "002-b"] {
        app.create(feature).await;
    }
    let python = program("MOORLINE_TEST_PYTHON", "python3");
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(python);
    command
        .args(["-m", "schemathesis.cli", "--config-file"])
        .arg(Path::new(ROOT).join("tests/schemathesis.toml"))
        .args(["run", &format!("{}/openapi.json", app.http())])
        .args(["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "10"])
        .args(["--generation-deterministic", "--no-shrink"])
        // It leaves files where it runs.
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .expect("an end in time")
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
}
