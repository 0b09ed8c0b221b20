//! Commands of docker-compose in the documents name profiles, services and files that there are.

use std::{collections::BTreeSet, path::Path};

use super::read;
use crate::architecture::ROOT;

const DOCUMENTS: [&str; 4] = [
    "README.md",
    "docs/SpecKitAutomation.md",
    "specs/001-celery-oauth-volumes/quickstart.md",
    "specs/007-scalable-codex-worker/quickstart.md",
];

#[test]
fn what_commands_of_compose_name_is_there() {
    let compose = read("docker-compose.yaml");
    let (services, profiles) = (services(&compose), profiles(&compose));
    assert!(
        services.contains("codex-0") && profiles.contains("fast"),
        "{services:?} {profiles:?}"
    );
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for document in DOCUMENTS {
        let text = read(document);
        for line in text
            .lines()
            .filter(|line| line.contains("docker-compose ") || line.starts_with("sh "))
        {
            let words: Vec<_> = line.split([' ', '=', '`', '"', ',', ';']).filter(|word| !word.is_empty()).collect();
            for pair in words.windows(2) {
                let known = match pair {
                    ["--profile", profile] => profiles.contains(*profile),
                    ["--scale" | "-T" | "restart" | "logs", service] => services.contains(*service),
                    ["sh", script] => Path::new(ROOT).join(script).exists(),
                    _ => continue,
                };
                seen += 1;
                if !known {
                    wrong.push(format!("{document}: {} in: {line}", pair.join(" ")));
                }
            }
        }
    }
    assert!(seen > 4, "only {seen} names were looked at");
    assert_eq!(wrong, Vec::<String>::new());
}

/// Keys two spaces deep below `services:`.
fn services(compose: &str) -> BTreeSet<String> {
    let section = compose.lines().skip_while(|line| *line != "services:").skip(1);
    let section = section.take_while(|line| line.is_empty() || line.starts_with([' ', '#']));
    let keys = section.filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':'));
    keys.filter(|key| !key.starts_with([' ', '#'])).map(str::to_owned).collect()
}

fn profiles(compose: &str) -> BTreeSet<String> {
    let lists = compose
        .lines()
        .filter_map(|line| line.trim().strip_prefix("profiles: [")?.strip_suffix(']'));
    lists
        .flat_map(|list| list.split(','))
        .map(|profile| profile.trim().to_owned())
        .collect()
}
