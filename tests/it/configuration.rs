//! `docs/configuration.md` is made from the definitions that server, worker and command line read their settings by.
//!
//! Contract: 007/FR-001, 007/FR-050.

pub mod compose;
mod page;
pub mod rows;

use clap::{Args as _, CommandFactory as _};
use moorline_worker::config::{Args, Config};

use super::generated;

#[test]
fn the_page_is_made_from_the_definitions() {
    generated::is_current("docs/configuration.md", &page::page());
}

/// The worker's flags are texts, whose defaults its help names: they are what is in force.
#[test]
fn the_defaults_that_the_workers_help_names_are_its_defaults() {
    let worker = Args::augment_args(clap::Command::new("moorline-worker"));
    let of = |args: &[String]| {
        let parsed = Config::try_parse_from([&["moorline-worker".to_owned()], args].concat());
        format!("{:?}", parsed.unwrap_or_else(|error| panic!("{args:?}: {error}")))
    };
    let unset = of(&[]);
    let mut compared = 0;
    for row in rows::of_command(&worker) {
        // One that a test's own environment sets has another value than its default.
        let literal = !row.default.is_empty() && !row.default.contains('<') && std::env::var_os(&row.name).is_none();
        if let Some(flag) = row.flag.filter(|_| literal) {
            assert_eq!(of(&[format!("{flag}={}", row.default)]), unset, "{flag}");
            compared += 1;
        }
    }
    assert!(compared > 20, "only {compared} defaults were compared");
}

#[test]
fn every_setting_says_what_it_is_for() {
    let settings = rows::server().into_iter().chain(rows::worker()).chain(compose::rows());
    let silent: Vec<_> = settings.filter(|row| row.about.len() < 10).map(|row| row.name).collect();
    assert_eq!(silent, Vec::<String>::new());
    // Both programs' logs are set by the same variables.
    for (ours, theirs) in [
        (moorline_server::variables::LOG, moorline_worker::variables::LOG),
        (moorline_server::variables::LOG_FORMAT, moorline_worker::variables::LOG_FORMAT),
    ] {
        assert_eq!((ours.name, ours.default), (theirs.name, theirs.default));
    }
    assert!(moorline_server::config::Args::command().get_arguments().count() > 20);
}
