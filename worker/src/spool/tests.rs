//! The spool through the ends of processes, and what a disk does to it.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use tempfile::TempDir;

use super::*;

const RECORD: u64 = 4096;

fn settings(dir: &TempDir) -> Settings {
    Settings {
        root: dir.path().join("spool"),
        worker: "w".to_owned(),
        limit: 16 * RECORD,
        record_limit: RECORD,
    }
}

async fn open(dir: &TempDir) -> (Spool, Vec<Recovered>) {
    // A program that another test starts at this moment has the files of this process, this spool's lock among them, until it is itself.
    let free = async || loop {
        match Spool::open(settings(dir)).await {
            Err(Error::Busy { .. }) => tokio::task::yield_now().await,
            opened => break opened.expect("a spool"),
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), free())
        .await
        .expect("the lock is free in a moment")
}

fn folder(dir: &TempDir) -> std::path::PathBuf {
    dir.path().join("spool/w")
}

fn offer(lease: &Lease) -> v1::Offer {
    v1::Offer {
        job_id: lease.job_id.clone(),
        lease_token: lease.token,
        ..Default::default()
    }
}

fn end(lease: &Lease) -> Vec<v1::Report> {
    let report = |sequence, news| v1::Report {
        job_id: lease.job_id.clone(),
        lease_token: lease.token,
        sequence,
        news: Some(news),
    };
    let line = v1::report::News::Progress(v1::StageProgress::default());
    vec![report(4, line), report(5, v1::report::News::Finished(v1::Finished::default()))]
}

fn names(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name().into_string().expect("a name");
    let mut names: Vec<String> = fs::read_dir(folder).expect("the folder").map(name).collect();
    names.sort();
    names
}

fn lease(token: i64) -> Lease {
    Lease::new("job", token)
}

#[tokio::test]
async fn what_is_kept_outlives_the_process_until_it_is_settled() {
    let dir = TempDir::new().expect("a folder");
    let (spool, recovered) = open(&dir).await;
    assert_eq!(recovered, []);
    for token in [1, 2, 3] {
        spool.accept(&lease(token), &offer(&lease(token))).await.expect("kept");
    }
    spool.finish(&lease(2), end(&lease(2))).await.expect("kept");
    spool.settle(&lease(3)).await;
    drop(spool);
    let (spool, recovered) = open(&dir).await;
    let at_work = Recovered {
        lease: lease(1),
        offer: offer(&lease(1)),
        finished: None,
    };
    let ended = Recovered {
        lease: lease(2),
        offer: offer(&lease(2)),
        finished: Some(end(&lease(2))),
    };
    assert_eq!(recovered, [ended, at_work]);
    for token in [1, 2] {
        spool.settle(&lease(token)).await;
    }
    assert_eq!(names(&folder(&dir)), ["lock"]);
    assert_eq!(spool.usage().bytes, 0);
}

#[tokio::test]
async fn a_spool_is_its_user_s_alone_and_one_process_s_at_a_time() {
    let dir = TempDir::new().expect("a folder");
    let (spool, _) = open(&dir).await;
    spool.accept(&lease(1), &offer(&lease(1))).await.expect("kept");
    let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    assert_eq!(mode(&folder(&dir)), 0o700);
    assert_eq!(mode(&folder(&dir).join("job-1.offer")), 0o600);
    assert!(matches!(Spool::open(settings(&dir)).await, Err(Error::Busy { .. })));
    let other = Settings {
        worker: "../w/..".to_owned(),
        ..settings(&dir)
    };
    Spool::open(other).await.expect("another name has another folder");
    assert_eq!(names(&dir.path().join("spool")), ["%2e.%2fw%2f..", "w"]);
    drop(spool);
    open(&dir).await;
}

#[tokio::test]
async fn a_record_that_was_cut_is_set_aside_and_the_rest_is_read() {
    let dir = TempDir::new().expect("a folder");
    let (spool, _) = open(&dir).await;
    spool.accept(&lease(1), &offer(&lease(1))).await.expect("kept");
    spool.accept(&lease(2), &offer(&lease(2))).await.expect("kept");
    spool.finish(&lease(2), end(&lease(2))).await.expect("kept");
    drop(spool);
    let file = folder(&dir).join("job-2.finished");
    let whole = fs::read(&file).expect("a file");
    for length in 0..whole.len() {
        fs::write(&file, &whole[..length]).expect("a cut");
        let (_spool, recovered) = open(&dir).await;
        let left: Vec<_> = recovered.iter().map(|left| (left.lease.token, left.finished.is_some())).collect();
        assert_eq!(left, [(1, false), (2, false)], "cut to {length}");
        assert_eq!(
            names(&folder(&dir)),
            ["job-1.offer", "job-2.finished.damaged", "job-2.offer", "lock"]
        );
    }
}

#[tokio::test]
async fn a_record_under_another_s_name_is_set_aside() {
    let dir = TempDir::new().expect("a folder");
    let (spool, _) = open(&dir).await;
    spool.accept(&lease(1), &offer(&lease(1))).await.expect("kept");
    drop(spool);
    fs::rename(folder(&dir).join("job-1.offer"), folder(&dir).join("job-9.offer")).expect("a rename");
    assert_eq!(open(&dir).await.1, []);
    assert_eq!(names(&folder(&dir)), ["job-9.offer.damaged", "lock"]);
}

#[tokio::test]
async fn what_was_never_renamed_never_counted() {
    let dir = TempDir::new().expect("a folder");
    let (spool, _) = open(&dir).await;
    spool.accept(&lease(1), &offer(&lease(1))).await.expect("kept");
    drop(spool);
    // A process that ends between the write and the rename leaves this.
    fs::rename(folder(&dir).join("job-1.offer"), folder(&dir).join("job-1.offer.part")).expect("a rename");
    assert_eq!(open(&dir).await.1, []);
    assert_eq!(names(&folder(&dir)), ["lock"]);
}

#[tokio::test]
async fn an_end_without_its_offer_is_complete() {
    let dir = TempDir::new().expect("a folder");
    let (spool, _) = open(&dir).await;
    spool.accept(&lease(1), &offer(&lease(1))).await.expect("kept");
    spool.finish(&lease(1), end(&lease(1))).await.expect("kept");
    drop(spool);
    fs::remove_file(folder(&dir).join("job-1.offer")).expect("removed");
    let ended = Recovered {
        lease: lease(1),
        offer: offer(&lease(1)),
        finished: Some(end(&lease(1))),
    };
    assert_eq!(open(&dir).await.1, [ended]);
}

#[tokio::test]
async fn a_full_spool_takes_no_job_but_every_end_of_those_it_took() {
    let dir = TempDir::new().expect("a folder");
    let (spool, _) = open(&dir).await;
    let mut taken = 0;
    while taken < 100 && spool.accept(&lease(taken), &offer(&lease(taken))).await.is_ok() {
        taken += 1;
    }
    assert_eq!(taken, 15, "each keeps a record's room free for its end");
    assert_eq!(spool.usage().room, 0);
    let full = spool.accept(&lease(99), &offer(&lease(99))).await.expect_err("full");
    assert!(full.to_string().contains("MOORLINE_SPOOL_MIB"), "{full}");
    for token in 0..taken {
        spool.finish(&lease(token), end(&lease(token))).await.expect("kept");
    }
    spool.settle(&lease(0)).await;
    spool.accept(&lease(99), &offer(&lease(99))).await.expect("there is room again");
}

#[tokio::test]
async fn a_record_beyond_its_limit_is_refused() {
    let dir = TempDir::new().expect("a folder");
    let (spool, _) = open(&dir).await;
    let large = v1::Offer {
        queue: "x".repeat(RECORD as usize),
        ..offer(&lease(1))
    };
    assert!(matches!(spool.accept(&lease(1), &large).await, Err(Error::TooLarge { .. })));
    assert_eq!(names(&folder(&dir)), ["lock"]);
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_said_and_passes() {
    let dir = TempDir::new().expect("a folder");
    let (spool, _) = open(&dir).await;
    // A folder in the way of the file that is written first.
    let in_the_way = folder(&dir).join("job-1.offer.part");
    fs::create_dir(&in_the_way).expect("a folder");
    let error = spool.accept(&lease(1), &offer(&lease(1))).await.expect_err("unwritable");
    assert!(matches!(error, Error::Unwritable { .. }), "{error}");
    assert!(spool.usage().failing && spool.usage().room == 0, "no job is taken meanwhile");
    spool.probe().await.expect("other files can be written");
    assert!(spool.usage().room > 0);
    fs::remove_dir(&in_the_way).expect("removed");
    spool.accept(&lease(1), &offer(&lease(1))).await.expect("kept");
}

#[tokio::test]
async fn a_lease_that_would_leave_the_folder_is_refused() {
    let dir = TempDir::new().expect("a folder");
    let (spool, _) = open(&dir).await;
    let away = Lease::new("../../job", 1);
    spool.accept(&away, &offer(&away)).await.expect_err("refused");
    spool.finish(&away, end(&away)).await.expect_err("refused");
}
