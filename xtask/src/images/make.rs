//! `cargo xtask images`: the images for users, from programs that are built here or, as a release is checked, in a container.

use std::{fmt, path::PathBuf, time::Instant};

use anyhow::{Context, Result, bail};

use super::{
    base,
    build::{Build, Target},
    check,
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

/// What `docker-compose.yaml` takes unless it is told otherwise.
const LOCAL: &str = "local";
/// The server image has to stay smaller than this without its base, in bytes.
const SERVER_MAX: u64 = 60_000_000;

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
    // Others build under the same names.
    let _lock = paths.lock("image build")?;
    for target in targets {
        let begun = Instant::now();
        let name = target.image();
        let version = format!("{name}:{}", env!("CARGO_PKG_VERSION"));
        let recipe = match &prebuilt {
            Some((codex, programs)) => Some(Recipe::new(paths, target, codex, programs)?),
            None => None,
        };
        let context = recipe.map(|recipe| recipe.context(paths)).transpose()?;
        let unchecked = format!("{version}-unchecked");
        let build = Build {
            target,
            context: context.as_ref().map_or(paths.root.as_path(), |context| context.path()),
            tags: &[&unchecked],
            options: &options,
        };
        eprintln!("building {version}");
        build.run(docker)?;
        check::name(docker, paths, target, &unchecked, &[&version, name, &format!("{name}:{LOCAL}")])?;
        eprintln!("built {version} in {} s", begun.elapsed().as_secs());
        let made = Made::find(docker, &version)?;
        println!("{made}");
        // Programs of the dev profile are as large as they are.
        if target == Target::Server && (args.from_source || args.profile == Profile::Release) {
            made.check(Made::find(docker, base::IMAGE)?.size)?;
        }
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

/// An image that is there, as it is printed: `moorline-server:0.1.0  45.1 MB  sha256:…`.
#[derive(Debug)]
struct Made {
    image: String,
    size: u64,
    id: String,
}

impl Made {
    fn find(docker: &Docker, image: &str) -> Result<Self> {
        let said = docker.cmd(["image", "inspect", "--format", "{{.Size}} {{.Id}}", image]).output()?;
        let (size, id) = said
            .split_once(' ')
            .context("the engine tells no size and digest: is it Docker's?")?;
        Ok(Self {
            image: image.to_owned(),
            size: size.parse().context("the engine tells no size")?,
            id: id.to_owned(),
        })
    }

    fn check(&self, base: u64) -> Result<()> {
        let own = self.size.saturating_sub(base);
        if own > SERVER_MAX {
            bail!(
                "{} has {} MB beside its base, more than {} MB: look at `docker history {}`",
                self.image,
                own / 1_000_000,
                SERVER_MAX / 1_000_000,
                self.image
            );
        }
        Ok(())
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { image, size, id } = self;
        write!(f, "{image}  {}.{} MB  {id}", size / 1_000_000, size / 100_000 % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(size: u64) -> Made {
        Made {
            image: "moorline-server:1".to_owned(),
            size,
            id: "sha256:ab".to_owned(),
        }
    }

    #[test]
    fn what_was_made_is_told_on_a_line() {
        assert_eq!(made(45_160_000).to_string(), "moorline-server:1  45.1 MB  sha256:ab");
    }

    #[test]
    fn a_server_that_has_grown_is_refused_by_what_it_has_beside_its_base() {
        made(140_000_000).check(80_000_000).unwrap();
        let error = made(141_000_000).check(80_000_000).unwrap_err().to_string();
        assert!(error.contains("61 MB") && error.contains("docker history"), "{error}");
    }
}
