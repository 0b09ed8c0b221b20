//! A search for secrets in all that was seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use regex::bytes::Regex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Secrets by what they are. Sixteen characters from the middle of each: a part that was kept is found as well as the whole.
#[derive(Default)]
pub struct Needles(BTreeMap<&'static str, BTreeSet<String>>);

impl Needles {
    pub fn add(&mut self, what: &'static str, secret: &str) {
        const PART: usize = 16;
        assert!(secret.len() >= PART, "too short to be found for sure: {secret}");
        let from = (secret.len() - PART) / 2;
        let part = &secret.as_bytes()[from..from + PART];
        // As it is, as Postgres shows bytes, and in base64 wherever in a text it begins.
        let shifted = (0..3).map(|skip| STANDARD.encode([&vec![b'x'; skip], part].concat()));
        let shifted = shifted.map(|text| text[4..text.len() - 4].to_owned());
        let plain = [String::from_utf8_lossy(part).into_owned(), hex::encode(part)];
        self.0.entry(what).or_default().extend(plain.into_iter().chain(shifted));
    }

    pub fn search(&self) -> Search {
        let any = |forms: &BTreeSet<String>| {
            let forms: Vec<String> = forms.iter().map(|form| regex::escape(form)).collect();
            Regex::new(&forms.join("|")).unwrap()
        };
        Search(self.0.iter().map(|(what, forms)| (*what, any(forms))).collect())
    }
}

/// Finds needles.
pub struct Search(Vec<(&'static str, Regex)>);

impl Search {
    /// The first that is in a content, if one is.
    pub fn first(&self, content: &[u8]) -> Option<&'static str> {
        self.0.iter().find(|(_, forms)| forms.is_match(content)).map(|(what, _)| *what)
    }
}

/// Everything that was seen, by where.
#[derive(Default)]
pub struct Haystack(BTreeMap<String, BTreeSet<Vec<u8>>>);

impl Haystack {
    pub fn add(&mut self, place: &str, content: &[u8]) {
        self.0.entry(place.to_owned()).or_default().insert(content.to_vec());
    }

    pub fn len(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// What was found, and where; never the secret.
    pub fn search(&self, search: &Search) -> Vec<String> {
        let found = |(place, contents): (&String, &BTreeSet<Vec<u8>>)| {
            let what = contents.iter().find_map(|content| search.first(content))?;
            Some(format!("{what} is in {place}"))
        };
        self.0.iter().filter_map(found).collect()
    }
}

/// Looks at command lines of all processes, and at what the container engine would tell anybody, again and again.
pub struct Watch {
    stop: CancellationToken,
    task: JoinHandle<Haystack>,
}

impl Watch {
    pub fn start(docker: bool) -> Self {
        const LOOK: Duration = Duration::from_millis(20);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut seen = Haystack::default();
            while stopped.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
                command_lines(&mut seen);
                if docker {
                    containers(&mut seen).await;
                }
            }
            seen
        });
        Self { stop, task }
    }

    pub async fn stop(self) -> Haystack {
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

fn command_lines(seen: &mut Haystack) {
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Ok(line) = fs::read(entry.path().join("cmdline")) {
            seen.add("a command line", &line);
        }
    }
}

/// All that `docker inspect` shows, but for the values of environment variables, by which an agent gets what its job needs.
async fn containers(seen: &mut Haystack) {
    use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};
    let docker = bollard::Docker::connect_with_defaults().unwrap();
    let all = ListContainersOptionsBuilder::new().all(true).build();
    for container in docker.list_containers(Some(all)).await.unwrap_or_default() {
        let Some(id) = container.id else { continue };
        let Ok(mut inspected) = docker.inspect_container(&id, None::<InspectContainerOptions>).await else {
            continue;
        };
        if let Some(config) = &mut inspected.config {
            config.env = None;
        }
        seen.add("docker inspect", format!("{inspected:?}").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_secret_is_found_in_each_form() {
        let mut needles = Needles::default();
        needles.add("a key", "sk-0123456789abcdefghijklmnopqrstuvwxyz");
        let part = "456789abcdefghijklmnopqrst";
        for content in [
            part.to_owned(),
            hex::encode(part),
            STANDARD.encode(part),
            STANDARD.encode(format!("a{part}")),
            STANDARD.encode(format!("ab{part}")),
        ] {
            assert!(needles.search().first(content.as_bytes()).is_some(), "{content}");
        }
        assert!(needles.search().first(b"sk-012 wxyz").is_none());
    }
}
