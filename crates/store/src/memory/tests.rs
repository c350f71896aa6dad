//! The model passes the suite that it is the model of, and the suite holds every case that was written for it.

use quintet_core::time::Time;

use super::MemoryStore;
use crate::conformance::{Fixture, differential};

fn open() -> Fixture {
    Fixture::new(MemoryStore::new())
}

crate::conformance!(open);

fn open_shared() -> Fixture {
    let ticks = std::sync::atomic::AtomicI64::new(1_000_000);
    let clock = move || Time(ticks.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    Fixture::new(MemoryStore::shared(clock))
}

crate::conformance_shared!(open_shared);

#[test]
fn every_case_that_was_written_is_part_of_the_suite() {
    let suite = include_str!("../conformance.rs");
    let modules = [
        include_str!("../conformance/commits.rs"),
        include_str!("../conformance/content.rs"),
        include_str!("../conformance/idempotency.rs"),
        include_str!("../conformance/letters.rs"),
        include_str!("../conformance/lifecycle.rs"),
        include_str!("../conformance/limits.rs"),
        include_str!("../conformance/lists.rs"),
        include_str!("../conformance/outbox.rs"),
        include_str!("../conformance/queue.rs"),
        include_str!("../conformance/records.rs"),
        include_str!("../conformance/retention.rs"),
        include_str!("../conformance/runs.rs"),
        include_str!("../conformance/shared.rs"),
        include_str!("../conformance/steps.rs"),
        include_str!("../conformance/wakes.rs"),
        include_str!("../conformance/workflows.rs"),
    ];
    let written = modules.iter().flat_map(|text| text.split("\npub async fn ").skip(1));
    let names: Vec<&str> = written.filter_map(|rest| rest.split('(').next()).collect();
    assert!(names.len() > 100, "only {} cases were found", names.len());
    for name in names {
        assert!(suite.contains(&format!(" {name},\n")), "{name} is written and not run");
    }
}

#[tokio::test]
async fn the_model_agrees_with_itself() {
    for seed in 0..20 {
        let (left, right) = (open().store, open().store);
        differential::compare(left, right, seed, 200).await;
    }
}
