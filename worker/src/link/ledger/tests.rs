//! Numbers, bounds, and what the spool has to do with them.

use moorline_proto::v1::{Failure, JobResult, StageProgress, SubmitResult, job_result};

use tempfile::TempDir;

use super::*;
use crate::testing::patient;

fn line() -> News {
    News::Progress(StageProgress::default())
}

fn sequences(ledger: &Ledger) -> Vec<i64> {
    let mut sent = BTreeMap::new();
    std::iter::from_fn(|| ledger.next(&mut sent))
        .map(|report| report.sequence)
        .collect()
}

#[test]
fn reports_are_numbered_and_kept_until_acknowledged() {
    let (ledger, lease) = (Ledger::default(), Lease::new("job", 7));
    ledger.open(&lease);
    ledger.report(&lease, line());
    ledger.report(&lease, line());
    assert_eq!(sequences(&ledger), [1, 2]);
    assert!(!ledger.acknowledge(&lease, 1));
    assert_eq!(sequences(&ledger), [2], "a new session sends what isn't acknowledged");
    ledger.report(&lease, News::Finished(Finished::default()));
    ledger.report(&lease, line());
    assert_eq!(sequences(&ledger), [2, 3], "nothing comes after the end");
    assert!(ledger.inventory()[0].finished);
    assert!(ledger.acknowledge(&lease, 3));
    assert!(ledger.inventory().is_empty());
}

#[test]
fn of_a_forgotten_lease_nothing_is_kept() {
    let (ledger, lease) = (Ledger::default(), Lease::new("job", 7));
    ledger.open(&lease);
    ledger.report(&lease, line());
    assert!(ledger.forget(&lease));
    ledger.report(&lease, line());
    assert_eq!(sequences(&ledger), [0; 0]);
}

#[test]
fn a_flood_of_lines_is_cut_but_the_end_is_kept() {
    let (ledger, lease) = (Ledger::default(), Lease::new("job", 7));
    ledger.open(&lease);
    for _ in 0..MOST_LINES + 10 {
        ledger.report(&lease, line());
    }
    ledger.report(&lease, News::Finished(Finished::default()));
    let (sequences, mut sent) = (sequences(&ledger), BTreeMap::new());
    assert!(sequences.iter().copied().eq(1..=MOST_LINES as i64 + 2), "no number is missing");
    let reports: Vec<News> = std::iter::from_fn(|| ledger.next(&mut sent))
        .filter_map(|report| report.news)
        .collect();
    match &reports[MOST_LINES..] {
        [News::Progress(said), News::Finished(_)] => {
            assert_eq!(
                said.message,
                "10 lines of progress are missing here: the server took them too slowly"
            );
        }
        other => panic!("not said: {other:?}"),
    }
}

#[test]
fn a_flood_of_long_lines_is_cut_by_its_bytes() {
    let (ledger, lease) = (Ledger::default(), Lease::new("job", 7));
    ledger.open(&lease);
    let long = StageProgress {
        message: "\u{10348}".repeat(LONGEST_LINE),
        ..StageProgress::default()
    };
    for _ in 0..MOST_LINES {
        ledger.report(&lease, News::Progress(long.clone()));
    }
    let kept = sequences(&ledger).len();
    assert_eq!(kept, MOST_LINE_BYTES / long.message.len());
    ledger.acknowledge(&lease, 1);
    ledger.report(&lease, line());
    assert_eq!(
        sequences(&ledger).len(),
        kept - 1 + 2,
        "there is room again, and what is missing is said"
    );
}

#[test]
fn acknowledgements_may_come_twice_and_in_any_order() {
    let (ledger, lease) = (Ledger::default(), Lease::new("job", 7));
    ledger.open(&lease);
    for _ in 0..4 {
        ledger.report(&lease, line());
    }
    for sequence in [3, 1, 3, 2] {
        assert!(!ledger.acknowledge(&lease, sequence));
    }
    assert_eq!(sequences(&ledger), [4]);
    ledger.report(&lease, News::Finished(Finished::default()));
    assert!(ledger.acknowledge(&lease, 5));
    assert!(!ledger.acknowledge(&lease, 5), "it is over only once");
}

#[test]
fn numbers_of_an_adopted_job_go_on_after_those_that_the_server_has() {
    let (ledger, lease) = (Ledger::default(), Lease::new("job", 7));
    ledger.open(&lease);
    ledger.kept(&lease, 17);
    ledger.report(&lease, line());
    assert_eq!(sequences(&ledger), [18]);
    ledger.kept(&lease, 17);
    ledger.report(&lease, line());
    assert_eq!(sequences(&ledger), [18, 19], "a later welcome changes nothing");
}

struct Place {
    dir: TempDir,
    ledger: Ledger,
    recovered: Vec<Recovered>,
}

impl Place {
    async fn at(dir: TempDir) -> Self {
        let settings = crate::spool::Settings {
            root: dir.path().to_owned(),
            worker: "w".to_owned(),
            limit: 1 << 30,
            record_limit: 4 << 20,
        };
        // Whoever settled something in it last may still be about to let go.
        let opening = async {
            loop {
                match Spool::open(settings.clone()).await {
                    Err(crate::spool::Error::Busy { .. }) => tokio::task::yield_now().await,
                    opened => return opened.expect("a spool"),
                }
            }
        };
        let (spool, recovered) = patient(opening).await;
        Self {
            ledger: Ledger::new(spool, &recovered),
            recovered,
            dir,
        }
    }

    /// As after an end of the process.
    async fn again(self) -> Self {
        drop(self.ledger);
        Self::at(self.dir).await
    }

    fn spooled(&self) -> bool {
        self.dir.path().join("w/job-7.finished").exists()
    }

    async fn cleared(&self) {
        while self.spooled() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn an_end_outlives_the_process_until_it_is_acknowledged() {
    let (place, lease) = (Place::at(TempDir::new().expect("a folder")).await, Lease::new("job", 7));
    place.ledger.open(&lease);
    place.ledger.report(&lease, line());
    place.ledger.report(&lease, line());
    place.ledger.acknowledge(&lease, 1);
    place.ledger.finish(&lease, Finished::default()).await;
    assert_eq!(sequences(&place.ledger), [2, 3]);
    let place = place.again().await;
    assert_eq!(place.recovered.len(), 1);
    assert_eq!(sequences(&place.ledger), [2, 3]);
    let held = place.ledger.inventory();
    assert_eq!((held[0].finished, held[0].last_sequence), (true, 3));
    place.ledger.kept(&lease, 2);
    assert_eq!(sequences(&place.ledger), [3]);
    assert!(place.spooled());
    assert!(place.ledger.acknowledge(&lease, 3));
    patient(place.cleared()).await;
    assert_eq!(place.again().await.recovered, []);
}

fn foreseen() -> Finished {
    Finished {
        outcome: Some(Outcome::Result(JobResult::default())),
        execution: None,
    }
}

#[tokio::test]
async fn an_end_that_was_foreseen_is_sent_by_the_next_process() {
    let (place, lease) = (Place::at(TempDir::new().expect("a folder")).await, Lease::new("job", 7));
    place.ledger.open(&lease);
    place.ledger.report(&lease, line());
    assert!(place.ledger.foresee(&lease, foreseen()).await);
    assert_eq!(sequences(&place.ledger), [1], "this process goes on");
    assert!(!place.ledger.inventory()[0].finished);
    // What comes afterwards takes the numbers that follow; the server has two, and word of one got lost.
    place.ledger.report(&lease, line());
    place.ledger.report(&lease, line());
    let place = place.again().await;
    let held = place.ledger.inventory();
    assert_eq!((held[0].finished, held[0].last_sequence), (false, 1));
    assert_eq!(sequences(&place.ledger), [1], "its number isn't known before the server's welcome");
    assert!(!place.ledger.kept(&lease, 2));
    let mut sent = BTreeMap::new();
    let end = place.ledger.next(&mut sent).expect("an end");
    assert_eq!((end.sequence, end.news), (3, Some(News::Finished(foreseen()))));
    assert!(!place.ledger.kept(&lease, 2), "a later welcome changes nothing");
    assert_eq!(sequences(&place.ledger), [3]);
    assert!(place.ledger.acknowledge(&lease, 3));
    patient(place.cleared()).await;
    assert_eq!(place.again().await.recovered, []);
}

#[tokio::test]
async fn an_end_takes_the_place_of_the_one_that_was_foreseen() {
    let (place, lease) = (Place::at(TempDir::new().expect("a folder")).await, Lease::new("job", 7));
    place.ledger.open(&lease);
    assert!(place.ledger.foresee(&lease, foreseen()).await);
    assert!(place.ledger.finish(&lease, Finished::default()).await);
    let place = place.again().await;
    let end = place.ledger.next(&mut BTreeMap::new()).expect("an end");
    assert_eq!((end.sequence, end.news), (1, Some(News::Finished(Finished::default()))));
    place.ledger.forget(&lease);
    assert!(
        !place.ledger.foresee(&lease, foreseen()).await,
        "of a forgotten lease nothing is kept"
    );
    patient(place.cleared()).await;
}

#[tokio::test]
async fn nothing_is_sent_of_an_end_that_is_not_on_the_disk_yet() {
    let (ledger, lease) = (Ledger::default(), Lease::new("job", 7));
    ledger.open(&lease);
    let reports = ledger.close(&lease, Finished::default()).expect("an end");
    assert_eq!(reports.len(), 1);
    assert_eq!(sequences(&ledger), [0; 0]);
    let held = ledger.inventory();
    assert_eq!((held[0].finished, held[0].last_sequence), (false, 0));
    assert!(ledger.publish(&lease));
    assert_eq!(sequences(&ledger), [1]);
}

#[tokio::test]
async fn of_a_lease_that_passed_on_while_its_end_was_written_nothing_stays() {
    let (place, lease) = (Place::at(TempDir::new().expect("a folder")).await, Lease::new("job", 7));
    place.ledger.open(&lease);
    let finishing = place.ledger.finish(&lease, Finished::default());
    tokio::pin!(finishing);
    assert!(futures::poll!(&mut finishing).is_pending(), "it is being written");
    assert!(place.ledger.forget(&lease));
    finishing.await;
    patient(place.cleared()).await;
    assert_eq!(sequences(&place.ledger), [0; 0]);
}

#[tokio::test]
async fn an_end_that_no_disk_takes_is_sent_all_the_same() {
    let (place, lease) = (Place::at(TempDir::new().expect("a folder")).await, Lease::new("job", 7));
    std::fs::remove_dir_all(place.dir.path()).expect("no disk");
    place.ledger.open(&lease);
    assert!(!place.ledger.finish(&lease, Finished::default()).await, "it is in memory only");
    assert_eq!(sequences(&place.ledger), [1]);
}

#[tokio::test]
async fn an_end_that_the_disk_did_not_take_is_written_once_it_does() {
    let (place, lease) = (Place::at(TempDir::new().expect("a folder")).await, Lease::new("job", 7));
    let (spool, away) = (place.dir.path().join("w"), place.dir.path().join("away"));
    place.ledger.open(&lease);
    std::fs::rename(&spool, &away).expect("no disk");
    assert!(!place.ledger.finish(&lease, Finished::default()).await);
    assert!(!place.ledger.keep(&lease).await);
    std::fs::rename(&away, &spool).expect("a disk");
    assert!(place.ledger.keep(&lease).await);
    assert!(place.spooled());
    assert!(place.ledger.acknowledge(&lease, 1));
    assert!(place.ledger.keep(&lease).await, "acknowledged, it needs no disk");
    patient(place.cleared()).await;
}

fn only_report(news: News) -> News {
    let (ledger, lease) = (Ledger::default(), Lease::new("job", 7));
    ledger.open(&lease);
    ledger.report(&lease, news);
    ledger.next(&mut BTreeMap::new()).and_then(|report| report.news).expect("a report")
}

#[test]
fn an_end_that_no_server_takes_becomes_a_failure_that_says_so() {
    let large = |bytes| {
        // Made by hand: `failure` keeps its messages short.
        let failure = Failure {
            code: "PATCH_CONFLICT".to_owned(),
            message: "x".repeat(bytes),
            ..Failure::default()
        };
        News::Finished(Finished {
            outcome: Some(Outcome::Failure(failure)),
            execution: None,
        })
    };
    let code = |news| match only_report(news) {
        News::Finished(Finished {
            outcome: Some(Outcome::Failure(failure)),
            ..
        }) => (failure.code, failure.message.len() < 1000),
        other => panic!("no failure: {other:?}"),
    };
    assert_eq!(code(large(LARGEST + 1)), ("REPORT_TOO_LARGE".to_owned(), true));
    assert_eq!(code(large(LARGEST / 2)), ("PATCH_CONFLICT".to_owned(), false));
    let result = job_result::Result::Submit(SubmitResult::default());
    let small = News::Finished(Finished {
        outcome: Some(Outcome::Result(JobResult { result: Some(result) })),
        execution: None,
    });
    assert_eq!(only_report(small.clone()), small);
}

#[test]
fn a_line_of_progress_is_one_line() {
    let said = News::Progress(StageProgress {
        message: format!("one\ntwo\u{1b}[31m\u{0} {}", "x".repeat(5000)),
        ..StageProgress::default()
    });
    let News::Progress(progress) = only_report(said) else {
        panic!("no progress");
    };
    assert!(progress.message.starts_with("one two[31m xxx"), "{}", progress.message);
    assert_eq!(progress.message.chars().count(), LONGEST_LINE);
    assert!(!progress.message.contains(char::is_control));
}
