//! Removing the fleets of test processes that are gone: nobody else stops them, since they start again whatever happens.

use std::collections::BTreeSet;

use crate::{
    hosts::sweep::is_left,
    support::left::{docker, remove_containers, remove_volumes},
};

const PROJECT: &str = "com.docker.compose.project";

/// Removes their containers, those of their jobs, their volumes and their networks.
pub fn left_by_the_dead() {
    for project in projects().iter().filter(|project| is_left(project)) {
        let label = format!("label={PROJECT}={project}");
        remove_containers(&label);
        remove_volumes(&format!("{project}_"));
        for network in docker(&["network", "ls", "--quiet", "--filter", &label]) {
            remove_containers(&format!("network={network}"));
            docker(&["network", "rm", &network]);
        }
    }
}

fn projects() -> BTreeSet<String> {
    let (filter, format) = (format!("label={PROJECT}"), format!("{{{{.Label {PROJECT:?}}}}}"));
    let lists: [&[&str]; 3] = [&["ps", "--all"], &["volume", "ls"], &["network", "ls"]];
    let named = |list: &&[&str]| docker(&[*list, &["--filter", &filter, "--format", &format]].concat());
    lists.iter().flat_map(named).collect()
}

mod tests {
    use std::process::Command;

    use super::*;
    use crate::{
        hosts::sweep::prefix,
        support::{left::Volumes, program},
    };

    /// A container that has a volume, both of a project.
    fn make(project: &str) {
        let (label, volume) = (format!("{PROJECT}={project}"), format!("{project}_data"));
        let made = docker(&["volume", "create", "--label", &label, &volume]);
        assert_eq!(made, [&*volume], "a Docker engine: start dockerd");
        let image = program("MOORLINE_TEST_JOB_IMAGE", "moorline-job");
        let mount = format!("{volume}:/data");
        let made = docker(&["create", "--label", &label, "--volume", &mount, &image, "true"]);
        assert_eq!(made.len(), 1, "the job image: cargo xtask test builds it");
    }

    #[test]
    fn a_fleet_of_a_dead_test_process_is_removed_and_one_of_a_live_one_is_not() {
        let mut gone = Command::new("true").spawn().unwrap();
        let id = uuid::Uuid::now_v7().simple().to_string();
        let (dead, alive) = (format!("moorline-test-{}-1-{id}", gone.id()), format!("{}{id}", prefix()));
        gone.wait().unwrap();
        let _guards = [&dead, &alive].map(|project| Volumes(format!("{project}_")));
        for project in [&dead, &alive] {
            make(project);
        }
        left_by_the_dead();
        let left = projects();
        assert!(!left.contains(&dead) && left.contains(&alive), "{left:?}");
        let volumes = docker(&["volume", "ls", "--quiet"]);
        assert!(!volumes.contains(&format!("{dead}_data")), "{volumes:?}");
    }
}
