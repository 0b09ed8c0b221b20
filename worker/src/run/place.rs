//! Workers beside each other with one work root: as many as one likes where no login is needed, one where one is.

use crate::{
    config::{ANY, Config, shard_index},
    spool::{self, Recovered, Spool},
};

/// Most workers of one kind with one work root.
const MOST: u32 = 1024;

/// Gives a worker that is one of several the first number that no other process has, and its spool, which is what settles who has it: the
/// kernel lets go of it however a process ends. Whoever comes next takes the lowest number that is free, and with it what was left in that spool.
/// A worker with a name of its own keeps it, and its spool is still to be opened.
pub(super) async fn take(mut config: Config) -> Result<(Config, Option<(Spool, Vec<Recovered>)>), spool::Error> {
    let Some(kind) = config.name.strip_suffix(ANY).map(str::to_owned) else {
        return Ok((config, None));
    };
    let mut number = 0;
    loop {
        config.name = format!("{kind}{number}");
        match Spool::open(config.spool()).await {
            Err(spool::Error::Busy { .. }) if number + 1 < MOST => number += 1,
            opened => {
                let opened = opened?;
                tracing::info!(worker = %config.name, "this worker is one of several, and has this name");
                return Ok((config, Some(opened)));
            }
        }
    }
}

/// Why a second worker of a login has to wait, and what to do instead, in one sentence; `None` where the worker has no login.
pub(super) fn second_of_login(config: &Config) -> Option<String> {
    let (queue, name) = (config.login_queue()?, &config.name);
    let volume = config.volume.as_deref().unwrap_or("the volume");
    let more = match shard_index(queue) {
        Some(_) => format!(
            "for more at once add a shard: `moorline shard resize N` with one more than `moorline shard list` shows, and a service codex-<N-1> in \
             docker-compose.yaml, which is a copy of that of {queue} with the new number in its queue, volume and name"
        ),
        None => format!("the queue {queue} has no more than one: stop this one"),
    };
    Some(format!(
        "{volume} holds the one login of {queue} and worker {name} has it, so this second one only waits until that has gone, since one volume means one \
         worker; {more}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(root: &std::path::Path, name: &str) -> Config {
        let root = root.display().to_string();
        Config::try_parse_from(["moorline-worker", "--worker-name", name, "--work-root", &root]).unwrap()
    }

    #[tokio::test]
    async fn workers_of_one_kind_have_a_number_each_and_a_new_one_the_lowest_that_is_free() {
        let root = tempfile::tempdir().unwrap();
        let take = async || take(config(root.path(), "default-*")).await.unwrap();
        let (first, second, third) = tokio::join!(take(), take(), take());
        let mut names: Vec<_> = [&first, &second, &third].map(|(config, _)| config.name.clone()).into();
        names.sort();
        assert_eq!(names, ["default-0", "default-1", "default-2"]);

        let gone = second.0.name.clone();
        drop(second);
        assert_eq!(take().await.0.name, gone);
    }

    #[tokio::test]
    async fn a_name_of_its_own_stays() {
        let root = tempfile::tempdir().unwrap();
        let (config, opened) = take(config(root.path(), "codex-0")).await.unwrap();
        assert_eq!((config.name.as_str(), opened.is_none()), ("codex-0", true));
    }

    #[test]
    fn a_second_worker_of_a_shard_is_told_why_it_waits_and_how_to_add_a_shard() {
        let shard = [
            "moorline-worker",
            "--codex-queue",
            "codex-0",
            "--volume",
            "codex_auth_0",
            "--worker-name",
            "codex-0",
        ];
        let why = second_of_login(&Config::try_parse_from(shard).unwrap()).unwrap();
        for said in [
            "codex_auth_0",
            "one volume means one worker",
            "`moorline shard resize N`",
            "a copy of that of codex-0",
        ] {
            assert!(why.contains(said), "{why}");
        }
        let gemini = Config::try_parse_from(["moorline-worker", "--queues", "gemini"]).unwrap();
        let why = second_of_login(&gemini).unwrap();
        assert!(why.contains("gemini_auth") && why.ends_with("stop this one"), "{why}");
        assert_eq!(second_of_login(&Config::try_parse_from(["moorline-worker"]).unwrap()), None);
    }
}
