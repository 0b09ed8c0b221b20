//! Talking to the remote repository: where branches stand, fetch, push.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::{Base, Error, Git, command::condense};

/// What a push came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// The branch was made or moved.
    Moved {
        /// All that git printed.
        log: String,
    },
    /// The branch had exactly this commit already.
    AlreadyThere,
}

impl Git {
    /// Where a branch of the remote stands; the branch that its HEAD names when `base_ref` is empty.
    pub async fn base(&self, repository: &str, base_ref: &str, stop: &CancellationToken) -> Result<Base, Error> {
        let url = self.url(repository);
        let base_ref = base_ref.strip_prefix("refs/heads/").unwrap_or(base_ref);
        let listed = self.list(&url, base_ref, stop).await?;
        let missing = |branch: &str| Error::BaseRefMissing {
            repository: self.redact(&url),
            branch: branch.to_owned(),
        };
        if base_ref.is_empty() {
            // With nothing but an unborn HEAD the repository has no commit; with other branches a base_ref must be chosen.
            let branch = listed
                .lines()
                .find_map(|line| line.strip_prefix("ref: refs/heads/")?.strip_suffix("\tHEAD"));
            let commit = listed
                .lines()
                .find_map(|line| line.strip_suffix("\tHEAD").filter(|_| !line.starts_with("ref:")));
            return match (branch, commit) {
                (Some(branch), Some(commit)) => Ok(Base {
                    branch: branch.to_owned(),
                    commit: commit.to_owned(),
                }),
                _ if self.is_empty(&url, stop).await? => Err(Error::Empty {
                    repository: self.redact(&url),
                }),
                _ => Err(missing("HEAD")),
            };
        }
        match branch_in(&listed, base_ref) {
            Some(commit) => Ok(Base {
                branch: base_ref.to_owned(),
                commit,
            }),
            None if self.is_empty(&url, stop).await? => Err(Error::Empty {
                repository: self.redact(&url),
            }),
            None => Err(missing(base_ref)),
        }
    }

    /// The commit of a remote branch, if the branch exists.
    pub async fn branch(&self, repository: &str, branch: &str, stop: &CancellationToken) -> Result<Option<String>, Error> {
        let listed = self.list(&self.url(repository), branch, stop).await?;
        Ok(branch_in(&listed, branch))
    }

    async fn list(&self, url: &str, branch: &str, stop: &CancellationToken) -> Result<String, Error> {
        let output = self
            .call("list the repository's branches")
            .remote(url)
            .args(["ls-remote", "--symref", "--", url, "HEAD"])
            .arg(format!("refs/heads/{branch}"))
            .ok(stop)
            .await?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    async fn is_empty(&self, url: &str, stop: &CancellationToken) -> Result<bool, Error> {
        let output = self
            .call("list the repository's branches")
            .remote(url)
            .args(["ls-remote", "--heads", "--", url])
            .ok(stop)
            .await?;
        Ok(output.stdout.is_empty())
    }

    /// Makes `git_dir` anew and fetches one commit into it, without history: `commit`, or the tip of the base when there is none.
    pub async fn fetch(
        &self,
        repository: &str,
        base_ref: &str,
        commit: Option<&str>,
        git_dir: &Path,
        stop: &CancellationToken,
    ) -> Result<Base, Error> {
        let mut base = self.base(repository, base_ref, stop).await?;
        self.init(git_dir, &base.commit, stop).await?;
        let url = self.url(repository);
        let refspec = format!("+refs/heads/{0}:refs/heads/{0}", base.branch);
        self.fetch_into(&url, git_dir, &["--depth=1", "--", &url, &refspec], stop).await?;
        let tip = format!("refs/heads/{}", base.branch);
        base.commit = self.resolve(git_dir, &tip, stop).await?;
        if let Some(commit) = commit.filter(|commit| *commit != base.commit) {
            self.fetch_commit(&url, git_dir, &base, commit, stop).await?;
            base.commit = commit.to_owned();
        }
        Ok(base)
    }

    /// Fetches the tip of one branch, without history, into a git directory that exists.
    pub async fn fetch_branch(&self, repository: &str, branch: &str, git_dir: &Path, stop: &CancellationToken) -> Result<String, Error> {
        let url = self.url(repository);
        let local = format!("refs/moorline/{branch}");
        let refspec = format!("+refs/heads/{branch}:{local}");
        self.fetch_into(&url, git_dir, &["--depth=1", "--", &url, &refspec], stop).await?;
        self.resolve(git_dir, &local, stop).await
    }

    /// Many servers hand out a commit by its id; from one that doesn't, the branch's whole history is fetched, which has it
    /// unless the branch was rewritten.
    async fn fetch_commit(&self, url: &str, git_dir: &Path, base: &Base, commit: &str, stop: &CancellationToken) -> Result<(), Error> {
        let refspec = format!("{commit}:refs/moorline/base");
        let direct = self.fetch_into(url, git_dir, &["--depth=1", "--", url, &refspec], stop).await;
        match direct {
            Ok(()) => return Ok(()),
            Err(error @ (Error::Stopped | Error::TooLarge { .. } | Error::TimedOut { .. })) => return Err(error),
            Err(_) => {}
        }
        let branch = format!("+refs/heads/{0}:refs/heads/{0}", base.branch);
        self.fetch_into(url, git_dir, &["--unshallow", "--", url, &branch], stop).await?;
        let missing = |said: String| Error::BaseCommitMissing {
            repository: self.redact(url),
            commit: commit.to_owned(),
            said,
        };
        match self.resolve(git_dir, commit, stop).await {
            Ok(_) => Ok(()),
            Err(Error::Other { said, .. }) => Err(missing(said)),
            Err(error) => Err(error),
        }
    }

    async fn fetch_into(&self, url: &str, git_dir: &Path, args: &[&str], stop: &CancellationToken) -> Result<(), Error> {
        self.call("fetch from the repository")
            .remote(url)
            .git_dir(git_dir)
            .fills(git_dir)
            .args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"])
            .args(args)
            .ok(stop)
            .await?;
        Ok(())
    }

    /// The commit that a name stands for in a git directory.
    pub async fn resolve(&self, git_dir: &Path, name: &str, stop: &CancellationToken) -> Result<String, Error> {
        let output = self
            .call("find a commit")
            .git_dir(git_dir)
            .args(["rev-parse", "--verify", "--quiet", "--end-of-options"])
            .arg(format!("{name}^{{commit}}"))
            .ok(stop)
            .await?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Pushes a commit to a branch that is expected to stand at `expected` (not to exist when `None`).
    pub async fn push(
        &self,
        repository: &str,
        git_dir: &Path,
        commit: &str,
        branch: &str,
        expected: Option<&str>,
        stop: &CancellationToken,
    ) -> Result<Pushed, Error> {
        let url = self.url(repository);
        let output = self
            .call("push the branch")
            .remote(&url)
            .git_dir(git_dir)
            .args(["push", "--porcelain", "--no-verify", "--no-recurse-submodules"])
            .arg(format!("--force-with-lease=refs/heads/{branch}:{}", expected.unwrap_or_default()))
            .args(["--", &url])
            .arg(format!("{commit}:refs/heads/{branch}"))
            .run(stop)
            .await?;
        let printed = String::from_utf8_lossy(&output.stdout);
        let log = format!("{}{}", self.redact(&printed), output.stderr);
        if output.code == 0 {
            return Ok(Pushed::Moved { log });
        }
        // Another publisher of the same run may have been first, with the same commit.
        if self.branch(repository, branch, stop).await.ok().flatten().as_deref() == Some(commit) {
            return Ok(Pushed::AlreadyThere);
        }
        let said = condense(&output.stderr, output.code);
        match printed.lines().find_map(|line| line.strip_prefix('!')) {
            Some(refusal) => {
                let reason = refusal.rsplit('\t').next().unwrap_or(refusal).trim();
                Err(Error::PushRejected {
                    branch: branch.to_owned(),
                    said: self.redact(&format!("{reason}; {said}")),
                })
            }
            None => Err(Error::of_remote(&self.redact(&url), "push the branch", said)),
        }
    }
}

fn branch_in(listed: &str, branch: &str) -> Option<String> {
    let suffix = format!("\trefs/heads/{branch}");
    listed.lines().find_map(|line| line.strip_suffix(&suffix)).map(str::to_owned)
}
