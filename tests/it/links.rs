//! Links between the project's documents lead somewhere: to a file that is there, and to a heading that it has.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::architecture::ROOT;

/// Folders with documents, apart from the files beside the README.
const FOLDERS: [&str; 4] = ["docs", "specs", "deploy", "proto"];

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut documents: Vec<PathBuf> = markdown(Path::new(ROOT), false);
    for folder in FOLDERS {
        documents.extend(markdown(&Path::new(ROOT).join(folder), true));
    }
    assert!(documents.len() > 20, "{documents:?}");
    let (mut dead, mut followed) = (Vec::new(), 0);
    for document in &documents {
        let text = prose(document);
        for target in links(&text) {
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = match path {
                "" => document.clone(),
                path => document.parent().unwrap().join(path),
            };
            followed += 1;
            if !file.exists() || !(anchor.is_empty() || headings(&prose(&file)).contains(anchor)) {
                dead.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(followed > 100, "only {followed} links were found");
    assert_eq!(dead, Vec::<String>::new());
}

fn markdown(folder: &Path, deep: bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() && deep {
            found.extend(markdown(&path, deep));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found
}

/// A document without its blocks of code, in which brackets mean other things.
fn prose(document: &Path) -> String {
    let text = fs::read_to_string(document).unwrap_or_else(|error| panic!("{}: {error}", document.display()));
    let mut code = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Targets of `[…](…)` within the project.
fn links(text: &str) -> Vec<String> {
    let targets = text.match_indices("](").filter_map(|(at, _)| text[at + 2..].split_once(')'));
    targets
        .map(|(target, _)| target.trim().to_owned())
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .collect()
}

/// Anchors of a document's headings, as forges make them.
fn headings(text: &str) -> BTreeSet<String> {
    let headings = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim());
    headings
        .map(|heading| {
            let kept = heading.to_lowercase().replace(' ', "-");
            kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
        })
        .collect()
}

#[test]
fn links_and_headings_are_found() {
    let text = "## With gRPC alone, `twice`\n[a](b.md#c) and [d](https://e)\n";
    assert_eq!(links(text), ["b.md#c"]);
    assert!(headings(text).contains("with-grpc-alone-twice"));
}
