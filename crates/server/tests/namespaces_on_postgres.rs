//! Namespaces on PostgreSQL: the tests of the API once more, and what only several nodes can get wrong.

#[path = "namespaces.rs"]
mod api;

use api::common::{Server, until};
use api::{Speaker, assert_exceeded};
use serde_json::{Value, json};

#[test]
fn what_one_node_is_told_the_others_know_within_seconds() {
    let one = Server::start();
    let two = one.beside(&[], &[]);
    let (here, there) = (Speaker::anybody(&one), Speaker::anybody(&two));
    let quick = here.quick();
    here.done("POST", "/v1/namespaces/default/suspend", &Value::Null);
    assert_eq!(here.start(&quick).status, 403, "at once where it was said");
    until("the other node refuses too", || {
        (there.start(&quick).status == 403).then_some(())
    });
    here.done("POST", "/v1/namespaces/default/resume", &Value::Null);
    until("the other node goes on", || {
        (there.start(&quick).status == 200).then_some(())
    });
    there.done(
        "POST",
        "/v1/namespaces",
        &json!({ "name": "acme", "labels": { "a": "b" } }),
    );
    until("it is listed", || {
        let found = here.get("/v1/namespaces/acme");
        (found.status == 200).then(|| found.json()["labels"] == json!({ "a": "b" }))
    });
}

#[test]
fn runs_that_other_nodes_started_count() {
    let one = Server::start();
    let two = one.beside(&[], &[]);
    let (here, there) = (Speaker::anybody(&one), Speaker::anybody(&two));
    let limits = json!({ "quotas": { "max_live_runs": 3 } });
    here.done("PATCH", "/v1/namespaces/default", &limits);
    let patient = here.patient();
    let runs: Vec<String> = (0..3).map(|_| here.started(&patient)).collect();
    assert_exceeded(&here.start(&patient), "max_live_runs");
    until("the other node knows the limit", || {
        let known = there.get("/v1/namespaces/default").json();
        (known["quotas"] == limits["quotas"]).then_some(())
    });
    // It counts right after it has heard of it.
    let more = std::iter::from_fn(|| Some(there.start(&patient).status)).take_while(|status| *status == 200);
    let more = more.count();
    assert!(more <= 2, "{more} more were started");
    for run in &runs {
        // Where it was not started.
        there.done("POST", &format!("/v1/runs/{run}/cancel"), &Value::Null);
    }
    until("there is room on either node", || {
        [&here, &there]
            .iter()
            .any(|node| node.start(&patient).status == 200)
            .then_some(())
    });
}
