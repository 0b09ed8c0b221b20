//! What each pod asks for: programs, settings that these read, an unprivileged user, and the time that they take to go.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::json;

use super::manifests::{self, containers, environment, name, of_kind, ours, read, workloads};
use crate::architecture::ROOT;

/// What stopping jobs may take, beside the time to drain, in seconds.
const STOPPING: u64 = 30;

/// Variables that `.env-template` lists; another test holds that to the programs.
fn known() -> BTreeSet<String> {
    let template = fs::read_to_string(Path::new(ROOT).join(".env-template")).unwrap();
    let lines = template.lines().filter_map(|line| line.trim_start_matches('#').split_once('='));
    let listed = lines.map(|(name, _)| name.trim().to_owned());
    listed
        .chain(["GOOGLE_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY"].map(str::to_owned))
        .collect()
}

#[test]
fn every_variable_is_one_that_the_programs_read() {
    let known = known();
    for workload in ours() {
        for variable in environment(&workload).keys() {
            let read = known.contains(variable.trim_end_matches("_FILE"));
            assert!(read, "{}: {variable} is in no line of .env-template", name(&workload));
        }
    }
}

#[test]
fn a_secret_comes_as_a_file_that_is_mounted() {
    for workload in ours() {
        let pod = &workload["spec"]["template"]["spec"];
        let volumes = pod["volumes"].as_array().unwrap();
        let secrets = volumes.iter().find(|volume| volume["name"] == "secrets").unwrap();
        let sources = match secrets["projected"]["sources"].as_array() {
            Some(sources) => sources.iter().map(|source| source["secret"].clone()).collect(),
            None => vec![secrets["secret"].clone()],
        };
        let items = sources.iter().flat_map(|source| source["items"].as_array().unwrap().clone());
        let mounted: BTreeSet<String> = items
            .map(|item| format!("/run/secrets/moorline/{}", item["path"].as_str().unwrap()))
            .collect();
        let named: BTreeSet<String> = environment(&workload)
            .into_iter()
            .filter_map(|(variable, path)| variable.ends_with("_FILE").then_some(path))
            .collect();
        assert_eq!(named, mounted, "{}", name(&workload));
        for container in containers(&workload) {
            let env = container["env"].as_array().into_iter().flatten();
            assert!(env.into_iter().all(|variable| variable["valueFrom"].is_null()), "{container}");
        }
    }
}

#[test]
fn every_container_is_unprivileged_bounded_and_on_a_read_only_root() {
    for workload in workloads() {
        let pod = &workload["spec"]["template"]["spec"];
        let who = name(&workload);
        assert_eq!(pod["automountServiceAccountToken"], false, "{who}");
        assert_eq!(
            pod["enableServiceLinks"], false,
            "{who}: links would be variables that begin with MOORLINE_"
        );
        let user = &pod["securityContext"];
        assert_eq!(user["runAsNonRoot"], true, "{who}");
        assert_eq!(user["seccompProfile"]["type"], "RuntimeDefault", "{who}");
        let uid = if ours().contains(&workload) { 1000 } else { 999 };
        assert_eq!((&user["runAsUser"], &user["fsGroup"]), (&json!(uid), &json!(uid)), "{who}");
        for container in containers(&workload) {
            let security = json!({
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
            });
            assert_eq!(container["securityContext"], security, "{who}");
            for bound in ["/resources/requests/cpu", "/resources/requests/memory", "/resources/limits/memory"] {
                assert!(container.pointer(bound).is_some(), "{who} has no {bound}");
            }
        }
    }
}

#[test]
fn images_are_the_projects_two_of_this_version_everywhere() {
    let version = env!("CARGO_PKG_VERSION");
    for workload in ours() {
        let program = if name(&workload) == "moorline-server" { "server" } else { "worker" };
        for container in containers(&workload) {
            assert_eq!(container["image"], format!("moorline-{program}:{version}"), "{}", name(&workload));
        }
    }
    let kustomization = &read(&manifests::folder().join("kustomization.yaml"))[0];
    for image in kustomization["images"].as_array().unwrap() {
        assert_eq!(image["newTag"], version);
    }
}

#[test]
fn a_pod_has_the_time_that_its_program_takes_to_go() {
    for workload in ours() {
        let grace = workload
            .pointer("/spec/template/spec/terminationGracePeriodSeconds")
            .unwrap()
            .as_u64()
            .unwrap();
        let drain = environment(&workload)
            .get("MOORLINE_DRAIN_SECONDS")
            .map(|seconds| seconds.parse::<u64>().unwrap());
        match drain {
            Some(drain) => assert!(grace >= drain + STOPPING, "{}", name(&workload)),
            // A server's pause before SIGTERM, and its 10 s for open calls.
            None => assert!(grace >= 5 + 10, "{}", name(&workload)),
        }
    }
}

#[test]
fn an_agent_may_finish_before_its_worker_goes() {
    let longest = moorline_server::flow::Timers::default().submit_timeout.as_secs();
    let agents: Vec<_> = ours()
        .into_iter()
        .filter(|workload| environment(workload).contains_key("GOOGLE_API_KEY_FILE"))
        .collect();
    assert_eq!(agents.len(), 4);
    for agent in agents {
        let drain: u64 = environment(&agent)["MOORLINE_DRAIN_SECONDS"].parse().unwrap();
        assert!(
            drain >= longest,
            "{}: processes end with their pod, and an agent may work for {longest} s",
            name(&agent)
        );
    }
}

#[test]
fn every_shard_of_an_empty_database_has_a_worker_with_disks_of_its_own_and_they_differ_by_their_numbers_alone() {
    let first = fs::read_to_string(manifests::folder().join("codex-0.yaml")).unwrap();
    let servers = of_kind("ConfigMap").into_iter().find(|map| name(map) == "moorline-server").unwrap();
    let shards: usize = servers["data"]["CODEX_SHARDS"].as_str().unwrap().parse().unwrap();
    for index in 0..shards {
        let file = manifests::folder().join(format!("codex-{index}.yaml"));
        let text = fs::read_to_string(&file).unwrap();
        // The head of each says what holds for all, and how the next is made.
        let numbered = first
            .replace("# Shard 0", &format!("# Shard {index}"))
            .replace("codex-0", &format!("codex-{index}"))
            .replace("codex_auth_0", &format!("codex_auth_{index}"));
        assert_eq!(text, numbered);
        let worker = &read(&file)[0];
        assert_eq!(
            (worker["kind"].as_str(), worker["spec"]["replicas"].as_u64()),
            (Some("StatefulSet"), Some(1))
        );
        let environment = environment(worker);
        assert_eq!(environment["CODEX_QUEUE"], format!("codex-{index}"));
        assert_eq!(environment["CODEX_VOLUME_NAME"], format!("codex_auth_{index}"));
        let claims: Vec<_> = worker["spec"]["volumeClaimTemplates"]
            .as_array()
            .unwrap()
            .iter()
            .map(name)
            .collect();
        assert_eq!(claims, ["login", "work"]);
        let folder = format!("{}/{}", environment["MOORLINE_VOLUME_ROOT"], environment["CODEX_VOLUME_NAME"]);
        let made = worker.pointer("/spec/template/spec/initContainers/0/command").unwrap();
        assert_eq!(made.as_array().unwrap().last().unwrap(), &json!(folder));
    }
    let all = ours();
    let names: Vec<&str> = all.iter().map(name).collect();
    assert_eq!(names, ["moorline-server", "codex-0", "codex-1", "codex-2", "default", "gemini"]);
}
