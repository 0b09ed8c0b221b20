//! Steps: what clients, workers and time may do next.

use moorline_server::{domain::run::Phase, flow::retry::Mode};
use proptest::{prelude::*, sample::subsequence};

use super::world::{Due, QUEUES, Queue, World};

/// Features of the one repository: few, so that runs meet.
const FEATURES: usize = 4;

#[derive(Debug, Clone)]
pub enum Op {
    Create {
        feature: usize,
        force: Option<Phase>,
    },
    Cancel {
        run: usize,
    },
    Retry {
        run: usize,
        mode: Mode,
    },
    Hello(Hello),
    Leave {
        session: usize,
        goodbye: bool,
    },
    /// The lease of an instance runs out.
    Lapse {
        instance: usize,
    },
    /// The server renews the leases of all that are connected.
    Renew,
    /// The reaper's pass over leases.
    Reap,
    Claim {
        worker: usize,
        queue: Queue,
        limit: usize,
    },
    /// Accepts of one or more leases, all at once.
    Accept {
        leases: Vec<usize>,
    },
    /// Reports on one or more leases, all at once.
    Report {
        reports: Vec<Report>,
    },
    Reject {
        lease: usize,
    },
    /// The deadline of an offer passes, and the reaper sees it.
    OfferLapses {
        lease: usize,
    },
    /// Whatever was put off is due, for a moment or for long.
    Later {
        due: Due,
    },
}

#[derive(Debug, Clone)]
pub struct Hello {
    pub worker: usize,
    /// `None` for a new process.
    pub instance: Option<usize>,
    /// The leases that it still knows of, as bits.
    pub remembers: u64,
    /// Those whose end it could not report yet.
    pub finished: u64,
}

#[derive(Debug, Clone)]
pub struct Report {
    pub lease: usize,
    pub number: Number,
    pub news: News,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    Next,
    Again,
    TooEarly,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    Progress,
    Succeeded,
    NothingToDo,
    Failed,
    Broke,
    Lost,
    Stopped,
}

/// What may come next. Whatever bears a lease may bear any that there ever was.
pub fn next(world: &World) -> BoxedStrategy<Op> {
    let force = prop_oneof![Just(None), Just(Some(Phase::Discover)), Just(Some(Phase::Submit))];
    let later = prop_oneof![Just(Due::Now), Just(Due::Overdue)];
    let mut steps = vec![
        (
            6,
            (0..FEATURES, force)
                .prop_map(|(feature, force)| Op::Create { feature, force })
                .boxed(),
        ),
        (8, hello().boxed()),
        (1, Just(Op::Renew).boxed()),
        (4, Just(Op::Reap).boxed()),
        (2, later.prop_map(|due| Op::Later { due }).boxed()),
    ];
    let connected: Vec<usize> = (0..QUEUES.len()).filter(|worker| world.connected(*worker).is_some()).collect();
    if !connected.is_empty() {
        let queue = prop_oneof![Just(Queue::Default), Just(Queue::Shard)];
        let claim = (one_of(connected), queue, 1..4_usize).prop_map(|(worker, queue, limit)| Op::Claim { worker, queue, limit });
        steps.push((12, claim.boxed()));
    }
    let open: Vec<usize> = (0..world.sessions.len()).filter(|session| world.sessions[*session].open).collect();
    if !open.is_empty() {
        let leave = (one_of(open), any::<bool>()).prop_map(|(session, goodbye)| Op::Leave { session, goodbye });
        steps.push((4, leave.boxed()));
    }
    if !world.instances.is_empty() {
        steps.push((3, (0..world.instances.len()).prop_map(|instance| Op::Lapse { instance }).boxed()));
    }
    if !world.runs.is_empty() {
        let mode = prop_oneof![Just(Mode::ResumeFailedStage), Just(Mode::RestartFromDiscovery)];
        steps.push((2, (0..world.runs.len()).prop_map(|run| Op::Cancel { run }).boxed()));
        steps.push((
            3,
            (0..world.runs.len(), mode).prop_map(|(run, mode)| Op::Retry { run, mode }).boxed(),
        ));
    }
    if !world.leases.is_empty() {
        let all: Vec<usize> = (0..world.leases.len()).collect();
        steps.push((12, some_of(&all).prop_map(|leases| Op::Accept { leases }).boxed()));
        steps.push((16, some_of(&all).prop_flat_map(reports).boxed()));
        steps.push((2, one_of(all).prop_map(|lease| Op::Reject { lease }).boxed()));
    }
    let offers: Vec<usize> = (0..world.leases.len()).filter(|lease| world.is_offer(*lease)).collect();
    if !offers.is_empty() {
        steps.push((8, Just(Op::Accept { leases: offers.clone() }).boxed()));
        steps.push((4, one_of(offers).prop_map(|lease| Op::OfferLapses { lease }).boxed()));
    }
    proptest::strategy::Union::new_weighted(steps).boxed()
}

/// Whether a step can be taken: steps before it may have been taken away.
pub fn possible(world: &World, op: &Op) -> bool {
    let serves = |worker: usize, queue: &Queue| QUEUES[worker].contains(queue);
    match op {
        Op::Create { .. } | Op::Renew | Op::Reap | Op::Later { .. } => true,
        Op::Cancel { run } | Op::Retry { run, .. } => *run < world.runs.len(),
        Op::Hello(hello) => {
            let others = |instance: usize| world.instances[instance].worker == hello.worker && Some(instance) != hello.instance;
            let mut open = world.sessions.iter().filter(|session| session.open);
            // One name has one live process. The same process may be back before its old stream is found dead.
            open.all(|session| !others(session.instance))
                && hello
                    .instance
                    .is_none_or(|instance| world.instances.get(instance).is_some_and(|known| known.worker == hello.worker))
        }
        Op::Leave { session, .. } => world.sessions.get(*session).is_some_and(|session| session.open),
        Op::Lapse { instance } => *instance < world.instances.len(),
        Op::Claim { worker, queue, .. } => serves(*worker, queue) && world.connected(*worker).is_some(),
        Op::Accept { leases } => leases.iter().all(|lease| *lease < world.leases.len()),
        Op::Report { reports } => reports.iter().all(|report| report.lease < world.leases.len()),
        Op::Reject { lease } => world
            .leases
            .get(*lease)
            .is_some_and(|lease| world.connected(lease.worker).is_some()),
        Op::OfferLapses { lease } => *lease < world.leases.len() && world.is_offer(*lease),
    }
}

fn hello() -> impl Strategy<Value = Op> {
    let instance = prop_oneof![1 => Just(None), 2 => (0..8_usize).prop_map(Some)];
    let bits = || prop_oneof![Just(0), Just(u64::MAX), any::<u64>()];
    (0..QUEUES.len(), instance, bits(), bits()).prop_map(|(worker, instance, remembers, finished)| {
        Op::Hello(Hello {
            worker,
            instance,
            remembers,
            finished,
        })
    })
}

fn reports(leases: Vec<usize>) -> impl Strategy<Value = Op> {
    let number = prop_oneof![6 => Just(Number::Next), 1 => Just(Number::Again), 1 => Just(Number::TooEarly)];
    let news = prop_oneof![
        4 => Just(News::Progress),
        4 => Just(News::Succeeded),
        1 => Just(News::NothingToDo),
        2 => Just(News::Failed),
        3 => Just(News::Broke),
        2 => Just(News::Lost),
        1 => Just(News::Stopped),
    ];
    let each = proptest::collection::vec((number, news), leases.len());
    each.prop_map(move |each| {
        let report = |(lease, (number, news)): (&usize, (Number, News))| Report {
            lease: *lease,
            number,
            news,
        };
        Op::Report {
            reports: leases.iter().zip(each).map(report).collect(),
        }
    })
}

fn one_of(choices: Vec<usize>) -> impl Strategy<Value = usize> {
    proptest::sample::select(choices)
}

/// The last few are the ones that something is going on with.
fn some_of(leases: &[usize]) -> impl Strategy<Value = Vec<usize>> + use<> {
    let last = leases[leases.len().saturating_sub(6)..].to_vec();
    prop_oneof![
        3 => subsequence(last.clone(), 1..=last.len()),
        1 => one_of(leases.to_vec()).prop_map(|lease| vec![lease]),
    ]
}
