//! The manifests as values.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::Value;

use crate::architecture::ROOT;

/// Where they are.
pub fn folder() -> PathBuf {
    PathBuf::from(ROOT).join("deploy/kubernetes")
}

/// Every file of resources, without the kustomizations.
pub fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = [folder(), folder().join("trial")]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml") && !path.ends_with("kustomization.yaml"))
        .collect();
    files.sort();
    files
}

/// The documents of a file.
pub fn read(file: &PathBuf) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// All resources.
pub fn all() -> Vec<Value> {
    files().iter().flat_map(read).collect()
}

/// Those of a kind.
pub fn of_kind(kind: &str) -> Vec<Value> {
    all().into_iter().filter(|resource| resource["kind"] == kind).collect()
}

/// What starts pods.
pub fn workloads() -> Vec<Value> {
    [of_kind("Deployment"), of_kind("StatefulSet")].concat()
}

/// Workloads of the project's own programs.
pub fn ours() -> Vec<Value> {
    let mut ours = workloads();
    ours.retain(|workload| {
        workload
            .pointer("/metadata/labels/app.kubernetes.io~1name")
            .is_some_and(|name| name == "moorline")
    });
    ours
}

pub fn name(resource: &Value) -> &str {
    resource["metadata"]["name"].as_str().unwrap()
}

/// A pod's containers, those that run before it included.
pub fn containers(workload: &Value) -> Vec<Value> {
    let pod = &workload["spec"]["template"]["spec"];
    let lists = [&pod["initContainers"], &pod["containers"]];
    lists.iter().filter_map(|list| list.as_array()).flatten().cloned().collect()
}

/// The environment of a workload's first container, as its ConfigMaps and the container itself set it.
pub fn environment(workload: &Value) -> BTreeMap<String, String> {
    let container = &workload["spec"]["template"]["spec"]["containers"][0];
    let mut environment = BTreeMap::new();
    for source in container["envFrom"].as_array().into_iter().flatten() {
        let wanted = source["configMapRef"]["name"].as_str().unwrap();
        let maps = of_kind("ConfigMap");
        let map = maps
            .iter()
            .find(|map| name(map) == wanted)
            .unwrap_or_else(|| panic!("no ConfigMap {wanted}"));
        let data = map["data"].as_object().unwrap().iter();
        environment.extend(data.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())));
    }
    for variable in container["env"].as_array().into_iter().flatten() {
        let value = variable["value"]
            .as_str()
            .unwrap_or_else(|| panic!("{variable} has no text for a value"));
        environment.insert(variable["name"].as_str().unwrap().to_owned(), value.to_owned());
    }
    environment
}

/// Whether a selector picks what has these labels.
pub fn selects(selector: &Value, labels: &Value) -> bool {
    let equal = selector["matchLabels"].as_object().into_iter().flatten();
    let among = selector["matchExpressions"].as_array().into_iter().flatten();
    equal.into_iter().all(|(name, value)| &labels[name] == value)
        && among.into_iter().all(|expression| {
            assert_eq!(expression["operator"], "In", "{expression}");
            let label = &labels[expression["key"].as_str().unwrap()];
            expression["values"].as_array().unwrap().contains(label)
        })
}

/// The labels of a workload's pods.
pub fn labels(workload: &Value) -> &Value {
    &workload["spec"]["template"]["metadata"]["labels"]
}
