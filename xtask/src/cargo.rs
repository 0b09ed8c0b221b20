//! Calls of cargo from a program that cargo runs.

use std::env;

use crate::command::Cmd;

/// A call of cargo, without what the cargo that runs this program has set for it: build scripts look at the name of the package that
/// they are built for, and would build their crates, and all that depends on them, anew.
pub fn cargo() -> Cmd {
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names
        .filter(|name| is_of_this_package(name))
        .fold(Cmd::new("cargo"), |command, name| command.env_remove(&name))
}

fn is_of_this_package(name: &str) -> bool {
    name == "CARGO" || name == "OUT_DIR" || ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_user_stay() {
        assert!(is_of_this_package("CARGO_PKG_NAME") && is_of_this_package("CARGO_MANIFEST_DIR"));
        assert!(!is_of_this_package("CARGO_HOME") && !is_of_this_package("CARGO_TARGET_DIR") && !is_of_this_package("CARGO_NET_OFFLINE"));
    }
}
