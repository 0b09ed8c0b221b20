//! `moorline skill check`, on skills of its own release and on broken ones.

use std::fs;

use moorline::{bundle, exit::Exit};

use crate::moorline;

const NOBODY: &str = "http://127.0.0.1:1";

#[tokio::test]
async fn skills_that_are_in_order_are_shown_with_what_they_carry() {
    let root = tempfile::tempdir().expect("a folder");
    bundle::lay(root.path()).expect("skills");
    let seen = moorline(NOBODY, &format!("skill check {}", root.path().display())).await;
    assert_eq!(seen.exit, Exit::Ok, "{}", seen.out);
    insta::assert_snapshot!(seen.out, @"
    ok    conventional-commits 1.0.0: publish by scripts/publish
    ok    speckit 1.0.0: discover by scripts/stage, submit by its text, publish by scripts/stage
    ");
    let alone = root.path().join(".agents/skills/speckit");
    let seen = moorline(NOBODY, &format!("skill check --output json {}", alone.display())).await;
    let shown: serde_json::Value = serde_json::from_str(&seen.out).expect("JSON");
    assert_eq!((seen.exit, &shown["skills"][0]["ready"]), (Exit::Ok, &true.into()), "{shown}");
}

#[tokio::test]
async fn each_mistake_is_told_and_the_exit_code_says_that_there_are_some() {
    let root = tempfile::tempdir().expect("a folder");
    bundle::lay(root.path()).expect("skills");
    let added = root.path().join(".codex/skills/mine");
    fs::create_dir(&added).expect("a folder");
    fs::write(added.join("SKILL.md"), "---\nname: Mine\nauthor: me\n---\n").expect("a file");
    let folder = root.path().display().to_string();
    let seen = moorline(
        NOBODY,
        &format!("skill check {folder} {folder}/none {folder}/.codex {folder}/.codex/skills/mine"),
    )
    .await;
    assert_eq!(seen.exit, Exit::Refused);
    insta::assert_snapshot!(seen.out.replace(&folder, "ROOT"), @r#"
    ok    conventional-commits 1.0.0: publish by scripts/publish
    wrong mine
          - it is missing from .agents/skills: copy it there from .codex/skills, with its modes
          - the name "Mine" can't be used: take 1 to 64 lower-case letters, digits and single dashes between them, and name the folder the same
          - description is missing from the front matter: add a line `description: …`
          - (no mistake) the key author is not part of the format and is ignored: check its spelling, or move it below metadata
          - (no mistake) SKILL.md has no text below its front matter: agents learn nothing from it
    ok    speckit 1.0.0: discover by scripts/stage, submit by its text, publish by scripts/stage
    wrong ROOT/none
          - ROOT/none can't be read (No such file or directory (os error 2)): give a folder that is there, and that you may read
    wrong ROOT/.codex
          - ROOT/.codex holds neither SKILL.md nor .codex/skills nor .agents/skills: give the folder of a skill, or one that has skills in both of these
    wrong mine
          - the name "Mine" can't be used: take 1 to 64 lower-case letters, digits and single dashes between them, and name the folder the same
          - description is missing from the front matter: add a line `description: …`
          - (no mistake) the key author is not part of the format and is ignored: check its spelling, or move it below metadata
          - (no mistake) SKILL.md has no text below its front matter: agents learn nothing from it
    "#);
}
