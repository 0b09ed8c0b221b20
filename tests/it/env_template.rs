//! The templates list every variable that server, worker and the compose files read, and none that they don't.

use std::{collections::BTreeSet, fs, path::Path};

use super::{
    architecture::ROOT,
    compose::files::{JOB, MAIN, interpolated},
    configuration::rows,
};

/// Read by compose itself.
const COMPOSES_OWN: &str = "COMPOSE_PROFILES";

/// Names of the variables that a template has, commented out or not.
fn listed(template: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(Path::new(ROOT).join(template)).unwrap_or_else(|error| panic!("{template}: {error}"));
    text.lines().filter_map(name_of).map(str::to_owned).collect()
}

/// The variable that a line sets, or would without its `#`.
fn name_of(line: &str) -> Option<&str> {
    let (name, _) = line.trim_start_matches('#').split_once('=')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    is_name.then_some(name)
}

fn read() -> BTreeSet<String> {
    let of_programs = rows::server().into_iter().chain(rows::worker()).map(|row| row.name);
    let of_compose = [MAIN, JOB].into_iter().flat_map(interpolated);
    of_programs.chain(of_compose).chain([COMPOSES_OWN.to_owned()]).collect()
}

#[test]
fn the_template_lists_what_the_programs_read() {
    assert_eq!(listed(".env-template"), read());
}

#[test]
fn the_template_for_a_self_hosted_model_is_a_part_of_the_other_with_all_of_codex() {
    let (all, part) = (listed(".env-template"), listed(".env.vllm-template"));
    let unknown: Vec<_> = part.difference(&all).collect();
    assert_eq!(unknown, Vec::<&String>::new());
    let of_codex =
        |name: &&String| name.starts_with("CODEX_") || name.starts_with("MOORLINE_CODEX_") || name.starts_with("SPEC_AUTOMATION_");
    let missing: Vec<_> = all.difference(&part).filter(of_codex).collect();
    assert_eq!(missing, Vec::<&String>::new());
}

#[test]
fn every_variable_of_a_template_has_a_comment_above_it() {
    for template in [".env-template", ".env.vllm-template"] {
        let text = fs::read_to_string(Path::new(ROOT).join(template)).unwrap();
        for block in text.split("\n\n").filter(|block| block.lines().any(|line| name_of(line).is_some())) {
            let first = block.lines().find(|line| !line.starts_with("# ---")).unwrap_or_default();
            assert!(first.starts_with("# "), "{template}: {block}");
        }
    }
}
