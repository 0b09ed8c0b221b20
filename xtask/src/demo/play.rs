//! The demo's acts: what is needed, the stack, the run, and what came of it.

use std::{fs, net::Ipv4Addr, path::PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{
    args::{Args, EngineChoice},
    environment::clean,
    model,
    outcome::Outcome,
    sample,
    session::Session,
    show,
    stack::{self, Setup},
    stop,
};
use crate::{
    cargo::cargo,
    command::Cmd,
    images::{
        self,
        client::Docker,
        engine::{self, Engine},
    },
    install::{self, Need, codex, speckit},
    paths::Paths,
    step::Steps,
};

/// Plays the demo; what it starts is stopped at the end unless it is to be kept. Returns what came of the run, and the endpoint of
/// the server.
pub fn play(paths: &Paths, args: &Args, steps: &mut Steps) -> Result<(Outcome, String)> {
    let _lock = paths.lock("demo")?;
    stop::make_way(paths)?;
    let mut session = Session::begin(paths);
    let logs = stack::logs(paths);
    fs::create_dir_all(&logs)?;

    let (codex, speckit) = steps.take("install", || prepare(paths, args))?;
    let docker = steps.take("engine", || choose(paths, args, &mut session))?;
    let image = match &docker {
        Some(docker) => Some(steps.take("job image", || images::ensure_job(docker, paths, &codex, args.yes))?),
        None => None,
    };
    if !args.prebuilt {
        steps.take("build", || build(paths))?;
    }
    let origin = steps.take("sample repository", || sample::make(paths))?;
    eprintln!("{} with the feature {}", origin.display(), sample::FEATURE);

    let folder = session.folder()?;
    let model = steps.take("scripted model", || {
        eprintln!(
            "No login is at hand, so a scripted model answers in the place of OpenAI's, and each shard gets an API-key login for it."
        );
        eprintln!("The Codex CLI is the real one. Your own ~/.codex is not touched.");
        let address = docker.as_ref().map_or(Ok(Ipv4Addr::LOCALHOST.into()), Docker::bridge_address)?;
        model::start(&mut session, paths, &folder, &logs, address)
    })?;
    let engine = if docker.is_some() { "docker" } else { "process" };
    let setup = Setup {
        engine,
        image: image.as_deref(),
        codex: &codex,
        speckit: &speckit,
        model: &model,
        folder: &folder,
        logs: &logs,
    };
    let endpoint = steps.take("server, workers, Postgres", || {
        let endpoint = stack::start(&mut session, paths, &setup)?;
        eprintln!("three Codex shards and a default worker at {endpoint}");
        Ok(endpoint)
    })?;
    let outcome = steps.take("run", || run(paths, &endpoint, &sample::url(&origin)))?;
    show::result(paths, &endpoint, &origin, &outcome)?;
    if args.keep {
        session.keep()?;
    }
    Ok((outcome, endpoint))
}

fn prepare(paths: &Paths, args: &Args) -> Result<(codex::Codex, PathBuf)> {
    let _lock = paths.lock("install")?;
    let mut needs = vec![Need::Git, Need::Postgres];
    if args.engine == EngineChoice::Docker {
        needs.push(Need::Docker);
    }
    install::system(&needs, args.yes)?;
    Ok((codex::install(paths, args.yes)?, speckit::install(paths, args.yes)?))
}

/// A Docker client, or `None` for local processes.
fn choose(paths: &Paths, args: &Args, session: &mut Session<'_>) -> Result<Option<Docker>> {
    if args.engine == EngineChoice::Process {
        eprintln!("jobs run as local processes");
        return Ok(None);
    }
    let usable = engine::ensure(paths).and_then(|Engine { docker, started }| {
        session.uses_docker(started)?;
        docker.bridge_address()?;
        Ok(docker)
    });
    match usable {
        Ok(docker) => Ok(Some(docker)),
        Err(error) if args.engine == EngineChoice::Auto => {
            eprintln!("{error:#}\njobs run as local processes instead");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn build(paths: &Paths) -> Result<()> {
    let args = [
        "build",
        "--package",
        "moorline",
        "--package",
        "moorline-tests",
        "--bin",
        "moorline",
        "--bin",
        "moorline-scripted-model",
    ];
    cargo().args(args).dir(&paths.root).run()
}

/// Creates the run and shows it live; how it ended is in the answer, also when it failed.
fn run(paths: &Paths, endpoint: &str, repository: &str) -> Result<Outcome> {
    let moorline = |args: &[&str]| clean(Cmd::new(stack::program(paths))).args(args).env("MOORLINE_SERVER", endpoint);
    let create = ["run", "create", "--repository", repository, "--feature", sample::FEATURE, "--watch"];
    eprintln!("$ moorline {}", create.join(" "));
    let watched = moorline(&create).run();
    let list: Value = serde_json::from_str(&moorline(&["run", "list", "--output", "json"]).output()?)?;
    let Some(run_id) = list["runs"][0]["run_id"].as_str() else {
        // There is no run to tell about: what its creation said is the answer.
        return Err(watched.err().context("the run was not created")?);
    };
    Outcome::read(&moorline(&["run", "get", run_id, "--output", "json"]).output()?)
}
