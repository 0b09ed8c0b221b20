//! What an image has to be, looked at in the image itself before it gets its name.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    build::Target,
    client::Docker,
    container::{output, run},
    layers, pins,
};
use crate::paths::Paths;

/// Whom everything runs as.
const USER: &str = "uid=1000(app) gid=1000(app) groups=1000(app)";
/// Tools that make images, and have no business in one.
const TOOLS: [&str; 4] = ["pip", "npm", "cc", "curl"];

/// Gives an image its names in place of the one that it was built under, once it is as it should be.
pub fn name(docker: &Docker, paths: &Paths, target: Target, unchecked: &str, names: &[&str]) -> Result<()> {
    check(docker, paths, target, unchecked)?;
    for name in names {
        docker.cmd(["tag", unchecked, name]).output()?;
    }
    docker.cmd(["rmi", "--no-prune", unchecked]).output()?;
    Ok(())
}

/// Fails with what is wrong with an image.
fn check(docker: &Docker, paths: &Paths, target: Target, image: &str) -> Result<()> {
    labels(docker, target, image)?;
    let who = output(docker, image, &["id"])?;
    ensure!(who == USER, "{image} runs as {who}, not as {USER}");
    folders(docker, target, image)?;
    for tool in TOOLS {
        let found = run(docker, image, &["sh", "-c", &format!("command -v {tool}")])?;
        ensure!(!found.status.success(), "{image} has {tool}: leave it in the stage that needs it");
    }
    if target != Target::Server {
        pins::check(docker, paths, image)?;
        skills(docker, image)?;
    }
    for program in target.programs() {
        let said = output(docker, image, &[program, "--version"])?;
        let expected = format!("{program} {}", env!("CARGO_PKG_VERSION"));
        ensure!(said == expected, "{program} in {image} says that it is {said:?}, not {expected:?}");
    }
    health(docker, target, image)?;
    layers::check(docker, image)
}

fn labels(docker: &Docker, target: Target, image: &str) -> Result<()> {
    let config = docker.cmd(["image", "inspect", "--format", "{{json .Config}}", image]).output()?;
    let config: Value = serde_json::from_str(&config).context("the engine's description of an image is not JSON")?;
    let label = |name: &str| {
        config["Labels"][format!("org.opencontainers.image.{name}")]
            .as_str()
            .unwrap_or_default()
    };
    let expected = [
        ("title", target.image()),
        ("version", env!("CARGO_PKG_VERSION")),
        ("licenses", "Apache-2.0"),
        ("base.name", super::base::IMAGE),
    ];
    for (name, value) in expected {
        ensure!(
            label(name) == value,
            "the label {name} of {image} is {:?}, not {value:?}",
            label(name)
        );
    }
    for name in ["description", "revision", "source"] {
        ensure!(!label(name).is_empty(), "{image} has no label {name}");
    }
    ensure!(
        config["User"] == "1000:1000",
        "{image} runs as {} by default, not as 1000:1000",
        config["User"]
    );
    Ok(())
}

/// Volumes take owner and mode from these.
fn folders(docker: &Docker, target: Target, image: &str) -> Result<()> {
    let logins = [("/home/app/.codex", "700"), ("/home/app/.gemini", "700")];
    let folders = match target {
        Target::Job => logins.to_vec(),
        Target::Server => vec![("/var/lib/moorline", "750"), ("/var/lib/moorline/artifacts", "750")],
        Target::Worker => [&logins[..], &[("/work", "750"), ("/var/lib/moorline/work", "750")]].concat(),
    };
    for (folder, mode) in folders {
        let found = output(docker, image, &["stat", "-c", "%u:%g %a", folder])?;
        ensure!(
            found == format!("1000:1000 {mode}"),
            "{folder} in {image} is {found}, not 1000:1000 {mode}"
        );
    }
    Ok(())
}

/// Alike in both mirrors, and the one that workers need in good health.
fn skills(docker: &Docker, image: &str) -> Result<()> {
    let [one, other] = ["/opt/moorline/.codex/skills", "/opt/moorline/.agents/skills"];
    let differ = output(docker, image, &["diff", "-r", one, other])?;
    ensure!(
        differ.is_empty(),
        "the skills of {image} are not the same in both mirrors: {differ}"
    );
    output(docker, image, &[&format!("{one}/speckit/scripts/health")])?;
    Ok(())
}

/// Where nobody is there to ask, the health check fails and says what to do.
fn health(docker: &Docker, target: Target, image: &str) -> Result<()> {
    let Some(program) = target.served() else { return Ok(()) };
    let test = docker
        .cmd(["image", "inspect", "--format", "{{json .Config.Healthcheck.Test}}", image])
        .output()?;
    let expected = format!(r#"["CMD","{program}","health"]"#);
    ensure!(test == expected, "the health check of {image} is {test}, not {expected}");
    let asked = run(docker, image, &[program, "health"])?;
    let said = asked.stderr.trim();
    ensure!(
        asked.status.code() == Some(1) && said.contains("answers on 127.0.0.1:74") && said.contains("start it with"),
        "`{program} health` with nobody there ends with {} and says {said:?}",
        asked.status
    );
    Ok(())
}

/// A file of the sources of images.
pub fn source(paths: &Paths, name: &str) -> Result<String> {
    let file = paths.root.join("deploy/images/job").join(name);
    fs::read_to_string(&file).with_context(|| format!("could not read {}", file.display()))
}
