//! A worker that keeps the protocol through every fault: it takes jobs, ends them at once, says so until it is acknowledged, and dials
//! again whenever its line is lost. What it was acknowledged, it remembers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use moorline_proto::v1::{self, connect_request, connect_response::Frame};
use moorline_tests::db::TestDb;
use tokio_util::task::AbortOnDropHandle;

use super::{
    ScriptedWorker,
    scripted_worker::{finished, held, hello, no_work},
};

/// The lease of a job: its id, and its token.
type Lease = (String, i64);

/// See the module. Ends when dropped.
pub struct Dutiful {
    acknowledged: Arc<Mutex<Vec<Lease>>>,
    _task: AbortOnDropHandle<()>,
}

impl Dutiful {
    /// A worker for the default queue, of the server at `url`, with room for so many jobs.
    pub fn start(url: &str, name: &str, slots: i32) -> Self {
        let acknowledged = Arc::default();
        let work = Work {
            url: url.to_owned(),
            hello: hello(name, "default"),
            slots,
            jobs: BTreeMap::new(),
            acknowledged: Arc::clone(&acknowledged),
        };
        Self {
            acknowledged,
            _task: AbortOnDropHandle::new(tokio::spawn(work.forever())),
        }
    }

    /// Checks that everything that it was acknowledged is in the database; returns how many jobs that were.
    pub async fn check(&self, database: &TestDb) -> usize {
        let acknowledged = self.acknowledged.lock().unwrap().clone();
        let client = database.connect().await.expect("the database");
        let query = "select 1 from jobs where id = $1::text::uuid and lease_token = $2 and status = 'succeeded'";
        for (job_id, token) in &acknowledged {
            let found = client.query_opt(query, &[job_id, token]).await.expect("the job");
            assert!(
                found.is_some(),
                "the result of {job_id} under lease {token} was acknowledged, and is lost"
            );
        }
        acknowledged.len()
    }
}

struct Work {
    url: String,
    hello: v1::Hello,
    slots: i32,
    /// Jobs whose end is not acknowledged.
    jobs: BTreeMap<Lease, v1::Offer>,
    acknowledged: Arc<Mutex<Vec<Lease>>>,
}

impl Work {
    async fn forever(mut self) {
        loop {
            let inventory: Vec<_> = self.jobs.values().map(|offer| held(offer, 1, true)).collect();
            let again = v1::Hello {
                inventory,
                ..self.hello.clone()
            };
            if let Ok(worker) = ScriptedWorker::at(&self.url, again).await {
                self.session(worker).await;
            }
            // Spread by the clock, so that many of them don't come in one moment.
            let jitter = u64::from(uuid::Uuid::now_v7().as_bytes()[15]);
            tokio::time::sleep(Duration::from_millis(20 + jitter)).await;
        }
    }

    /// Holds a session until its line is lost.
    async fn session(&mut self, mut worker: ScriptedWorker) {
        let welcome = worker.welcome.clone();
        welcome.kill.iter().for_each(|job| self.over(&job.job_id, job.lease_token, false));
        welcome
            .acknowledged
            .iter()
            .for_each(|job| self.over(&job.job_id, job.lease_token, true));
        for offer in self.jobs.values() {
            worker.try_report(offer, 1, finished(no_work())).await;
        }
        let room = self.slots - i32::try_from(self.jobs.len()).unwrap_or(i32::MAX);
        worker.try_credit("default", room).await;
        let interval = Duration::try_from(welcome.ping_interval.unwrap_or_default()).unwrap_or_default();
        let mut pings = tokio::time::interval(interval.max(Duration::from_millis(10)));
        loop {
            let frame = tokio::select! {
                frame = worker.frame() => frame,
                _ = pings.tick() => {
                    worker.try_send(connect_request::Frame::Ping(v1::Ping { nonce: 1 })).await;
                    continue;
                }
            };
            match frame {
                Ok(Some(Frame::Offer(offer))) => {
                    worker.try_accept(&offer).await;
                    worker.try_report(&offer, 1, finished(no_work())).await;
                    self.jobs.insert((offer.job_id.clone(), offer.lease_token), offer);
                    continue;
                }
                Ok(Some(Frame::Ack(ack))) if ack.sequence >= 1 => self.over(&ack.job_id, ack.lease_token, true),
                Ok(Some(Frame::Fenced(fenced))) => self.over(&fenced.job_id, fenced.lease_token, false),
                Ok(Some(Frame::Ping(ping))) => {
                    let (nonce, lease_age) = (ping.nonce, None);
                    worker.try_send(connect_request::Frame::Pong(v1::Pong { nonce, lease_age })).await;
                    continue;
                }
                Ok(Some(_)) => continue,
                Ok(None) | Err(_) => return,
            }
            worker.try_credit("default", 1).await;
        }
    }

    fn over(&mut self, job_id: &str, token: i64, acknowledged: bool) {
        let lease = (job_id.to_owned(), token);
        if self.jobs.remove(&lease).is_some() && acknowledged {
            self.acknowledged.lock().unwrap().push(lease);
        }
    }
}
