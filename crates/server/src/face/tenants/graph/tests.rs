//! Graphs: every text of the original, and that what is said of an order is true of every graph.

use std::cmp::Reverse;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn task(id: &str, before: &[&str]) -> Task {
    Task {
        id: id.to_owned(),
        dependencies: Some(before.iter().map(|id| (*id).to_owned()).collect()),
        ..Task::default()
    }
}

fn ranked(id: &str, before: &[&str], priority: &str) -> Task {
    Task {
        priority: priority.to_owned(),
        ..task(id, before)
    }
}

fn timed(id: &str, before: &[&str], timeout: i64) -> Task {
    Task {
        timeout,
        ..task(id, before)
    }
}

fn edge(from: &str, to: &str) -> TaskDependency {
    TaskDependency {
        from: from.to_owned(),
        to: to.to_owned(),
        kind: String::new(),
    }
}

#[test]
fn a_chain_is_valid_and_its_order_is_told() {
    let report = validate(
        &[task("c", &[]), task("b", &[]), task("a", &[])],
        &[edge("a", "b"), edge("b", "c")],
    );
    let answer = serde_json::to_value(&report).unwrap();
    assert_eq!(
        answer,
        json!({
            "valid": true,
            "execution_order": ["a", "b", "c"],
            "levels": [["a"], ["b"], ["c"]],
            "critical_path": ["a", "b", "c"],
        })
    );
}

#[test]
fn all_problems_are_told_at_once_in_the_originals_words_and_order() {
    let tasks = [
        task("a", &["ghost", "a", "x"]),
        task("", &[]),
        task("a", &[]),
        task("b", &[]),
        task("", &[]),
    ];
    let report = validate(
        &tasks,
        &[edge("x", "y"), edge("b", "b"), edge("x", "a"), edge("a", "b")],
    );
    assert_eq!(
        report.errors,
        [
            "Task ID cannot be empty",
            "Duplicate task ID: a",
            "Task ID cannot be empty",
            "Dependency references non-existent task: x",
            "Dependency references non-existent task: y",
            "Self-dependency detected: b",
            "Dependency references non-existent task: x",
            "Dependency references non-existent task: ghost",
            "Self-dependency detected: a",
        ]
    );
    assert!(report.execution_order.is_empty() && report.levels.is_empty() && report.critical_path.is_empty());
    assert_eq!(serde_json::to_value(&report).unwrap()["valid"], false);
}

#[test]
fn a_cycle_is_named_from_its_first_task_whoever_says_it_and_only_where_nothing_else_is_wrong() {
    let tasks = [task("z", &[]), task("a", &["c"]), task("b", &[]), task("c", &["b"])];
    let edges = [edge("z", "a"), edge("a", "b")];
    assert_eq!(validate(&tasks, &edges).errors, ["Cycle detected: [a b c a]"]);
    let more = [edge("z", "a"), edge("a", "b"), edge("ghost", "a")];
    assert_eq!(
        validate(&tasks, &more).errors,
        ["Dependency references non-existent task: ghost"]
    );
}

#[test]
fn what_both_places_say_counts_once() {
    let tasks = [task("a", &[]), task("b", &["a", "a"])];
    let edges = [edge("a", "b"), edge("a", "b")];
    let analysis = examine(&tasks, &edges, Stray::Error);
    assert_eq!(analysis.before, [vec![], vec![0]]);
    assert!(analysis.report.errors.is_empty());
}

#[test]
fn of_the_tasks_that_could_start_the_most_urgent_goes_first() {
    let tasks = [
        ranked("low", &[], "low"),
        ranked("plain", &[], ""),
        ranked("medium", &[], "Medium"),
        ranked("high", &[], "high"),
        ranked("11", &[], "11"),
        ranked("after low", &["low"], "high"),
    ];
    assert_eq!(
        validate(&tasks, &[]).execution_order,
        ["11", "high", "plain", "medium", "low", "after low"]
    );
}

#[test]
fn warnings_are_given_whether_or_not_there_are_errors() {
    let hour = 3_600_000_000_000;
    let mut tasks: Vec<Task> = (0..48).map(|nth| task(&format!("t{nth}"), &[])).collect();
    tasks.push(timed("slow", &[], hour * 3 / 4));
    tasks.push(timed("slower", &["slow"], hour));
    tasks.push(timed("just", &["slower"], hour / 2));
    let expected = [
        "Large number of tasks may impact performance",
        "Task slow has very long timeout: 45m0s",
        "Task slower has very long timeout: 1h0m0s",
    ];
    assert_eq!(validate(&tasks, &[]).warnings, expected);
    assert_eq!(validate(&tasks, &[edge("x", "slow")]).warnings, expected);
    tasks.pop();
    assert_eq!(validate(&tasks, &[]).warnings, expected[1..]);
}

#[test]
fn the_critical_path_goes_by_timeouts_and_then_by_length() {
    let tasks = [
        timed("a", &[], 1),
        timed("b", &["a"], 1),
        timed("c", &["b"], 1),
        timed("long", &["a"], 10),
        timed("end", &["long", "c"], 1),
    ];
    let report = validate(&tasks, &[]);
    assert_eq!(report.critical_path, ["a", "long", "end"]);
    assert_eq!(report.levels.concat().len(), 5);
    let untimed: Vec<Task> = tasks.iter().cloned().map(|task| Task { timeout: 0, ..task }).collect();
    assert_eq!(validate(&untimed, &[]).critical_path, ["a", "b", "c", "end"]);
}

fn workflow(level: &str) -> Workflow {
    let body = json!({
        "intent_id": "i",
        "tasks": [
            { "id": "a", "dependencies": ["ghost"] },
            { "id": "b", "dependencies": ["a"], "timeout": 3_600_000_000_000i64 },
        ],
        "configuration": { "validation_level": level },
    });
    super::super::document::parse(body.to_string().as_bytes(), "t").unwrap()
}

#[test]
fn the_validation_level_says_what_is_an_error() {
    let lenient = admit(&workflow("none")).unwrap();
    assert_eq!(lenient.before, [vec![], vec![0]]);
    let unknown = "Dependency references non-existent task: ghost";
    assert_eq!(admit(&workflow("")), Err(vec![unknown.to_owned()]));
    assert_eq!(admit(&workflow("basic")), Err(vec![unknown.to_owned()]));
    assert_eq!(
        admit(&workflow("strict")),
        Err(vec![
            unknown.to_owned(),
            "Task b has very long timeout: 1h0m0s".to_owned()
        ])
    );
    let mut cyclic = workflow("none");
    cyclic.tasks[0].dependencies = Some(vec!["b".to_owned()]);
    assert_eq!(admit(&cyclic), Err(vec!["Cycle detected: [a b a]".to_owned()]));
    cyclic.dependencies = Some(vec![edge("ghost", "a")]);
    assert_eq!(admit(&cyclic), Err(vec![unknown.to_owned()]));
}

#[test]
fn a_hundred_thousand_tasks_are_looked_at_without_recursion() {
    const MANY: usize = 100_000;
    let name = |nth: usize| format!("t{nth}");
    let mut tasks: Vec<Task> = (0..MANY).map(|nth| task(&name(nth), &[])).collect();
    let chain: Vec<TaskDependency> = (1..MANY).map(|nth| edge(&name(nth - 1), &name(nth))).collect();
    let report = validate(&tasks, &chain);
    assert_eq!((report.levels.len(), report.critical_path.len()), (MANY, MANY));
    tasks[0].dependencies = Some(vec![name(MANY - 1)]);
    let errors = validate(&tasks, &chain).errors;
    assert!(errors[0].starts_with("Cycle detected: [t0 t1 ") && errors[0].ends_with(" t99999 t0]"));
}

/// Vertices with ranks and timeouts, and edges between any two.
type Graph = (Vec<(i32, i64)>, Vec<(usize, usize)>);

fn graphs() -> impl Strategy<Value = Graph> {
    prop::collection::vec((0..3i32, 0..4i64), 1..20).prop_flat_map(|vertices| {
        let count = vertices.len();
        (Just(vertices), prop::collection::vec((0..count, 0..count), 0..40))
    })
}

/// Half of the edges from the list, the others from the tasks themselves.
fn documents(vertices: &[(i32, i64)], edges: &[(usize, usize)]) -> (Vec<Task>, Vec<TaskDependency>) {
    let name = |nth: usize| format!("t{nth}");
    let mut tasks: Vec<Task> = vertices
        .iter()
        .enumerate()
        .map(|(nth, (rank, timeout))| Task {
            priority: rank.to_string(),
            ..timed(&name(nth), &[], *timeout)
        })
        .collect();
    let mut listed = Vec::new();
    for (nth, &(from, to)) in edges.iter().enumerate() {
        match nth % 2 {
            0 => listed.push(edge(&name(from), &name(to))),
            _ => tasks[to].dependencies.get_or_insert_default().push(name(from)),
        }
    }
    (tasks, listed)
}

fn has_cycle(count: usize, edges: &[(usize, usize)]) -> bool {
    let mut reaches = vec![vec![false; count]; count];
    edges.iter().for_each(|&(from, to)| reaches[from][to] = true);
    for via in 0..count {
        for from in 0..count {
            for to in 0..count {
                reaches[from][to] |= reaches[from][via] && reaches[via][to];
            }
        }
    }
    (0..count).any(|nth| reaches[nth][nth])
}

proptest! {
    #[test]
    fn a_graph_is_valid_exactly_where_it_has_no_cycle((vertices, edges) in graphs()) {
        let (tasks, listed) = documents(&vertices, &edges);
        let report = validate(&tasks, &listed);
        prop_assert_eq!(report.errors.is_empty(), !has_cycle(vertices.len(), &edges), "{:?}", report.errors);
        prop_assert_eq!(&validate(&tasks, &listed), &report);
    }

    #[test]
    fn a_named_cycle_is_one((vertices, edges) in graphs()) {
        let edges: Vec<_> = edges.into_iter().filter(|(from, to)| from != to).collect();
        let (tasks, listed) = documents(&vertices, &edges);
        for error in validate(&tasks, &listed).errors {
            let inside = error.strip_prefix("Cycle detected: [").and_then(|rest| rest.strip_suffix(']'));
            let path: Vec<usize> = inside.expect(&error).split(' ').map(|id| id[1..].parse().unwrap()).collect();
            prop_assert!(path.len() > 2 && path.first() == path.last());
            prop_assert_eq!(path.iter().min(), path.first());
            for pair in path.windows(2) {
                prop_assert!(edges.contains(&(pair[0], pair[1])), "{}", error);
            }
        }
    }

    #[test]
    fn the_order_the_levels_and_the_critical_path_fit_the_graph((vertices, edges) in graphs()) {
        let edges: Vec<_> = edges.into_iter().filter(|(from, to)| from < to).collect();
        let (tasks, listed) = documents(&vertices, &edges);
        let report = validate(&tasks, &listed);
        let nth = |id: &String| id[1..].parse::<usize>().unwrap();
        let order: Vec<usize> = report.execution_order.iter().map(nth).collect();
        let place = |which: usize| order.iter().position(|&one| one == which).unwrap();
        prop_assert_eq!(order.len(), vertices.len());
        let level = |which: usize| report.levels.iter().position(|level| level.iter().any(|id| nth(id) == which)).unwrap();
        for &(from, to) in &edges {
            prop_assert!(place(from) < place(to) && level(from) < level(to));
        }
        // Nothing that could have started earlier is more urgent than what was started.
        for (at, &one) in order.iter().enumerate() {
            for &later in &order[at + 1..] {
                let was_ready = edges.iter().all(|&(from, to)| to != later || place(from) < at);
                let comes_after = (Reverse(vertices[later].0), later) > (Reverse(vertices[one].0), one);
                prop_assert!(!was_ready || comes_after, "{one} before {later}");
            }
        }
        // No chain weighs more: the longest one by brute force over the edges, which go upwards.
        let mut best: Vec<(i64, usize)> = vertices.iter().map(|(_, timeout)| (*timeout, 1)).collect();
        for to in 0..vertices.len() {
            for &(from, end) in &edges {
                if end == to {
                    best[to] = best[to].max((best[from].0 + vertices[to].1, best[from].1 + 1));
                }
            }
        }
        let path: Vec<usize> = report.critical_path.iter().map(nth).collect();
        let weight: i64 = path.iter().map(|&one| vertices[one].1).sum();
        prop_assert_eq!(Some(&(weight, path.len())), best.iter().max());
        for pair in path.windows(2) {
            prop_assert!(edges.contains(&(pair[0], pair[1])));
        }
    }
}
