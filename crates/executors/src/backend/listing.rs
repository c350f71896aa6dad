//! The types of tasks that backends list, for people who look for their names. Names are opaque here: nothing is decided
//! by them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use quintet_core::time::Time;
use serde_json::Value;
use tokio::sync::Mutex;

use super::breaker::Circuit;
use super::member::Member;

/// The last list of a backend, and when it was asked for.
#[derive(Debug, Default)]
pub(super) struct Listing(Mutex<Option<(Time, Vec<String>)>>);

/// What a backend lists, asked for where the last answer is old. Where there is no answer, the last list stays.
pub(super) async fn types(member: &Arc<Member>) -> Vec<String> {
    let Some(url) = &member.wire.types else {
        return Vec::new();
    };
    let mut listing = member.listing.0.lock().await;
    let now = member.now();
    let known = match &*listing {
        Some((at, types)) if now.ms_since(*at) < member.rules.types_ttl_ms => return types.clone(),
        Some((_, types)) => types.clone(),
        None => Vec::new(),
    };
    if member.circuit() == Circuit::Open {
        return known;
    }
    let timeout = Duration::from_millis(member.rules.health_timeout_ms);
    let answer = member.client.call(member.wire.read(url.clone(), timeout)).await;
    let read = match answer {
        Ok(reply) if reply.status.is_success() => {
            serde_json::from_slice(&reply.body).map_err(|error| error.to_string())
        }
        Ok(reply) => Err(format!("status {}", reply.status.as_u16())),
        Err(error) => Err(error.to_string()),
    };
    let types = match read {
        Ok(list) => names(&list),
        Err(reason) => {
            tracing::info!(
                backend = &*member.name,
                reason,
                "a backend does not list its types of tasks"
            );
            known
        }
    };
    *listing = Some((now, types.clone()));
    types
}

/// Modal's `{total, categories}`, whose categories hold names or objects with a `name`, and Ray's `{tasks}`.
fn names(list: &Value) -> Vec<String> {
    let mut names = BTreeSet::new();
    let categories = list["categories"]
        .as_object()
        .into_iter()
        .flat_map(|categories| categories.values());
    for entries in categories.chain([&list["tasks"]]) {
        let entries = entries.as_array().into_iter().flatten();
        let name = |entry: &Value| entry.as_str().or(entry["name"].as_str()).map(str::to_owned);
        names.extend(entries.filter_map(name));
    }
    names.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_read_in_the_forms_of_both_apps() {
        let modal = json!({ "total": 3, "categories": { "text": ["text.chat"], "image": [{ "name": "image.detect", "gpu": "T4" }, {}] } });
        assert_eq!(names(&modal), ["image.detect", "text.chat"]);
        assert_eq!(names(&json!({ "tasks": ["b", "a", "b"] })), ["a", "b"]);
        for nothing in [json!(null), json!([]), json!({ "tasks": "a", "categories": [] })] {
            assert!(names(&nothing).is_empty(), "{nothing}");
        }
    }
}
