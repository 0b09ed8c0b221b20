//! The data models have every table, and the states of the types.

use std::{collections::BTreeSet, fmt::Display};

use moorline_server::domain::{audit, job, preflight, run, shard, stage::Stage, volume};
use strum::VariantArray;

use super::{FEATURES, first_cells, quoted, read};

#[test]
fn the_data_models_have_every_table_and_every_state() {
    let models: Vec<_> = FEATURES
        .iter()
        .map(|feature| read(&format!("specs/{feature}/data-model.md")))
        .collect();
    let mut tables: Vec<_> = models.iter().flat_map(|model| first_cells(model)).collect();
    tables.sort();
    let schema = read("server/src/db/schema.rs");
    let defined = schema.lines().filter_map(|line| line.trim().strip_suffix(") {")?.split_once(" ("));
    let mut defined: Vec<_> = defined.map(|(name, _)| name.to_owned()).collect();
    defined.sort();
    assert!(defined.len() > 10);
    assert_eq!(tables, defined, "each on one of the pages");

    let states = |what: &str| -> BTreeSet<String> {
        let row = models
            .iter()
            .flat_map(|model| model.lines())
            .find(|line| line.starts_with(&format!("| {what} |")));
        quoted(row.unwrap_or_else(|| panic!("no row for {what}")))
            .map(str::to_owned)
            .collect()
    };
    for (what, known) in [
        ("run", names::<run::Status>()),
        ("phase of a run", names::<run::Phase>()),
        ("agent of a run", names::<run::Agent>()),
        ("stage", names::<Stage>()),
        ("job", names::<job::Status>()),
        ("why a job waits", names::<job::HoldReason>()),
        ("shard", names::<shard::Status>()),
        ("volume", names::<volume::Status>()),
        ("provider of a volume", names::<volume::Provider>()),
        ("preflight", names::<preflight::Status>()),
        ("audit of the agent's login", names::<audit::CodexStatus>()),
        ("audit of the forge's token", names::<audit::GithubStatus>()),
    ] {
        assert_eq!(states(what), known, "{what}");
    }
}

fn names<T: VariantArray + Display>() -> BTreeSet<String> {
    T::VARIANTS.iter().map(ToString::to_string).collect()
}
