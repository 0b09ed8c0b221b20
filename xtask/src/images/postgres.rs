//! Postgres for tests of docker-compose.yaml: the image that is named there where it can be had, else Debian's PostgreSQL under another name.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

use super::{base, build::passed_on, client::Docker};
use crate::{checksum, paths::Paths};

/// What docker-compose.yaml names; a test there compares the two.
pub const IMAGE: &str = "postgres:16-bookworm";
const STAND_IN: &str = "moorline-test-postgres";
const FOLDER: &str = "tests/compose/postgres";
const PULL: Duration = Duration::from_secs(90);
const BUILD: Duration = Duration::from_secs(600);

/// The name of an image that is there. A stand-in never has the name of the real one, which somebody on this machine may mean.
pub fn ensure(docker: &Docker, paths: &Paths, yes: bool) -> Result<String> {
    if docker.has_image(IMAGE) {
        return Ok(IMAGE.to_owned());
    }
    let folder = paths.root.join(FOLDER);
    let read = |name: &str| fs::read_to_string(folder.join(name)).with_context(|| format!("could not read {FOLDER}/{name}"));
    let digest = checksum::of_texts([read("Dockerfile")?.as_str(), read("entrypoint.sh")?.as_str()]);
    let image = format!("{STAND_IN}:{}", &digest[..12]);
    if docker.has_image(&image) {
        return Ok(image);
    }
    eprintln!("pulling {IMAGE}");
    if docker.cmd(["pull", "--quiet", IMAGE]).limit(PULL).succeeds() {
        return Ok(IMAGE.to_owned());
    }
    base::ensure(docker, paths, yes)?;
    eprintln!("it can't be pulled: building {image} from Debian's packages in its place (a minute)");
    let build = passed_on(docker.cmd(["build", "--progress", "plain", "--tag", &image])).arg(&folder);
    build.limit(BUILD).output().context("could not build an image with PostgreSQL")?;
    Ok(image)
}
