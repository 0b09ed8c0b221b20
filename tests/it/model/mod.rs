//! The rules of sessions, leases and runs under random interleavings, against a simple reference.
//!
//! A step of the reference ([`world`]) foretells what the real use cases ([`driver`]), on a real database, must answer and leave behind
//! ([`view`]). Steps ([`op`]) are those of honest and of stale workers alike: whatever bears a lease may bear any that there ever was.
//! Time passes only where a step says so.
//!
//! A failure prints the shortest list of steps that shows it, and its seed goes into `mod.regressions` beside this file, to be tried first
//! from then on. `MOORLINE_MODEL_CASES` sets how many cases are tried.
//!
//! To see it fail, take the fence out: compare `lease_token` with `>=` for `==` in the server's `flow/accept.rs` and `flow/report.rs`. A stale
//! Accept is then taken, and the steps printed are the few that it needs: runs, a Hello, a claim, the lapse of its offer, another claim, and
//! the first lease's Accept.
//!
//! Contract: 007/FR-010 to 007/FR-013, 007/FR-015.

mod driver;
mod op;
mod view;
mod world;

use std::{cell::RefCell, panic::AssertUnwindSafe, rc::Rc};

use proptest::{
    strategy::{BoxedStrategy, Just, Strategy as _},
    test_runner::{Config, FileFailurePersistence, TestCaseError, TestError, TestRunner},
};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use tokio::runtime::Runtime;

use driver::{Driver, Server};
use op::Op;
use world::World;

const CASES: u32 = 64;
const STEPS: std::ops::Range<usize> = 1..50;

struct Rules;

impl ReferenceStateMachine for Rules {
    type State = World;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<World> {
        Just(World::default()).boxed()
    }

    fn transitions(world: &World) -> BoxedStrategy<Op> {
        op::next(world)
    }

    fn preconditions(world: &World, op: &Op) -> bool {
        op::possible(world, op)
    }

    fn apply(world: World, op: &Op) -> World {
        world.after(op)
    }
}

thread_local! {
    /// The server that the cases of this thread's test share.
    static SERVER: RefCell<Option<Rc<(Runtime, Server)>>> = const { RefCell::new(None) };
}

/// One case at work.
struct Case {
    server: Rc<(Runtime, Server)>,
    driver: Driver,
}

impl StateMachineTest for Rules {
    type SystemUnderTest = Case;
    type Reference = Self;

    fn init_test(_: &World) -> Case {
        let server = SERVER.with_borrow(Clone::clone).expect("a server");
        server.0.block_on(server.1.clear());
        Case {
            server,
            driver: Driver::default(),
        }
    }

    fn apply(mut case: Case, world: &World, op: Op) -> Case {
        let (runtime, server) = &*case.server;
        let answer = runtime.block_on(case.driver.take(server, world, &op));
        assert_eq!(
            answer, world.answer,
            "{op:?} was answered with the left, and should be with the right"
        );
        case
    }

    fn check_invariants(case: &Case, world: &World) {
        let (runtime, server) = &*case.server;
        let (is, broken) = runtime.block_on(async {
            (
                view::of_database(&server.client, &case.driver.names).await,
                view::broken_walls(&server.client).await,
            )
        });
        assert_eq!(is, view::of_world(world), "the database is as the left, and should be as the right");
        assert_eq!(broken, Vec::<String>::new());
    }
}

#[test]
fn whatever_happens_in_whatever_order_only_the_holder_of_a_lease_counts() {
    let cases = std::env::var("MOORLINE_MODEL_CASES").map_or(CASES, |cases| cases.parse().expect("a number in MOORLINE_MODEL_CASES"));
    let config = Config {
        cases,
        source_file: Some(file!()),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..Config::default()
    };
    let runtime = Runtime::new().expect("a runtime");
    let server = runtime.block_on(Server::start());
    SERVER.set(Some(Rc::new((runtime, server))));
    let shortest = RefCell::new(None::<Vec<Op>>);
    let outcome = TestRunner::new(config.clone()).run(&Rules::sequential_strategy(STEPS), |(world, steps, seen)| {
        let tried = steps.clone();
        let case = AssertUnwindSafe(|| Rules::test_sequential(config.clone(), world, steps, seen));
        std::panic::catch_unwind(case).map_err(|why| {
            let mut shortest = shortest.borrow_mut();
            if shortest.as_ref().is_none_or(|shortest| tried.len() <= shortest.len()) {
                *shortest = Some(tried);
            }
            let why = why.downcast_ref::<String>().cloned().unwrap_or_default();
            TestCaseError::fail(why)
        })
    });
    SERVER.take();
    if let (Err(TestError::Fail(why, _)), Some(steps)) = (&outcome, shortest.take()) {
        let steps: Vec<String> = steps.iter().map(|step| format!("  {step:?}")).collect();
        panic!("{why}\nafter these steps:\n{}", steps.join("\n"));
    }
    outcome.expect("steps to try");
}
