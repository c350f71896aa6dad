//! The audit trail on PostgreSQL: the tests of the embedded store once more, and one chain of several nodes.

#[path = "audit.rs"]
mod audit;

use std::collections::{BTreeMap, HashSet};

use audit::common::{Client, Server};
use audit::verify;
use serde_json::{Value, json};

#[test]
fn nodes_that_note_at_the_same_time_make_one_chain() {
    const EACH: usize = 40;
    let one = Server::with(&[], &[("QUINTET_NODE__NAME", "one")]);
    let other = one.beside(&[], &[("QUINTET_NODE__NAME", "other")]);
    let clients: Vec<_> = (0..8)
        .map(|nth| {
            let address = if nth % 2 == 0 { one.address() } else { other.address() }.to_owned();
            std::thread::spawn(move || {
                for turn in 0..EACH {
                    let id = format!("w-{nth}-{turn}");
                    let document = json!({ "id": id, "name": "w", "steps": [{ "name": "s", "action": "noop" }] });
                    let status = Client::new(&address).try_call("POST", "/v1/workflows", &document.to_string());
                    assert_eq!(status, Some(200), "{id}");
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("client"));
    let text = one.get("/v1/audit/export").text();
    assert_eq!(text, other.get("/v1/audit/export").text());
    let (mut made, mut of_nodes) = (HashSet::new(), BTreeMap::new());
    for line in text.lines() {
        let entry: Value = serde_json::from_str(line).expect("JSON");
        made.insert(entry["created"].to_string());
        *of_nodes.entry(entry["node"].to_string()).or_insert(0) += 1;
    }
    assert_eq!((made.len(), text.lines().count()), (8 * EACH, 8 * EACH));
    let expected = BTreeMap::from([("\"one\"".to_owned(), 4 * EACH), ("\"other\"".to_owned(), 4 * EACH)]);
    assert_eq!(of_nodes, expected);
    let (code, said) = verify(&other, &[]);
    assert_eq!(code, Some(0), "{said}");
}
