//! What keeps jobs, repositories and left-overs within bounds.

use std::time::Duration;

use super::{
    Error,
    args::{boolean, given, invalid, number},
};
use crate::engine::images::Images;

/// The settings as they are written.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct WallArgs {
    /// Whether containers get their image's files read-only, with /tmp, /var/tmp and /run in memory (default: `1`)
    #[arg(long, env = "MOORLINE_JOB_READ_ONLY", value_name = "BOOL")]
    job_read_only: Option<String>,
    /// Images that containers may run, comma-separated, * for any characters (default: the job image and the login check image)
    #[arg(long, env = "MOORLINE_JOB_IMAGES", value_name = "PATTERNS")]
    job_images: Option<String>,
    /// Disk that a job may take in its run's folder, in MiB; 0 for no limit (default: `10240`)
    #[arg(long, env = "MOORLINE_JOB_DISK_MIB", value_name = "MIB")]
    job_disk_mib: Option<String>,
    /// Size of what git may fetch or check out, in MiB; 0 for no limit (default: `4096`)
    #[arg(long, env = "MOORLINE_GIT_MAX_MIB", value_name = "MIB")]
    git_max_mib: Option<String>,
    /// Longest time of one call of git, in seconds (default: `600`)
    #[arg(long, env = "MOORLINE_GIT_TIMEOUT_SECONDS", value_name = "SECONDS")]
    git_timeout_seconds: Option<String>,
    /// How long folders and containers that are nobody's stay, such as 12h or 7days (default: `24h`)
    #[arg(long, env = "MOORLINE_WORKSPACE_MAX_AGE", value_name = "TIME")]
    workspace_max_age: Option<String>,
    /// Size of such folders together, in MiB, beyond which the oldest go before that; 0 for no limit (default: `20480`)
    #[arg(long, env = "MOORLINE_WORKSPACE_QUOTA_MIB", value_name = "MIB")]
    workspace_quota_mib: Option<String>,
}

/// The settings.
#[derive(Debug, Clone)]
pub struct Walls {
    /// Whether a container's root is read-only (`MOORLINE_JOB_READ_ONLY`, 1).
    pub read_only: bool,
    /// Images that containers may run; those of the settings alone when unset (`MOORLINE_JOB_IMAGES`).
    pub images: Option<Images>,
    /// Bytes that a job may take on the disk; 0 for no limit (`MOORLINE_JOB_DISK_MIB`, 10240).
    pub disk_bytes: u64,
    /// Bytes that git may fetch or check out; 0 for no limit (`MOORLINE_GIT_MAX_MIB`, 4096).
    pub git_bytes: u64,
    /// Longest time of one call of git (`MOORLINE_GIT_TIMEOUT_SECONDS`, 600).
    pub git_timeout: Duration,
    /// How long what is nobody's stays (`MOORLINE_WORKSPACE_MAX_AGE`, 24 h).
    pub workspace_age: Duration,
    /// Bytes that it may take together; 0 for no limit (`MOORLINE_WORKSPACE_QUOTA_MIB`, 20480).
    pub workspace_bytes: u64,
}

impl TryFrom<WallArgs> for Walls {
    type Error = Error;

    fn try_from(args: WallArgs) -> Result<Self, Error> {
        let mib = |variable, value, default| number::<u64>(variable, value, default, 0, 1 << 24).map(|mib| mib << 20);
        Ok(Self {
            read_only: boolean(
                "MOORLINE_JOB_READ_ONLY",
                Some(given(args.job_read_only).unwrap_or_else(|| "1".to_owned())),
            )?,
            images: given(args.job_images).map(|patterns| images(&patterns)).transpose()?,
            disk_bytes: mib("MOORLINE_JOB_DISK_MIB", args.job_disk_mib, 10_240)?,
            git_bytes: mib("MOORLINE_GIT_MAX_MIB", args.git_max_mib, 4096)?,
            git_timeout: Duration::from_secs(number("MOORLINE_GIT_TIMEOUT_SECONDS", args.git_timeout_seconds, 600, 1, 86_400)?),
            workspace_age: age(args.workspace_max_age)?,
            workspace_bytes: mib("MOORLINE_WORKSPACE_QUOTA_MIB", args.workspace_quota_mib, 20_480)?,
        })
    }
}

impl Walls {
    /// Refuses images of the settings that the list doesn't have.
    pub(super) fn allow(&self, job: &str, login_check: Option<&str>) -> Result<(), Error> {
        let named = [("SPEC_AUTOMATION_JOB_IMAGE", Some(job)), ("CODEX_LOGIN_CHECK_IMAGE", login_check)];
        let Some(images) = &self.images else { return Ok(()) };
        let refused = named.into_iter().find(|(_, image)| image.is_some_and(|image| !images.allow(image)));
        refused.map_or(Ok(()), |(variable, image)| {
            let image = image.unwrap_or_default();
            let reason = format!("doesn't allow `{image}`: add it there, or set {variable} to an image that it allows");
            Err(invalid("MOORLINE_JOB_IMAGES", reason))
        })
    }
}

/// The network by the engine's own name. Those that would take a job out of its walls are refused.
pub(super) fn network(value: Option<String>) -> Result<String, Error> {
    let refused = |value: &str, why: &str| {
        let reason = format!("is `{value}`, {why}: set none, default, or the name of a network that exists");
        Err(invalid("MOORLINE_JOB_NETWORK", reason))
    };
    match given(value).as_deref() {
        None | Some("default" | "bridge") => Ok("bridge".to_owned()),
        Some("host") => refused("host", "which shows a job every port of the machine"),
        Some(value) if value.contains(':') => refused(value, "which puts a job into another container's network"),
        Some(value) => Ok(value.to_owned()),
    }
}

fn images(patterns: &str) -> Result<Images, Error> {
    let parsed = Images::parse(patterns);
    parsed.map_err(|pattern| {
        let reason =
            format!("has `{pattern}`: set names of images with commas between them, such as moorline-job or registry.example/team/*");
        invalid("MOORLINE_JOB_IMAGES", reason)
    })
}

fn age(value: Option<String>) -> Result<Duration, Error> {
    let value = given(value).unwrap_or_else(|| "24h".to_owned());
    match humantime::parse_duration(&value) {
        // Below that a folder could be one that is being made.
        Ok(age) if age >= Duration::from_secs(60) => Ok(age),
        _ => Err(invalid(
            "MOORLINE_WORKSPACE_MAX_AGE",
            format!("is `{value}`: set a time of a minute or more, such as 12h or 7days"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn parse(args: &[&str]) -> Result<Config, Error> {
        Config::try_parse_from(["moorline-worker"].iter().chain(args).copied())
    }

    #[test]
    fn jobs_and_repositories_are_bounded_without_a_setting() {
        let walls = parse(&[]).unwrap().walls;
        assert!(walls.read_only && walls.images.is_none());
        assert_eq!((walls.disk_bytes, walls.git_bytes), (10 << 30, 4 << 30));
        assert_eq!(walls.git_timeout, Duration::from_secs(600));
        assert_eq!((walls.workspace_age.as_secs(), walls.workspace_bytes), (86_400, 20 << 30));
        assert!(!parse(&["--job-read-only", "0"]).unwrap().walls.read_only);
    }

    #[test]
    fn a_network_that_leaves_the_walls_is_refused_with_what_to_set() {
        let network = |name| {
            parse(&["--job-network", name])
                .map(|config| config.job_network)
                .map_err(|error| error.to_string())
        };
        assert_eq!(network("default").as_deref(), Ok("bridge"));
        assert_eq!(network("none").as_deref(), Ok("none"));
        assert_eq!(network("models").as_deref(), Ok("models"));
        for name in ["host", "container:abc", "ns:/proc/1/ns/net"] {
            let error = network(name).unwrap_err();
            assert!(
                error.contains("MOORLINE_JOB_NETWORK") && error.contains("set none, default"),
                "{error}"
            );
        }
    }

    #[test]
    fn an_image_that_is_not_allowed_is_refused_at_start_with_what_to_set() {
        let shard = ["--codex-queue", "codex-0", "--job-images", "registry.example/team/*,moorline-check"];
        let images = |job, check| {
            let images = ["--job-image", job, "--login-check-image", check];
            parse(&[&shard[..], &images[..]].concat())
                .map(drop)
                .map_err(|error| error.to_string())
        };
        assert_eq!(images("registry.example/team/job:1", "moorline-check:latest"), Ok(()));
        let error = images("evil/job", "moorline-check").unwrap_err();
        assert!(
            error.contains("MOORLINE_JOB_IMAGES doesn't allow `evil/job`") && error.contains("SPEC_AUTOMATION_JOB_IMAGE"),
            "{error}"
        );
        let error = images("registry.example/team/job", "other").unwrap_err();
        assert!(error.contains("CODEX_LOGIN_CHECK_IMAGE"), "{error}");
        assert!(parse(&["--job-images", "a, ,b c"]).is_err());
        // A worker without containers of agents has no use for the images.
        assert!(parse(&["--job-images", "other"]).is_ok());
    }
}
