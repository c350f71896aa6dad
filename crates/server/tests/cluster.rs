//! Three real nodes on one PostgreSQL database, and everything that happens to machines. `cargo xtask crash --nodes 3`
//! does the same for twenty rounds, on the release build and with a database that waits for the disk.

use std::path::Path;

use quintet_testkit::cluster::{Plan, hand_over, torment};
use quintet_testkit::postgres::Durability;

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_quintet"))
}

#[test]
fn three_rounds_of_faults_lose_nothing_double_nothing_and_leave_nothing_stuck() {
    let seed = u64::from(std::process::id());
    println!("seed {seed}: cargo xtask crash --nodes 3 --rounds 3 --seed {seed}");
    let plan = Plan {
        rounds: 3,
        seed,
        durability: Durability::Fast,
        ..Plan::default()
    };
    let report = torment(binary(), &plan, |line| println!("{line}")).expect("the harness runs to its end");
    assert!(report.is_clean(), "{report:#?}");
    assert!(
        report.account.acked > 100 && report.account.results > 300 && report.account.shared > 10,
        "too little happened to say anything: {report:#?}"
    );
    assert!(
        report.take_over.count() > 5,
        "too few take-overs to say anything: {report:#?}"
    );
}

#[test]
fn a_node_that_is_asked_to_stop_hands_over_within_a_second() {
    let took = hand_over(binary()).expect("the harness runs to its end");
    assert!(took.held > 0 && took.took_ms <= 1_000, "{took:?}");
}
