//! `quintet namespaces`, against a real server.

mod cli;

use cli::{Place, serve};

#[test]
fn a_namespace_is_created_limited_suspended_looked_at_and_deleted() {
    let place = Place::new();
    let (_server, address) = serve(&place);
    let quintet = |arguments: &[&str]| place.quintet(&[arguments, &["--server", address.as_str()]].concat());
    let create = [
        "namespaces",
        "create",
        "acme",
        "--max-live-runs",
        "5",
        "--label",
        "plan=team",
    ];
    assert_eq!(quintet(&create).ok(), "acme\n");
    let again = quintet(&create);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("there is such a namespace already"), "{}", again.err);

    let workflow = place.file("w.yaml", "{id: w, name: w, steps: [{name: a, action: noop}]}");
    let workflow = workflow.to_str().unwrap();
    quintet(&["workflows", "create", workflow, "--in", "acme"]).ok();
    assert!(quintet(&["workflows", "list"]).ok().is_empty());
    assert!(quintet(&["workflows", "list", "--in", "acme"]).ok().contains('w'));

    let updated = quintet(&[
        "namespaces",
        "update",
        "acme",
        "--max-live-runs",
        "none",
        "--max-workflows",
        "1",
    ])
    .ok();
    assert!(
        updated.contains("max_workflows=1") && !updated.contains("max_live_runs"),
        "{updated}"
    );
    assert!(updated.contains("plan=team"), "{updated}");
    let usage = quintet(&["namespaces", "usage", "acme"]).ok();
    assert!(usage.contains("workflows  1 of 1"), "{usage}");

    assert_eq!(quintet(&["namespaces", "suspend", "acme"]).ok(), "acme is suspended\n");
    let refused = quintet(&["runs", "start", "w", "--in", "acme"]);
    assert!(
        refused.code == 1 && refused.err.contains("Tenant is not active"),
        "{refused:?}"
    );
    let list = quintet(&["namespaces", "list"]).ok();
    assert!(list.starts_with("NAME     STATE"), "{list}");
    assert!(list.contains("suspended") && list.contains("default"), "{list}");
    assert_eq!(quintet(&["namespaces", "resume", "acme"]).ok(), "acme goes on\n");

    let kept = quintet(&["namespaces", "delete", "acme"]);
    assert!(kept.code == 1 && kept.err.contains("1 workflows"), "{kept:?}");
    quintet(&["workflows", "delete", "w", "--in", "acme"]).ok();
    assert_eq!(quintet(&["namespaces", "delete", "acme"]).ok(), "acme is deleted\n");
    assert_eq!(quintet(&["namespaces", "get", "acme"]).code, 1);
    let wrong = quintet(&["namespaces", "create", "b", "--burst", "many"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
}
