//! What the machine needs: system packages, and pinned tools in the cache.

pub mod buf;
pub mod codex;
pub mod deny;
pub mod gemini;
pub mod python;
pub mod speckit;

mod apt;
mod need;

use std::io::{IsTerminal, Write};

use anyhow::{Result, bail};

pub use need::{Need, all_on_path, on_path};

use crate::paths::is_root;

/// Sees to it that everything in `needs` is there: installs what is missing on Debian and Ubuntu as root, and says elsewhere what to install.
pub fn system(needs: &[Need], yes: bool) -> Result<()> {
    let missing: Vec<Need> = needs.iter().copied().filter(|need| !need.present()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    provide(&missing, yes)
}

/// Installs the packages of what is missing, or of what is here but doesn't serve.
fn provide(missing: &[Need], yes: bool) -> Result<()> {
    for need in missing {
        eprintln!("missing: {}", need.what());
    }
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.packages()).copied().collect();
    if !apt::available() {
        let what: Vec<&str> = missing.iter().map(|need| need.what()).collect();
        bail!("install {} with this system's package manager, then try again", what.join(", "));
    }
    if !is_root() {
        bail!(
            "not root: run `sudo apt-get install --no-install-recommends {}`, then try again",
            packages.join(" ")
        );
    }
    if !yes && !confirmed(&packages)? {
        bail!(
            "nothing was installed: run `apt-get install --no-install-recommends {}` yourself, then try again",
            packages.join(" ")
        );
    }
    eprintln!("installing from Debian's packages: {}", packages.join(" "));
    apt::install(&packages)?;
    match missing.iter().find(|need| !need.present()) {
        Some(need) => bail!(
            "{} is still missing after its packages were installed: look at apt's output above",
            need.what()
        ),
        None => Ok(()),
    }
}

/// Asks on a terminal; where nobody can answer, the call itself was the answer.
fn confirmed(packages: &[&str]) -> Result<bool> {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Ok(true);
    }
    eprint!("install {}? [y/N] ", packages.join(" "));
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
