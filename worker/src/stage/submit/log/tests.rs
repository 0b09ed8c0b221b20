//! Logs of files that are longer than they should be.

use std::{
    future::poll_fn,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
};

use async_trait::async_trait;
use moorline_proto::v1;
use tempfile::TempDir;

use super::*;
use crate::{
    agent::{Turn, codex::Codex},
    config::Config,
};

/// Hears lines of progress.
#[derive(Debug, Default)]
struct Ear(Mutex<Vec<String>>);

#[async_trait]
impl Outlet for Ear {
    async fn progress(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
    async fn preflight(&self, _: v1::Preflight) {}
    async fn credential_audit(&self, _: v1::CredentialAudit) {}
    async fn volume_diagnostics(&self, _: v1::VolumeDiagnostics) {}
    async fn upload_artifact(&self, _: v1::ArtifactType, _: &Path, _: &str) -> Result<v1::Artifact, v1::Failure> {
        Ok(v1::Artifact::default())
    }
    async fn download_artifact(&self, _: &str, _: &Path) -> Result<(), v1::Failure> {
        Ok(())
    }
    async fn foresee(&self, _: v1::Finished) -> bool {
        true
    }
    async fn follow_output(&self, _: &Path, _: CancellationToken) -> Result<(), v1::Failure> {
        Ok(())
    }
}

const DONE: &str = r#"{"type":"turn.completed","usage":{"input_tokens":2,"output_tokens":1}}"#;

/// A log of what the file holds, of which at most `most` bytes are taken.
fn log(dir: &TempDir, most: u64, write: impl FnOnce(&mut File)) -> Log {
    let folder = RunFolder::below(dir.path(), "run-1", "job-1");
    std::fs::create_dir_all(&folder.artifacts).unwrap();
    folder.create_private().unwrap();
    write(&mut File::create(raw(&folder)).unwrap());
    opened(folder, most, false)
}

fn opened(folder: RunFolder, most: u64, adopted: bool) -> Log {
    let path = folder.private().join("clean");
    Log {
        agent: Arc::new(Codex::new(&Config::try_parse_from(["moorline-worker"]).unwrap())),
        outlet: Arc::new(Ear::default()),
        redactor: Redactor::default(),
        stderr: stderr(&folder),
        raw: raw(&folder),
        told: Told::open(&folder, adopted),
        clean: File::create(&path).unwrap(),
        before: 0,
        path,
        folder,
        lines: Lines::default(),
        offset: 0,
        taken: 0,
        kept: 0,
        most,
        full: false,
        gap: false,
        gap_said: false,
        transcript: Transcript::default(),
        throttle: Throttle::new(Instant::now()),
    }
}

async fn read(mut log: Log) -> (Transcript, String) {
    let (ended, path) = (CancellationToken::new(), log.path.clone());
    ended.cancel();
    log.follow(&ended).await;
    let (transcript, _) = log.finish(&path);
    (transcript, std::fs::read_to_string(path).unwrap())
}

#[tokio::test]
async fn a_worker_that_goes_on_reads_all_and_tells_only_what_is_new() {
    let command = |name: &str| {
        format!(
            "{{\"type\":\"item.started\",\"item\":{{\"type\":\"command_execution\",\"command\":\"{name}\",\"status\":\"in_progress\"}}}}\n"
        )
    };
    let began = "{\"type\":\"thread.started\",\"thread_id\":\"thread-1\"}\n".to_owned() + &command("make") + &command("make test");
    let dir = TempDir::new().unwrap();
    let mut first = log(&dir, MOST, |file| file.write_all(began.as_bytes()).unwrap());
    let ear = Arc::new(Ear::default());
    first.outlet = ear.clone();
    let folder = first.folder.clone();
    // Killed in the middle: nothing is finished.
    let ended = CancellationToken::new();
    ended.cancel();
    first.follow(&ended).await;
    drop(first);
    assert_eq!(*ear.0.lock().unwrap(), ["$ make", "$ make test"]);

    let mut file = File::options().append(true).open(raw(&folder)).unwrap();
    writeln!(file, "{}{DONE}", command("make install")).unwrap();
    let mut second = opened(folder, MOST, true);
    let ear = Arc::new(Ear::default());
    second.outlet = ear.clone();
    let (transcript, kept) = read(second).await;
    assert_eq!(*ear.0.lock().unwrap(), ["$ make install"]);
    assert_eq!(
        (transcript.thread_id.as_str(), transcript.input_tokens, transcript.turn),
        ("thread-1", 2, Some(Turn::Completed))
    );
    assert_eq!(
        kept,
        format!("{began}{}{DONE}\n", command("make install")),
        "the whole of it is kept"
    );
}

#[tokio::test]
async fn a_file_of_a_tebibyte_is_cut_and_its_end_still_counts() {
    let dir = TempDir::new().unwrap();
    let log = log(&dir, 1 << 20, |file| {
        file.write_all(b"first\n").unwrap();
        file.set_len(1 << 40).unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        write!(file, "\n{DONE}\n").unwrap();
    });
    let (transcript, kept) = read(log).await;
    assert_eq!(transcript.turn, Some(Turn::Completed));
    assert!(kept.starts_with("first\n") && kept.len() <= (1 << 20) + 200, "{}", kept.len());
    let last = kept.lines().last().unwrap();
    assert!(
        last.starts_with(r#"{"text":"the output is longer than 1048576 bytes"#) && last.contains("moorline.truncated"),
        "{last}"
    );
    assert_eq!(kept.matches("moorline.truncated").count(), 1);
}

#[tokio::test]
async fn an_output_as_long_as_the_limit_is_whole_and_one_byte_more_is_not() {
    for (most, truncated) in [(DONE.len() + 1, false), (DONE.len(), true)] {
        let dir = TempDir::new().unwrap();
        let log = log(&dir, most as u64, |file| writeln!(file, "{DONE}").unwrap());
        let (transcript, kept) = read(log).await;
        assert_eq!(
            (transcript.input_tokens, transcript.turn),
            (2, Some(Turn::Completed)),
            "events are read once"
        );
        assert_eq!(
            (kept.contains("moorline.truncated"), kept.starts_with(DONE)),
            (truncated, !truncated),
            "{kept}"
        );
    }
}

#[tokio::test]
async fn text_that_grows_when_it_is_cleaned_stays_within_the_limit() {
    let dir = TempDir::new().unwrap();
    let log = log(&dir, 4 << 20, |file| {
        // No byte of it is text, and each becomes three.
        (0..2000).for_each(|_| file.write_all(&[[0xff; 999].as_slice(), b"\n"].concat()).unwrap());
    });
    let kept = read(log).await.1;
    assert!(
        kept.len() <= (4 << 20) + 200 && kept.contains("moorline.truncated"),
        "{}",
        kept.len()
    );
}

#[tokio::test]
async fn others_get_their_turn_after_each_piece() {
    let dir = TempDir::new().unwrap();
    let log = log(&dir, 8 << 20, |file| {
        (0..4096).for_each(|_| file.write_all(&[b"x".repeat(511).as_slice(), b"\n"].concat()).unwrap())
    });
    let turns = AtomicU32::new(0);
    let other = poll_fn(|context| {
        turns.fetch_add(1, Ordering::Relaxed);
        context.waker().wake_by_ref();
        Poll::<()>::Pending
    });
    tokio::select! {
        biased;
        _ = read(log) => {}
        () = other => {}
    }
    assert!(turns.load(Ordering::Relaxed) >= 8);
}

#[tokio::test]
async fn a_disk_that_is_full_for_a_moment_costs_a_part_of_the_log_and_no_event() {
    for again in [true, false] {
        let dir = TempDir::new().unwrap();
        let mut log = log(&dir, MOST, |file| writeln!(file, "{DONE}").unwrap());
        let full = File::options().write(true).open("/dev/full").unwrap();
        let good = std::mem::replace(&mut log.clean, full);
        assert!(log.take().await.unwrap() > 0);
        assert_eq!(log.transcript.turn, Some(Turn::Completed), "what could not be written was read");
        log.clean = good;
        if again {
            let mut file = File::options().append(true).open(&log.raw).unwrap();
            writeln!(file, "later").unwrap();
        }
        let (transcript, kept) = read(log).await;
        assert_eq!((transcript.input_tokens, transcript.turn), (2, Some(Turn::Completed)));
        assert_eq!(kept.matches("moorline.truncated").count(), 1, "{kept}");
        assert_eq!(kept.ends_with("}\nlater\n"), again, "{kept}");
    }
}

#[tokio::test]
async fn a_log_that_follows_anothers_leaves_that_alone_and_is_stored_by_itself() {
    let dir = TempDir::new().unwrap();
    let folder = RunFolder::below(dir.path(), "run-1", "job-1");
    std::fs::create_dir_all(&folder.artifacts).unwrap();
    folder.create_private().unwrap();
    std::fs::write(raw(&folder), format!("{DONE}\n")).unwrap();
    let mut log = opened(folder.clone(), MOST, false);
    // As `open` does it, also where a worker goes on that has written more before.
    std::fs::write(&log.path, "of the first\nand more").unwrap();
    (log.clean, log.before) = (File::options().read(true).write(true).open(&log.path).unwrap(), 13);
    log.clean.set_len(13).unwrap();
    log.clean.seek(SeekFrom::End(0)).unwrap();
    let (ended, path) = (CancellationToken::new(), log.path.clone());
    ended.cancel();
    log.follow(&ended).await;
    log.finish(&artifact(&folder));
    assert_eq!(std::fs::read_to_string(path).unwrap(), format!("of the first\n{DONE}\n"));
    assert_eq!(std::fs::read_to_string(artifact(&folder)).unwrap(), format!("{DONE}\n"));
}
