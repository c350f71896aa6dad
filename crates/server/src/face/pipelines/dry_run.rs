//! The answer of `POST /api/pipelines/{id}/dry-run`: whether a pipeline could run, and in which order.
//!
//! Steps count from 0, one for each level of the graph. The first is the `entry`; one in which some task has several
//! predecessors is a `join` and says whom it waits for; the last is the `end`. A last step that joins is an `end`
//! too, as in the original, but keeps its `waitsFor`: the original lost it there, and with it the only trace of the
//! join. A pipeline of a single level is an `entry`.

use serde::Serialize;

use super::graph::Pipeline;

/// Levels beyond which a pipeline is called deep.
const DEEP: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DryRun {
    pub valid: bool,
    pub errors: Vec<String>,
    pub warnings: Vec<String>,
    /// Empty unless valid.
    pub execution_plan: Vec<Step>,
}

/// Tasks that can be under way at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Step {
    pub step: usize,
    pub tasks: Vec<String>,
    #[serde(rename = "type")]
    pub kind: StepKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StepKind {
    Entry,
    Parallel,
    Join,
    End,
}

/// Why a pipeline cannot run, in the original's words; empty when it can.
pub(crate) fn errors(pipeline: &Pipeline) -> Vec<String> {
    let missing = pipeline.missing().into_iter();
    let mut errors: Vec<String> = missing
        .map(|(task, next)| format!("Task '{task}' references non-existent task '{next}' in allowedNext"))
        .collect();
    if let Some(cycle) = pipeline.cycle() {
        errors.push(format!("Cycle detected: {cycle}"));
    }
    if pipeline.entries == 0 {
        errors.push("Pipeline has no entry tasks (tasks with no predecessors)".to_owned());
    }
    errors
}

/// `concurrency` tells a task's limit by its id; 0 is none.
pub(crate) fn dry_run(pipeline: &Pipeline, concurrency: impl Fn(&str) -> u32) -> DryRun {
    let errors = errors(pipeline);
    let levels = pipeline.levels();
    let warnings = warnings(pipeline, levels.len(), concurrency);
    let valid = errors.is_empty();
    let last = levels.len().saturating_sub(1);
    let steps = levels.iter().enumerate();
    let steps = steps.map(|(nth, level)| step(pipeline, nth, level, nth == last));
    DryRun {
        valid,
        errors,
        warnings,
        execution_plan: if valid { steps.collect() } else { Vec::new() },
    }
}

fn warnings(pipeline: &Pipeline, depth: usize, concurrency: impl Fn(&str) -> u32) -> Vec<String> {
    let mut warnings = Vec::new();
    let parts = pipeline.parts();
    if parts > 1 {
        warnings.push(format!(
            "Pipeline contains {parts} disconnected subgraphs. They run side by side and never join."
        ));
    }
    // By what is written: a task whose only successor is not registered has one all the same.
    if pipeline.tasks.iter().all(|task| !task.next.is_empty()) {
        warnings.push("Pipeline has no explicit end tasks (all tasks have allowedNext)".to_owned());
    }
    if depth > DEEP {
        warnings.push(format!("Pipeline is {depth} levels deep, which is more than {DEEP}"));
    }
    for task in &pipeline.tasks {
        match concurrency(&task.id) {
            0 => {}
            limit => warnings.push(format!("Task '{}' has concurrency limit of {limit}", task.id)),
        }
    }
    warnings
}

fn step(pipeline: &Pipeline, nth: usize, level: &[usize], is_last: bool) -> Step {
    let mut waits_for: Vec<usize> = Vec::new();
    for before in level
        .iter()
        .map(|&at| &pipeline.previous[at])
        .filter(|before| before.len() > 1)
    {
        waits_for.extend(before);
    }
    waits_for.sort_unstable();
    waits_for.dedup();
    let kind = match nth {
        0 => StepKind::Entry,
        _ if is_last => StepKind::End,
        _ if waits_for.is_empty() => StepKind::Parallel,
        _ => StepKind::Join,
    };
    let names = |tasks: &[usize]| tasks.iter().map(|&at| pipeline.tasks[at].id.to_string()).collect();
    Step {
        step: nth,
        tasks: names(level),
        kind,
        waits_for: (!waits_for.is_empty()).then(|| names(&waits_for)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::graph::tests::pipeline;
    use super::*;

    fn of(lines: &str) -> DryRun {
        dry_run(&pipeline(lines, "s"), |_| 0)
    }

    #[test]
    fn a_plan_counts_from_zero_and_names_whom_a_join_waits_for() {
        let answer = of("s: a -> b c
            s: b -> d
            s: c -> d
            s: d -> e
            s: e");
        let expected = json!({
            "valid": true,
            "errors": [],
            "warnings": [],
            "executionPlan": [
                { "step": 0, "tasks": ["a"], "type": "entry" },
                { "step": 1, "tasks": ["b", "c"], "type": "parallel" },
                { "step": 2, "tasks": ["d"], "type": "join", "waitsFor": ["b", "c"] },
                { "step": 3, "tasks": ["e"], "type": "end" },
            ],
        });
        assert_eq!(serde_json::to_value(answer).unwrap(), expected);
    }

    #[test]
    fn a_join_at_the_end_is_an_end_that_keeps_whom_it_waits_for() {
        let plan = of("s: a -> c\ns: b -> c\ns: c").execution_plan;
        assert_eq!(plan[1].kind, StepKind::End);
        assert_eq!(
            plan[1].waits_for.as_deref(),
            Some(["a".to_owned(), "b".to_owned()].as_slice())
        );
    }

    #[test]
    fn a_single_level_is_an_entry_and_apart_tasks_are_warned_of() {
        let answer = of("s: a\ns: b");
        assert_eq!(answer.execution_plan.len(), 1);
        assert_eq!(answer.execution_plan[0].kind, StepKind::Entry);
        assert_eq!(
            answer.warnings,
            ["Pipeline contains 2 disconnected subgraphs. They run side by side and never join."]
        );
    }

    #[test]
    fn what_cannot_run_has_errors_and_no_plan() {
        let answer = of("s: a -> b\ns: b -> c ghost\ns: c -> b");
        assert!(!answer.valid && answer.execution_plan.is_empty());
        assert_eq!(
            answer.errors,
            [
                "Task 'b' references non-existent task 'ghost' in allowedNext",
                "Cycle detected: b -> c -> b"
            ]
        );
        assert_eq!(
            answer.warnings,
            ["Pipeline has no explicit end tasks (all tasks have allowedNext)"]
        );
        let cycle = of("s: a -> b\ns: b -> a");
        let no_entry = "Pipeline has no entry tasks (tasks with no predecessors)";
        assert_eq!(cycle.errors, ["Cycle detected: a -> b -> a", no_entry]);
    }

    #[test]
    fn depth_and_limits_are_warned_of() {
        let chain = |length: usize| {
            let lines = (1..length).map(|nth| format!("s: t{nth} -> t{}\n", nth + 1));
            lines.collect::<String>() + &format!("s: t{length}")
        };
        assert_eq!(of(&chain(20)).warnings, [""; 0]);
        assert_eq!(
            of(&chain(21)).warnings,
            ["Pipeline is 21 levels deep, which is more than 20"]
        );
        let limited = dry_run(&pipeline("s: a -> b\ns: b", "s"), |id| if id == "b" { 2 } else { 0 });
        assert_eq!(limited.warnings, ["Task 'b' has concurrency limit of 2"]);
    }
}
