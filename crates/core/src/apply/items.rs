//! A `for_each` step and its items.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{End, IllegalEvent, illegal, leave_agenda, move_step, settle};
use crate::event::Meta;
use crate::machine::{StepStatus, StepTrigger};
use crate::outcome::Success;
use crate::state::{Class, Fan, Hold, Node, RunState};

/// The step is under way as long as its items are.
pub(super) fn expanded(state: &mut RunState, meta: Meta, n: u32, items: &Arc<Value>) -> Result<(), IllegalEvent> {
    let Value::Array(values) = items.as_ref() else {
        return Err(illegal(state, "items are not an array"));
    };
    let count = u32::try_from(values.len()).map_err(|_| illegal(state, "too many items"))?;
    move_step(state, n, &[StepTrigger::Start])?;
    leave_agenda(state, n);
    let first = state.nodes.len() as u32;
    let step = state.nodes[n as usize].step;
    let limit = state.plan.spec.steps[step as usize]
        .for_each
        .as_ref()
        .and_then(|each| each.concurrency);
    let begin = limit.unwrap_or(count).min(count);
    state
        .nodes
        .extend((0..count).map(|index| Node::of_item(step, n, index)));
    state.counts[Class::ItemOpen as usize] += count;
    let fan = Fan {
        items: Arc::clone(items),
        first,
        count,
        next: begin,
        running: begin,
        failed: 0,
    };
    state.edit(n, |node| {
        node.hold = Hold::Items;
        node.started_at = Some(meta.at);
        node.fan = Some(Box::new(fan));
    });
    for item in first..first + begin {
        state.nodes[item as usize].ready_at = Some(meta.at);
        state.put_on_agenda(item);
    }
    Ok(())
}

/// An item ended: the next one may start, unless a failure has decided the whole.
pub(super) fn item_settled(state: &mut RunState, meta: Meta, parent: u32, end: End) {
    let Some(fan) = state.nodes[parent as usize].fan.as_mut() else {
        return;
    };
    fan.running -= 1;
    fan.failed += u32::from(end == End::Failed);
    if fan.failed == 0 && fan.next < fan.count {
        let item = fan.first + fan.next;
        fan.next += 1;
        fan.running += 1;
        state.nodes[item as usize].ready_at = Some(meta.at);
        state.put_on_agenda(item);
    }
}

/// The items' results, in order, are the step's result.
pub(super) fn collected(state: &mut RunState, meta: Meta, n: u32) -> Result<(), IllegalEvent> {
    let Some(fan) = state.nodes[n as usize].fan.clone() else {
        return Err(illegal(state, "collected before it was expanded"));
    };
    let results = (fan.first..fan.first + fan.count).map(|item| item_result(&state.nodes[item as usize]));
    let output = Arc::new(Value::Array(results.collect()));
    super::finish(
        state,
        meta,
        n,
        Arc::new(Success {
            output,
            ..Success::default()
        }),
    )?;
    settle(state, meta, n, End::Ok);
    Ok(())
}

fn item_result(item: &Node) -> Value {
    match (&item.success, &item.failure) {
        (Some(success), _) if item.status != StepStatus::Error => success.output.as_ref().clone(),
        (_, Some(failure)) => json!({ "error": failure.message, "skipped": true }),
        _ => Value::Null,
    }
}
