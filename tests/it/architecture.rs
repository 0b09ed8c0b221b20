//! The table of imports in `docs/ARCHITECTURE.md` is true: no module of the server imports what its row doesn't name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Rows of the first table with the header `| module | may import |`.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(Path::new(ROOT).join("docs/ARCHITECTURE.md")).unwrap();
    let rows = text.lines().skip_while(|line| !line.starts_with("| module | may import |")).skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(names);
            let module = cells.next().unwrap().into_iter().next().expect("a module in each row");
            (module, cells.next().unwrap_or_default())
        })
        .collect()
}

fn names(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Modules of the crate that a source file names after `crate::`, alone or in a group.
fn imported(source: &str) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    for (at, _) in source.match_indices("crate::") {
        let rest = source[at + "crate::".len()..].trim_start();
        let identifier = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        let Some(group) = rest.strip_prefix('{') else {
            modules.insert(identifier(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = true;
        for (offset, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && !c.is_whitespace() => {
                    modules.insert(identifier(&group[offset..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    modules
}

#[test]
fn no_module_of_the_server_imports_what_its_row_does_not_name() {
    let table = table();
    assert!(table.len() >= 8, "the table has {} rows", table.len());
    let root = Path::new(ROOT).join("server/src");
    let mut wrong = Vec::new();
    for file in sources(&root) {
        let relative = file.strip_prefix(&root).unwrap();
        let module = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let allowed = table
            .get(&module)
            .unwrap_or_else(|| panic!("docs/ARCHITECTURE.md has no row for {module}"));
        let source = fs::read_to_string(&file).unwrap();
        for import in imported(&source)
            .into_iter()
            .filter(|import| *import != module && !allowed.contains(import))
        {
            wrong.push(format!("{} imports {import}", relative.display()));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn grouped_and_nested_imports_are_seen() {
    let source = "use crate::{\n    db::{Connection, jobs},\n    domain::{self, run},\n};\nlet x = crate::wire::id();";
    assert_eq!(imported(source), ["db", "domain", "wire"].map(str::to_owned).into());
}

#[test]
fn one_file_of_the_server_makes_statuses() {
    let root = Path::new(ROOT).join("server/src");
    let mut makers = BTreeSet::new();
    for file in sources(&root) {
        let source = fs::read_to_string(&file).unwrap();
        if !source.contains("tonic") {
            continue;
        }
        // `Status::` followed by a lower-case letter is a constructor; our own enums have variants in upper case and few functions.
        for (at, _) in source.match_indices("Status::") {
            let call: String = source[at + "Status::".len()..]
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                .collect();
            let own = source[..at].ends_with("run::") || source[..at].ends_with("job::") || source[..at].ends_with("shard::");
            if !own && !call.is_empty() && !["from_wire", "from", "hold_reason"].contains(&call.as_str()) {
                makers.insert(file.strip_prefix(&root).unwrap().display().to_string());
            }
        }
    }
    assert_eq!(makers, ["wire/status.rs".to_owned()].into());
}

#[test]
fn the_worker_never_imports_the_server() {
    let manifest = fs::read_to_string(Path::new(ROOT).join("worker/Cargo.toml")).unwrap();
    assert!(!manifest.contains("moorline-server"));
}
