//! The real binary under random kills. `cargo xtask crash` does the same two hundred times.

use std::path::Path;

use quintet_testkit::crash::{Plan, torment};

#[test]
fn twenty_five_kills_lose_nothing_double_nothing_and_leave_nothing_stuck() {
    let binary = Path::new(env!("CARGO_BIN_EXE_quintet"));
    let seed = u64::from(std::process::id());
    println!("seed {seed}: cargo xtask crash --cycles 25 --seed {seed}");
    let plan = Plan {
        cycles: 25,
        seed,
        clients: 3,
    };
    let account = torment(binary, &plan, |_, _| {}).expect("the harness runs to its end");
    assert!(account.is_clean(), "{account:#?}");
    assert!(
        account.acked > 50 && account.results > 100,
        "too little happened to say anything: {account:#?}"
    );
}
