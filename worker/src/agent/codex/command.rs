//! How Codex is called for work.

use std::path::Path;

use super::Codex;

/// The command line; the prompt comes from standard input.
pub(super) fn work(codex: &Codex, repo: &Path) -> Vec<String> {
    let mut argv: Vec<String> = [
        codex.program.as_str(),
        // Only understood before the subcommand.
        "-a",
        "never",
        "exec",
        "--json",
        "--skip-git-repo-check",
        // The container is the wall: Codex's own sandbox can't be set up in a container without privileges, and then every
        // command fails while the exit code is 0.
        "-s",
        "danger-full-access",
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
    // Otherwise it notes the folder in the volume's config.toml as trusted, one more at each run.
    let folder = serde_json::Value::from(repo.display().to_string());
    option("-c", &format!("projects={{{folder}={{trust_level=\"untrusted\"}}}}"));
    codex.settings.iter().for_each(|setting| option("-c", setting));
    argv.push("-".to_owned());
    argv
}
