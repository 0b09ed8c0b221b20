//! A container specification in the engine's words.

use std::{collections::HashMap, path::Path};

use bollard::models::{
    ContainerCreateBody, ContainerSummary, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType, MountVolumeOptions,
    ResourcesUlimits,
};
use secrecy::ExposeSecret;

use super::Policy;
use crate::engine::{Container, ContainerSpec, VolumeMount, limit, user::User};

/// Label that tells the worker's containers from others, and jobs from short commands.
pub(super) const KIND: &str = "moorline.kind";
/// Label with the time limit in seconds, by which an adopting worker reads the exit code.
pub(super) const LIMIT: &str = "moorline.time-limit";
/// [`KIND`] of what may be removed by anyone once it is old.
pub(super) const SHORT: &str = "short";
const JOB: &str = "job";
/// [`KIND`] of volumes that hold logins, which nobody but a person removes.
pub(super) const AUTH: &str = "auth";

/// Where a volume is mounted in containers that only look into it: this folder, and its name there. The volume's own root can only be
/// reached by name from the folder above: the engine skips an archive's entry for the root that it unpacks to.
pub(super) const LOOK: (&str, &str) = ("/moorline", "volume");

/// Filter for containers of jobs.
pub(super) fn job_filter() -> String {
    format!("{KIND}={JOB}")
}

/// Filter for what short commands leave.
pub(super) fn short_filter() -> String {
    format!("{KIND}={SHORT}")
}

/// A job: its output goes to the spec's files.
pub(super) fn job(spec: &ContainerSpec, user: User, policy: &Policy) -> ContainerCreateBody {
    body(spec, user, policy, JOB, limit::redirected(spec))
}

/// A short command: its output is attached to.
pub(super) fn short(spec: &ContainerSpec, user: User, policy: &Policy, with_input: bool) -> ContainerCreateBody {
    ContainerCreateBody {
        attach_stdin: Some(with_input),
        open_stdin: Some(with_input),
        stdin_once: Some(with_input),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..body(spec, user, policy, SHORT, limit::plain(spec))
    }
}

/// A container that is never started: the engine's archive calls reach the volume through it.
pub(super) fn look(image: &str, volume: &str, read_only: bool) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec!["true".to_owned()]),
        labels: Some(HashMap::from([(KIND.to_owned(), SHORT.to_owned())])),
        host_config: Some(HostConfig {
            mounts: Some(vec![Mount {
                // Content of the image at this path, if it had any, is none of the volume's.
                volume_options: Some(MountVolumeOptions {
                    no_copy: Some(true),
                    ..MountVolumeOptions::default()
                }),
                ..mount(MountType::VOLUME, volume, &Path::new(LOOK.0).join(LOOK.1), read_only)
            }]),
            network_mode: Some("none".to_owned()),
            log_config: Some(no_log()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// A container that is never started either: the engine's archive calls read the image's own files through it.
pub(super) fn still(image: &str) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec!["true".to_owned()]),
        labels: Some(HashMap::from([(KIND.to_owned(), SHORT.to_owned())])),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            log_config: Some(no_log()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// A listed container, without the labels that are the engine's own.
pub(super) fn container(summary: ContainerSummary) -> Option<Container> {
    let labels = summary.labels.unwrap_or_default().into_iter();
    Some(Container {
        id: summary.id?,
        labels: labels.filter(|(key, _)| key != KIND && key != LIMIT).collect(),
    })
}

fn body(spec: &ContainerSpec, user: User, policy: &Policy, kind: &str, argv: Vec<String>) -> ContainerCreateBody {
    let mut labels: HashMap<String, String> = spec.labels.clone().into_iter().collect();
    labels.insert(KIND.to_owned(), kind.to_owned());
    labels.insert(LIMIT.to_owned(), spec.limits.time.as_secs_f64().to_string());
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        // The whole command line, so that an entry point of the image can't come between.
        entrypoint: Some(argv),
        env: Some(
            spec.env
                .iter()
                .map(|(key, value)| format!("{key}={}", value.expose_secret()))
                .collect(),
        ),
        labels: Some(labels),
        user: Some(user.to_string()),
        working_dir: spec.workdir.as_ref().map(|path| path.display().to_string()),
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        }),
        host_config: Some(host(spec, user, policy)),
        ..ContainerCreateBody::default()
    }
}

fn host(spec: &ContainerSpec, user: User, policy: &Policy) -> HostConfig {
    let memory = i64::try_from(spec.limits.memory_bytes).unwrap_or(i64::MAX);
    HostConfig {
        // Without an init process the agent would be PID 1, and ignore SIGTERM.
        init: Some(true),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
        memory: Some(memory),
        // The same as memory: no swap on top of it.
        memory_swap: Some(memory),
        nano_cpus: Some(i64::from(spec.limits.cpu_millis) * 1_000_000),
        pids_limit: Some(i64::from(spec.limits.pids)),
        // A core dump would be the login, in a file of the host's.
        ulimits: Some(vec![ResourcesUlimits {
            name: Some("core".to_owned()),
            soft: Some(0),
            hard: Some(0),
        }]),
        network_mode: Some(spec.network.clone()),
        mounts: Some(mounts(spec)),
        readonly_rootfs: Some(policy.read_only),
        tmpfs: policy.scratch(spec, user),
        log_config: Some(no_log()),
        ..HostConfig::default()
    }
}

fn mounts(spec: &ContainerSpec) -> Vec<Mount> {
    let run_dir = spec
        .run_dir
        .as_ref()
        .map(|path| mount(MountType::BIND, &path.display().to_string(), path, false));
    let volume = spec
        .volume
        .as_ref()
        .map(|VolumeMount { volume, target, read_only }| mount(MountType::VOLUME, volume, target, *read_only));
    run_dir.into_iter().chain(volume).collect()
}

fn mount(typ: MountType, source: &str, target: &Path, read_only: bool) -> Mount {
    Mount {
        typ: Some(typ),
        source: Some(source.to_owned()),
        target: Some(target.display().to_string()),
        read_only: Some(read_only),
        ..Mount::default()
    }
}

/// Output goes to files or to who is attached; a log file of the engine's would keep secrets that it happens to hold.
fn no_log() -> HostConfigLogConfig {
    HostConfigLogConfig {
        typ: Some("none".to_owned()),
        config: None,
    }
}
