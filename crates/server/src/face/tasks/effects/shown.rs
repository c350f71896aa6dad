//! Effects for a screen, as messages of the task's stream.
//!
//! Nobody has to watch: what was shown is part of the run's history, and a stream that is opened later tells it again.

use quintet_core::event::Event;
use quintet_core::state::RunState;
use serde_json::{Map, Value, json};

use super::fill::Roots;
use super::firing::{document, firings};
use super::read::is_page;
use super::{Action, Effects, has_any};

/// What the events of a commit show; `state` is the run after it.
pub(crate) fn shown(state: &RunState, events: &[Event]) -> Vec<Value> {
    let Some(document) = document(state).filter(|document| has_any(document)) else {
        return Vec::new();
    };
    let firings = firings(state, events);
    if firings.is_empty() {
        return Vec::new();
    }
    let effects = Effects::of(document);
    let mut messages = Vec::new();
    for firing in &firings {
        let list = effects.on(firing.trigger).iter();
        let mut wanted = list
            .filter(|effect| firing.is_for(effect) && effect.action.is_shown())
            .peekable();
        if wanted.peek().is_some() {
            let roots = firing.roots(state, document);
            messages.extend(wanted.filter_map(|effect| message(&effect.action, &roots)));
        }
    }
    messages
}

fn message(action: &Action, roots: &Roots<'_>) -> Option<Value> {
    let mut message = match action {
        Action::Toast { text, variant } => json!({ "type": "toast", "text": roots.text(text), "variant": variant }),
        Action::Invalidate { path, tags } => {
            let mut fields = Map::new();
            fields.insert("type".to_owned(), "invalidate".into());
            fields.extend(path.as_ref().map(|path| ("path".to_owned(), roots.text(path).into())));
            fields.extend(tags.as_ref().map(|tags| ("tags".to_owned(), tags.clone().into())));
            Value::Object(fields)
        }
        // What is too large to be filled in is told as it is written.
        Action::Emit { event, data } => {
            let data = roots.tree(data).unwrap_or_else(|_| data.clone());
            json!({ "type": "emit", "event": event, "data": data })
        }
        Action::Redirect { url } => {
            let url = roots.text(url);
            // A result must not be able to make it a script.
            is_page(&url).then(|| json!({ "type": "redirect", "url": url }))?
        }
        Action::Webhook { .. } | Action::Enqueue { .. } | Action::Notify { .. } => return None,
    };
    message["taskId"] = roots.job_id.clone();
    Some(message)
}
