//! Names, labels and ports by which resources find each other.

use std::collections::BTreeSet;

use serde_json::Value;

use super::manifests::{self, all, containers, files, folder, labels, name, of_kind, ours, read, selects, workloads};

#[test]
fn a_kustomization_lists_every_file() {
    let listed = |folder: &'static str| {
        let kustomization = read(&manifests::folder().join(folder).join("kustomization.yaml")).remove(0);
        let resources = kustomization["resources"].as_array().unwrap().clone();
        resources
            .into_iter()
            .map(move |file| manifests::folder().join(folder).join(file.as_str().unwrap()))
    };
    let listed: BTreeSet<_> = listed("").chain(listed("trial")).filter(|file| !file.ends_with("..")).collect();
    assert_eq!(listed, files().into_iter().collect());
    assert!(folder().join("trial").is_dir());
}

#[test]
fn everything_is_in_one_namespace() {
    for resource in all().iter().filter(|resource| resource["kind"] != "Namespace") {
        assert_eq!(resource["metadata"]["namespace"], "moorline", "{}", name(resource));
    }
}

#[test]
fn a_workload_selects_its_own_pods_and_no_other_workload_does() {
    for workload in workloads() {
        let (selector, own) = (&workload["spec"]["selector"], name(&workload));
        let picked: Vec<String> = workloads()
            .iter()
            .filter(|other| selects(selector, labels(other)))
            .map(|other| name(other).to_owned())
            .collect();
        assert_eq!(picked, [own]);
        assert_eq!(&workload["metadata"]["labels"], labels(&workload), "{own}");
    }
}

#[test]
fn a_service_leads_to_a_port_of_the_pods_that_it_selects() {
    for service in of_kind("Service") {
        let selector = serde_json::json!({"matchLabels": service["spec"]["selector"]});
        let pods: Vec<Value> = workloads()
            .into_iter()
            .filter(|workload| selects(&selector, labels(workload)))
            .collect();
        assert!(!pods.is_empty(), "{} selects nothing", name(&service));
        for port in service["spec"]["ports"].as_array().unwrap() {
            for pod in &pods {
                assert!(
                    ports(pod).contains(port["targetPort"].as_str().unwrap()),
                    "{} of {}",
                    port,
                    name(pod)
                );
            }
        }
    }
    for set in of_kind("StatefulSet") {
        let services = of_kind("Service");
        let wanted = &set["spec"]["serviceName"];
        assert!(services.iter().any(|service| name(service) == wanted), "{wanted} of {}", name(&set));
    }
}

#[test]
fn every_pod_of_ours_has_just_one_disruption_budget_since_two_would_let_nobody_evict_it() {
    for workload in ours() {
        let budgets = of_kind("PodDisruptionBudget");
        let own = budgets
            .iter()
            .filter(|budget| selects(&budget["spec"]["selector"], labels(&workload)));
        assert_eq!(own.count(), 1, "{}", name(&workload));
    }
}

#[test]
fn every_rule_of_the_network_is_about_pods_and_ports_that_there_are() {
    for policy in of_kind("NetworkPolicy") {
        let subjects = pods(&policy["spec"]["podSelector"]);
        for rule in policy["spec"]["ingress"].as_array().into_iter().flatten() {
            for port in rule["ports"].as_array().unwrap().iter().filter_map(|port| port["port"].as_str()) {
                assert!(subjects.iter().all(|pod| ports(pod).contains(port)), "{}: {port}", name(&policy));
            }
            for peer in rule["from"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|peer| peer["namespaceSelector"].is_null())
            {
                pods(&peer["podSelector"]);
            }
        }
        for rule in policy["spec"]["egress"].as_array().into_iter().flatten() {
            for peer in rule["to"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|peer| !peer["podSelector"].is_null())
            {
                let reached = pods(&peer["podSelector"]);
                for port in rule["ports"].as_array().unwrap().iter().filter_map(|port| port["port"].as_str()) {
                    assert!(reached.iter().all(|pod| ports(pod).contains(port)), "{}: {port}", name(&policy));
                }
            }
        }
    }
}

#[test]
fn only_workers_and_named_clients_reach_a_server_and_nobody_but_who_collects_metrics_a_worker() {
    let policies = of_kind("NetworkPolicy");
    let policy = |wanted: &str| policies.iter().find(|policy| name(policy) == wanted).unwrap();
    let nothing = policy("moorline-nothing");
    assert_eq!(nothing["spec"]["podSelector"], serde_json::json!({}));
    assert!(nothing["spec"]["ingress"].is_null() && nothing["spec"]["egress"].is_null());
    let server = pods(&policy("moorline-server")["spec"]["podSelector"]);
    assert_eq!(server.iter().map(name).collect::<Vec<_>>(), ["moorline-server"]);
    let workers = pods(&policy("moorline-workers")["spec"]["podSelector"]);
    assert_eq!(workers.len(), ours().len() - 1, "all but the server");
    let from = policy("moorline-workers")["spec"]["ingress"].as_array().unwrap();
    assert_eq!(from.len(), 1);
    assert_eq!(from[0]["from"][0]["namespaceSelector"]["matchLabels"]["moorline.metrics"], "true");
}

#[test]
fn every_mount_is_of_a_volume_that_the_pod_has() {
    for workload in workloads() {
        let pod = &workload["spec"]["template"]["spec"];
        let templates = workload["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten().map(name);
        let volumes = pod["volumes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|volume| volume["name"].as_str().unwrap());
        let volumes: BTreeSet<&str> = templates.chain(volumes).collect();
        let mut mounted = BTreeSet::new();
        for container in containers(&workload) {
            for mount in container["volumeMounts"].as_array().unwrap() {
                mounted.insert(mount["name"].as_str().unwrap().to_owned());
            }
        }
        assert_eq!(
            mounted,
            volumes.iter().map(|name| (*name).to_owned()).collect(),
            "{}",
            name(&workload)
        );
        for claim in pod["volumes"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str())
        {
            assert!(of_kind("PersistentVolumeClaim").iter().any(|known| name(known) == claim), "{claim}");
        }
    }
}

/// Workloads whose pods a selector picks, which must be some.
fn pods(selector: &Value) -> Vec<Value> {
    let picked: Vec<Value> = workloads()
        .into_iter()
        .filter(|workload| selects(selector, labels(workload)))
        .collect();
    assert!(!picked.is_empty(), "{selector} selects nothing");
    picked
}

/// Names of a workload's ports.
fn ports(workload: &Value) -> BTreeSet<String> {
    let containers = containers(workload);
    let ports = containers.iter().filter_map(|container| container["ports"].as_array()).flatten();
    ports.map(|port| port["name"].as_str().unwrap().to_owned()).collect()
}
