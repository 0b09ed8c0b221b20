//! `docs/errors.md` lists every code that the sources can produce, and none that they can't.

use std::{collections::BTreeSet, fs, path::Path};

use super::architecture::{ROOT, sources};

/// Names in the first column of the document's tables.
fn documented() -> BTreeSet<String> {
    let text = fs::read_to_string(Path::new(ROOT).join("docs/errors.md")).unwrap();
    let cells = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|line| line.split('|').nth(1));
    cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned))
        .collect()
}

/// Upper-case literals that stand where a code stands: alone in quotes, with an underscore or known to be a code.
fn produced() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for folder in ["server/src", "worker/src"] {
        let root = Path::new(ROOT).join(folder);
        for file in sources(&root) {
            let name = file.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            if ["tests.rs", "testing"].iter().any(|part| name.contains(part)) {
                continue;
            }
            let source = fs::read_to_string(&file).unwrap();
            let product = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
            for literal in product.split('"').skip(1).step_by(2) {
                let is_code =
                    literal.len() > 4 && literal.contains('_') && literal.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
                if is_code {
                    codes.insert(literal.to_owned());
                }
            }
        }
    }
    codes
}

/// Upper-case names in the sources that are no codes: variables, and names of enums on the wire.
fn is_no_code(name: &str) -> bool {
    const PREFIXES: [&str; 21] = [
        "MOORLINE_",
        "CODEX_",
        "SPEC_",
        "GITHUB_",
        "DOCKER_",
        "RUST_",
        "GIT_",
        "SSL_",
        "LD_",
        "DYLD_",
        "CARGO_",
        "ARTIFACT_TYPE_",
        "EXECUTION_PATH_",
        "PREFLIGHT_RUNG_",
        "SHADOW_STATUS_",
        "PREFLIGHT_STATUS_",
        "STAGE_",
        "LC_",
        "OPENAI_",
        "GEMINI_",
        "GOOGLE_",
    ];
    const OTHERS: [&str; 10] = [
        "ALL_PROXY",
        "CURL_CA_BUNDLE",
        "DEFAULT_EMBEDDING_PROVIDER",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "NO_COLOR",
        "NO_PROXY",
        "PG_VERSION",
        "SSH_AUTH_SOCK",
        "SCREAMING_SNAKE_CASE",
    ];
    // Words of gRPC, of Google's answers and of a run's life, in messages.
    const WORDS: [&str; 3] = ["API_KEY_INVALID", "INVALID_ARGUMENT", "NO_WORK"];
    const CODES: [&str; 4] = ["GIT_MISSING", "GIT_TIMED_OUT", "GIT_FAILED", "STAGE_TIMED_OUT"];
    let other = OTHERS.contains(&name) || WORDS.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    other && !CODES.contains(&name)
}

#[test]
fn every_code_that_can_be_produced_is_documented() {
    let documented = documented();
    assert!(produced().len() > 40);
    let missing: Vec<_> = produced()
        .into_iter()
        .filter(|code| !is_no_code(code) && !documented.contains(code))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn no_code_is_documented_that_can_not_be_produced() {
    use strum::VariantArray as _;
    let mut produced = produced();
    // The rungs of the login check come from the enum, and single words are told apart by it.
    produced.extend(moorline_server::domain::preflight::Rung::VARIANTS.iter().map(ToString::to_string));
    produced.extend(["FENCED", "TOO_LONG", "UNSUPPORTED", "INTERNAL", "UNKNOWN"].map(str::to_owned));
    let gone: Vec<_> = documented().into_iter().filter(|code| !produced.contains(code)).collect();
    assert_eq!(gone, Vec::<String>::new());
}
