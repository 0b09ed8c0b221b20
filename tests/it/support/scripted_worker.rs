//! A worker that says exactly what a test tells it to: the protocol, without stages.

use std::time::Duration;

use moorline_proto::v1::{
    self, ConnectRequest, ConnectResponse, connect_request, connect_response::Frame, worker_service_client::WorkerServiceClient,
};
use moorline_tests::skills;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};
use uuid::Uuid;

use super::{TestApp, app::channel};

/// Nothing in these tests takes this long; a frame that hasn't come by then never does.
const PATIENCE: Duration = Duration::from_secs(20);

/// See the module.
pub struct ScriptedWorker {
    pub hello: v1::Hello,
    pub welcome: v1::Welcome,
    out: mpsc::Sender<ConnectRequest>,
    frames: Streaming<ConnectResponse>,
}

impl ScriptedWorker {
    /// A worker for the default queue.
    pub async fn default_worker(app: &TestApp, name: &str) -> Self {
        Self::connect(app, hello(name, "default")).await.expect("a welcome")
    }

    /// A worker for a shard, with its volume and a login check that has passed.
    pub async fn shard_worker(app: &TestApp, name: &str, index: u32) -> Self {
        Self::connect(app, shard_hello(name, index)).await.expect("a welcome")
    }

    /// Says Hello; the refusal, if that is the answer.
    pub async fn connect(app: &TestApp, hello: v1::Hello) -> Result<Self, Status> {
        Self::dial(app.channel(), hello).await
    }

    /// The same on a connection of its own to this address, such as that of a proxy.
    pub async fn at(url: &str, hello: v1::Hello) -> Result<Self, Status> {
        Self::dial(channel(url), hello).await
    }

    /// The same on this connection.
    pub async fn dial(channel: Channel, hello: v1::Hello) -> Result<Self, Status> {
        let (out, mut frames) = open(channel).await?;
        // A server that is going refuses before it has read this; its answer says so.
        drop(out.send(frame(connect_request::Frame::Hello(hello.clone()))).await);
        match receive(&mut frames).await? {
            Some(Frame::Welcome(welcome)) => Ok(Self {
                hello,
                welcome,
                out,
                frames,
            }),
            other => panic!("expected Welcome, not {other:?}"),
        }
    }

    /// Opens a stream and sends this frame first.
    pub async fn first_frame(app: &TestApp, first: connect_request::Frame) -> Result<Option<Frame>, Status> {
        let (out, mut frames) = open(app.channel()).await?;
        out.send(frame(first)).await.expect("a stream");
        receive(&mut frames).await
    }

    pub async fn send(&self, next: connect_request::Frame) {
        assert!(self.try_send(next).await, "the stream is closed");
    }

    /// The same on a line that may be dead. Returns whether it could be sent.
    pub async fn try_send(&self, next: connect_request::Frame) -> bool {
        self.out.send(frame(next)).await.is_ok()
    }

    pub async fn credit(&self, queue: &str, jobs: i32) {
        assert!(self.try_credit(queue, jobs).await, "the stream is closed");
    }

    pub async fn try_credit(&self, queue: &str, jobs: i32) -> bool {
        let queue = queue.to_owned();
        self.try_send(connect_request::Frame::Credit(v1::Credit { queue, jobs })).await
    }

    /// The next frame; `None` when the server has ended the stream.
    pub async fn next(&mut self) -> Result<Option<Frame>, Status> {
        receive(&mut self.frames).await
    }

    /// The next frame, however long it takes.
    pub async fn frame(&mut self) -> Result<Option<Frame>, Status> {
        Ok(self.frames.message().await?.and_then(|message| message.frame))
    }

    /// The next offer; other frames are passed over.
    pub async fn offer(&mut self) -> v1::Offer {
        loop {
            match self.next().await.expect("a frame") {
                Some(Frame::Offer(offer)) => return offer,
                Some(_) => {}
                None => panic!("the stream ended before an offer"),
            }
        }
    }

    /// The same, and gives signs of life while it waits.
    pub async fn offer_while_pinging(&mut self, interval: Duration) -> v1::Offer {
        let out = self.out.clone();
        let pinging = async move {
            loop {
                tokio::time::sleep(interval).await;
                if out.send(frame(connect_request::Frame::Ping(v1::Ping { nonce: 1 }))).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            offer = self.offer() => offer,
            () = pinging => unreachable!("it never ends"),
            () = tokio::time::sleep(PATIENCE) => panic!("no offer came in time"),
        }
    }

    /// Waits for the server's ping, and answers it.
    pub async fn answer_ping(&mut self) {
        loop {
            match self.next().await.expect("a frame") {
                Some(Frame::Ping(ping)) => {
                    let (nonce, lease_age) = (ping.nonce, None);
                    return self.send(connect_request::Frame::Pong(v1::Pong { nonce, lease_age })).await;
                }
                Some(_) => {}
                None => panic!("the stream ended before a ping"),
            }
        }
    }

    pub async fn accept(&self, offer: &v1::Offer) {
        assert!(self.try_accept(offer).await, "the stream is closed");
    }

    pub async fn try_accept(&self, offer: &v1::Offer) -> bool {
        let accept = v1::Accept {
            job_id: offer.job_id.clone(),
            lease_token: offer.lease_token,
        };
        self.try_send(connect_request::Frame::Accept(accept)).await
    }

    /// Sends a report without waiting for its answer.
    pub async fn report(&self, offer: &v1::Offer, sequence: i64, news: v1::report::News) {
        assert!(self.try_report(offer, sequence, news).await, "the stream is closed");
    }

    /// The same on a line that may be dead. Returns whether it could be sent.
    pub async fn try_report(&self, offer: &v1::Offer, sequence: i64, news: v1::report::News) -> bool {
        let report = v1::Report {
            job_id: offer.job_id.clone(),
            lease_token: offer.lease_token,
            sequence,
            news: Some(news),
        };
        self.try_send(connect_request::Frame::Report(report)).await
    }

    /// Answers to reports, until the stream ends or the report of this number is acknowledged or fenced.
    pub async fn answers_to_the_end_or(&mut self, last: i64) -> Vec<Option<i64>> {
        let mut answers = Vec::new();
        loop {
            match self.next().await {
                Ok(Some(Frame::Ack(ack))) => answers.push(Some(ack.sequence)),
                Ok(Some(Frame::Fenced(_))) => answers.push(None),
                Ok(Some(_)) => continue,
                Ok(None) | Err(_) => return answers,
            }
            if answers.last().is_some_and(|answer| answer.is_none_or(|sequence| sequence >= last)) {
                return answers;
            }
        }
    }

    /// The next answer to a report: the number that is acknowledged, or `None` when fenced.
    pub async fn acknowledged(&mut self) -> Option<i64> {
        loop {
            match self.next().await.expect("a frame") {
                Some(Frame::Ack(ack)) => return Some(ack.sequence),
                Some(Frame::Fenced(_)) => return None,
                Some(_) => {}
                None => panic!("the stream ended before an answer"),
            }
        }
    }

    /// Takes the next job of a queue and ends it with this outcome.
    pub async fn work(&mut self, queue: &str, outcome: v1::finished::Outcome) -> v1::Offer {
        self.credit(queue, 1).await;
        let offer = self.offer().await;
        self.accept(&offer).await;
        self.report(&offer, 1, finished(outcome)).await;
        assert_eq!(self.acknowledged().await, Some(1));
        offer
    }

    /// Gives signs of life until the server ends the stream.
    pub async fn live(&mut self) {
        while let Ok(Some(frame)) = self.frame().await {
            if let Frame::Ping(ping) = frame {
                self.send(connect_request::Frame::Pong(v1::Pong {
                    nonce: ping.nonce,
                    lease_age: None,
                }))
                .await;
            }
        }
    }

    /// The Hello of the same process after its line was lost, with what it has in hand.
    pub fn again(&self, inventory: &[v1::HeldJob]) -> v1::Hello {
        v1::Hello {
            inventory: inventory.to_vec(),
            ..self.hello.clone()
        }
    }

    /// Ends the stream without a word, as a broken line does: a stream that is reset, not one that is closed in order.
    pub fn vanish(self) {
        drop(self.frames);
        drop(self.out);
    }

    /// Says goodbye, ends its side of the stream, and waits for the server to end the other.
    pub async fn leave(mut self) {
        self.send(connect_request::Frame::Draining(v1::Draining { reason: "test".to_owned() }))
            .await;
        drop(self.out);
        while receive(&mut self.frames).await.expect("a frame").is_some() {}
    }
}

/// The Hello of a worker with these skills and no others, each for some stages.
pub fn with_skills(hello: v1::Hello, has: &[(&str, &[v1::Stage])]) -> v1::Hello {
    let has = has.iter().map(|(name, stages)| skills::skill(name, stages)).collect();
    v1::Hello {
        profile: Some(skills::profile(has)),
        ..hello
    }
}

/// A Hello of a worker that serves one queue without a volume, and has the usual skills.
pub fn hello(name: &str, queue: &str) -> v1::Hello {
    v1::Hello {
        worker_name: name.to_owned(),
        instance_id: Uuid::now_v7().to_string(),
        protocol_version: 1,
        hostname: format!("host-of-{name}"),
        version: "test".to_owned(),
        queues: vec![queue.to_owned()],
        slots: 1,
        profile: Some(skills::profile(skills::usual())),
        ..Default::default()
    }
}

/// A Hello of a worker that serves a shard.
pub fn shard_hello(name: &str, index: u32) -> v1::Hello {
    let (queue, volume) = (format!("codex-{index}"), format!("codex_auth_{index}"));
    let binding = v1::VolumeBinding {
        diagnostics: Some(v1::VolumeDiagnostics {
            volume: volume.clone(),
            exists: true,
            ..Default::default()
        }),
        preflight: Some(check(name, index, v1::PreflightStatus::Passed, "Logged in")),
        volume,
        queue: queue.clone(),
        capacity: 1,
    };
    v1::Hello {
        volume: Some(binding),
        ..hello(name, &queue)
    }
}

/// A login check.
pub fn check(worker: &str, index: u32, status: v1::PreflightStatus, message: &str) -> v1::Preflight {
    let rung = match status {
        v1::PreflightStatus::Passed => v1::PreflightRung::Present,
        _ => v1::PreflightRung::NotLoggedIn,
    };
    v1::Preflight {
        status: status.into(),
        rung: rung.into(),
        message: message.to_owned(),
        exit_code: Some(0),
        volume: format!("codex_auth_{index}"),
        queue: format!("codex-{index}"),
        worker_name: worker.to_owned(),
        ..Default::default()
    }
}

/// What a worker has in hand of a job, as its Hello says it.
pub fn held(offer: &v1::Offer, last_sequence: i64, finished: bool) -> v1::HeldJob {
    v1::HeldJob {
        job_id: offer.job_id.clone(),
        lease_token: offer.lease_token,
        finished,
        last_sequence,
    }
}

/// A line of progress.
pub fn progress(message: &str) -> v1::report::News {
    v1::report::News::Progress(v1::StageProgress {
        message: message.to_owned(),
        ..Default::default()
    })
}

/// A report's end of a job.
pub fn finished(outcome: v1::finished::Outcome) -> v1::report::News {
    v1::report::News::Finished(v1::Finished {
        outcome: Some(outcome),
        execution: None,
    })
}

/// Discover found one task to do.
pub fn discovered() -> v1::finished::Outcome {
    let task = v1::Task {
        task_id: "T001".to_owned(),
        description: "Say hello".to_owned(),
        line: 5,
        ..Default::default()
    };
    let phase = v1::TaskPhase {
        number: "1".to_owned(),
        title: "Setup".to_owned(),
        tasks: vec![task],
        depends_on: Vec::new(),
    };
    discover_result(Some(phase))
}

/// Discover found nothing to do.
pub fn no_work() -> v1::finished::Outcome {
    discover_result(None)
}

fn discover_result(phase: Option<v1::TaskPhase>) -> v1::finished::Outcome {
    let result = v1::DiscoverResult {
        base_ref: "main".to_owned(),
        base_commit: "a".repeat(40),
        phase,
        checklists: Vec::new(),
    };
    v1::finished::Outcome::Result(v1::JobResult {
        result: Some(v1::job_result::Result::Discover(result)),
    })
}

/// Submit left a patch.
pub fn submitted(patch_artifact_id: &str) -> v1::finished::Outcome {
    let result = v1::SubmitResult {
        codex_task_id: "thread-1".to_owned(),
        base_commit: "a".repeat(40),
        patch_artifact_id: patch_artifact_id.to_owned(),
        files_changed: 1,
        ..Default::default()
    };
    v1::finished::Outcome::Result(v1::JobResult {
        result: Some(v1::job_result::Result::Submit(result)),
    })
}

/// Publish pushed a commit.
pub fn published(branch_name: &str) -> v1::finished::Outcome {
    let result = v1::PublishResult {
        branch_name: branch_name.to_owned(),
        commit: "b".repeat(40),
        ..Default::default()
    };
    v1::finished::Outcome::Result(v1::JobResult {
        result: Some(v1::job_result::Result::Publish(result)),
    })
}

/// A stage failed by its own fault.
pub fn failed(code: &str) -> v1::finished::Outcome {
    failed_by(v1::FailureClass::Job, code)
}

/// A stage failed, by somebody's fault.
pub fn failed_by(class: v1::FailureClass, code: &str) -> v1::finished::Outcome {
    v1::finished::Outcome::Failure(v1::Failure {
        code: code.to_owned(),
        message: format!("{code} in a test"),
        class: class.into(),
        ..Default::default()
    })
}

fn frame(frame: connect_request::Frame) -> ConnectRequest {
    ConnectRequest { frame: Some(frame) }
}

async fn open(channel: Channel) -> Result<(mpsc::Sender<ConnectRequest>, Streaming<ConnectResponse>), Status> {
    let (out, frames) = mpsc::channel(64);
    let call = WorkerServiceClient::new(channel).connect(ReceiverStream::new(frames)).await;
    Ok((out, call?.into_inner()))
}

async fn receive(frames: &mut Streaming<ConnectResponse>) -> Result<Option<Frame>, Status> {
    let message = tokio::time::timeout(PATIENCE, frames.message()).await.expect("a frame in time")?;
    Ok(message.and_then(|message| message.frame))
}
