//! `quintet schedules`, against a real server.

mod cli;

use cli::{Place, serve};

const WORKFLOW: &str = "{id: w, name: w, steps: [{name: a, action: noop}]}";

#[test]
fn a_schedule_is_created_looked_at_steered_and_deleted() {
    let place = Place::new();
    let (_server, address) = serve(&place);
    let quintet = |arguments: &[&str]| place.quintet(&[arguments, &["--server", address.as_str()]].concat());
    assert!(quintet(&["schedules", "list"]).ok().is_empty());
    quintet(&["workflows", "create", place.file("w.yaml", WORKFLOW).to_str().unwrap()]).ok();
    let create = [
        "schedules",
        "create",
        "30 2 * * *",
        "w",
        "--id",
        "nightly",
        "--timezone",
        "Europe/Berlin",
        "--input",
        r#"{"kind": "daily"}"#,
        "--missed",
        "all",
        "--note",
        "by ada",
    ];
    assert_eq!(quintet(&create).ok(), "nightly\n");
    let again = quintet(&create);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("there is such a schedule already"), "{}", again.err);

    let list = quintet(&["schedules", "list"]).ok();
    assert!(
        list.starts_with("ID       CRON        ZONE           TARGET  STATUS  NEXT"),
        "{list}"
    );
    assert!(
        list.contains("nightly  30 2 * * *  Europe/Berlin  w       active"),
        "{list}"
    );
    let shown = quintet(&["schedules", "get", "nightly"]).ok();
    for line in [
        "cron      30 2 * * * (Europe/Berlin)",
        "input     {\"kind\":\"daily\"}",
        "missed    all",
        "note      by ada",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let next = quintet(&["schedules", "next", "nightly", "-n", "3", "--json"]).json();
    let local = next[2]["local"].as_str().unwrap();
    assert!(local.ends_with("[Europe/Berlin]"), "{local}");
    assert_eq!(quintet(&["schedules", "next", "nightly"]).ok().lines().count(), 11);

    assert_eq!(quintet(&["schedules", "pause", "nightly"]).ok(), "nightly is paused\n");
    assert_eq!(
        quintet(&["schedules", "get", "nightly", "--json"]).json()["paused"],
        true
    );
    let trigger = ["schedules", "trigger", "nightly", "--idempotency-key", "k"];
    let run = quintet(&trigger).ok();
    assert_eq!(quintet(&trigger).ok(), run, "the same key starts nothing new");
    let run = quintet(&["runs", "show", run.trim(), "--json"]).json();
    assert_eq!(
        (&run["schedule_id"], &run["context"]["kind"]),
        (&"nightly".into(), &"daily".into())
    );
    let resumed = quintet(&["schedules", "resume", "nightly"]).ok();
    assert!(resumed.starts_with("nightly is due next at 2"), "{resumed}");

    assert_eq!(
        quintet(&["schedules", "delete", "nightly"]).ok(),
        "nightly is deleted\n"
    );
    let gone = quintet(&["schedules", "get", "nightly"]);
    assert_eq!(gone.code, 1);
    assert!(
        gone.err.contains("schedule not found") && gone.err.contains("quintet schedules list"),
        "{}",
        gone.err
    );
}

#[test]
fn what_the_command_line_or_the_server_cannot_read_is_bad_input() {
    let place = Place::new();
    let (_server, address) = serve(&place);
    let quintet = |arguments: &[&str]| place.quintet(&[arguments, &["--server", address.as_str()]].concat());
    let bad = quintet(&["schedules", "create", "@daily", "w", "--input", "[]"]);
    assert_eq!(bad.code, 2, "{bad:?}");
    assert!(bad.err.contains("--input: must be a JSON object"), "{}", bad.err);
    let refused = quintet(&["schedules", "create", "0 25 * * *", "w"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("hour: 25 is not from 0 to 23"), "{}", refused.err);
}
