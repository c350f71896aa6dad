//! Secrets on PostgreSQL: the tests of the API once more, and what holds for a store that many servers share.

#[path = "secrets.rs"]
mod api;

use api::common::Server;

#[test]
fn a_shared_store_takes_secrets_only_under_a_key_that_was_set() {
    let server = Server::start();
    let body = r#"{"value":"hidden-value"}"#;
    let refused = server.client().call("PUT", "/v1/secrets/A", &[], body);
    refused.assert_code(503, "secrets_unavailable");
    assert!(refused.text().contains("secrets.master_key"), "{}", refused.text());
    assert!(!server.folder().join("secrets.key").exists());
}
