//! From a spec to a checked plan.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::graph::{find_cycle, link};
use super::{CompiledStep, Digest, EdgeOn, Join, MAX_NAME, MAX_STEPS, Plan, PlanError, PlanSpec, StepKind, StepSpec};
use crate::expr::{Condition, Expression, Limits, Template};

/// Names of steps shown of a long cycle.
const CYCLE_NAMES_SHOWN: usize = 50;

impl Plan {
    /// Checks and compiles a plan.
    pub fn compile(spec: PlanSpec) -> Result<Plan, PlanError> {
        if spec.steps.is_empty() {
            return Err(PlanError::new("steps", "at least one step is required"));
        }
        if spec.steps.len() > MAX_STEPS {
            return Err(PlanError::new(
                "steps",
                format!("{} steps are more than {MAX_STEPS}", spec.steps.len()),
            ));
        }
        if spec.settings.max_concurrency == Some(0) {
            return Err(PlanError::new("settings.max_concurrency", "must be at least 1"));
        }
        let index = index_keys(&spec.steps)?;
        let adjacency = link(&spec.steps, &index)?;
        if let Some(cycle) = find_cycle(&adjacency) {
            return Err(PlanError::new("steps", cycle_message(&spec.steps, &cycle)));
        }
        let mut steps = Vec::with_capacity(spec.steps.len());
        let edges = adjacency.successors.into_iter().zip(adjacency.predecessors);
        for (at, (step, (successors, predecessors))) in spec.steps.iter().zip(edges).enumerate() {
            let mut compiled = compile_step(at, step, &index)?;
            compiled.handles_failure = successors.iter().any(|edge| edge.on != EdgeOn::Success);
            compiled.successors = successors;
            compiled.predecessors = predecessors;
            steps.push(compiled);
        }
        let roots = (0..steps.len() as u32)
            .filter(|&at| steps[at as usize].predecessors.is_empty())
            .collect();
        let digest = digest_of(&spec)?;
        Ok(Plan {
            spec,
            digest,
            steps,
            index,
            roots,
        })
    }
}

fn digest_of(spec: &PlanSpec) -> Result<Digest, PlanError> {
    let bytes = serde_json::to_vec(spec).map_err(|error| PlanError::new("", error.to_string()))?;
    Ok(Digest(Sha256::digest(&bytes).into()))
}

fn index_keys(steps: &[StepSpec]) -> Result<HashMap<String, u32>, PlanError> {
    let mut index = HashMap::with_capacity(steps.len());
    for (at, step) in steps.iter().enumerate() {
        if step.key.is_empty() || step.key.len() > MAX_NAME {
            return Err(PlanError::new(
                format!("steps[{at}].key"),
                format!("must have 1 to {MAX_NAME} bytes"),
            ));
        }
        if let Some(first) = index.insert(step.key.clone(), at as u32) {
            let message = format!("duplicate step \"{}\", first used by steps[{first}]", step.key);
            return Err(PlanError::new(format!("steps[{at}].key"), message));
        }
    }
    Ok(index)
}

fn cycle_message(steps: &[StepSpec], cycle: &[u32]) -> String {
    let names = cycle
        .iter()
        .take(CYCLE_NAMES_SHOWN)
        .map(|&at| steps[at as usize].key.as_str());
    let more = if cycle.len() > CYCLE_NAMES_SHOWN { " -> ..." } else { "" };
    format!("cycle: {}{more}", names.collect::<Vec<_>>().join(" -> "))
}

fn compile_step(at: usize, step: &StepSpec, index: &HashMap<String, u32>) -> Result<CompiledStep, PlanError> {
    let kind = match step.action.to_ascii_lowercase().as_str() {
        "wait" => StepKind::Wait,
        "approval" => StepKind::Approval,
        _ => StepKind::Work,
    };
    check_settings(at, step)?;
    let field = |name: &str, path: &str| match path {
        "" => format!("steps[{at}].{name}"),
        _ if path.starts_with('[') => format!("steps[{at}].{name}{path}"),
        _ => format!("steps[{at}].{name}.{path}"),
    };
    // What is waited for or asked is shown to people, and sent to nobody.
    let compile_input = match kind {
        StepKind::Work => Template::compile_sent,
        StepKind::Wait | StepKind::Approval => Template::compile,
    };
    let input = compile_input(&step.input, &Limits::DEFAULT)
        .map_err(|error| PlanError::new(field("input", &error.path), error.message))?;
    known(input.references(), index, || field("input", ""))?;
    let when = step
        .when
        .as_deref()
        .map(|text| Condition::compile(text, &Limits::DEFAULT))
        .transpose();
    let when = when.map_err(|error| PlanError::new(field("when", ""), error.message))?;
    if let Some(when) = &when {
        known(when.references(), index, || field("when", ""))?;
    }
    let items = step
        .for_each
        .as_ref()
        .map(|each| compile_items(&each.items))
        .transpose();
    let items = items.map_err(|message| PlanError::new(field("for_each", ""), message))?;
    if let Some(items) = &items {
        known(items.references(), index, || field("for_each", ""))?;
    }
    let action = Arc::from(step.action.as_str());
    let queue = match &step.queue {
        Some(queue) => Arc::from(queue.as_str()),
        None => Arc::from(step.action.to_ascii_lowercase()),
    };
    Ok(CompiledStep {
        kind,
        action,
        queue,
        input,
        when,
        items,
        successors: Vec::new(),
        predecessors: Vec::new(),
        handles_failure: false,
    })
}

fn compile_items(items: &Value) -> Result<Expression, String> {
    if !matches!(items, Value::Array(_) | Value::String(_)) {
        return Err("must be an array or a template that gives one".to_owned());
    }
    Expression::compile_value(items, &Limits::DEFAULT).map_err(|error| error.message)
}

fn check_settings(at: usize, step: &StepSpec) -> Result<(), PlanError> {
    let error = |name: &str, message: &str| Err(PlanError::new(format!("steps[{at}].{name}"), message));
    if step.action.is_empty() || step.action.len() > MAX_NAME {
        return error("action", "must have 1 to 255 bytes");
    }
    if step.retry.max_attempts == 0 {
        return error("retry", "at least one attempt is needed");
    }
    if step.for_each.as_ref().is_some_and(|each| each.concurrency == Some(0)) {
        return error("for_each.concurrency", "must be at least 1");
    }
    match step.join {
        Join::AtLeast(0) => error("join.at_least", "must be at least 1"),
        Join::AtLeast(n) if n as usize > step.depends_on.len() => error(
            "join.at_least",
            &format!("{n} of {} predecessors can never lead here", step.depends_on.len()),
        ),
        Join::All | Join::Any | Join::AtLeast(_) | Join::Available => Ok(()),
    }
}

fn known(names: &[String], index: &HashMap<String, u32>, field: impl Fn() -> String) -> Result<(), PlanError> {
    match names.iter().find(|name| !index.contains_key(*name)) {
        Some(name) => Err(PlanError::new(
            field(),
            format!("the template names an unknown step \"{name}\""),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Dependency;
    use super::*;

    fn plan(edges: &[(&str, &[&str])]) -> Result<Plan, PlanError> {
        let steps = edges.iter().map(|(key, before)| StepSpec {
            depends_on: before
                .iter()
                .map(|step| Dependency {
                    step: (*step).into(),
                    on: EdgeOn::Success,
                })
                .collect(),
            ..StepSpec::new(*key, "noop")
        });
        Plan::compile(PlanSpec {
            steps: steps.collect(),
            ..PlanSpec::default()
        })
    }

    #[test]
    fn a_cycle_is_named_from_its_first_step() {
        let error = plan(&[
            ("z", &[]),
            ("a", &["c", "z"]),
            ("b", &["a"]),
            ("c", &["b"]),
            ("d", &["c"]),
        ])
        .unwrap_err();
        assert_eq!(error.to_string(), "steps: cycle: a -> b -> c -> a");
    }

    #[test]
    fn self_edges_unknown_repeated_and_duplicate_names_are_refused_with_their_field() {
        let texts = [
            plan(&[("a", &["a"])]),
            plan(&[("a", &[]), ("b", &["a", "x"])]),
            plan(&[("a", &[]), ("b", &["a", "a"])]),
            plan(&[("a", &[]), ("a", &[])]),
            plan(&[]),
        ]
        .map(|result| result.unwrap_err().to_string());
        assert_eq!(texts[0], "steps[0].depends_on[0]: step \"a\" depends on itself");
        assert_eq!(texts[1], "steps[1].depends_on[1]: unknown step \"x\"");
        assert_eq!(texts[2], "steps[1].depends_on[1]: step \"a\" is named twice");
        assert_eq!(texts[3], "steps[1].key: duplicate step \"a\", first used by steps[0]");
        assert_eq!(texts[4], "steps: at least one step is required");
    }

    #[test]
    fn a_template_that_names_an_unknown_step_is_refused() {
        let mut step = StepSpec::new("a", "noop");
        step.input = json!({ "x": ["{{ steps.ghost.output }}"] });
        let error = Plan::compile(PlanSpec {
            steps: vec![step],
            ..PlanSpec::default()
        })
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "steps[0].input: the template names an unknown step \"ghost\""
        );
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_steps_compiles_without_recursion() {
        let steps = (0..MAX_STEPS).map(|nth| StepSpec {
            depends_on: (nth > 0)
                .then(|| Dependency {
                    step: format!("s{}", nth - 1),
                    on: EdgeOn::Success,
                })
                .into_iter()
                .collect(),
            ..StepSpec::new(format!("s{nth}"), "noop")
        });
        let mut spec = PlanSpec {
            steps: steps.collect(),
            ..PlanSpec::default()
        };
        assert_eq!(Plan::compile(spec.clone()).unwrap().roots, [0]);
        spec.steps[0].depends_on.push(Dependency {
            step: "s99999".into(),
            on: EdgeOn::Success,
        });
        assert!(Plan::compile(spec.clone()).unwrap_err().message.ends_with(" -> ..."));
        spec.steps.push(StepSpec::new("one more", "noop"));
        assert_eq!(
            Plan::compile(spec).unwrap_err().message,
            "100001 steps are more than 100000"
        );
    }

    #[test]
    fn equal_specs_have_equal_digests_and_others_do_not() {
        let one = plan(&[("a", &[]), ("b", &["a"])]).unwrap();
        let same = plan(&[("a", &[]), ("b", &["a"])]).unwrap();
        let other = plan(&[("a", &[]), ("b", &[])]).unwrap();
        assert_eq!(one.digest, same.digest);
        assert_ne!(one.digest, other.digest);
        let text = serde_json::to_string(&one.digest).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&text).unwrap(), one.digest);
    }
}
