//! The images of the fleet as tests use them: made from this checkout's programs, unless they are there.

use anyhow::Result;

use super::{
    base,
    build::{Build, Target},
    check,
    client::Docker,
    programs::{self, Profile},
    recipe::Recipe,
};
use crate::{install::codex::Codex, paths::Paths};

/// Marks images of programs under test. There is one for each state of the programs, so they have to go some day.
const FOR_TESTS: &str = "org.moorline.for-tests";
/// When: those that no container uses, and that were made before this.
const OLD: &str = "until=72h";

/// The names of images that are there.
#[derive(Debug, Clone)]
pub struct Images {
    /// The server's; it has the CLI too.
    pub server: String,
    /// The worker's.
    pub worker: String,
    /// The one that jobs and login checks run in.
    pub job: String,
}

/// All images, with this checkout's programs in their dev profile. Each tag names what the image was built from.
pub fn ensure_all(docker: &Docker, paths: &Paths, codex: &Codex, yes: bool) -> Result<Images> {
    let job = ensure_job(docker, paths, codex, yes)?;
    let programs = programs::build(paths, Profile::Dev)?;
    let ensure = |target| {
        let recipe = Recipe::new(paths, target, codex, &programs)?;
        let image = recipe.image()?;
        let label = [
            "--label".to_owned(),
            format!("{FOR_TESTS}=1"),
            "--build-arg".to_owned(),
            "BINARIES=prebuilt".to_owned(),
        ];
        make(docker, paths, yes, &recipe, &[&image], &label)?;
        anyhow::Ok(image)
    };
    let (server, worker) = (ensure(Target::Server)?, ensure(Target::Worker)?);
    remove_old(docker);
    Ok(Images { server, worker, job })
}

/// The job image, which has nothing of this checkout's programs. It is what workers take unless they are told otherwise.
pub fn ensure_job(docker: &Docker, paths: &Paths, codex: &Codex, yes: bool) -> Result<String> {
    let recipe = Recipe::new(paths, Target::Job, codex, &[])?;
    let image = recipe.image()?;
    make(docker, paths, yes, &recipe, &[&image, Target::Job.image()], &[])?;
    Ok(image)
}

/// Builds an image unless the engine has one under the first of its names.
fn make(docker: &Docker, paths: &Paths, yes: bool, recipe: &Recipe, names: &[&str], options: &[String]) -> Result<()> {
    let (target, image) = (recipe.target, names[0]);
    // Two at once would build under one name, and one would take it from the other. It may be there after the wait.
    let _lock = paths.lock("image build")?;
    if docker.has_image(image) {
        eprintln!("{target} image {image} is there");
        return Ok(());
    }
    base::ensure(docker, paths, yes)?;
    eprintln!("building the {target} image {image} from deploy/images/Dockerfile (a minute the first time)");
    let context = recipe.context(paths)?;
    // Only one that is as it should be gets its name: the next call takes an image by that.
    let unchecked = format!("{image}-unchecked");
    let build = Build {
        target,
        context: context.path(),
        tags: &[&unchecked],
        options,
    };
    build.run(docker)?;
    check::name(docker, paths, target, &unchecked, names)
}

/// That one can't be removed is no reason to stop.
fn remove_old(docker: &Docker) {
    let label = format!("label={FOR_TESTS}");
    let old = docker.cmd(["image", "prune", "--all", "--force", "--filter", &label, "--filter", OLD]);
    if let Err(error) = old.output() {
        eprintln!("old images of tests stay: {error:#}");
    }
}
