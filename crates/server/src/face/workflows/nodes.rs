//! `GET /v1/nodes`: the processes that work on the store.
//!
//! Where the store can be used by one process only, there is that one. Where many share it, each is shown as the store
//! knows it: who gave a sign of life when, and whose work is being taken over.

use quintet_core::time::Time;
use quintet_engine::owner_name;
use quintet_store::NodeRow;
use serde::Serialize;

use super::cx::Cx;
use super::problem::Answer;
use super::reply::{self, Items};

/// States of nodes.
pub(crate) const NODE_STATE: [&str; 4] = ["alive", "draining", "expired", "taken_over"];

#[derive(Debug, Serialize)]
struct Shown<'a> {
    id: String,
    name: &'a str,
    url: &'a str,
    version: &'a str,
    state: &'static str,
    #[serde(rename = "self")]
    is_self: bool,
    #[serde(serialize_with = "reply::time")]
    started_at: Time,
    #[serde(serialize_with = "reply::time")]
    last_beat_at: Time,
    /// Absent where nobody else could take over.
    #[serde(serialize_with = "reply::time_opt", skip_serializing_if = "Option::is_none")]
    lease_expires_at: Option<Time>,
    in_flight: u32,
}

impl<'a> Shown<'a> {
    fn of(row: &'a NodeRow, own: u64, now: Time) -> Self {
        Self {
            id: owner_name(row.owner),
            name: &row.name,
            url: &row.url,
            version: &row.version,
            state: state_of(row, now),
            is_self: row.owner == own,
            started_at: row.started_at,
            last_beat_at: row.beat_at,
            lease_expires_at: Some(row.expires_at),
            in_flight: row.in_flight,
        }
    }

    /// The only one.
    fn alone(cx: &'a Cx) -> Self {
        let (engine, node) = (cx.engine(), &cx.app.node);
        let in_flight = engine.metrics().attempts_in_flight.get();
        Self {
            id: owner_name(engine.owner()),
            name: &node.name,
            url: &node.url,
            version: &node.version,
            state: if engine.is_ready() { "alive" } else { "draining" },
            is_self: true,
            started_at: cx.app.started_at,
            last_beat_at: cx.now(),
            lease_expires_at: None,
            in_flight: u32::try_from(in_flight).unwrap_or_default(),
        }
    }
}

fn state_of(row: &NodeRow, now: Time) -> &'static str {
    match () {
        () if row.taken_by.is_some() => "taken_over",
        () if row.expires_at <= now => "expired",
        () if row.draining => "draining",
        () => "alive",
    }
}

/// `GET /v1/nodes`.
pub(super) async fn list(cx: Cx) -> Answer {
    let store = cx.engine().store();
    if !store.is_shared() {
        return Ok(reply::json(&Items {
            items: vec![Shown::alone(&cx)],
        }));
    }
    let rows = store.nodes().await?;
    let (own, now) = (cx.engine().owner(), cx.now());
    Ok(reply::json(&Items {
        items: rows.iter().map(|row| Shown::of(row, own, now)).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_what_its_lease_says_until_it_is_taken_over() {
        let row = NodeRow {
            owner: 7,
            name: "a".into(),
            url: "".into(),
            version: "1".into(),
            started_at: Time(0),
            beat_at: Time(10),
            expires_at: Time(20),
            draining: false,
            in_flight: 0,
            taken_by: None,
        };
        let draining = NodeRow {
            draining: true,
            ..row.clone()
        };
        let taken = NodeRow {
            taken_by: Some(8),
            ..draining.clone()
        };
        assert_eq!(state_of(&row, Time(19)), "alive");
        assert_eq!(state_of(&draining, Time(19)), "draining");
        assert_eq!(state_of(&draining, Time(20)), "expired");
        assert_eq!(state_of(&taken, Time(19)), "taken_over");
        assert_eq!(Shown::of(&row, 7, Time(0)).id, "0000000000000007");
    }
}
