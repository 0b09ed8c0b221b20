//! `cargo xtask images`: the images for users, from programs that are built here or, as a release is checked, in a container.

use std::{path::PathBuf, time::Instant};

use anyhow::Result;

use super::{
    base,
    build::{Build, Target},
    client::Docker,
    engine,
    programs::{self, Profile},
    recipe::Recipe,
};
use crate::{
    command::Cmd,
    install::{self, Need, codex},
    paths::Paths,
};

/// Which images to build, and how.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Images to build; all when left out.
    #[arg(value_enum)]
    targets: Vec<Target>,
    /// Build the programs in a container, as on a machine without Rust, rather than here.
    #[arg(long)]
    from_source: bool,
    /// How programs are built here.
    #[arg(long, value_enum, default_value_t = Profile::Release, conflicts_with = "from_source")]
    profile: Profile,
    /// Where the sources are published, for the images' labels.
    #[arg(long, value_name = "URL")]
    source: Option<String>,
    /// Don't ask before system packages are installed.
    #[arg(long)]
    yes: bool,
}

/// Builds them, and prints a line of name, size and digest for each on standard output.
pub fn main(args: &Args) -> Result<()> {
    let paths = Paths::find()?;
    install::system(&[Need::Docker], args.yes)?;
    let engine = engine::ensure(&paths)?;
    let made = make(args, &paths, &engine.docker);
    if let Some(service) = &engine.started {
        engine::stop(&engine.docker, service);
    }
    made
}

fn make(args: &Args, paths: &Paths, docker: &Docker) -> Result<()> {
    base::ensure(docker, paths, args.yes)?;
    let targets = if args.targets.is_empty() {
        Target::ALL.to_vec()
    } else {
        args.targets.clone()
    };
    let options = options(args, paths);
    let prebuilt = match args.from_source {
        true => None,
        false => Some(prebuilt(args, paths, &targets)?),
    };
    for target in targets {
        let begun = Instant::now();
        let name = target.image();
        let version = format!("{name}:{}", env!("CARGO_PKG_VERSION"));
        let recipe = match &prebuilt {
            Some((codex, programs)) => Some(Recipe::new(paths, target, codex, programs)?),
            None => None,
        };
        let context = recipe.map(|recipe| recipe.context(paths)).transpose()?;
        let build = Build {
            target,
            context: context.as_ref().map_or(paths.root.as_path(), |context| context.path()),
            tags: &[&version, name],
            options: &options,
        };
        eprintln!("building {version}");
        build.run(docker)?;
        eprintln!("built {version} in {} s", begun.elapsed().as_secs());
        println!("{}", described(docker, &version)?);
    }
    Ok(())
}

fn prebuilt(args: &Args, paths: &Paths, targets: &[Target]) -> Result<(codex::Codex, Vec<PathBuf>)> {
    let codex = {
        let _lock = paths.lock("install")?;
        codex::install(paths, args.yes)?
    };
    let needed = targets.iter().any(|target| !target.programs().is_empty());
    let programs = if needed {
        programs::build(paths, args.profile)?
    } else {
        Vec::new()
    };
    Ok((codex, programs))
}

/// Build arguments: where programs come from, and what labels say.
fn options(args: &Args, paths: &Paths) -> Vec<String> {
    let mut arguments = vec![format!("BINARIES={}", if args.from_source { "build" } else { "prebuilt" })];
    arguments.extend(revision(paths).map(|revision| format!("REVISION={revision}")));
    arguments.extend(args.source.as_ref().map(|source| format!("SOURCE={source}")));
    arguments
        .into_iter()
        .flat_map(|argument| ["--build-arg".to_owned(), argument])
        .collect()
}

/// The commit, and whether there is more than it in the work tree; nothing where this is no clone.
fn revision(paths: &Paths) -> Option<String> {
    let described = Cmd::new("git")
        .args(["describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=-modified"])
        .dir(&paths.root);
    described.output().ok()
}

/// `moorline-server:0.1.0  45.1 MB  sha256:…`
fn described(docker: &Docker, image: &str) -> Result<String> {
    let said = docker.cmd(["image", "inspect", "--format", "{{.Size}} {{.Id}}", image]).output()?;
    let (size, id) = said.split_once(' ').unwrap_or((&said, "?"));
    let size: f64 = size.parse()?;
    Ok(format!("{image}  {:.1} MB  {id}", size / 1e6))
}
