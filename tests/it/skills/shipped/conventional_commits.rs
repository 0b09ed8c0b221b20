//! The skill `conventional-commits`: types, scopes and breaking changes, by the files of a patch and the words of tasks.

use std::fs;

use serde_json::{Value, json};

use super::program::{call, request, skill};

/// What it makes of a phase with one task and a patch of some files.
fn publish(title: &str, task: &str, files: &[&str]) -> Value {
    let patch: String = files
        .iter()
        .map(|file| format!("diff --git a/{file} b/{file}\nindex 0..1 100644\n"))
        .collect();
    publish_patch(title, task, &patch)
}

/// The same with the text of the patch.
fn publish_patch(title: &str, task: &str, text: &str) -> Value {
    let root = tempfile::tempdir().expect("a folder");
    let patch = root.path().join("publish.patch");
    fs::write(&patch, text).expect("a patch");
    let task = json!({"task_id": "T001", "description": task, "parallel": false, "story": "", "line": 3});
    let payload = json!({
        "repository": "acme/site", "base_ref": "main", "base_commit": "c0ffee", "checkout": root.path(), "patch": patch,
        "branch_name": "moorline/001-login/0123456789ab", "tasks_done": ["T001"],
        "phase": {"number": "1", "title": title, "depends_on": [], "tasks": [task]},
    });
    let asked = request("conventional-commits", "publish", payload);
    let ended = call(&skill("conventional-commits").join("scripts/publish"), &asked.to_string());
    assert_eq!((ended.code, ended.said.as_str()), (0, ""));
    assert_eq!(ended.result["status"], "succeeded");
    ended.result["artifacts"].clone()
}

#[test]
fn type_and_scope_come_from_what_has_changed() {
    let cases: [(&str, &str, &[&str]); 9] = [
        ("Setup (Shared Infrastructure)", "Begin", &["src/auth/login.rs", "src/auth/form.rs"]),
        (
            "User Story 1 - Log in (Priority: P1)",
            "Begin",
            &["src/a.rs", "web/b.ts", "specs/001-login/tasks.md"],
        ),
        ("Polish", "Describe it", &["docs/login.md", "README.md"]),
        ("Polish", "Describe it", &["specs/001-login/tasks.md"]),
        ("Polish", "Cover it", &["tests/auth/test_login.py", "tests/auth/form_test.go"]),
        ("Polish", "Fix the title", &["src/web/title.ts"]),
        ("Build.", "Build it", &["Dockerfile", "Cargo.toml"]),
        ("Checks", "Run them", &[".github/workflows/ci.yml"]),
        ("Users", "BREAKING CHANGE: names are lower case", &["packages/User Names/a.js"]),
    ];
    let subjects = cases.map(|(title, task, files)| publish(title, task, files)["pull_request"]["title"].as_str().unwrap().to_owned());
    insta::assert_snapshot!(subjects.join("\n"), @r"
    feat(auth): setup
    feat: log in
    docs: polish
    docs(001-login): polish
    test(auth): polish
    fix(web): polish
    build: build
    ci(workflows): checks
    feat(user-names)!: users
    ");
}

#[test]
fn the_whole_of_it() {
    let written = publish("Users", "Rename them; BREAKING CHANGE: names are lower case", &["src/users.rs"]);
    assert_eq!(written["branch_name"], "moorline/001-login/0123456789ab");
    insta::assert_snapshot!(written["commit_message"].as_str().unwrap(), @r"
    feat!: users

    - T001 Rename them; BREAKING CHANGE: names are lower case

    BREAKING CHANGE: names are lower case
    ");
    insta::assert_snapshot!(written["pull_request"]["body"].as_str().unwrap(), @r"
    Work on `specs/001-login`.

    - T001 Rename them; BREAKING CHANGE: names are lower case

    BREAKING CHANGE: names are lower case

    Files:

    - `src/users.rs`
    ");
}

#[test]
fn odd_names_and_titles_are_read_as_they_are_meant() {
    let patch = r#"diff --git a/src/a b/c.rs b/src/a b/c.rs
diff --git a/src/old b/x.rs b/src/new b/x.rs
rename from src/old b/x.rs
rename to src/new b/x.rs
diff --git "a/src/gr\303\274n \"x\".rs" "b/src/gr\303\274n \"x\".rs"
--- "a/src/gr\303\274n \"x\".rs"
+++ "b/src/gr\303\274n \"x\".rs"
@@ -1,2 +1,2 @@
--- a/removed line
+++ b/added line
diff --git a/src/plain.rs "b/src/bl\303\266d.rs"
rename to "src/bl\303\266d.rs"
diff --git "a/src/a\tb.rs" "b/src/a\tb.rs"
"#;
    let written = publish_patch("Log\tin   again", "Begin", patch);
    assert_eq!(written["pull_request"]["title"], "feat: log in again");
    let body = written["pull_request"]["body"].as_str().unwrap();
    let (_, files) = body.split_once("Files:\n\n").unwrap();
    assert_eq!(
        files,
        "- `src/a b/c.rs`\n- `src/blöd.rs`\n- `src/grün \"x\".rs`\n- `src/new b/x.rs`\n"
    );
}

#[test]
fn texts_stay_within_what_is_taken_of_them() {
    let files: Vec<String> = (0..500).map(|n| format!("src/{n}{}.rs", "🎯".repeat(50))).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let written = publish(&"🎯".repeat(200), &format!("BREAKING CHANGE: {}", "🎯".repeat(1980)), &files);
    let length = |text: &Value| text.as_str().expect("a text").len();
    assert!(length(&written["commit_message"]) <= 16 << 10);
    assert!(length(&written["pull_request"]["body"]) <= 60 << 10);
}

#[test]
fn a_request_that_is_not_for_it_is_refused() {
    let asked = request("conventional-commits", "discover", json!({}));
    let ended = call(&skill("conventional-commits").join("scripts/publish"), &asked.to_string());
    assert_eq!(
        (ended.code, &ended.result["status"], &ended.result["error"]["code"]),
        (0, &json!("failed"), &json!("REQUEST_UNKNOWN"))
    );
    let ended = call(&skill("conventional-commits").join("scripts/publish"), "no");
    assert_ne!(ended.code, 0);
}
