//! How long a workflow will still take, as far as that can be known.
//!
//! A task that has not ended is expected to take as long as those of this workflow that have. What is left is then at least
//! the longest chain of such tasks, and at least all of them together over as many as may run at a time. Nothing is
//! guessed from other workflows or from limits: as long as no task has ended, nothing is known.

use quintet_core::machine::StepStatus;
use quintet_core::plan::Plan;

use super::super::duration::between;
use super::super::{plan, status};
use super::Scene;

/// Nanoseconds; 0 where nothing is known, or nothing is left.
pub(super) fn time_left(scene: &Scene<'_>) -> i64 {
    let Some(state) = scene.state.filter(|state| !state.status.is_terminal()) else {
        return 0;
    };
    let tasks = scene.workflow.tasks.len();
    let took = (0..tasks).filter_map(|nth| {
        let node = scene.node(nth)?;
        let has_ended = node.status == StepStatus::Complete;
        has_ended.then_some(between(node.started_at?, node.ended_at?))
    });
    let (count, total) = took.fold((0i64, 0i64), |(count, total), ns| (count + 1, total.saturating_add(ns)));
    if count == 0 {
        return 0;
    }
    let usual = total / count;
    let left_of = |nth: usize| match scene.status_of(nth) {
        status::PENDING | status::QUEUED | status::RETRYING => usual,
        status::RUNNING => {
            let since = scene.node(nth).and_then(|node| node.started_at).unwrap_or(scene.now);
            (usual - between(since, scene.now)).max(0)
        }
        _ => 0,
    };
    let left: Vec<i64> = (0..tasks).map(left_of).collect();
    let all = left.iter().fold(0i64, |all, ns| all.saturating_add(*ns));
    let waiting = left.iter().filter(|ns| **ns > 0).count();
    let limit = usize::try_from(scene.workflow.configuration.max_concurrency).unwrap_or(usize::MAX);
    let at_a_time = i64::try_from(waiting.min(limit)).unwrap_or(i64::MAX).max(1);
    let first = plan::node_of(scene.workflow, 0) as usize;
    (all / at_a_time).max(longest_chain(&state.plan, first, &left))
}

/// The largest sum along the edges between the steps that `left` is about, the first of which has this index.
fn longest_chain(plan: &Plan, first: usize, left: &[i64]) -> i64 {
    let nth = |n: u32| (n as usize).checked_sub(first).filter(|nth| *nth < left.len());
    let step = |nth: usize| (first + nth) as u32;
    let mut before: Vec<usize> = (0..left.len())
        .map(|at| plan.predecessors(step(at)).filter_map(nth).count())
        .collect();
    let mut sums = left.to_vec();
    let mut ready: Vec<usize> = (0..left.len()).filter(|at| before[*at] == 0).collect();
    while let Some(at) = ready.pop() {
        for next in plan.successors(step(at)).filter_map(nth) {
            sums[next] = sums[next].max(sums[at].saturating_add(left[next]));
            before[next] -= 1;
            if before[next] == 0 {
                ready.push(next);
            }
        }
    }
    sums.into_iter().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use quintet_core::plan::{Dependency, EdgeOn, PlanSpec, StepSpec};

    use super::*;

    fn plan(steps: &[(&str, &[&str])]) -> Plan {
        let after = |step: &&str| Dependency {
            step: (*step).to_owned(),
            on: EdgeOn::Success,
        };
        let step = |(key, before): &(&str, &[&str])| StepSpec {
            depends_on: before.iter().map(after).collect(),
            ..StepSpec::new(*key, "noop")
        };
        let spec = PlanSpec {
            steps: steps.iter().map(step).collect(),
            ..PlanSpec::default()
        };
        Plan::compile(spec).expect("a plan")
    }

    #[test]
    fn nothing_makes_a_workflow_shorter_than_its_longest_chain() {
        let plan = plan(&[
            ("gate", &[]),
            ("a", &["gate"]),
            ("b", &["a"]),
            ("c", &["gate"]),
            ("d", &["b", "c"]),
        ]);
        assert_eq!(longest_chain(&plan, 1, &[1, 2, 10, 4]), 14);
        assert_eq!(longest_chain(&plan, 1, &[0, 2, 0, 4]), 6);
        assert_eq!(longest_chain(&plan, 1, &[0, 0, 0, 0]), 0);
        assert_eq!(longest_chain(&plan, 1, &[i64::MAX, 1, 1, 1]), i64::MAX);
    }
}
