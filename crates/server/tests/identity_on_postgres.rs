//! Keys on PostgreSQL: the same once more, and what several nodes must agree on.

#[path = "identity.rs"]
mod api;

pub(crate) use api::{common, speaker};

use std::sync::mpsc::channel;
use std::time::Duration;

use api::{Guarded, text};
use common::until;
use serde_json::json;

/// How soon every node must know that a key was revoked.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn another_node_knows_a_new_key_and_a_revoked_one_within_five_seconds() {
    let guarded = Guarded::start();
    let other = guarded.server.beside(&[], &[("QUINTET_AUTH__REQUIRED", "true")]);
    let admin = guarded.as_admin();
    assert_eq!(
        speaker(&other, &guarded.admin).get("/v1/runs").status,
        200,
        "there is one first admin"
    );
    let made = admin.make(&json!({ "name": "ci", "namespace": "default", "roles": ["viewer"] }));
    let ci = speaker(&other, text(&made, "key"));
    until("the other node knows the key", || {
        (ci.get("/v1/runs").status == 200).then_some(())
    });
    let path = format!("/v1/auth/keys/{}", text(&made, "id"));
    assert_eq!(admin.call("DELETE", &path, "").status, 200);
    let (tell, told) = channel();
    std::thread::spawn(move || {
        // Whoever asks so often with a key that is not known is told to wait.
        let is_refused = |status| matches!(status, 401 | 429);
        until("the other node knows that it was revoked", || {
            is_refused(ci.get("/v1/runs").status).then_some(())
        });
        let _ = tell.send(());
    });
    told.recv_timeout(SOON).expect("the other node knows it soon enough");
    let seen = speaker(&other, &guarded.admin).get(&path).json();
    assert_eq!(text(&seen, "state"), "revoked");
}
