//! How Codex is called for work.

use std::path::Path;

use super::Codex;

/// The command line; the prompt comes from standard input.
pub(super) fn work(codex: &Codex, repo: &Path, home: &Path) -> Vec<String> {
    // The container is the wall: Codex's own sandbox can't be set up in a container without privileges, and then every command fails
    // while the exit code is 0.
    let mut argv = exec(codex, "danger-full-access");
    let mut setting = |setting: String| argv.extend(["-c".to_owned(), setting]);
    // Otherwise it notes the folder in the volume's config.toml as trusted, one more at each run.
    setting(format!("projects={{{}={{trust_level=\"untrusted\"}}}}", quoted(repo)));
    // Measured with 0.163: with this, `--ephemeral` and CODEX_SQLITE_HOME a run leaves nothing in the volume that grows. Without them it is a
    // conversation and seven databases, a megabyte at the first run.
    setting(format!("log_dir={}", quoted(home)));
    codex.settings.iter().cloned().for_each(setting);
    argv.push("-".to_owned());
    argv
}

/// The smallest real call. Its answer doesn't matter.
pub(super) fn probe(codex: &Codex) -> Vec<String> {
    let mut argv = exec(codex, "read-only");
    codex
        .settings
        .iter()
        .for_each(|setting| argv.extend(["-c".to_owned(), setting.clone()]));
    argv.push("Answer with the single word ok. Use no tools.".to_owned());
    argv
}

fn exec(codex: &Codex, sandbox: &str) -> Vec<String> {
    let mut argv: Vec<String> = [
        codex.program.as_str(),
        // Only understood before the subcommand.
        "-a",
        "never",
        "exec",
        "--json",
        "--skip-git-repo-check",
        // Nobody resumes a conversation.
        "--ephemeral",
        "-s",
        sandbox,
        // It would fetch from GitHub at each start.
        "--disable",
        "plugins",
        // It would wait for ever for a server that isn't there.
        "--disable",
        "unbounded_connection_retries",
    ]
    .map(str::to_owned)
    .to_vec();
    let mut option = |name: &str, value: &str| argv.extend([name.to_owned(), value.to_owned()]);
    if let Some(model) = &codex.model {
        option("-m", model);
    }
    if let Some(profile) = &codex.profile {
        option("-p", profile);
    }
    argv
}

/// A path as a TOML string.
fn quoted(path: &Path) -> serde_json::Value {
    path.display().to_string().into()
}
