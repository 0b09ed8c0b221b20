//! The system under test: the use cases of `moorline_server::flow`, on a real database.
//!
//! Everything that depends on their signatures is in this file.

mod words;

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::future::join_all;
use moorline_server::{
    db::{self, jobs::Slot},
    domain::{
        preflight::{self, Preflight},
        retry::Policy,
        run::{Agent, Options, Phase},
        skill,
    },
    flow::{Flow, Timers, accept, cancel, claim, expire, gate, leave, register, report, retry, seed, start},
};
use moorline_tests::db::TestDb;
use object_store::memory::InMemory;
use secrecy::SecretString;
use tokio_postgres::Client;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use words::{done, news, refused, told};

use super::{
    op::{Hello, Op, Report},
    view::Names,
    world::{Answer, Due, QUEUES, Queue, World, priority},
};

/// What all cases share.
pub struct Server {
    pub flow: Flow,
    pub client: Client,
    _database: TestDb,
}

impl Server {
    pub async fn start() -> Self {
        /// Nothing runs out by itself while a case runs: time is what the steps say.
        const LONG: Duration = Duration::from_secs(24 * 3600);
        let database = TestDb::new().await.expect("a test database");
        let pool = db::connect(&SecretString::from(database.url().to_owned())).expect("a pool");
        let timers = Timers {
            lease: LONG,
            accept_deadline: LONG,
            retry: Policy {
                // A random part of it is waited, which is long in any case.
                base: 300 * LONG,
                cap: 300 * LONG,
                ..Policy::default()
            },
            ..Timers::default()
        };
        // Its groups end with the last clone of it.
        let flow = Flow::start(pool, Arc::new(InMemory::new()), timers, "codex_auth_", &TaskTracker::new());
        let skills = skill::Policy {
            use_skills: false,
            ..skill::Policy::default()
        };
        seed::seed(&flow, 1, "codex_auth_", "gemini_auth", &skills).await.expect("a shard");
        let client = database.connect().await.expect("a connection");
        Self {
            flow,
            client,
            _database: database,
        }
    }

    /// Empties the database for the next case.
    pub async fn clear(&self) {
        self.sql(
            "update auth_volumes set owner_instance_id = null; update shards set status = 'offline'; delete from run_events;
             delete from runs; delete from queue_ranks; delete from worker_sessions; delete from worker_instances; delete from workers",
        )
        .await;
    }

    async fn sql(&self, sql: &str) {
        self.client.batch_execute(sql).await.expect("a statement");
    }
}

/// What stands for the numbers of the reference in one case.
#[derive(Debug, Default)]
pub struct Driver {
    runs: Vec<Uuid>,
    /// Job and token of each lease.
    leases: Vec<(Uuid, i64)>,
    instances: Vec<Uuid>,
    sessions: Vec<Uuid>,
    tokens: HashSet<i64>,
    pub names: Names,
}

impl Driver {
    /// Takes a step, and returns the answer; `world` is the reference after it.
    pub async fn take(&mut self, server: &Server, world: &World, op: &Op) -> Answer {
        let answer = self.step(server, world, op).await;
        // As the server's background task does as soon as a gate has moved.
        gate::pass(&server.flow).await.expect("a look at the gates");
        answer
    }

    async fn step(&mut self, server: &Server, world: &World, op: &Op) -> Answer {
        let flow = &server.flow;
        match op {
            Op::Create { feature, force } => self.create(flow, *feature, *force).await,
            Op::Cancel { run } => done(cancel::cancel(flow, self.runs[*run], "enough").await),
            Op::Retry { run, mode } => done(retry::retry(flow, self.runs[*run], *mode).await),
            Op::Hello(hello) => self.hello(flow, world, hello).await,
            Op::Leave { session, goodbye } => self.leave(flow, world, *session, *goodbye).await,
            Op::Lapse { instance } => {
                let id = self.instances[*instance];
                server
                    .sql(&format!(
                        "update worker_instances set lease_expires_at = now() - interval '1 s' where id = '{id}'"
                    ))
                    .await;
                Answer::Done
            }
            Op::Renew => {
                let open = world.sessions.iter().filter(|session| session.open);
                let ids: Vec<Uuid> = open.map(|session| self.instances[session.instance]).collect();
                done(expire::renew(flow, &ids).await)
            }
            Op::Reap => done(expire::leases(flow).await),
            Op::Claim { worker, queue, limit } => self.claim(flow, world, *worker, *queue, *limit).await,
            Op::Accept { leases } => {
                let all = leases.iter().map(|lease| {
                    let (job, token) = self.leases[*lease];
                    async move { told(accept::accept(flow, job, token).await.map(|()| 0)) }
                });
                Answer::Told(join_all(all).await)
            }
            Op::Report { reports } => {
                let all = reports.iter().map(|report| self.report(flow, world, report));
                Answer::Told(join_all(all).await)
            }
            Op::Reject { lease } => {
                let (job, token) = self.leases[*lease];
                let Some(instance) = world.connected(world.leases[*lease].worker) else {
                    return Answer::Done;
                };
                let answer = done(claim::reject(flow, self.instances[instance], job, token).await);
                // The pause is long enough for the test, however slow it is.
                server
                    .sql("update jobs set not_before = not_before + interval '1 day' where not_before > now()")
                    .await;
                answer
            }
            Op::OfferLapses { lease } => {
                let (job, _) = self.leases[*lease];
                server
                    .sql(&format!(
                        "update jobs set lease_expires_at = now() - interval '1 s' where id = '{job}'"
                    ))
                    .await;
                done(expire::offers(flow).await)
            }
            Op::Later { due } => {
                let ago = if *due == Due::Now { "1 s" } else { "1 h" };
                server
                    .sql(&format!(
                        "update jobs set not_before = now() - interval '{ago}' where finished_at is null and not_before > now() - interval '{ago}'"
                    ))
                    .await;
                Answer::Done
            }
        }
    }

    async fn create(&mut self, flow: &Flow, feature: usize, force: Option<Phase>) -> Answer {
        let request = start::Request {
            repository: "octo/hello".to_owned(),
            feature_key: format!("{feature:03}-feature"),
            affinity_key: String::new(),
            base_ref: String::new(),
            task_id: String::new(),
            codex_queue: "codex-0".to_owned(),
            force_phase: force,
            agent: Agent::Codex,
            notes: String::new(),
            idempotency_key: String::new(),
            options: Options {
                priority: priority(self.runs.len()),
                ..Options::default()
            },
            traceparent: String::new(),
            requested_by: "model".to_owned(),
        };
        let started = start::start(flow, request).await;
        if let Ok((run, _)) = &started {
            self.names.runs.insert(run.id.to_string(), self.runs.len());
            self.runs.push(run.id);
        }
        done(started)
    }

    async fn hello(&mut self, flow: &Flow, world: &World, hello: &Hello) -> Answer {
        let instance_id = hello.instance.map_or_else(Uuid::now_v7, |instance| self.instances[instance]);
        let queues = QUEUES[hello.worker];
        let binding = register::Binding {
            volume: "codex_auth_0".to_owned(),
            queue: "codex-0".to_owned(),
            seen: None,
            preflight: Some(Preflight {
                status: preflight::Status::Passed,
                rung: Some(preflight::Rung::Present),
                message: "Logged in".to_owned(),
                exit_code: Some(0),
                duration_ms: 1,
                checked_at: None,
                retry_after_ms: None,
                volume: "codex_auth_0".to_owned(),
                queue: "codex-0".to_owned(),
                worker_name: format!("w{}", hello.worker),
            }),
        };
        let inventory = world.brought.iter().map(|(lease, finished, last_sequence)| register::Held {
            job_id: self.leases[*lease].0,
            lease_token: self.leases[*lease].1,
            finished: *finished,
            last_sequence: *last_sequence,
        });
        let request = register::Hello {
            worker_name: format!("w{}", hello.worker),
            instance_id,
            hostname: "host".to_owned(),
            version: "model".to_owned(),
            queues: queues.iter().map(|queue| name(*queue).to_owned()).collect(),
            slots: 4,
            profile: serde_json::json!({}),
            skills: skills(),
            volume: queues.contains(&Queue::Shard).then_some(binding),
            inventory: inventory.collect(),
            sealing_key: None,
        };
        let registered = match register::register(flow, &request).await {
            Ok(registered) => registered,
            Err(error) => return refused(error),
        };
        if !self.instances.contains(&instance_id) {
            self.names.instances.insert(instance_id.to_string(), self.instances.len());
            self.instances.push(instance_id);
        }
        self.sessions.push(registered.session_id);
        let lease = |held: &register::Held| self.names.leases[&held.lease_token];
        Answer::Welcome {
            keep: registered.keep.iter().map(|held| (lease(held), held.last_sequence)).collect(),
            kill: registered.kill.iter().map(lease).collect(),
            acknowledged: registered.acknowledged.iter().map(lease).collect(),
        }
    }

    async fn leave(&self, flow: &Flow, world: &World, session: usize, goodbye: bool) -> Answer {
        let instance = world.sessions[session].instance;
        let worker = world.instances[instance].worker;
        let left = leave::Left {
            session_id: self.sessions[session],
            instance_id: self.instances[instance],
            worker_name: format!("w{worker}"),
            shard_queue: QUEUES[worker].contains(&Queue::Shard).then(|| "codex-0".to_owned()),
            reason: "model".to_owned(),
            goodbye,
        };
        done(leave::leave(flow, &left).await)
    }

    async fn claim(&mut self, flow: &Flow, world: &World, worker: usize, queue: Queue, limit: usize) -> Answer {
        let Some(instance) = world.connected(worker) else {
            return Answer::Done;
        };
        let worker_name = format!("w{worker}");
        let slot = Slot {
            instance_id: self.instances[instance],
            worker_name: &worker_name,
        };
        let claimed = claim::claim(flow, name(queue), &vec![slot; limit], &skills()).await;
        let claimed = match claimed {
            Ok(claimed) => claimed,
            Err(error) => return refused(error),
        };
        let last = self.leases.iter().map(|(_, token)| *token).max().unwrap_or_default();
        let mut jobs = Vec::new();
        for job in claimed {
            assert!(job.lease_token > last, "token {} is not above {last}", job.lease_token);
            assert!(self.tokens.insert(job.lease_token), "token {} was given twice", job.lease_token);
            self.names.leases.insert(job.lease_token, self.leases.len());
            self.leases.push((job.job.id, job.lease_token));
            let run = self.names.runs[&job.run.id.to_string()];
            let same = |known: &super::world::Job| known.run == run && known.stage == job.job.stage && known.attempt == job.job.attempt;
            jobs.push(world.jobs.iter().position(same).expect("a job of the reference"));
        }
        Answer::Claimed(jobs)
    }

    async fn report(&self, flow: &Flow, world: &World, report: &Report) -> Option<i64> {
        let (job, token) = self.leases[report.lease];
        let stage = world.jobs[world.leases[report.lease].job].stage;
        let sequence = world.numbers[&report.lease];
        told(report::report(flow, job, token, sequence, news(report.news, stage)).await)
    }
}

fn name(queue: Queue) -> &'static str {
    match queue {
        Queue::Default => "default",
        Queue::Shard => "codex-0",
    }
}

/// What the workers of the model can carry: whatever the default skill can.
fn skills() -> Vec<String> {
    ["discover", "publish", "submit"].map(|stage| format!("speckit:{stage}")).into()
}
