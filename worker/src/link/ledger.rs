//! What outlives a session: the leases that the worker holds, and the reports that the server hasn't acknowledged.
//!
//! With a spool, the end of a job outlives the process too: it is on the disk before any session may send it, and stays there until it is
//! acknowledged or its lease has passed on.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard},
};

use moorline_proto::v1::{FailureClass, Finished, HeldJob, Report, StageProgress, finished::Outcome, report::News};
use prost::Message;
use tokio::sync::Notify;

use crate::{
    redact::{chain, one_line},
    spool::{self, Recovered, Spool},
    stage::failure,
};

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

/// Leases and their reports.
#[derive(Debug, Default)]
pub struct Ledger {
    books: Mutex<BTreeMap<Lease, Book>>,
    changed: Notify,
    spool: Option<Spool>,
}

#[derive(Debug, Default)]
struct Book {
    last: i64,
    /// Set once the end has its number: nothing comes after it.
    closed: bool,
    /// The end, while it is on its way to the disk: no session may send it yet.
    end: Option<Report>,
    /// The end that an earlier process had foreseen, until the server tells which number it gets.
    foreseen: Option<News>,
    unacknowledged: VecDeque<Report>,
    /// Bytes of the lines of progress among them.
    lines: usize,
    /// The last line that was dropped, and how many were since a line last found room.
    dropped: Option<(StageProgress, u64)>,
}

/// Number of an end that is only foreseen: reports may come before it.
const UNNUMBERED: i64 = 0;

/// Unacknowledged reports of one lease beyond which lines of progress are dropped; everything else is always kept.
const MOST_LINES: usize = 512;

/// Bytes of unacknowledged lines of one lease beyond which more are dropped.
const MOST_LINE_BYTES: usize = 256 << 10;

/// Largest report in bytes. One that the server refuses for its size would be refused for ever, and take its line with it each time.
const LARGEST: usize = 1 << 20;

/// Characters of a line of progress.
const LONGEST_LINE: usize = 1000;

impl Ledger {
    /// A ledger whose ends are kept in a spool, with those that an earlier process has left there.
    pub fn new(spool: Spool, recovered: &[Recovered]) -> Self {
        let book = |job: &Recovered| {
            let mut reports = job.finished.clone().filter(|reports| !reports.is_empty())?;
            let foreseen = reports.pop_if(|end| end.sequence == UNNUMBERED);
            let book = Book {
                last: reports.last().map_or(0, |report| report.sequence),
                closed: true,
                foreseen: foreseen.and_then(|end| end.news),
                lines: reports.iter().map(line_bytes).sum(),
                unacknowledged: reports.into(),
                ..Book::default()
            };
            Some((job.lease.clone(), book))
        };
        Self {
            books: Mutex::new(recovered.iter().filter_map(book).collect()),
            changed: Notify::new(),
            spool: Some(spool),
        }
    }

    /// Begins a lease.
    pub fn open(&self, lease: &Lease) {
        self.books().entry(lease.clone()).or_default();
    }

    /// Whether it knows a lease.
    pub fn holds(&self, lease: &Lease) -> bool {
        self.books().contains_key(lease)
    }

    /// Adds a report, with the lease's next number. Of a lease that was forgotten, or has ended, nothing is kept. An end is for
    /// [`finish`](Self::finish): one that comes this way is in memory only.
    pub fn report(&self, lease: &Lease, news: News) {
        let mut books = self.books();
        let Some(book) = books.get_mut(lease).filter(|book| !book.closed) else {
            return;
        };
        let Some(news) = fitting(news) else {
            tracing::error!(job_id = %lease.job_id, "a report is dropped: it is larger than the server takes");
            return;
        };
        match news {
            News::Progress(line) if !book.has_room_for(&line) => book.drop_line(lease, line),
            News::Finished(_) => {
                let end = book.close(lease, news);
                book.unacknowledged.push_back(end);
            }
            news => {
                book.own_up(lease);
                book.add(lease, news);
            }
        }
        self.changed.notify_one();
    }

    /// Adds the end of a job. It is on the disk before it is sent. Where it can't be, it is sent all the same, which is said.
    /// Returns whether it is safe: on the disk, or of no more use. What it could be found again from must stay until it is, see
    /// [`keep`](Self::keep).
    pub async fn finish(&self, lease: &Lease, finished: Finished) -> bool {
        let Some(reports) = self.close(lease, finished) else {
            return true;
        };
        let spooled = self.spooled(lease, reports).await;
        if let Err(error) = &spooled {
            tracing::error!(job_id = %lease.job_id, error = %chain(error),
                "the end of a job is in memory only: don't stop this worker before the server has acknowledged it, and make room on its disk");
        }
        if !self.publish(lease) {
            // It was fenced meanwhile.
            self.unspool(lease);
            return true;
        }
        spooled.is_ok()
    }

    /// Keeps the end that a job is to have if this process ends before it: another process of this worker reports it. It is on the disk when
    /// this returns, and nothing is sent. Returns whether it is safe; [`finish`](Self::finish) puts the end itself in its place.
    pub async fn foresee(&self, lease: &Lease, finished: Finished) -> bool {
        let reports = self.books().get(lease).filter(|book| !book.closed).and_then(|book| {
            let end = Report {
                job_id: lease.job_id.clone(),
                lease_token: lease.token,
                sequence: UNNUMBERED,
                news: Some(fitting(News::Finished(finished))?),
            };
            Some(book.unacknowledged.iter().cloned().chain([end]).collect())
        });
        let Some(reports) = reports else { return false };
        let spooled = self.spooled(lease, reports).await;
        if let Err(error) = &spooled {
            tracing::warn!(job_id = %lease.job_id, error = %chain(error), "what a job has come to so far can't be kept: it would be lost with this process");
        }
        if !self.holds(lease) {
            // It was fenced meanwhile.
            self.unspool(lease);
        }
        spooled.is_ok()
    }

    /// Tries once more to write an end to the disk that could not be written before. Returns whether it is safe by now, or acknowledged.
    pub async fn keep(&self, lease: &Lease) -> bool {
        let Some(reports) = self.books().get(lease).map(|book| book.unacknowledged.iter().cloned().collect()) else {
            return true;
        };
        let spooled = self.spooled(lease, reports).await;
        if !self.holds(lease) {
            // Acknowledged or fenced meanwhile: what was just written is of no use.
            self.unspool(lease);
            return true;
        }
        spooled.is_ok()
    }

    /// Without a spool, nothing could be kept better than it is.
    async fn spooled(&self, lease: &Lease, reports: Vec<Report>) -> Result<(), spool::Error> {
        match &self.spool {
            Some(spool) => spool.finish(lease, reports).await,
            None => Ok(()),
        }
    }

    /// Gives the end its number. Returns all that the server hasn't acknowledged, with the end.
    fn close(&self, lease: &Lease, finished: Finished) -> Option<Vec<Report>> {
        let mut books = self.books();
        let book = books.get_mut(lease).filter(|book| !book.closed)?;
        let end = book.close(lease, fitting(News::Finished(finished))?);
        book.end = Some(end.clone());
        Some(book.unacknowledged.iter().cloned().chain([end]).collect())
    }

    /// Lets the end be sent. Returns whether its lease is still known.
    fn publish(&self, lease: &Lease) -> bool {
        let mut books = self.books();
        let Some(book) = books.get_mut(lease) else {
            return false;
        };
        book.unacknowledged.extend(book.end.take());
        self.changed.notify_one();
        true
    }

    /// The server lets the worker keep a lease, of which it has the reports up to `sequence`. For a job that an earlier process began,
    /// numbering goes on from there. Returns whether the lease is over, as [`acknowledge`](Self::acknowledge) does.
    pub fn kept(&self, lease: &Lease, sequence: i64) -> bool {
        let over = self.acknowledge(lease, sequence);
        if let Some(book) = self.books().get_mut(lease).filter(|book| !book.closed || book.foreseen.is_some()) {
            book.last = book.last.max(sequence);
            if let Some(end) = book.foreseen.take() {
                book.add(lease, end);
                self.changed.notify_one();
            }
        }
        over
    }

    /// Drops reports up to `sequence`. Returns whether that was the last of a job that has ended: the lease is over.
    pub fn acknowledge(&self, lease: &Lease, sequence: i64) -> bool {
        let mut books = self.books();
        let Some(book) = books.get_mut(lease) else {
            return false;
        };
        while book.unacknowledged.front().is_some_and(|report| report.sequence <= sequence) {
            book.lines -= book.unacknowledged.pop_front().map_or(0, |report| line_bytes(&report));
        }
        let over = book.closed && book.end.is_none() && book.foreseen.is_none() && book.unacknowledged.is_empty();
        if over {
            books.remove(lease);
            self.unspool(lease);
        }
        over
    }

    /// Forgets a lease and its reports. Returns whether it was known.
    pub fn forget(&self, lease: &Lease) -> bool {
        let known = self.books().remove(lease).is_some();
        if known {
            self.unspool(lease);
        }
        known
    }

    fn unspool(&self, lease: &Lease) {
        if let Some(spool) = &self.spool {
            spool.settle_soon(lease);
        }
    }

    /// Every lease, for Hello.
    pub fn inventory(&self) -> Vec<HeldJob> {
        let held = |(lease, book): (&Lease, &Book)| HeldJob {
            job_id: lease.job_id.clone(),
            lease_token: lease.token,
            // An end that is still on its way to the disk counts as none: it would be lost with the process. One that was foreseen has no number yet.
            finished: book.closed && book.end.is_none() && book.foreseen.is_none(),
            last_sequence: book.sendable(),
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

impl Book {
    fn add(&mut self, lease: &Lease, news: News) {
        let report = self.numbered(lease, news);
        self.lines += line_bytes(&report);
        self.unacknowledged.push_back(report);
    }

    fn numbered(&mut self, lease: &Lease, news: News) -> Report {
        self.last += 1;
        Report {
            job_id: lease.job_id.clone(),
            lease_token: lease.token,
            sequence: self.last,
            news: Some(news),
        }
    }

    fn close(&mut self, lease: &Lease, news: News) -> Report {
        self.own_up(lease);
        self.closed = true;
        self.numbered(lease, news)
    }

    /// Number of the last report that a session may send.
    fn sendable(&self) -> i64 {
        self.last - i64::from(self.end.is_some())
    }

    fn has_room_for(&self, line: &StageProgress) -> bool {
        self.unacknowledged.len() < MOST_LINES && self.lines + line.message.len() <= MOST_LINE_BYTES
    }

    /// Before it has a number: numbers have no gaps.
    fn drop_line(&mut self, lease: &Lease, line: StageProgress) {
        let before = self.dropped.as_ref().map_or(0, |(_, count)| *count);
        if before == 0 {
            tracing::warn!(job_id = %lease.job_id, "lines of progress are dropped: too many wait for the server");
        }
        self.dropped = Some((line, before + 1));
    }

    /// Says in their place how many lines are missing.
    fn own_up(&mut self, lease: &Lease) {
        if let Some((line, count)) = self.dropped.take() {
            let message = format!("{count} lines of progress are missing here: the server took them too slowly");
            self.add(lease, News::Progress(StageProgress { message, ..line }));
        }
    }
}

/// What a report counts as a line of progress.
fn line_bytes(report: &Report) -> usize {
    match &report.news {
        Some(News::Progress(line)) => line.message.len(),
        _ => 0,
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
        execution: finished.execution.clone(),
    }
}

#[cfg(test)]
mod tests;
