//! Which tasks belong to a pipeline, and in which order. `pipeline` also makes the graphs of the neighbours' tests.

use proptest::prelude::*;

use super::*;

/// Tasks from `service: task -> next next`, one per line.
pub fn tasks(lines: &str) -> Tasks {
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    Tasks::new(lines.map(|line| {
        let (service, task) = line.split_once(": ").unwrap();
        let (id, next) = task.split_once(" ->").unwrap_or((task, ""));
        Task {
            id: id.into(),
            service: service.into(),
            next: next.split_whitespace().map(str::to_owned).collect(),
        }
    }))
}

pub fn pipeline(lines: &str, id: &str) -> Pipeline {
    tasks(lines).pipeline(id).unwrap()
}

fn names(pipeline: &Pipeline, at: impl IntoIterator<Item = usize>) -> String {
    let names: Vec<&str> = at.into_iter().map(|at| &*pipeline.tasks[at].id).collect();
    names.join(" ")
}

fn all(pipeline: &Pipeline) -> String {
    names(pipeline, 0..pipeline.tasks.len())
}

const DIAMOND: &str = "s: a -> b c
    s: b -> d
    s: c -> d
    s: d";

#[test]
fn a_service_enters_at_its_tasks_that_nothing_points_to() {
    let lines = "pdf: download -> ocr tables
        pdf: ocr -> summarize
        pdf: tables -> summarize
        mail: summarize -> send
        mail: send
        mail: digest -> send";
    let pdf = pipeline(lines, "pdf");
    assert_eq!(
        (pdf.source, all(&pdf).as_str()),
        (Source::Service, "download ocr tables summarize send")
    );
    assert_eq!(names(&pdf, 0..pdf.entries), "download");
    let mail = pipeline(lines, "mail");
    assert_eq!((mail.entries, all(&mail).as_str()), (1, "digest send"));
    let task = pipeline(lines, "tables");
    assert_eq!(
        (task.source, all(&task).as_str()),
        (Source::Task, "tables summarize send")
    );
    assert_eq!(
        task.structure().to_string(),
        concat!(
            r#"{"tables":{"allowedNext":["summarize"]},"summarize":{"allowedNext":["send"]},"#,
            r#""send":{"allowedNext":[]}}"#
        )
    );
    assert!(tasks(lines).pipeline("nothing").is_none());
}

#[test]
fn a_service_goes_before_a_task_of_the_same_id() {
    let lines = "twin: first -> second
        other: twin
        twin: second";
    assert_eq!(all(&pipeline(lines, "twin")), "first second");
}

#[test]
fn services_with_an_entry_and_chains_are_listed_by_name() {
    let lines = "two: b -> c d
        one: a -> b
        one: lonely
        two: c
        two: d
        three: e -> f
        three: f -> e";
    assert_eq!(tasks(lines).pipeline_ids(), ["a", "one"]);
    assert_eq!(pipeline(lines, "three").entries, 0);
}

#[test]
fn a_task_that_only_a_cycle_leads_to_belongs_to_its_service_and_is_no_entry() {
    let cycle = pipeline("s: a\ns: b -> c\ns: c -> d\ns: d -> b", "s");
    assert_eq!((cycle.entries, all(&cycle).as_str()), (1, "a b c d"));
    assert_eq!(cycle.cycle().as_deref(), Some("b -> c -> d -> b"));
    let selfish = pipeline("s: a -> a", "s");
    assert_eq!((selfish.entries, selfish.cycle().as_deref()), (1, Some("a -> a")));
    let behind = pipeline("s: a -> b c\ns: b -> a\ns: c", "a");
    assert_eq!(behind.cycle().as_deref(), Some("a -> b -> a"));
    assert_eq!(pipeline(DIAMOND, "s").cycle(), None);
}

#[test]
fn what_no_service_has_registered_is_named() {
    let lines = "s: a -> b ghost
        s: b -> spook";
    assert_eq!(pipeline(lines, "s").missing(), [("a", "ghost"), ("b", "spook")]);
}

#[test]
fn levels_are_as_deep_as_the_longest_way() {
    let lines = "s: a -> b e
        s: b -> c
        s: c -> e
        s: e
        s: f -> e";
    let pipeline = pipeline(lines, "s");
    let levels: Vec<String> = pipeline
        .levels()
        .into_iter()
        .map(|level| names(&pipeline, level))
        .collect();
    assert_eq!(levels, ["a f", "b", "c", "e"]);
}

#[test]
fn parts_that_no_edge_connects_are_counted() {
    assert_eq!(pipeline(DIAMOND, "s").parts(), 1);
    assert_eq!(pipeline("s: a -> b\ns: b\ns: c -> d\ns: d\ns: e", "s").parts(), 3);
}

#[test]
fn the_version_follows_the_structure_and_nothing_else() {
    let version = |lines: &str| pipeline(lines, "a").version();
    assert_eq!(version("s: a -> b\ns: b"), version("t: a -> b\nu: b\nt: c"));
    assert_ne!(version("s: a -> b\ns: b"), version("s: a -> b\ns: b -> c\ns: c"));
    assert_eq!(version("s: a").len(), 16);
}

#[test]
fn a_chain_of_a_hundred_thousand_tasks_does_not_overflow_the_stack() {
    let count = 100_000;
    let chain = Tasks::new((0..count).map(|nth| Task {
        id: format!("t{nth}").into(),
        service: "s".into(),
        next: [format!("t{}", (nth + 1) % count)].into(),
    }));
    let cycle = chain.pipeline("s").unwrap().cycle().unwrap();
    assert!(cycle.starts_with("t0 -> t1 -> ") && cycle.ends_with(" -> ..."));
}

fn random_graph() -> impl Strategy<Value = Vec<Vec<usize>>> {
    prop::collection::vec(prop::collection::btree_set(0..12usize, 0..4), 1..12)
        .prop_map(|next| next.into_iter().map(Vec::from_iter).collect())
}

proptest! {
    #[test]
    fn a_pipeline_is_closed_and_either_has_a_cycle_or_an_order(graph in random_graph()) {
        let all = Tasks::new(graph.iter().enumerate().map(|(nth, next)| Task {
            id: nth.to_string().into(),
            service: "s".into(),
            next: next.iter().map(usize::to_string).collect(),
        }));
        let pipeline = all.pipeline("s").unwrap();
        // One service has all the tasks, so its pipeline has them all too.
        prop_assert_eq!(pipeline.tasks.len(), graph.len());
        let levels = pipeline.levels();
        let mut level_of = vec![None; graph.len()];
        for (level, tasks) in levels.iter().enumerate() {
            tasks.iter().for_each(|&at| level_of[at] = Some(level));
        }
        prop_assert_eq!(level_of.iter().any(Option::is_none), pipeline.cycle().is_some());
        for at in 0..graph.len() {
            for &follower in &pipeline.next[at] {
                prop_assert!(pipeline.previous[follower].contains(&at));
                prop_assert!(level_of[follower].is_none() || level_of[at] < level_of[follower]);
            }
        }
    }
}
