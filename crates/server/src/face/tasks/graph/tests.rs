use serde_json::{Value, json};

use super::super::document::Document;
use super::*;

fn document(steps: Value) -> Value {
    json!({ "task": { "type": "p", "payload": {}, "steps": steps } })
}

fn graph_of<T>(steps: Value, look: impl FnOnce(Result<Graph<'_>, Deadlock>) -> T) -> T {
    let context = document(steps);
    look(Graph::of(&Document::of_context(&context).steps()))
}

fn deadlock(steps: Value) -> Deadlock {
    graph_of(steps, |graph| graph.expect_err("it is broken"))
}

#[test]
fn steps_are_a_graph_as_soon_as_one_has_an_id_or_depends_on_another() {
    let mode = |steps| graph_of(steps, |graph| graph.expect("a graph").mode);
    assert_eq!(
        mode(json!([{ "task": "a" }, { "task": "b", "dependsOn": [] }])),
        Mode::Sequence
    );
    assert_eq!(
        mode(json!([{ "task": "a", "id": "" }, { "task": "b" }])),
        Mode::Sequence
    );
    assert_eq!(mode(json!([{ "task": "a" }, { "task": "b", "id": "b" }])), Mode::Graph);
    assert_eq!(
        mode(json!([{ "task": "a" }, { "task": "b", "dependsOn": ["step_0"] }])),
        Mode::Graph
    );
}

#[test]
fn a_sequence_is_a_chain_and_knows_its_steps_by_number() {
    graph_of(json!([{ "task": "a" }, { "task": "b" }, { "task": "c" }]), |graph| {
        let graph = graph.expect("a graph");
        assert_eq!(graph.before, [vec![], vec![0], vec![1]]);
        assert!(graph.precedes(0, 2) && !graph.precedes(2, 2) && !graph.precedes(2, 0));
        assert!(graph.parallel().is_empty());
        let names = ["0", "2", "step_1", "3", "step_3", "01", "step_01", "a", "-1"];
        let found = [Some(0), Some(2), Some(1), None, None, None, None, None, None];
        assert_eq!(names.map(|name| graph.find(name)), found);
    });
}

#[test]
fn a_graph_has_levels_as_the_originals_waves_had() {
    let steps = json!([
        { "id": "a", "task": "t" },
        { "id": "b", "task": "t", "dependsOn": ["a", "a"] },
        { "id": "c", "task": "t", "dependsOn": ["a"] },
        { "id": "d", "task": "t", "dependsOn": ["c", "b"] },
        { "task": "t", "dependsOn": ["b"] },
        { "id": "late", "task": "t", "dependsOn": ["d"] },
    ]);
    graph_of(steps, |graph| {
        let graph = graph.expect("a graph");
        assert_eq!(graph.before, [vec![], vec![0], vec![0], vec![2, 1], vec![1], vec![3]]);
        assert_eq!(graph.parallel(), [vec![1, 2], vec![3, 4]]);
        assert!(graph.precedes(2, 4), "also what it does not depend on, a level before");
        let names = ["late", "step_4", "step_0", "0", "step_9"];
        assert_eq!(
            names.map(|name| graph.find(name)),
            [Some(5), Some(4), Some(0), None, None]
        );
    });
}

#[test]
fn a_cycle_is_named_with_the_steps_that_it_stops() {
    let found = deadlock(json!([
        { "id": "z", "task": "t.z" },
        { "id": "a", "task": "t.a", "dependsOn": ["c", "z"] },
        { "id": "b", "task": "t.b", "dependsOn": ["a"] },
        { "id": "c", "task": "t.c", "dependsOn": ["b"] },
        { "id": "d", "task": "t.d", "dependsOn": ["c"] },
    ]));
    let expected = "Pipeline deadlock: cannot run remaining steps [t.a, t.b, t.c, t.d]. Check for circular dependencies or \
                    missing dependency IDs.";
    assert_eq!(found.text(), expected);
    assert_eq!(found.precise(), format!("{expected} (cycle a -> b -> c -> a)"));
    let own = deadlock(json!([{ "id": "a", "task": "t", "dependsOn": ["a"] }]));
    assert!(own.precise().ends_with("(cycle a -> a)"), "{}", own.precise());
}

#[test]
fn unknown_dependencies_and_duplicate_ids_are_named_with_their_fields() {
    let found = deadlock(json!([
        { "id": "a", "task": "t.a" },
        { "id": "b", "task": "t.b", "dependsOn": ["a", "ghost"] },
        { "id": "c", "task": "t.c", "dependsOn": ["b"] },
        { "id": "a", "task": "t.again" },
        { "id": "e", "task": "t.e" },
    ]));
    let text = found.precise();
    assert!(
        text.starts_with("Pipeline deadlock: cannot run remaining steps [t.a, t.b, t.c, t.again]. "),
        "{text}"
    );
    assert!(
        text.ends_with("(steps[3].id: duplicate id \"a\"; steps[1].dependsOn[1]: no step \"ghost\")"),
        "{text}"
    );
    let taken = deadlock(json!([{ "task": "one" }, { "id": "step_0", "task": "two" }]));
    assert!(
        taken.precise().contains("duplicate id \"step_0\""),
        "a name that is given may be one that is made"
    );
}

#[test]
fn ten_thousand_steps_in_a_row_or_in_a_ring_are_looked_at_without_recursion() {
    let steps = |ring: bool| {
        let steps = (0..10_000).map(|n: i32| {
            let before = if n > 0 { Some(n - 1) } else { ring.then_some(9_999) };
            let before: Vec<String> = before.map(|n| format!("s{n}")).into_iter().collect();
            json!({ "id": format!("s{n}"), "task": "t", "dependsOn": before })
        });
        Value::Array(steps.collect())
    };
    graph_of(steps(false), |graph| {
        assert_eq!(graph.expect("a graph").level(9_999), 9_999)
    });
    let found = deadlock(steps(true)).precise();
    assert!(found.ends_with("-> ...)") && found.len() < 2_000, "{found}");
}
