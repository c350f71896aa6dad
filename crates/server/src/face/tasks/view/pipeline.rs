//! What a pipeline has given: all of it at its end, and as much as there is before.

use serde_json::{Map, Value, json};

use super::super::document::Step;
use super::super::graph::Mode;
use super::scene::Scene;
use super::step::{self, Phase};

/// The result of a pipeline that has ended well.
pub(super) fn result(scene: &Scene<'_>) -> Value {
    let graph = scene.graph();
    let steps: Vec<Value> = (0..scene.steps.len())
        .map(|nth| seen(scene, nth).unwrap_or_default())
        .collect();
    let by_id: Map<String, Value> = scene
        .steps
        .iter()
        .map(|step| step.id.to_string())
        .zip(steps.iter().cloned())
        .collect();
    let last = steps.last().cloned().unwrap_or_default();
    let groups = match &graph {
        Some(graph) if graph.mode == Mode::Graph => graph.parallel(),
        _ => Vec::new(),
    };
    let id = |nth: &usize| scene.steps[*nth].id.as_ref();
    let groups: Vec<Vec<&str>> = groups.iter().map(|group| group.iter().map(id).collect()).collect();
    json!({
        "steps": steps,
        "stepResults": by_id,
        "stepStatus": statuses(scene),
        "finalResult": last,
        "totalDuration": scene.duration_ms(),
        "parallelGroups": groups,
    })
}

/// How all steps stand.
pub(super) fn statuses(scene: &Scene<'_>) -> Value {
    let is_graph = scene
        .steps
        .iter()
        .any(|step| step.is_named || !step.depends_on.is_empty());
    let mode = if is_graph { Mode::Graph } else { Mode::Sequence };
    let all = (0..scene.steps.len()).map(|nth| step::status(scene, nth, mode));
    Value::Array(all.collect())
}

/// What the steps have given that have ended well.
pub(super) fn results(scene: &Scene<'_>) -> Value {
    by_id(scene, 0..scene.steps.len())
}

/// What these steps have given, as far as they have ended.
pub(super) fn by_id(scene: &Scene<'_>, steps: impl Iterator<Item = usize>) -> Value {
    let seen = steps.filter_map(|nth| Some((scene.steps[nth].id.to_string(), seen(scene, nth)?)));
    Value::Object(seen.collect())
}

/// What a step is seen to have given: its result, or what stands for it where it did not have to run or was allowed to
/// fail. `None` before it has ended, and where it failed.
pub(super) fn seen(scene: &Scene<'_>, nth: usize) -> Option<Value> {
    match step::phase(scene, nth) {
        Phase::Pending | Phase::Running | Phase::Failed => None,
        Phase::Skipped => Some(scene.steps[nth].skip_result()),
        Phase::Excused => Some(Step::failed_result(&step::error(scene, nth).unwrap_or_default())),
        Phase::Completed => {
            let node = &scene.state.nodes[scene.node(nth)? as usize];
            let output = node.success.as_ref().map(|success| success.output.as_ref().clone());
            Some(output.unwrap_or_default())
        }
    }
}

/// How many steps need not be waited for any more.
pub(super) fn settled(scene: &Scene<'_>) -> usize {
    let all = 0..scene.steps.len();
    all.filter(|nth| step::phase(scene, *nth).is_settled_well()).count()
}
