//! A sample git repository with a Spec Kit feature in it: a bare origin, and helpers that look at it and commit to it.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context;
use tempfile::TempDir;

use crate::git::git;

/// The feature of a sample repository that says nothing else.
pub const FEATURE: &str = "001-greeting";

/// Its task list: two phases of two tasks, all of them open.
pub const TASKS: &str = "\
# Tasks: Greeting

**Input**: Design documents from `/specs/001-greeting/`

## Phase 1: Setup (Shared Infrastructure)

- [ ] T001 Describe the greeting in docs/greeting.md
- [ ] T002 [P] Describe how to run it in docs/running.md

## Phase 2: User Story 1 - Greet by name (Priority: P1) 🎯 MVP

**Goal**: Whoever starts it is greeted by name

- [ ] T003 [US1] Write the greeting in src/greeting.txt
- [ ] T004 [P] [US1] Describe the names that are accepted in docs/names.md

**Checkpoint**: The greeting works
";

const SPEC: &str = "\
# Feature Specification: Greeting

## User Scenarios & Testing

### User Story 1 - Greet by name (Priority: P1)

**Acceptance Scenarios**:

1. **Given** a name, **When** the program starts, **Then** it prints a greeting with that name.
";

const PLAN: &str = "# Implementation Plan: Greeting\n\n## Summary\n\nPlain text files; no build.\n";

/// A bare origin, and a clone of it to commit from.
#[derive(Debug)]
pub struct SampleRepository {
    origin: PathBuf,
    clone: TempDir,
    /// Holds the origin unless it lies in a directory of the caller's.
    _own: Option<TempDir>,
    default_branch: String,
}

/// What a sample repository is made with.
#[derive(Debug, Clone)]
pub struct Builder {
    feature: String,
    tasks: Option<String>,
    branch: String,
    files: Vec<(String, String)>,
}

/// One commit of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its id, 40 hex digits.
    pub id: String,
    /// Author, as `Name <address>`.
    pub author: String,
    /// Author's date, seconds since 1970.
    pub authored_at: i64,
    /// Committer's date, seconds since 1970.
    pub committed_at: i64,
    /// First line of the message.
    pub subject: String,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            feature: FEATURE.to_owned(),
            tasks: Some(TASKS.to_owned()),
            branch: "main".to_owned(),
            files: Vec::new(),
        }
    }
}

impl Builder {
    /// The folder under `specs/`.
    pub fn feature(mut self, feature: &str) -> Self {
        self.feature = feature.to_owned();
        self
    }

    /// The text of the task list.
    pub fn tasks(mut self, tasks: &str) -> Self {
        self.tasks = Some(tasks.to_owned());
        self
    }

    /// No task list at all.
    pub fn without_tasks(mut self) -> Self {
        self.tasks = None;
        self
    }

    /// The default branch.
    pub fn branch(mut self, branch: &str) -> Self {
        self.branch = branch.to_owned();
        self
    }

    /// A further file, or another text for one of the usual ones.
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    /// Makes the repository in a temporary directory of its own, which goes away with it.
    pub fn build(self) -> anyhow::Result<SampleRepository> {
        let own = tempfile::tempdir()?;
        let mut repository = self.build_at(&own.path().join("origin.git"))?;
        repository._own = Some(own);
        Ok(repository)
    }

    /// Makes the repository with its bare origin at a path, such as in a [`crate::forge::LocalForge`].
    pub fn build_at(self, origin: &Path) -> anyhow::Result<SampleRepository> {
        let clone = tempfile::tempdir()?;
        std::fs::create_dir_all(origin)?;
        git(origin, &["init", "--quiet", "--bare", "--initial-branch", &self.branch])?;
        git(clone.path(), &["init", "--quiet", "--initial-branch", &self.branch])?;
        let url = origin.to_str().context("the origin's path is no text")?;
        git(clone.path(), &["remote", "add", "origin", url])?;
        let folder = format!("specs/{}", self.feature);
        let mut files = vec![
            ("README.md".to_owned(), "# Greeter\n\nA sample project.\n".to_owned()),
            (format!("{folder}/spec.md"), SPEC.to_owned()),
            (format!("{folder}/plan.md"), PLAN.to_owned()),
        ];
        files.extend(self.tasks.map(|tasks| (format!("{folder}/tasks.md"), tasks)));
        files.extend(self.files);
        let repository = SampleRepository {
            origin: origin.to_owned(),
            clone,
            _own: None,
            default_branch: self.branch,
        };
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        repository.commit_on(&repository.default_branch, &files, "Begin")?;
        Ok(repository)
    }
}

impl SampleRepository {
    /// What a repository is made with.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The bare repository, which git can clone by this path.
    pub fn origin(&self) -> &Path {
        &self.origin
    }

    /// Writes files, commits them on a branch of the origin and returns the commit's id. A branch that isn't there begins at the
    /// default one. A text that begins with `#!` is a program.
    pub fn commit_on(&self, branch: &str, files: &[(&str, &str)], message: &str) -> anyhow::Result<String> {
        let clone = self.clone.path();
        git(clone, &["fetch", "--quiet", "--prune", "origin"])?;
        let known = |branch: &str| {
            git(
                clone,
                &["rev-parse", "--verify", "--quiet", &format!("refs/remotes/origin/{branch}")],
            )
            .ok()
        };
        if let Some(begin) = known(branch).or_else(|| known(&self.default_branch)) {
            git(clone, &["checkout", "--quiet", "--force", "-B", branch, &begin])?;
        }
        for (path, text) in files {
            let file = clone.join(path);
            std::fs::create_dir_all(file.parent().unwrap_or(clone))?;
            std::fs::write(&file, text).with_context(|| format!("could not write {}", file.display()))?;
            if text.starts_with("#!") {
                std::fs::set_permissions(&file, Permissions::from_mode(0o755))?;
            }
        }
        git(clone, &["add", "--all"])?;
        git(clone, &["commit", "--quiet", "--message", message])?;
        git(clone, &["push", "--quiet", "origin", &format!("HEAD:refs/heads/{branch}")])?;
        git(clone, &["rev-parse", "HEAD"])
    }

    /// The commits of a branch of the origin, newest first.
    pub fn log(&self, branch: &str) -> anyhow::Result<Vec<Commit>> {
        let printed = git(
            &self.origin,
            &[
                "log",
                "--format=%H%x00%an <%ae>%x00%at%x00%ct%x00%s",
                &format!("refs/heads/{branch}"),
                "--",
            ],
        )?;
        printed
            .lines()
            .map(|line| parse_commit(line).with_context(|| format!("unknown line {line:?}")))
            .collect()
    }

    /// The commit that a branch of the origin is at.
    pub fn head(&self, branch: &str) -> anyhow::Result<String> {
        git(&self.origin, &["rev-parse", "--verify", &format!("refs/heads/{branch}")])
    }

    /// Names of the origin's branches, in order.
    pub fn branches(&self) -> anyhow::Result<Vec<String>> {
        let printed = git(&self.origin, &["for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/"])?;
        Ok(printed.lines().map(str::to_owned).collect())
    }

    /// The text of a file on a branch of the origin.
    pub fn show(&self, branch: &str, path: &str) -> anyhow::Result<String> {
        git(&self.origin, &["show", &format!("refs/heads/{branch}:{path}")])
    }
}

fn parse_commit(line: &str) -> Option<Commit> {
    let mut parts = line.splitn(5, '\0').map(str::to_owned);
    let (id, author) = (parts.next()?, parts.next()?);
    let (authored_at, committed_at) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some(Commit {
        id,
        author,
        authored_at,
        committed_at,
        subject: parts.next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_a_feature_and_takes_commits_on_any_branch() {
        let repository = SampleRepository::builder()
            .branch("trunk")
            .file("README.md", "other\n")
            .build()
            .unwrap();
        assert_eq!(repository.show("trunk", "README.md").unwrap(), "other");
        assert!(
            repository
                .show("trunk", "specs/001-greeting/tasks.md")
                .unwrap()
                .contains("- [ ] T003 [US1]")
        );
        let id = repository.commit_on("side", &[("a/b.txt", "b\n")], "Add b").unwrap();
        assert_eq!(repository.head("side").unwrap(), id);
        assert_eq!(repository.branches().unwrap(), ["side", "trunk"]);
        let subjects = |branch| {
            repository
                .log(branch)
                .unwrap()
                .into_iter()
                .map(|commit| commit.subject)
                .collect::<Vec<_>>()
        };
        assert_eq!(subjects("side"), ["Add b", "Begin"]);
        assert_eq!(subjects("trunk"), ["Begin"]);
        assert!(repository.log("nowhere").is_err());
    }

    #[test]
    fn a_sample_without_a_task_list_has_the_rest() {
        let repository = SampleRepository::builder().without_tasks().feature("002-empty").build().unwrap();
        assert!(repository.show("main", "specs/002-empty/spec.md").is_ok());
        assert!(repository.show("main", "specs/002-empty/tasks.md").is_err());
    }
}
