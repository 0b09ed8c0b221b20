//! What outlives a session: the leases that the worker holds, and the reports that the server hasn't acknowledged.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard},
};

use moorline_proto::v1::{FailureClass, Finished, HeldJob, Report, finished::Outcome, report::News};
use prost::Message;
use tokio::sync::Notify;

use crate::{redact::one_line, stage::failure};

/// One claim of a job: its fence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    /// The job.
    pub job_id: String,
    /// The lease token.
    pub token: i64,
}

impl Lease {
    /// The lease that a frame names.
    pub fn new(job_id: impl Into<String>, token: i64) -> Self {
        Self {
            job_id: job_id.into(),
            token,
        }
    }
}

/// Leases and their reports, in memory.
#[derive(Debug, Default)]
pub struct Ledger {
    books: Mutex<BTreeMap<Lease, Book>>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Book {
    last: i64,
    finished: bool,
    unacknowledged: VecDeque<Report>,
    dropped: u64,
}

/// Unacknowledged reports of one lease beyond which lines of progress are dropped; everything else is always kept.
const MOST_LINES: usize = 512;

/// Largest report in bytes. One that the server refuses for its size would be refused for ever, and take its line with it each time.
const LARGEST: usize = 1 << 20;

/// Characters of a line of progress.
const LONGEST_LINE: usize = 1000;

impl Ledger {
    /// Begins a lease.
    pub fn open(&self, lease: &Lease) {
        self.books().entry(lease.clone()).or_default();
    }

    /// Adds a report, with the lease's next number. Of a lease that was forgotten, or has ended, nothing is kept.
    pub fn report(&self, lease: &Lease, news: News) {
        let mut books = self.books();
        let Some(book) = books.get_mut(lease).filter(|book| !book.finished) else {
            return;
        };
        if matches!(news, News::Progress(_)) && book.unacknowledged.len() >= MOST_LINES {
            book.dropped += 1;
            tracing::warn!(job_id = %lease.job_id, dropped = book.dropped, "a line of progress is dropped: too many wait for the server");
            return;
        }
        let Some(news) = fitting(news) else {
            tracing::error!(job_id = %lease.job_id, "a report is dropped: it is larger than the server takes");
            return;
        };
        book.last += 1;
        book.finished = matches!(news, News::Finished(_));
        book.unacknowledged.push_back(Report {
            job_id: lease.job_id.clone(),
            lease_token: lease.token,
            sequence: book.last,
            news: Some(news),
        });
        self.changed.notify_one();
    }

    /// Drops reports up to `sequence`. Returns whether that was the last of a job that has ended: the lease is over.
    pub fn acknowledge(&self, lease: &Lease, sequence: i64) -> bool {
        let mut books = self.books();
        let Some(book) = books.get_mut(lease) else {
            return false;
        };
        while book.unacknowledged.front().is_some_and(|report| report.sequence <= sequence) {
            book.unacknowledged.pop_front();
        }
        let over = book.finished && book.unacknowledged.is_empty();
        if over {
            books.remove(lease);
        }
        over
    }

    /// Forgets a lease and its reports. Returns whether it was known.
    pub fn forget(&self, lease: &Lease) -> bool {
        self.books().remove(lease).is_some()
    }

    /// Every lease, for Hello.
    pub fn inventory(&self) -> Vec<HeldJob> {
        let held = |(lease, book): (&Lease, &Book)| HeldJob {
            job_id: lease.job_id.clone(),
            lease_token: lease.token,
            finished: book.finished,
            last_sequence: book.last,
        };
        self.books().iter().map(held).collect()
    }

    /// The next report that a session hasn't sent yet; it is noted as sent.
    pub fn next(&self, sent: &mut BTreeMap<Lease, i64>) -> Option<Report> {
        let books = self.books();
        sent.retain(|lease, _| books.contains_key(lease));
        for (lease, book) in books.iter() {
            let after = sent.get(lease).copied().unwrap_or(0);
            if let Some(report) = book.unacknowledged.iter().find(|report| report.sequence > after) {
                sent.insert(lease.clone(), report.sequence);
                return Some(report.clone());
            }
        }
        None
    }

    /// Waits until there may be something new to send.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn books(&self) -> MutexGuard<'_, BTreeMap<Lease, Book>> {
        super::lock(&self.books)
    }
}

/// News that the server takes: a line is one line, and an end that is too large becomes a failure that says so. Nothing else that a
/// worker reports grows with what a job does, so `None` is a fault of the worker's own.
fn fitting(news: News) -> Option<News> {
    let news = match news {
        News::Progress(mut progress) => {
            progress.message = one_line(&progress.message, LONGEST_LINE);
            News::Progress(progress)
        }
        News::Finished(finished) if finished.encoded_len() > LARGEST => News::Finished(too_large(&finished)),
        other => other,
    };
    (news.encoded_len() <= LARGEST).then_some(news)
}

fn too_large(finished: &Finished) -> Finished {
    let message = format!(
        "the job's result has {} bytes, which is more than the {LARGEST} that a report may have: split the feature's tasks into smaller phases, \
         and look at the run's artifacts for what was done",
        finished.encoded_len()
    );
    Finished {
        outcome: Some(Outcome::Failure(failure("REPORT_TOO_LARGE", FailureClass::Job, message))),
    }
}

#[cfg(test)]
mod tests {
    use moorline_proto::v1::{Failure, JobResult, StageProgress, SubmitResult, job_result};

    use super::*;

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
        assert_eq!(sequences(&ledger).len(), MOST_LINES + 1);
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
}
