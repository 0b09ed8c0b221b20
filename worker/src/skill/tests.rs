//! Skills in folders that tests make, good and bad.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use moorline_proto::v1::Stage;
use tempfile::TempDir;

use super::{Carrier, MIRRORS, Registry, check, repository};
use crate::testing::sh;

/// A skill that carries all stages and is in order.
const GOOD: &str = "mkdir -p a/scripts; printf '#!/bin/sh\\necho %s\\n' ok > a/scripts/stage; cp a/scripts/stage a/scripts/health
    chmod 755 a/scripts/*
    cat > a/SKILL.md <<'END'
---
name: a
description: Does it.
metadata:
  version: \"1.2\"
  moorline-stages: discover=scripts/stage submit publish=scripts/stage
  moorline-health: scripts/health
---

# How

Do it.
END
";

/// A root whose mirrors both have what a script makes, changed by another script that runs in the root.
fn root(make: &str, change: &str) -> TempDir {
    let root = TempDir::new().unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for mirror in MIRRORS {
        let mirror = root.path().join(mirror);
        fs::create_dir_all(&mirror).unwrap();
        sh(&mirror, make);
    }
    sh(root.path(), change);
    root
}

/// What is wrong with the skill `a` of such a root.
fn wrong(make: &str, change: &str) -> String {
    let root = root(make, change);
    let registry = Registry::read(root.path());
    let told = |registry: &Registry| match registry.found().get("a") {
        None => "nothing is there".to_owned(),
        Some(found) => found.told().join("\n"),
    };
    let told = registry.trouble().map_or_else(|| told(&registry), str::to_owned);
    told.replace(&root.path().display().to_string(), "ROOT")
}

/// The same with front matter of this metadata, in both mirrors.
fn with(metadata: &str) -> String {
    let lines: String = metadata.lines().map(|line| format!("  {line}\n")).collect();
    let file = format!("{GOOD}\ncat > a/SKILL.md <<'END'\n---\nname: a\ndescription: x\nmetadata:\n{lines}---\ntext\nEND\n");
    wrong(&file, "")
}

#[test]
fn a_skill_in_both_mirrors_is_found_with_all_that_it_says() {
    let root = root(GOOD, "mkdir -p .codex/skills/.system/x; echo > .agents/skills/README.md");
    let registry = Registry::read(root.path());
    let skill = registry.find("a").unwrap();
    let program = || Carrier::Executable("scripts/stage".to_owned());
    assert_eq!(
        skill.stages.clone().into_iter().collect::<Vec<_>>(),
        [
            (Stage::Discover, program()),
            (Stage::Submit, Carrier::Instructions),
            (Stage::Publish, program())
        ]
    );
    assert_eq!((skill.description.as_str(), skill.version.as_str()), ("Does it.", "1.2"));
    assert_eq!(
        (skill.text.as_str(), skill.health.as_deref()),
        ("# How\n\nDo it.", Some("scripts/health"))
    );
    assert_eq!(skill.folder, root.path().join(".codex/skills/a"));
    // Computed by hand: x or -, SHA-256 of the content, length and letters of the path, file after file in the order of their paths.
    assert_eq!(skill.digest, "1c7c4788c5d01cfdb170d70eea59efd17bf544a80ff2bfc249df1feb8ae142f7");
    assert_eq!(registry.found().len(), 1, "neither an agent's own skills nor a file is a skill");
    let told = registry.profile();
    assert!(told[0].ready && told[0].stages.len() == 3 && told[0].detail.is_empty(), "{told:?}");
}

#[test]
fn mirrors_are_compared_byte_for_byte() {
    let changes = [
        "rm -r .agents/skills/a",
        "rm -r .codex",
        "rm .codex/skills/a/scripts/stage",
        "echo more >> .agents/skills/a/scripts/stage",
        "chmod -x .agents/skills/a/scripts/stage",
        "chmod -x .codex/skills/a/scripts/health",
        "for n in 1 2 3 4 5 6 7; do echo > .agents/skills/a/$n; done",
        "sed -i s/Does/Did/ .agents/skills/a/SKILL.md; mv .agents/skills/a/scripts/stage .agents/skills/a/scripts/stages",
        "rm -r .agents/skills/a; echo > .agents/skills/a",
    ];
    let said: Vec<String> = changes.iter().map(|change| format!("{change}\n{}", wrong(GOOD, change))).collect();
    insta::assert_snapshot!(said.join("\n\n"), @r#"
    rm -r .agents/skills/a
    it is missing from .agents/skills: copy it there from .codex/skills, with its modes

    rm -r .codex
    it is missing from .codex/skills: copy it there from .agents/skills, with its modes

    rm .codex/skills/a/scripts/stage
    scripts/stage is missing from .codex/skills: copy it there from .agents/skills, with its modes
    moorline-stages names "scripts/stage", which is no file of the skill: add it, or correct the path

    echo more >> .agents/skills/a/scripts/stage
    scripts/stage is not the same in both mirrors: copy the one that is right to the other, with its modes

    chmod -x .agents/skills/a/scripts/stage
    scripts/stage is executable in .codex/skills alone: give it the same mode in both

    chmod -x .codex/skills/a/scripts/health
    scripts/health is executable in .agents/skills alone: give it the same mode in both
    moorline-health names "scripts/health", which is not executable: chmod +x it, in both mirrors

    for n in 1 2 3 4 5 6 7; do echo > .agents/skills/a/$n; done
    1 is missing from .codex/skills: copy it there from .agents/skills, with its modes
    2 is missing from .codex/skills: copy it there from .agents/skills, with its modes
    3 is missing from .codex/skills: copy it there from .agents/skills, with its modes
    4 is missing from .codex/skills: copy it there from .agents/skills, with its modes
    5 is missing from .codex/skills: copy it there from .agents/skills, with its modes
    and 2 more files differ between the mirrors

    sed -i s/Does/Did/ .agents/skills/a/SKILL.md; mv .agents/skills/a/scripts/stage .agents/skills/a/scripts/stages
    SKILL.md is not the same in both mirrors: copy the one that is right to the other, with its modes
    scripts/stage is missing from .agents/skills: copy it there from .codex/skills, with its modes
    scripts/stages is missing from .codex/skills: copy it there from .agents/skills, with its modes

    rm -r .agents/skills/a; echo > .agents/skills/a
    .agents/skills/a is no folder: put the skill's folder there
    "#);
    assert_eq!(
        wrong(
            GOOD,
            "touch -d 2001-01-01 .agents/skills/a/SKILL.md; chmod go-r .agents/skills/a/SKILL.md"
        ),
        ""
    );
}

#[test]
fn each_key_of_moorlines_own_is_checked_against_the_files() {
    let metadata = [
        "moorline-stages: discover",
        "moorline-stages: publish submit submit=scripts/stage",
        "moorline-stages: build=scripts/stage Submit",
        "moorline-stages: discover=/bin/sh publish=../a/scripts/stage submit=",
        "moorline-stages: discover=scripts/none publish=scripts",
        "moorline-stages: discover=SKILL.md",
        "moorline-health: scripts/health --all",
        "moorline-health: ./scripts/health",
        "moorline-stages: [submit]",
    ];
    let said: Vec<String> = metadata.iter().map(|metadata| format!("{metadata}\n{}", with(metadata))).collect();
    insta::assert_snapshot!(said.join("\n\n"), @r#"
    moorline-stages: discover
    moorline-stages gives discover no program, and no agent is there to follow instructions: write `discover=path/of/its/program`

    moorline-stages: publish submit submit=scripts/stage
    moorline-stages gives publish no program, and no agent is there to follow instructions: write `publish=path/of/its/program`
    moorline-stages names submit twice: keep one of them

    moorline-stages: build=scripts/stage Submit
    moorline-stages has "build=scripts/stage": write discover, submit and publish, each as `stage=path/of/its/program`; submit also alone
    moorline-stages has "Submit": write discover, submit and publish, each as `stage=path/of/its/program`; submit also alone

    moorline-stages: discover=/bin/sh publish=../a/scripts/stage submit=
    moorline-stages names "/bin/sh": give a path inside the skill's folder, without `..`
    moorline-stages names "../a/scripts/stage": give a path inside the skill's folder, without `..`
    moorline-stages names "": give a path inside the skill's folder, without `..`

    moorline-stages: discover=scripts/none publish=scripts
    moorline-stages names "scripts/none", which is no file of the skill: add it, or correct the path
    moorline-stages names "scripts", which is no file of the skill: add it, or correct the path

    moorline-stages: discover=SKILL.md
    moorline-stages names "SKILL.md", which is not executable: chmod +x it, in both mirrors

    moorline-health: scripts/health --all
    moorline-health names "scripts/health --all", which is no file of the skill: add it, or correct the path

    moorline-health: ./scripts/health
    moorline-health names "./scripts/health": give a path inside the skill's folder, without `..`

    moorline-stages: [submit]
    metadata.moorline-stages is a list: write text, in quotes if it is a number or a date
    "#);
    let closed = wrong(&format!("{GOOD}\nchmod -x a/scripts/stage"), "");
    insta::assert_snapshot!(closed, @r#"
    moorline-stages names "scripts/stage", which is not executable: chmod +x it, in both mirrors
    "#);
    assert_eq!(with("author: us\nmoorline-stages: submit"), "");
}

#[test]
fn each_mistake_in_a_file_is_told() {
    let file = |content: &str| format!("mkdir a; printf -- '{content}' > a/SKILL.md");
    let cases = [
        ("no file", "mkdir a".to_owned()),
        ("a folder", "mkdir -p a/SKILL.md".to_owned()),
        ("no text", file("---\\nname: a\\n\\377---\\n")),
        ("no front matter", file("# a")),
        ("keys missing", file("---\\nlicense: MIT\\n---\\nx")),
        ("another name", file("---\\nname: b\\ndescription: x\\n---\\nx")),
        ("a bad name", file("---\\nname: A--b\\ndescription: x\\n---\\nx")),
        (
            "no instructions",
            file("---\\nname: a\\ndescription: x\\nmetadata: {moorline-stages: submit}\\n---\\n \\n"),
        ),
        ("too large", "mkdir a; head -c 262145 /dev/zero > a/SKILL.md".to_owned()),
    ];
    let said: Vec<String> = cases.iter().map(|(what, make)| format!("{what}\n{}", wrong(make, ""))).collect();
    insta::assert_snapshot!(said.join("\n\n"), @r#"
    no file
    its folder has no SKILL.md: write one, with front matter and text

    a folder
    its folder has no SKILL.md: write one, with front matter and text

    no text
    SKILL.md is no text: save it as UTF-8

    no front matter
    SKILL.md does not begin with front matter: begin it with a line `---`, then `name:` and `description:`, then a line `---`

    keys missing
    name is missing from the front matter: add a line `name: …`
    description is missing from the front matter: add a line `description: …`

    another name
    the name "b" is not that of its folder, "a": make them the same

    a bad name
    the name "A--b" can't be used: take 1 to 64 lower-case letters, digits and single dashes between them, and name the folder the same

    no instructions
    submit goes by the text of SKILL.md, which has none: write it below the front matter, or give submit a program

    too large
    .codex/skills/a/SKILL.md is larger than 256 KiB: move what is rarely needed to files beside it
    .agents/skills/a/SKILL.md is larger than 256 KiB: move what is rarely needed to files beside it
    "#);
}

#[test]
fn what_is_only_odd_is_no_mistake() {
    let make =
        "mkdir a; printf -- '---\\nname: a\\ndescription: x\\nversion: 2\\nmetadata: {moorline-stage: submit}\\n---\\n' > a/SKILL.md";
    let root = root(make, "");
    let registry = Registry::read(root.path());
    assert!(registry.find("a").is_some());
    let remarks: Vec<String> = registry.found()["a"].remarks.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(remarks.join("\n"), @"
    the key version is not part of the format and is ignored: check its spelling, or move it below metadata
    the key metadata.moorline-stage is not known and is ignored: there are moorline-stages and moorline-health
    SKILL.md has no text below its front matter: agents learn nothing from it
    ");
}

#[test]
fn hostile_folders_cost_little_and_are_refused() {
    let began = std::time::Instant::now();
    let changes = [
        "ln -s /etc/passwd .codex/skills/a/passwd",
        "ln -s ../../../.. .codex/skills/a/up",
        "ln -s . .codex/skills/a/again",
        "ln -s nowhere .codex/skills/a/lost",
        "mkfifo .codex/skills/a/pipe",
        "touch \"$(printf '.codex/skills/a/x\\ny')\"",
        "touch \"$(printf '.codex/skills/a/\\377')\"",
        "cd .codex/skills/a; n=0; while [ $n -lt 1999 ]; do : > $n; n=$((n + 1)); done",
        "head -c 16777217 /dev/zero > .codex/skills/a/zero",
        "cd .codex/skills/a; n=0; while [ $n -lt 18 ]; do mkdir d; cd d; n=$((n + 1)); done; touch x",
    ];
    let said: Vec<String> = changes.iter().map(|change| format!("{change}\n{}", wrong(GOOD, change))).collect();
    insta::assert_snapshot!(said.join("\n\n"), @r#"
    ln -s /etc/passwd .codex/skills/a/passwd
    .codex/skills/a/passwd is a link to /etc/passwd, which leads out of ROOT: put a file in its place that every user may read

    ln -s ../../../.. .codex/skills/a/up
    .codex/skills/a/up is a link to ../../../.., which leads out of ROOT: put a file in its place that every user may read

    ln -s . .codex/skills/a/again
    .codex/skills/a/again/again/again/again/again/again/again/again/again/again/again/again/again/again/again/again/again lies more than 16 folders deep: move it up

    ln -s nowhere .codex/skills/a/lost
    .codex/skills/a/lost is a link to something that is not there: remove it, or put a file in its place

    mkfifo .codex/skills/a/pipe
    .codex/skills/a/pipe is neither a file nor a folder: remove it

    touch "$(printf '.codex/skills/a/x\ny')"
    .codex/skills/a/"x\ny" has a name with control characters, or one that is no UTF-8: rename it

    touch "$(printf '.codex/skills/a/\377')"
    .codex/skills/a/"�" has a name with control characters, or one that is no UTF-8: rename it

    cd .codex/skills/a; n=0; while [ $n -lt 1999 ]; do : > $n; n=$((n + 1)); done
    .codex/skills/a holds more than 2000 files and folders: remove what no agent needs

    head -c 16777217 /dev/zero > .codex/skills/a/zero
    .codex/skills/a takes more than 16 MiB: remove what no agent needs

    cd .codex/skills/a; n=0; while [ $n -lt 18 ]; do mkdir d; cd d; n=$((n + 1)); done; touch x
    .codex/skills/a/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d lies more than 16 folders deep: move it up
    "#);
    let mirrors = ["rm -r .codex; ln -s /etc .codex", "rm -r .agents/skills; ln -s /etc .agents/skills"];
    let said = mirrors.map(|change| wrong(GOOD, change));
    insta::assert_snapshot!(said.join("\n"), @"
    .codex is a link to /etc, which leads out of ROOT
    .agents/skills is a link to /etc, which leads out of ROOT
    ");
    assert!(began.elapsed().as_secs() < 60);
}

#[test]
fn one_mirror_may_be_links_to_the_other() {
    for change in [
        "rm -r .agents/skills/a; ln -s ../../.codex/skills/a .agents/skills/a",
        "rm -r .agents/skills; ln -s ../.codex/skills .agents/skills",
        "rm -r .agents; ln -s \"$PWD/.codex\" .agents",
    ] {
        assert_eq!(wrong(GOOD, change), "", "{change}");
    }
}

#[test]
fn a_skill_of_a_repository_is_found_and_copied_as_it_is() {
    let checkout = root(
        GOOD,
        "ln -s ../stage .codex/skills/a/scripts/x 2>/dev/null; rm .codex/skills/a/scripts/x",
    );
    let skill = repository::find(checkout.path(), "a").unwrap();
    assert_eq!(
        (skill.source, skill.folder),
        (super::Source::Repository, checkout.path().join(".codex/skills/a"))
    );
    let copies = TempDir::new().unwrap();
    let folder = copies.path().join("skills/a");
    let copied = repository::copy(checkout.path(), "a", &folder).unwrap();
    assert_eq!(copied.folder, folder);
    assert_eq!(
        sh(&folder, "scripts/stage; stat -c %a . SKILL.md scripts scripts/stage"),
        "ok\n555\n444\n555\n555"
    );
    sh(copies.path(), "chmod -R u+w .");
    assert!(repository::copy(checkout.path(), "a", &folder).is_err(), "there is one already");
}

#[test]
fn a_repository_cannot_lead_a_worker_elsewhere() {
    let said = |change: &str, name: &str| {
        let checkout = root(GOOD, change);
        let error = repository::find(checkout.path(), name).unwrap_err();
        let failure = error.failure();
        format!(
            "{}: {}",
            failure.code,
            failure.message.replace(&checkout.path().display().to_string(), "CHECKOUT")
        )
    };
    let all = [
        said("", "b"),
        said("", "../a"),
        said("mkdir -p x; rm -r .codex/skills/a; ln -s /etc .codex/skills/a", "a"),
        said("rm -r .codex; ln -s /etc .codex", "a"),
        said("rm .agents/skills/a/SKILL.md; ln -s /etc/passwd .agents/skills/a/SKILL.md", "a"),
        said("rm -r .agents", "a"),
    ];
    insta::assert_snapshot!(all.join("\n"), @"
    SKILL_MISSING: the skill b is not in the repository: put it into both .codex/skills and .agents/skills there
    SKILL_MISSING: the skill ../a is not in the repository: put it into both .codex/skills and .agents/skills there
    SKILL_INVALID: the skill a of the repository can't be used: .codex/skills/a is a link to /etc, which leads out of CHECKOUT: put a file in its place that every user may read
    SKILL_INVALID: the skill a of the repository can't be used: .codex is a link to /etc, which leads out of CHECKOUT: put a file in its place that every user may read
    SKILL_INVALID: the skill a of the repository can't be used: .agents/skills/a/SKILL.md is a link to /etc/passwd, which leads out of CHECKOUT: put a file in its place that every user may read
    SKILL_INVALID: the skill a of the repository can't be used: it is missing from .agents/skills: copy it there from .codex/skills, with its modes
    ");
}

#[test]
fn a_folder_is_checked_as_a_skill_or_as_a_root() {
    let root = root(GOOD, "rm .agents/skills/a/scripts/stage");
    let of = |path: &Path| match check::check(path) {
        Ok(check::Checked::Skill(found)) => format!("skill {} {:?}", found.skill.name, found.told()),
        Ok(check::Checked::Root(registry)) => format!("root {:?}", registry.found()["a"].told().len()),
        Err(error) => error.to_string().replace(&root.path().display().to_string(), "ROOT"),
    };
    let said = ["", ".codex/skills/a", ".agents/skills/a", ".codex", "none"].map(|path| of(&root.path().join(path)));
    insta::assert_snapshot!(said.join("\n"), @r#"
    root 1
    skill a []
    skill a ["moorline-stages names \"scripts/stage\", which is no file of the skill: add it, or correct the path"]
    ROOT/.codex holds neither SKILL.md nor .codex/skills nor .agents/skills: give the folder of a skill, or one that has skills in both of these
    ROOT/none can't be read (No such file or directory (os error 2)): give a folder that is there, and that you may read
    "#);
}

#[test]
fn the_skills_of_this_repository_are_in_order() {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/skills");
    for folder in fs::read_dir(all).unwrap() {
        let folder = folder.unwrap().path();
        let Ok(check::Checked::Skill(found)) = check::check(&folder) else {
            panic!("{} is no skill", folder.display());
        };
        assert_eq!((found.told(), found.remarks.len()), (Vec::new(), 0), "{}", folder.display());
    }
}
