//! Checks that run nothing of ours: formatting, lints, documentation, dependency policy, proto files.

use std::time::Duration;

use anyhow::Result;

use super::Session;
use crate::{
    cargo,
    command::Cmd,
    install::{buf, deny},
    interrupt,
};

const ADVISORIES: &str = "https://github.com/RustSec/advisory-db";

/// The documentation is for those who change the code: a crate's map may link to its private modules, and their links count too.
const RUSTDOC: &str = "-D warnings -A rustdoc::private_intra_doc_links";

/// Formatting and clippy, warnings denied.
pub fn formatting_and_clippy(session: &mut Session) {
    cargo(session, "formatting", &["fmt", "--all", "--check"], &[]);
    cargo(
        session,
        "clippy",
        &["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"],
        &[],
    );
}

/// Documentation, warnings denied; licences, sources and banned crates; proto lint.
pub fn docs_and_policies(session: &mut Session) {
    cargo(
        session,
        "documentation",
        &["doc", "--no-deps", "--workspace", "--document-private-items"],
        &[("RUSTDOCFLAGS", RUSTDOC)],
    );
    dependencies(session);
    proto(session);
}

fn cargo(session: &mut Session, name: &str, args: &[&str], env: &[(&str, &str)]) {
    let root = session.paths.root.clone();
    session.steps.attempt(name, || {
        let command = cargo::cargo().args(args).dir(&root);
        env.iter().fold(command, |command, (name, value)| command.env(name, value)).run()
    });
}

fn dependencies(session: &mut Session) {
    let paths = session.paths.clone();
    let check = |what: &[&str]| -> Result<()> {
        let program = deny::install(&paths)?;
        Cmd::new(program).arg("check").args(what).dir(&paths.root).run()
    };
    session
        .steps
        .attempt("dependency policy", || check(&["bans", "licenses", "sources"]));
    let reachable = Cmd::new("git")
        .args(["ls-remote", ADVISORIES, "HEAD"])
        .env("GIT_TERMINAL_PROMPT", "0")
        .limit(Duration::from_secs(20));
    if interrupt::requested() || !reachable.succeeds() {
        session
            .steps
            .not_run("advisories", "their database at github.com can't be reached from here");
    } else {
        session.steps.attempt("advisories", || check(&["advisories"]));
    }
}

fn proto(session: &mut Session) {
    let (paths, yes) = (session.paths.clone(), session.yes);
    session.steps.attempt("proto lint", || {
        let _lock = paths.lock("install")?;
        Cmd::new(buf::install(&paths, yes)?).args(["lint", "proto"]).dir(&paths.root).run()
    });
}
