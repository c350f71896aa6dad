//! Limits, groups, and what is told of them.

use super::*;

fn flow(max: Option<u32>, own: Option<u32>) -> Flow {
    let flow = Flow::new("push", Reach::Store);
    flow.set_max(max);
    flow.serve([Served::new("a", own), Served::new("b", None)]);
    flow.set_counts(Vec::new());
    flow
}

fn room(flow: &Flow) -> usize {
    flow.room().asks.iter().map(|asks| asks.all).sum()
}

#[test]
fn queues_of_a_group_share_its_limit_and_are_asked_for_together() {
    let flow = Flow::new("backend", Reach::Node);
    let of_group = |name: &str| Served {
        group: Some("gpu".into()),
        ..Served::new(name, Some(2))
    };
    flow.serve([of_group("gpu"), of_group("gpu@ray"), Served::new("cpu", Some(1))]);
    let asks = flow.room().asks;
    assert_eq!(asks.iter().map(|asks| asks.each.len()).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(asks[0].all, 2);
    assert_eq!(
        [
            flow.take("gpu"),
            flow.take("gpu@ray"),
            flow.take("gpu"),
            flow.take("cpu")
        ],
        [true, true, false, true]
    );
    assert_eq!(flow.obstacle("gpu@ray"), Some(Obstacle::QueueFull { max: 2 }));
    assert_eq!(flow.room().asks, []);
    flow.give_back("gpu@ray");
    assert_eq!((flow.take("gpu"), flow.running("gpu")), (true, 2));
    assert_eq!(
        flow.limits("gpu"),
        [],
        "a limit of one node is no affair of the store's"
    );
}

#[test]
fn a_place_that_comes_back_during_a_look_is_in_it_or_comes_after_it() {
    let flow = Flow::new("backend", Reach::Node);
    flow.serve([Served::new("a", Some(1))]);
    std::thread::scope(|scope| {
        let coming_and_going = scope.spawn(|| {
            for _ in 0..100_000 {
                assert!(flow.take("a"));
                flow.give_back("a");
            }
        });
        while !coming_and_going.is_finished() {
            let room = flow.room();
            assert_ne!(room.asks.is_empty(), !room.is_full_somewhere, "{room:?}");
        }
    });
    assert_eq!(flow.room().ended, 100_000);
}

#[test]
fn nothing_of_a_closed_queue_starts_and_why_is_told() {
    let flow = flow(None, None);
    let closed = Served {
        closed: Some("modal is away".into()),
        ..Served::new("a", None)
    };
    flow.serve([closed, Served::new("b", None)]);
    assert!(!flow.take("a") && !flow.take_at_once("a", false) && flow.take("b"));
    let reason = "modal is away".into();
    assert_eq!(flow.obstacle("a"), Some(Obstacle::Closed { reason }));
    assert_eq!(flow.room().asks[0].each.len(), 1);
    assert!(flow.is_full_somewhere());
}

#[test]
fn waiting_counts_as_priority_where_a_queue_ages() {
    let flow = Flow::new("backend", Reach::Node);
    let ageing = Served {
        ageing_ms: Some(30_000),
        ..Served::new("a", None)
    };
    flow.serve([ageing, Served::new("b", None)]);
    let now = AGEING_SINCE.plus_ms(86_400_000 * 365);
    let rank = |priority, after_ms| flow.rank("a", priority, now.plus_ms(after_ms));
    assert_eq!(rank(5, 0), rank(6, 30_000));
    assert!(rank(0, 0) > rank(9, 300_001));
    assert!(rank(0, 0) < rank(11, 300_001));
    assert_eq!(flow.rank("b", 7, now), 7);
}

#[test]
fn neither_the_limit_of_a_queue_nor_that_of_all_is_passed() {
    let flow = flow(Some(3), Some(2));
    assert_eq!([flow.take("a"), flow.take("a"), flow.take("a")], [true, true, false]);
    assert_eq!([flow.take("b"), flow.take("b")], [true, false]);
    assert_eq!(room(&flow), 0);
    flow.give_back("a");
    assert_eq!([flow.take("b"), flow.take("a")], [true, false]);
}

#[test]
fn nothing_starts_at_once_before_the_counts_are_known() {
    let flow = Flow::new("push", Reach::Store);
    flow.serve([Served::new("a", None)]);
    assert!(!flow.take_at_once("a", false));
    flow.set_counts(vec![("a".into(), 4)]);
    assert!(flow.take_at_once("a", false));
    flow.set_max(Some(5));
    assert!(
        !flow.take_at_once("a", false),
        "four others and the one that was just taken"
    );
}

#[test]
fn limited_steps_of_a_shared_store_go_through_their_queue() {
    let flow = flow(None, Some(2));
    assert!(!flow.take_at_once("b", true));
    assert!(flow.take("b"));
    assert_eq!(flow.limits("a").len(), 1);
    assert_eq!(flow.limits("b"), []);
}

#[test]
fn a_queue_that_nobody_serves_is_counted_and_not_asked_for() {
    let flow = flow(Some(2), None);
    assert!(flow.take("a"));
    flow.serve([Served::new("b", None)]);
    assert!(!flow.take("a"));
    let asks = flow.room().asks;
    assert_eq!((asks[0].each.len(), asks[0].all), (1, 1));
    flow.give_back("a");
    assert_eq!(room(&flow), 2);
}

#[test]
fn what_keeps_a_step_waiting_is_told() {
    let flow = flow(Some(2), Some(1));
    assert_eq!(flow.obstacle("ghost"), Some(Obstacle::Unserved));
    assert_eq!(flow.obstacle("a"), None);
    assert!(flow.take("a"));
    assert_eq!(flow.obstacle("a"), Some(Obstacle::QueueFull { max: 1 }));
    assert_eq!(flow.obstacle("b"), None);
    assert!(flow.take("b"));
    assert_eq!(flow.obstacle("b"), Some(Obstacle::Full { max: 2 }));
    flow.set_gate(Gate::Shut);
    assert_eq!(flow.obstacle("b"), Some(Obstacle::Shut));
}

#[test]
fn a_shut_gate_lets_through_what_a_pass_may_start() {
    let flow = flow(None, None);
    flow.set_gate(Gate::Shut);
    assert!(!flow.take("a") && !flow.take_at_once("a", false));
    flow.set_budget(1);
    assert_eq!(room(&flow), 1);
    assert_eq!([flow.take("a"), flow.take("b")], [true, false]);
}
