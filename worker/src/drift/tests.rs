//! Two ways compared, with patches that git has made of what an agent may leave.

use std::{fs, path::Path};

use moorline_proto::v1::FailureClass;
use tempfile::TempDir;

use super::*;
use crate::{stage::failure, testing::sh};

/// A folder where git makes patches on one commit.
struct Work(TempDir);

impl Work {
    fn new() -> Self {
        let work = Self(TempDir::new().unwrap());
        let begin = "git init -q -b main . && seq 1 60 > long.txt && printf 'one\\ntwo\\n' > short.txt && printf '\\0\\1\\2' > data
            git add -A && git -c user.name=A -c user.email=a@b commit -qm base";
        sh(work.0.path(), begin);
        work
    }

    /// The patch of what a script does, as the worker takes it.
    fn patch(&self, name: &str, script: &str) -> PathBuf {
        let diff = "git add -A && git diff --cached --no-renames --binary --full-index --src-prefix=a/ --dst-prefix=b/ HEAD";
        let to = self.0.path().join(".git").join(name);
        let take = format!("git reset -q --hard && git clean -qfdx\n{script}\n{diff} > {}", to.display());
        sh(self.0.path(), &take);
        to
    }

    /// What differs between what two scripts do.
    fn compare(&self, one: &str, other: &str) -> Document {
        compared(&self.patch("one", one), &self.patch("other", other), Tolerance::STRICT)
    }
}

fn compared(one: &Path, other: &Path, tolerance: Tolerance) -> Document {
    let side = |path, patch: &Path| Side {
        path,
        end: End::Submitted(Submitted {
            patch: patch.to_owned(),
            tasks_done: Vec::new(),
        }),
    };
    let (one, other) = (side(ExecutionPath::Skill, one), side(ExecutionPath::DirectOnly, other));
    compare(Stage::Submit, &one, &other, tolerance)
}

/// Files that differ, with the hunks that only one has.
fn differing(document: &Document) -> Vec<(&str, u64, u64)> {
    let differing = document.files.iter().filter(|file| !file.same);
    differing
        .map(|file| (file.path.as_str(), file.hunks_only_primary, file.hunks_only_shadow))
        .collect()
}

#[test]
fn patches_that_do_the_same_are_the_same() {
    let work = Work::new();
    let script = "sed -i 's/^7$/seven/; s/^50$/fifty/' long.txt; rm short.txt; printf '\\3\\4' > data; mkdir a; echo new > 'a/b c.txt'; chmod +x 'a/b c.txt'";
    let document = work.compare(script, script);
    assert_eq!((document.status, document.files.len()), (Status::Same, 4), "{document:?}");
    assert_eq!(document.files_differing(), 0);
    let long = document.files.iter().find(|file| file.path == "long.txt").unwrap();
    let two = Some(Lines {
        insertions: 2,
        deletions: 2,
    });
    assert_eq!((long.primary, long.shadow), (two, two));
    assert_eq!(work.compare("", "").status, Status::Same, "nothing was done either way");
}

#[test]
fn what_differs_is_told_by_file_and_hunk() {
    let work = Work::new();
    let document = work.compare(
        "sed -i 's/^7$/seven/; s/^30$/thirty/; s/^50$/fifty/' long.txt; echo one > mine",
        "sed -i 's/^7$/seven/; s/^50$/FIFTY/' long.txt; echo two > yours",
    );
    assert_eq!(document.status, Status::Drift);
    assert_eq!(differing(&document), [("long.txt", 2, 1), ("mine", 1, 0), ("yours", 0, 1)]);
    assert_eq!(document.detail, "3 files differ, in 5 of 7 hunks");
    assert_eq!(document.files[1].shadow, None);
    insta::assert_snapshot!(serde_json::to_string(&document).unwrap(), @r#"{"stage":"submit","primary":{"path":"skill","outcome":"succeeded","code":""},"shadow":{"path":"direct_only","outcome":"succeeded","code":""},"status":"drift","tolerance":{"hunks_percent":0},"detail":"3 files differ, in 5 of 7 hunks","files":[{"path":"long.txt","primary":{"insertions":3,"deletions":3},"shadow":{"insertions":2,"deletions":2},"hunks_only_primary":2,"hunks_only_shadow":1,"same":false},{"path":"mine","primary":{"insertions":1,"deletions":0},"shadow":null,"hunks_only_primary":1,"hunks_only_shadow":0,"same":false},{"path":"yours","primary":null,"shadow":{"insertions":1,"deletions":0},"hunks_only_primary":0,"hunks_only_shadow":1,"same":false}],"files_left_off":0,"fields":[]}"#);
}

#[test]
fn an_earlier_hunk_does_not_make_the_later_ones_differ() {
    let work = Work::new();
    let document = work.compare(
        "sed -i '1i first\\nsecond' long.txt; sed -i 's/^50$/fifty/' long.txt",
        "sed -i 's/^50$/fifty/' long.txt",
    );
    assert_eq!(differing(&document), [("long.txt", 1, 0)]);
}

#[test]
fn changes_without_text_count() {
    let work = Work::new();
    let only = |one: &str, other: &str| {
        let document = work.compare(one, other);
        differing(&document)
            .iter()
            .map(|(path, one, other)| format!("{path} {one} {other}"))
            .collect::<Vec<_>>()
            .join("; ")
    };
    assert_eq!(only("chmod +x short.txt", ""), "short.txt 1 0");
    assert_eq!(only("printf '\\0\\7' > data", "printf '\\0\\6' > data"), "data 1 1");
    assert_eq!(only("rm data", "printf '\\0\\6' > data"), "data 1 1");
    assert_eq!(only("rm short.txt", ": > short.txt"), "short.txt 1 1");
    assert_eq!(only(": > empty", ""), "empty 1 0");
    assert_eq!(only("echo x > tool; chmod +x tool", "echo x > tool"), "tool 1 1");
    assert_eq!(only("ln -sf long.txt short.txt", "printf long.txt > short.txt"), "short.txt 2 1");
    assert_eq!(
        only("printf 'one\\ntwo' > short.txt", ""),
        "short.txt 1 0",
        "the last line's end is gone"
    );
    assert_eq!(
        only("printf 'one \\ntwo\\n' > short.txt", "printf 'one\\r\\ntwo\\n' > short.txt"),
        "short.txt 1 1"
    );
}

#[test]
fn texts_and_names_that_look_like_a_patch_are_only_that() {
    let work = Work::new();
    let script = r#"
        printf -- '-- a/long.txt\n++ b/long.txt\n@@ -1,3 +1,3 @@\ndiff --git a/x b/x\nFrom me\n---\n' > short.txt
        cp short.txt 'diff --git a b'; cp short.txt "$(printf 'tab\tline\nquote"back\\')"; printf 'x\n' > "$(printf 'not\377text')"
        printf 'plain\377bytes\n' > bytes; printf 'GIT binary patch\nliteral 3\n' > binary.txt; printf 'no end' > 'b/ 'c 2>/dev/null || true
        sed -i 's/^20$/@@ -20 +20 @@/; s/^30$/-- x/' long.txt"#;
    let document = work.compare(script, script);
    assert_eq!(document.status, Status::Same, "{document:?}");
    let told: u64 = document.files.iter().map(|file| file.primary.unwrap().insertions).sum();
    let counted = sh(
        work.0.path(),
        "git diff --cached --numstat HEAD | awk '{ sum += $1 } END { print sum }'",
    );
    assert_eq!(told.to_string(), counted.trim(), "as many lines as git counts: {document:?}");
    let files = sh(work.0.path(), "git diff --cached --name-only -z HEAD | tr -dc '\\0' | wc -c");
    assert_eq!(document.files.len().to_string(), files.trim());
    let other = format!("{script}\nprintf 'y\\n' > \"$(printf 'not\\377text')\"");
    assert_eq!(differing(&work.compare(script, &other)).len(), 1);
}

#[test]
fn a_part_may_differ_where_the_tolerance_says_so() {
    let work = Work::new();
    let one = work.patch("one", "for i in 1 2 3 4 5 6 7 8 9; do echo x > f$i; done; echo one > g");
    let other = work.patch("other", "for i in 1 2 3 4 5 6 7 8 9; do echo x > f$i; done; echo two > g");
    let status = |hunks_percent| compared(&one, &other, Tolerance { hunks_percent }).status;
    assert_eq!(
        [0, 9, 10, 100].map(status),
        [Status::Drift, Status::Drift, Status::Same, Status::Same]
    );
}

#[test]
fn a_patch_that_is_too_large_is_only_asked_whether_it_is_the_same() {
    let folder = TempDir::new().unwrap();
    let patch = |name: &str, text: &str| {
        let to = folder.path().join(name);
        fs::write(&to, text).unwrap();
        to
    };
    let head = "diff --git a/x b/x\nnew file mode 100644\n--- /dev/null\n+++ b/x\n@@ -0,0 +1,500000 @@\n";
    let large = patch("large", &format!("{head}{}", "+\n".repeat(500_000)));
    let twin = patch("twin", &format!("{head}{}", "+\n".repeat(500_000)));
    let other = patch("other", &format!("{head}{}+y\n", "+\n".repeat(499_999)));
    assert_eq!(compared(&large, &twin, Tolerance::STRICT).status, Status::Same);
    let document = compared(&large, &other, Tolerance::STRICT);
    assert_eq!(document.status, Status::NotCompared);
    assert!(document.detail.contains("too large"), "{}", document.detail);
    let bytes = patch("bytes", &"+".repeat(17 << 20));
    assert_eq!(compared(&bytes, &other, Tolerance::STRICT).status, Status::NotCompared);
    let missing = compared(&folder.path().join("none"), &other, Tolerance::STRICT);
    assert_eq!(missing.status, Status::NotCompared, "{missing:?}");
}

#[test]
fn a_patch_that_is_none_is_never_the_same() {
    let work = Work::new();
    let good = work.patch("good", "sed -i 's/^7$/seven/; s/^50$/fifty/' long.txt");
    let text = fs::read_to_string(&good).unwrap();
    let bad = work.0.path().join(".git/bad");
    for cut in 0..text.len() {
        fs::write(&bad, &text[..cut]).unwrap();
        assert_ne!(compared(&good, &bad, Tolerance::STRICT).status, Status::Same, "{:?}", &text[..cut]);
    }
    for noise in [
        "rubbish\n",
        "\0\0\0",
        "@@ -1 +1 @@\n",
        "diff --git\n",
        "diff --git a/x b/x\nGIT binary patch\nliteral 99999999999999999999\n",
    ] {
        fs::write(&bad, noise).unwrap();
        assert_eq!(compared(&good, &bad, Tolerance::STRICT).status, Status::NotCompared, "{noise:?}");
    }
}

#[test]
fn what_is_told_is_bounded() {
    let work = Work::new();
    let many = "seq 1 3000 | while read i; do echo $i > file-$i; done";
    let document = work.compare(many, "echo other > file-7; echo x > \"$(printf '%0220d' 1)\"");
    assert_eq!((document.files.len(), document.files_left_off), (1000, 2001));
    assert_eq!(document.files_differing(), 3001);
    let task = |description: &str| v1::Task {
        task_id: "T001".to_owned(),
        description: description.to_owned(),
        ..Default::default()
    };
    let found = |text: &str| v1::DiscoverResult {
        phase: Some(v1::TaskPhase {
            tasks: vec![task(text); 10_000],
            ..Default::default()
        }),
        ..Default::default()
    };
    let document = of_discover(found(&"a".repeat(10_000)), found(&"b".repeat(10_000)));
    assert!(serde_json::to_vec(&document).unwrap().len() < 1 << 20);
}

fn of_discover(one: v1::DiscoverResult, other: v1::DiscoverResult) -> Document {
    let side = |path, found| Side {
        path,
        end: End::Discovered(found),
    };
    let (one, other) = (side(ExecutionPath::Skill, one), side(ExecutionPath::DirectOnly, other));
    compare(Stage::Discover, &one, &other, Tolerance { hunks_percent: 100 })
}

/// A field's name with both values.
fn told(document: &Document) -> Vec<String> {
    let told = |field: &Field| format!("{}: {} / {}", field.name, field.primary, field.shadow);
    document.fields.iter().map(told).collect()
}

#[test]
fn every_field_of_what_was_found_is_compared() {
    let task = v1::Task {
        task_id: "T001".to_owned(),
        description: "Do it".to_owned(),
        parallel: true,
        story: "US1".to_owned(),
        line: 7,
    };
    let other_task = v1::Task {
        task_id: "T002".to_owned(),
        ..task.clone()
    };
    let found = v1::DiscoverResult {
        base_ref: "main".to_owned(),
        base_commit: "c0ffee".to_owned(),
        phase: Some(v1::TaskPhase {
            number: "1".to_owned(),
            title: "Setup".to_owned(),
            tasks: vec![task.clone(), other_task.clone()],
            depends_on: vec!["0".to_owned()],
        }),
        checklists: vec![v1::Checklist {
            name: "ux".to_owned(),
            total: 3,
            done: 1,
        }],
    };
    assert_eq!(of_discover(found.clone(), found.clone()).status, Status::Same);
    let changed = |change: &dyn Fn(&mut v1::DiscoverResult, &mut v1::TaskPhase)| {
        let mut other = found.clone();
        let mut phase = other.phase.take().unwrap();
        change(&mut other, &mut phase);
        other.phase = other.phase.or(Some(phase));
        let document = of_discover(found.clone(), other);
        assert_eq!(document.status, Status::Drift);
        told(&document).join("; ")
    };
    assert_eq!(changed(&|other, _| other.base_commit.clear()), "base_commit: c0ffee / ");
    assert_eq!(changed(&|other, _| other.base_ref.clear()), "base_ref: main / ");
    assert_eq!(changed(&|_, phase| phase.number.push('0')), "phase.number: 1 / 10");
    assert_eq!(changed(&|_, phase| phase.title.clear()), "phase.title: Setup / ");
    assert_eq!(changed(&|_, phase| phase.depends_on.clear()), "phase.depends_on: 0 / ");
    assert_eq!(changed(&|_, phase| phase.tasks.truncate(1)), "phase.tasks: T001, T002 / T001");
    assert_eq!(changed(&|_, phase| phase.tasks.reverse()), "phase.tasks: T001, T002 / T002, T001");
    assert_eq!(
        changed(&|_, phase| phase.tasks[0].parallel = false),
        "phase.tasks.T001.parallel: true / false"
    );
    assert_eq!(changed(&|_, phase| phase.tasks[1].story.clear()), "phase.tasks.T002.story: US1 / ");
    assert_eq!(changed(&|_, phase| phase.tasks[1].line = 8), "phase.tasks.T002.line: 7 / 8");
    assert_eq!(
        changed(&|_, phase| phase.tasks[1].description.push('!')),
        "phase.tasks.T002.description: Do it / Do it!"
    );
    assert_eq!(changed(&|other, _| other.checklists[0].done = 2), "checklists: ux 1/3 / ux 2/3");
    let none = v1::DiscoverResult {
        phase: None,
        ..found.clone()
    };
    assert_eq!(told(&of_discover(found, none)), ["phase: 1 Setup / none"]);
}

#[test]
fn texts_of_a_publish_may_differ_but_not_its_tree_and_branch() {
    let text = Published {
        tree: "t".to_owned(),
        branch: "b".to_owned(),
        commit_message: "m".to_owned(),
        title: "title".to_owned(),
        body: "body".to_owned(),
    };
    let compared = |other: Published| {
        let side = |path, end| Side {
            path,
            end: End::Published(end),
        };
        let (one, other) = (side(ExecutionPath::Skill, text.clone()), side(ExecutionPath::DirectOnly, other));
        compare(Stage::Publish, &one, &other, Tolerance::STRICT)
    };
    let other_words = compared(Published {
        commit_message: "other".to_owned(),
        body: "other".to_owned(),
        ..text.clone()
    });
    assert_eq!(other_words.status, Status::Same);
    assert_eq!(told(&other_words), ["commit_message: m / other", "pull_request.body: body / other"]);
    let other_tree = compared(Published {
        tree: "u".to_owned(),
        title: "other".to_owned(),
        ..text.clone()
    });
    assert_eq!((other_tree.status, other_tree.detail.as_str()), (Status::Drift, "tree differs"));
}

#[test]
fn ends_are_compared_by_the_code_of_who_failed() {
    let failed = |code: &str| End::Failed(failure(code, FailureClass::Job, "it failed"));
    let of_skill = |skill_code: &str| {
        let mut failure = failure("SKILL_FAILED", FailureClass::Job, "it failed");
        failure.details.insert("skill_code".to_owned(), skill_code.to_owned());
        End::Failed(failure)
    };
    let compared = |one: End, other: End| {
        let side = |path, end| Side { path, end };
        let (one, other) = (side(ExecutionPath::Skill, one), side(ExecutionPath::DirectOnly, other));
        compare(Stage::Discover, &one, &other, Tolerance::STRICT)
    };
    assert_eq!(
        compared(of_skill("TASKS_MALFORMED"), failed("TASKS_MALFORMED")).status,
        Status::Same
    );
    assert_eq!(compared(failed("SKILL_NO_RESULT"), failed("TASKS_MISSING")).status, Status::Drift);
    let one_failed = compared(of_skill(""), End::Discovered(v1::DiscoverResult::default()));
    assert_eq!(one_failed.status, Status::Drift);
    assert_eq!(one_failed.detail, "skill failed, SKILL_FAILED; direct_only succeeded");
    assert_eq!(told(&one_failed), ["outcome: failed, SKILL_FAILED / succeeded"]);
    let mixed = compared(
        End::Discovered(v1::DiscoverResult::default()),
        End::Published(Published {
            tree: String::new(),
            branch: String::new(),
            commit_message: String::new(),
            title: String::new(),
            body: String::new(),
        }),
    );
    assert_eq!(mixed.status, Status::NotCompared);
}
