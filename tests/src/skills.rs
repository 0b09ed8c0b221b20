//! Skills of workers: what scripted ones say of theirs, and where real ones find some.

use std::{fs, io, path::PathBuf, sync::OnceLock};

use moorline_proto::v1::{self, Stage};
use sha2::{Digest, Sha256};

/// A root with the skills of this checkout, for workers whose jobs run on this machine. All tests share it, so it is never changed; a test that
/// wants another lays one of its own ([`moorline::bundle::lay`]).
///
/// # Panics
///
/// When it can't be made.
pub fn root() -> PathBuf {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| made().unwrap_or_else(|error| panic!("skills for tests can't be laid out: {error}")))
        .clone()
}

/// Made aside and moved into its place: another process of these tests may be at it. Its name follows what it holds.
fn made() -> io::Result<PathBuf> {
    let mut digest = Sha256::new();
    for file in moorline::bundle::FILES {
        digest.update(format!("{} {} {}\n", file.path, file.executable, file.content.len()));
        digest.update(file.content);
    }
    let digest = hex::encode(digest.finalize());
    let user = rustix::process::geteuid().as_raw();
    let root = std::env::temp_dir().join(format!("moorline-test-skills-{user}-{}", &digest[..16]));
    if root.is_dir() {
        return Ok(root);
    }
    let aside = root.with_extension(uuid::Uuid::now_v7().simple().to_string());
    moorline::bundle::lay(&aside)?;
    match fs::rename(&aside, &root) {
        Err(_) if root.is_dir() => moorline_worker::disk::remove(&aside)?,
        moved => moved?,
    }
    Ok(root)
}

/// A skill that carries some stages by a program.
pub fn skill(name: &str, stages: &[Stage]) -> v1::StartupSkill {
    let stage = |stage: &Stage| v1::SkillStage {
        stage: (*stage).into(),
        kind: v1::SkillKind::Executable.into(),
    };
    v1::StartupSkill {
        name: name.to_owned(),
        description: "Carries stages in tests.".to_owned(),
        version: "1.0.0".to_owned(),
        digest: "5e".repeat(32),
        stages: stages.iter().map(stage).collect(),
        ready: true,
        detail: String::new(),
    }
}

/// What every worker has: `speckit`, for all stages.
pub fn usual() -> Vec<v1::StartupSkill> {
    vec![skill("speckit", &[Stage::Discover, Stage::Submit, Stage::Publish])]
}

/// A startup profile with these skills and nothing else.
pub fn profile(skills: Vec<v1::StartupSkill>) -> v1::StartupProfile {
    v1::StartupProfile {
        skills,
        ..Default::default()
    }
}
