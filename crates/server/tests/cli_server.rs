//! The commands that speak to a server, against the real one.

mod cli;

use cli::{Place, example, serve};
use serde_json::Value;

const GATE: &str = "
id: gate
name: gate
steps:
  - {name: one, action: noop, input: {output: 1}}
  - {name: ask, action: approval}
  - {name: three, action: noop, input: {output: 3}}
";

#[test]
fn a_workflow_is_stored_changed_rolled_back_and_removed() {
    let (place, id) = (Place::new(), "gate");
    let (_server, address) = serve(&place);
    let quintet = |arguments: &[&str]| place.quintet(&[arguments, &["--server", address.as_str()]].concat());
    let file = place.file("gate.yaml", GATE).display().to_string();
    assert_eq!(quintet(&["workflows", "create", &file]).ok(), "gate\n");
    place.file("gate.yaml", &GATE.replace("name: gate", "name: second"));
    quintet(&["workflows", "create", &file]).ok();
    assert_eq!(quintet(&["workflows", "show", id, "--json"]).json()["name"], "second");
    assert_eq!(
        quintet(&["workflows", "versions", id, "--json"])
            .json()
            .as_array()
            .unwrap()
            .len(),
        2
    );
    quintet(&["workflows", "rollback", id, "1"]).ok();
    assert_eq!(quintet(&["workflows", "show", id]).json()["name"], "gate");
    assert_eq!(
        quintet(&["workflows", "show", id, "--version", "2"]).json()["name"],
        "second"
    );
    let list = quintet(&["workflows", "list"]).ok();
    assert!(
        list.starts_with("ID    NAME  VERSION  STEPS  CREATED\ngate  gate  3        3 "),
        "{list}"
    );
    quintet(&["workflows", "delete", id]).ok();
    let gone = quintet(&["workflows", "show", id]);
    assert_eq!(gone.code, 1);
    assert!(
        gone.err.contains("workflow not found") && gone.err.contains("quintet workflows list"),
        "{}",
        gone.err
    );
}

#[test]
fn a_run_is_steered_from_its_start_to_its_end() {
    let place = Place::new();
    let (_server, address) = serve(&place);
    let quintet = |arguments: &[&str]| place.quintet(&[arguments, &["--server", address.as_str()]].concat());
    quintet(&["workflows", "create", place.file("gate.yaml", GATE).to_str().unwrap()]).ok();
    let start = [
        "runs",
        "start",
        "gate",
        "--input",
        r#"{"a": 1}"#,
        "--idempotency-key",
        "k",
        "--wait",
        "50ms",
        "--json",
    ];
    let run = quintet(&start).json()["id"].as_str().unwrap().to_owned();
    assert_eq!(
        quintet(&start).json()["id"],
        run.as_str(),
        "the same key starts nothing new"
    );
    assert!(
        quintet(&["runs", "why", &run])
            .ok()
            .starts_with("ask WAITING_APPROVAL\n  a person has to approve\n")
    );
    assert!(
        quintet(&["runs", "pause", &run, "--reason", "lunch"])
            .ok()
            .ends_with(" PAUSED\n")
    );
    quintet(&["runs", "resume", &run]).ok();
    quintet(&["runs", "approve", &run, "--step", "ask", "--comment", "fine"]).ok();
    assert_eq!(
        quintet(&["runs", "logs", &run, "--follow"]).ok().lines().last(),
        Some("run succeeded")
    );
    let shown = quintet(&["runs", "show", &run]).ok();
    assert!(
        shown.contains("status    SUCCEEDED\n") && shown.contains("\nthree  noop      SUCCEEDED  1 "),
        "{shown}"
    );
    let history = quintet(&["runs", "history", &run, "--json"]).ok();
    let granted = history
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|entry| entry["event"] == "approval.granted");
    assert_eq!(granted.unwrap()["by"], "ada");
    quintet(&["runs", "rerun", &run, "ask"]).ok();
    assert!(quintet(&["runs", "cancel", &run]).ok().ends_with(" CANCELED\n"));
    let list = quintet(&["runs", "list", "--status", "canceled", "--json"]).json();
    assert_eq!(list[0]["id"], run.as_str());
    quintet(&["runs", "delete", &run]).ok();
    assert_eq!(quintet(&["runs", "show", &run]).code, 1);
}

#[test]
fn a_run_that_fails_while_it_is_waited_for_exits_1() {
    let place = Place::new();
    let (_server, address) = serve(&place);
    let text = "name: w\nsteps: [{name: broken, action: http, input: {url: 'ftp://x'}}]\n";
    let file = place.file("w.yaml", text).display().to_string();
    let done = place.quintet(&["runs", "start", "--file", &file, "--wait", "--server", &address]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.out.ends_with(" FAILED\n"), "{}", done.out);
}

#[test]
fn a_run_is_drawn_in_the_colours_of_its_steps() {
    let place = Place::new();
    let (_server, address) = serve(&place);
    let text = "name: w\nsteps: [{name: good, action: noop}, {name: broken, action: http, input: {url: 'ftp://x'}}]\n";
    let file = place.file("w.yaml", text).display().to_string();
    let done = place.quintet(&[
        "runs", "start", "--file", &file, "--wait", "--json", "--server", &address,
    ]);
    let run = serde_json::from_str::<Value>(&done.out).unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let mermaid = place.quintet(&["visualize", "--run", &run, "--server", &address]).ok();
    assert!(
        mermaid.contains("  class good succeeded\n") && mermaid.contains("  class broken failed\n"),
        "{mermaid}"
    );
    assert!(mermaid.contains("  good --> broken\n"), "{mermaid}");
}

#[test]
fn a_refused_document_is_bad_input_and_a_missing_server_is_not() {
    let place = Place::new();
    let (_server, address) = serve(&place);
    let file = place
        .file(
            "w.yaml",
            "name: w\nsteps:\n  - {name: a, action: noop, retry: {max: many}}\n",
        )
        .display()
        .to_string();
    let refused = place.quintet(&["workflows", "create", &file, "--server", &address]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused.err.contains("line 3") && refused.err.contains("steps[0].retry.max"),
        "{}",
        refused.err
    );
    let nobody = place.quintet(&["runs", "list", "--server", "127.0.0.1:1"]);
    assert_eq!(nobody.code, 1);
    assert!(nobody.err.contains("`quintet serve`"), "{}", nobody.err);
}

#[test]
fn templates_are_listed_and_shown() {
    let place = Place::new();
    let (_server, address) = serve(&place);
    let list = place.quintet(&["templates", "list", "--server", &address]).ok();
    assert!(
        list.contains("\ntpl_review_approve_execute    3      http, condition, http\n"),
        "{list}"
    );
    let shown = place
        .quintet(&["templates", "show", "tpl_detect_classify_route", "--server", &address])
        .json();
    assert_eq!(shown["steps"].as_array().unwrap().len(), 3);
}

#[test]
fn the_store_tells_its_state_and_is_copied_while_no_server_has_it() {
    let place = Place::new();
    assert_eq!(place.quintet(&["db", "status"]).code, 2);
    place.quintet(&["db", "init"]).ok();
    place.quintet(&["run", &example("sequential.yaml")]).ok();
    let status = place.quintet(&["db", "status", "--json"]).json();
    assert_eq!(
        (&status["kind"], &status["runs"]["complete"]),
        (&"sqlite".into(), &1.into())
    );
    place.quintet(&["db", "backup", "copy.db"]).ok();
    let copy = place
        .quintet(&["db", "status", "--json", "--store", "sqlite:copy.db"])
        .json();
    assert_eq!(copy["runs"], status["runs"]);
    let (_server, _) = serve(&place);
    let busy = place.quintet(&["db", "status"]);
    assert_eq!(busy.code, 1);
    assert!(busy.err.contains("is in use by the process"), "{}", busy.err);
}
