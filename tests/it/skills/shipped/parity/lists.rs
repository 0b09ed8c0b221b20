//! Task lists, well formed and broken.

use std::{fs, path::Path};

use proptest::{collection::vec, prelude::*, sample::select};

use crate::architecture::ROOT;

/// Words that task lists are made of, in descriptions and in what is said of dependencies.
const WORDS: [&str; 40] = [
    "Phase",
    "Phases",
    "phase",
    "1",
    "2",
    "3",
    "3+",
    "2-4",
    "N",
    "and",
    ",",
    "US1",
    "US2",
    "us3",
    "User Story 1",
    "User Stories",
    "user stories",
    "story 2",
    "Setup",
    "**Polish**",
    "Foundational",
    "(Final Phase)",
    "depends on",
    "Depends on",
    "depend on",
    "can start after",
    "starts only after",
    "all",
    "may",
    "not",
    "T001",
    "`src/a.rs`",
    "complete",
    ". ",
    "; ",
    " - ",
    "–",
    "→",
    "->",
    "‚Üí",
];

const TITLES: [&str; 10] = [
    "Setup (Shared Infrastructure)",
    "Foundational (Blocking Prerequisites)",
    "User Story 1 - Log in (Priority: P1) 🎯 MVP",
    "User Story 2 - Log out (Priority: P2)",
    "User Story 3",
    "Polish & Cross-Cutting Concerns",
    "Skills-First Compatibility Baseline",
    "Dependencies",
    "é ü",
    "Validation",
];

/// Bits that break lists, or don't.
const BITS: [&str; 36] = [
    "\n",
    "\r",
    "\r\n",
    " ",
    "\t",
    "\u{a0}",
    "\u{85}",
    "\0",
    "\u{1b}",
    "\u{2028}",
    "\u{feff}",
    "#",
    "##",
    "## ",
    "# ",
    "## Phase 1: Again\n",
    "## Phase 2\n",
    "## Phase x: y\n",
    "## Phase 1.2.a: z\n",
    "- [",
    "]",
    "[x]",
    "[X]",
    "[ ]",
    "[y]",
    "- [ ] ",
    "- [ ] T001 ",
    "- [x] T9999 Deploy\n",
    "T12",
    "TXXX ",
    "[P]",
    "[US1]",
    "```",
    "~~~\n",
    "<!--",
    "-->",
];

fn words() -> impl Strategy<Value = String> {
    vec(select(&WORDS[..]), 1..9).prop_map(|words| words.join(" "))
}

/// A phase that begins with a given title, with tasks numbered from `first`.
fn phase(number: usize, last: bool, first: usize) -> impl Strategy<Value = String> {
    let task = (any::<bool>(), any::<bool>(), 0..4_u8, words(), any::<bool>());
    (select(&TITLES[..]), vec(task, 1..4), words()).prop_map(move |(title, tasks, text)| {
        let number = if last { "N".to_owned() } else { number.to_string() };
        let mut phase = format!("## Phase {number}: {title}\n\n**Goal**: {text}\n\n");
        for (index, (done, parallel, story, description, starred)) in tasks.into_iter().enumerate() {
            let (bullet, mark) = (if starred { "*" } else { "-" }, if done { "x" } else { " " });
            let parallel = if parallel { "[P] " } else { "" };
            let story = if story > 0 { format!("[US{story}] ") } else { String::new() };
            phase += &format!("{bullet} [{mark}] T{:03} {parallel}{story}Do {description}\n", first + index);
        }
        phase + "\n---\n\n"
    })
}

fn section() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        words().prop_map(|words| format!("- {words}")),
        (words(), words()).prop_map(|(one, other)| format!("- {one} depends on {other}")),
        (1..7_u8, 1..7_u8).prop_map(|(one, other)| format!("- **Phase {one}** can start after Phase {other} - {one}")),
        vec(words(), 2..5).prop_map(|links| links.join(" -> ")),
        vec(
            select(&["setup", "blocking", "log", "shared", "dependencies", "validation", "Phase 1", "US2"][..]),
            1..7
        )
        .prop_map(|links| links.join(" → ")),
        select(
            &[
                "### Phase Dependencies",
                "",
                "```",
                "1. **Setup (Phase 1)** → 2. **US1** → 3. **Phase N**"
            ][..]
        )
        .prop_map(str::to_owned),
    ];
    vec(line, 0..8).prop_map(|lines| format!("## Dependencies & Execution Order\n\n{}\n", lines.join("\n")))
}

/// Lists that are taken.
pub fn list() -> impl Strategy<Value = String> {
    (1..7_usize, any::<bool>(), section()).prop_flat_map(|(count, polish, section)| {
        let phases: Vec<_> = (1..=count)
            .map(|number| phase(number, polish && number == count, number * 100))
            .collect();
        phases.prop_map(move |phases| format!("# Tasks: X\n\n{}{section}", phases.concat()))
    })
}

/// The lists of other hands.
pub fn fixtures() -> impl Strategy<Value = String> {
    let read = |name: &&str| fs::read_to_string(Path::new(ROOT).join("worker/src/fixtures").join(name)).expect("a fixture");
    let names = ["001-celery-oauth-volumes.tasks.md", "007-scalable-codex-worker.tasks.md"];
    select(names.iter().map(read).collect::<Vec<_>>())
}

/// What a slip of the hand does at some place.
#[derive(Debug, Clone)]
enum Slip {
    Insert(String),
    Remove(usize),
    Byte(u8),
    Repeat(usize),
}

/// Lists with a few mistakes.
pub fn mistaken(lists: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    let slip = prop_oneof![
        6 => select(&BITS[..]).prop_map(|bit| Slip::Insert(bit.to_owned())),
        1 => words().prop_map(Slip::Insert),
        2 => (1..12_usize).prop_map(Slip::Remove),
        1 => any::<u8>().prop_map(Slip::Byte),
        1 => (1..80_usize).prop_map(Slip::Repeat),
    ];
    (lists, vec((any::<prop::sample::Index>(), slip), 1..4)).prop_map(|(list, slips)| {
        let mut text = list.into_bytes();
        for (at, slip) in slips {
            let at = at.index(text.len() + 1);
            let end = |length: usize| (at + length).min(text.len());
            let (until, with) = match slip {
                Slip::Insert(bit) => (at, bit.into_bytes()),
                Slip::Remove(length) => (end(length), Vec::new()),
                Slip::Byte(byte) => (end(1), vec![byte]),
                Slip::Repeat(length) => (at, text[at..end(length)].to_vec()),
            };
            text.splice(at..until, with);
        }
        text
    })
}
