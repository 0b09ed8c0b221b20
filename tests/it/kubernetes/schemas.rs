//! The manifests against the schemas of the Kubernetes API, strictly: a field that the API doesn't know is a mistake.

use std::{fs, path::PathBuf, process::Command};

use super::manifests::{self, folder};
use crate::support::program;

/// The oldest release that the manifests are for, and the newest whose schemas are here.
const RELEASES: [&str; 2] = ["1.30.0", "1.37.0"];

/// Validates files; what was said against them when one isn't valid.
fn validate(release: &str, files: &[PathBuf]) -> Result<String, String> {
    let python = program("MOORLINE_TEST_PYTHON", "python3");
    let ended = Command::new(python)
        .args(["-m", "kubernetes_validate", "--strict", "-k", release])
        .args(files)
        .output()
        .expect("a Python that has kubernetes-validate, which `cargo xtask test` installs");
    let said = [ended.stdout, ended.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    match ended.status.success() {
        true => Ok(said),
        false => Err(said),
    }
}

#[test]
fn every_manifest_is_what_the_api_takes() {
    for release in RELEASES {
        let said = validate(release, &manifests::files()).unwrap();
        let passed = said.lines().filter(|line| line.contains(" passed for resource ")).count();
        assert_eq!(passed, manifests::all().len(), "{said}");
        assert!(!said.contains("WARN"), "{said}");
    }
}

#[test]
fn a_field_that_the_api_does_not_know_and_one_that_it_misses_are_found() {
    let good = fs::read_to_string(folder().join("codex-0.yaml")).unwrap();
    let spoilt = tempfile::tempdir().unwrap();
    for (from, to, said) in [
        ("  replicas: 1\n", "  replica: 1\n", "replica"),
        (
            "          image: moorline-worker:0.1.0\n",
            "          images: moorline-worker:0.1.0\n",
            "images",
        ),
        (
            "      terminationGracePeriodSeconds: ",
            "      terminationGracePeriodSeconds: long",
            "terminationGracePeriodSeconds",
        ),
        ("  selector:\n    matchLabels:\n", "  selectors:\n    matchLabels:\n", "selector"),
    ] {
        let file = spoilt.path().join("codex-0.yaml");
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from:?} is not in the manifest");
        fs::write(&file, bad).unwrap();
        let refused = validate(RELEASES[0], &[file]).unwrap_err();
        assert!(refused.contains(said), "{said} is not in: {refused}");
    }
}
