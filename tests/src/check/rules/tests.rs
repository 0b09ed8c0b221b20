//! Each rule, broken once: a checker that can't fail proves nothing.

use super::*;
use crate::soak::journal::{Accepted, Entry};

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// One run that failed first and was retried, by two workers, as it should be.
fn kept() -> (Facts, Witness, Client) {
    let run = Run {
        status: "succeeded".to_owned(),
        key: Some("key".to_owned()),
        last_event: 9,
        events: 9,
        highest_event: 9,
        told: Some("succeeded".to_owned()),
        final_told: 1,
    };
    let job = |attempt, status: &str, token| Job {
        run: id(1),
        stage: "discover".to_owned(),
        attempt,
        status: status.to_owned(),
        token: Some(token),
        sequence: 2,
        outcome: format!("{{\"base_ref\": \"{}\"}}", mark(token)),
        accepted: 1,
        progress: vec![format!("{} report 1", mark(token))],
    };
    let facts = Facts {
        runs: [(id(1), run)].into(),
        jobs: [(id(2), job(1, "failed", 5)), (id(3), job(2, "succeeded", 7))].into(),
    };
    let journal = |job, token, news| {
        let accepted = Accepted {
            job,
            run: id(1),
            token,
            stage: "discover".to_owned(),
            attempt: 1,
        };
        let reported = |sequence, news| Entry::Reported { token, sequence, news };
        let acknowledged = |sequence| Entry::Acknowledged { token, sequence };
        [
            Entry::Accepted(accepted),
            reported(1, News::Progress),
            acknowledged(1),
            reported(2, news),
            acknowledged(2),
        ]
    };
    let mut witness = Witness::default();
    witness.add("one", &journal(id(2), 5, News::Failed));
    witness.add("other", &journal(id(3), 7, News::Succeeded));
    let client = Client {
        created: [("key".to_owned(), [id(1)].into())].into(),
        ..Client::default()
    };
    (facts, witness, client)
}

/// What is said when one thing is otherwise.
fn when(change: impl FnOnce(&mut Facts, &mut Witness, &mut Client)) -> String {
    let (mut facts, mut witness, mut client) = kept();
    change(&mut facts, &mut witness, &mut client);
    broken(&facts, &witness, &client)
        .join("; ")
        .replace("00000000-0000-0000-0000-00000000000", "")
}

fn run(facts: &mut Facts) -> &mut Run {
    facts.runs.get_mut(&id(1)).unwrap()
}

fn job(facts: &mut Facts, number: u128) -> &mut Job {
    facts.jobs.get_mut(&id(number)).unwrap()
}

#[test]
fn a_kept_promise_breaks_nothing() {
    assert_eq!(when(|_, _, _| {}), "");
}

#[test]
fn runs_that_are_lost_or_never_end_are_found() {
    let lost = when(|facts, _, _| {
        facts.runs.clear();
    });
    assert_eq!(lost, "run 1 was created and is lost");
    let twice = when(|_, _, client| {
        client.created.get_mut("key").unwrap().insert(id(9));
    });
    assert!(twice.contains("more than one run") && twice.contains("run 9 was created and is lost"));
    let open = when(|facts, _, _| {
        run(facts).status = "running".to_owned();
        run(facts).told = Some("running".to_owned());
    });
    assert_eq!(open, "run 1 never ended: it is running");
    let cancelled = when(|_, _, client| {
        client.cancelled.insert(id(1));
    });
    assert!(cancelled.contains("its cancel was answered with yes"));
}

#[test]
fn gaps_in_events_and_statuses_that_nothing_explains_are_found() {
    assert!(when(|facts, _, _| run(facts).events = 8).contains("8 events up to number 9"));
    assert!(when(|facts, _, _| run(facts).final_told = 2).contains("ended for good 2 times"));
    assert!(when(|facts, _, _| run(facts).told = None).contains("its events end with None"));
    let unexplained = when(|facts, _, _| {
        run(facts).status = "no_work".to_owned();
        run(facts).told = Some("no_work".to_owned());
        job(facts, 3).stage = "publish".to_owned();
    });
    assert!(unexplained.contains("none of its jobs says why"), "{unexplained}");
    assert!(when(|facts, _, _| job(facts, 2).status = "running".to_owned()).contains("is not over"));
    assert!(when(|facts, _, _| job(facts, 3).attempt = 3).contains("the attempts [1, 3] of discover"));
}

#[test]
fn attempts_accepted_twice_and_tokens_used_by_two_are_found() {
    assert_eq!(when(|facts, _, _| job(facts, 3).accepted = 2), "job 3 was accepted 2 times");
    assert!(when(|facts, _, _| job(facts, 3).accepted = 0).contains("without having been accepted"));
    let two = when(|_, witness, _| {
        let mut lease = witness.leases[1].clone();
        (lease.worker, lease.acknowledged) = ("third".to_owned(), Vec::new());
        witness.leases.push(lease);
    });
    assert_eq!(two, "lease token 7 was used by other for job 3 and by third for job 3");
    let leases = when(|_, witness, _| {
        let mut lease = witness.leases[1].clone();
        lease.accepted.token = 6;
        witness.leases.push(lease);
    });
    assert!(leases.contains("were acknowledged under the leases [7, 6]"), "{leases}");
    let back = when(|facts, witness, _| {
        job(facts, 2).token = Some(8);
        witness.leases.remove(0);
    });
    assert!(back.contains("don't grow with its attempts"), "{back}");
    let same = when(|facts, witness, _| {
        job(facts, 2).token = Some(7);
        witness.leases.remove(0);
    });
    assert!(same.contains("lease token 7 is that of job 2 and of job 3"), "{same}");
}

#[test]
fn acknowledged_reports_that_are_not_there_are_found() {
    assert!(when(|facts, _, _| job(facts, 3).sequence = 1).contains("2 reports of lease 7 were acknowledged"));
    assert!(when(|facts, _, _| job(facts, 3).token = Some(9)).contains("has report 2 of lease Some(9)"));
    assert!(when(|facts, _, _| job(facts, 3).progress.clear()).contains("report 1 of lease 7 was acknowledged, and is not told once"));
    assert!(when(|facts, _, _| job(facts, 3).progress.push("soak-7 report 1".to_owned())).contains("is not told once"));
    // The result of another lease in its place, and no result at all.
    assert!(when(|facts, _, _| job(facts, 3).outcome = "{\"base_ref\": \"soak-77\"}".to_owned()).contains("acknowledged as Succeeded"));
    assert!(when(|facts, _, _| job(facts, 2).status = "cancelled".to_owned()).contains("acknowledged as Failed"));
    assert!(when(|_, witness, _| witness.leases[1].acknowledged = vec![2, 1]).contains("went back: [2, 1]"));
    assert!(when(|_, witness, _| witness.leases[1].acknowledged = vec![3]).contains("and 2 made"));
    let gone = when(|facts, _, _| {
        facts.jobs.remove(&id(2));
    });
    assert!(gone.contains("job 2, reported on under lease 5, is lost"), "{gone}");
}
