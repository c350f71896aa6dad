//! `quintet run` with the real binary.

mod cli;

use cli::{Place, Running, example, serve};
use serde_json::Value;

#[test]
fn the_demo_of_the_readme_shows_a_retry_a_skipped_branch_and_its_result() {
    let place = Place::new();
    let done = place.quintet(&["run", &example("order.yaml")]);
    assert_eq!(done.code, 0, "{done:?}");
    for expected in [
        " of order\n",
        "stock      runs for 3 items\n",
        "charge     attempt 1 failed: http status 503; next attempt in 1.0s\n",
        "charge     attempt 2 started\n",
        "standard   skipped: its condition is false\n",
        "charge    http    SUCCEEDED  2 ",
        "standard  http    SKIPPED\n",
        "we charged 61.5 EUR for order 1042",
        "1 x teapot, 4 x cup, 2 x tea will arrive tomorrow.",
    ] {
        assert!(done.out.contains(expected), "{expected:?} is missing in\n{}", done.out);
    }
    let last = done.out.lines().last().unwrap();
    assert!(last.starts_with("run_") && last.contains(" SUCCEEDED in "), "{last}");
    assert!(!done.out.contains('\x1b'), "no colours in a pipe");
    assert!(place.path().join("data/quintet.db").is_file());
}

#[test]
fn every_example_runs_to_its_end() {
    let place = Place::new();
    for (name, expected) in [
        ("sequential.yaml", "One that survives its computer."),
        ("fan_out.yaml", "\"warmest\": 23"),
        ("failure_handling.yaml", "Booked: Station"),
        ("approval.yaml", "\"published\": \"draft-7\""),
    ] {
        let done = place.quintet(&["run", &example(name), "--approve-all"]);
        assert_eq!(done.code, 0, "{name}: {done:?}");
        assert!(done.out.contains(expected), "{name}: {}", done.out);
    }
}

#[test]
fn json_output_is_one_event_per_line_and_the_run_last() {
    let place = Place::new();
    let document = place.file(
        "w.yaml",
        "name: w\nsteps: [{name: one, action: noop, input: {output: 7}}]\n",
    );
    let done = place.quintet(&["run", document.to_str().unwrap(), "--json"]);
    let lines: Vec<Value> = done
        .ok()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["event"], "run.created");
    assert!(
        lines
            .iter()
            .any(|line| line["event"] == "step.succeeded" && line["output"] == 7)
    );
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["event"], &last["run"]["status"]),
        (&"run.ended".into(), &"SUCCEEDED".into())
    );
}

#[test]
fn the_input_of_the_command_line_goes_over_that_of_the_document() {
    let place = Place::new();
    let text = "name: w\ninput: {a: 1, b: 2}\nsteps: [{name: sum, action: noop, input: {output: '{{ context.a + context.b }}'}}]\n";
    let document = place.file("w.yaml", text).display().to_string();
    assert!(
        place
            .quintet(&["run", &document])
            .ok()
            .contains("result of sum:\n  3\n")
    );
    let input = place.file("in.yaml", "b: 40\n");
    let done = place.quintet(&["run", &document, "--input", &format!("@{}", input.display())]);
    assert!(done.ok().contains("result of sum:\n  41\n"));
    let bad = place.quintet(&["run", &document, "--input", "[1]"]);
    assert_eq!(bad.code, 2);
    assert!(bad.err.contains("--input: must be a JSON object"), "{}", bad.err);
}

#[test]
fn a_run_that_fails_exits_1_and_names_the_step() {
    let place = Place::new();
    let text =
        "name: w\nsteps:\n  - {name: good, action: noop}\n  - {name: broken, action: http, input: {url: 'ftp://x'}}\n";
    let done = place.quintet(&["run", place.file("w.yaml", text).to_str().unwrap()]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(
        done.out.contains("error: step broken: url must be http or https"),
        "{}",
        done.out
    );
}

#[test]
fn a_bad_document_exits_2_with_the_field_and_the_line_and_starts_nothing() {
    let place = Place::new();
    let text = "name: w\nsteps:\n  - id: one\n    name: One\n    action: noop\n    depends_on: [ghost]\n";
    let done = place.quintet(&["run", place.file("w.yaml", text).to_str().unwrap()]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(
        done.err
            .contains("w.yaml:3: steps[0].depends_on[0]: unknown step \"ghost\""),
        "{}",
        done.err
    );
    assert!(!place.path().join("data").exists());
    let missing = place.quintet(&["run", "nowhere.yaml"]);
    assert_eq!(missing.code, 2);
    assert!(missing.err.contains("nowhere.yaml: No such file"), "{}", missing.err);
}

#[test]
fn an_interrupted_run_is_finished_by_whoever_opens_the_store_next() {
    let place = Place::new();
    let text = "name: w\nsteps: [{name: nap, action: wait, input: {ms: 1500}}, {name: end, action: noop}]\n";
    let document = place.file("w.yaml", text).display().to_string();
    let mut running = Running::start(place.command(&["run", &document]));
    let run = running.line_with("run_").split(' ').next().unwrap().to_owned();
    running.line_with("waits");
    running.signal("INT");
    assert_eq!(running.end(), 130);
    let (_server, address) = serve(&place);
    place
        .quintet(&["runs", "logs", &run, "--follow", "--server", &address])
        .ok();
    assert_eq!(
        place
            .quintet(&["runs", "show", &run, "--json", "--server", &address])
            .json()["status"],
        "SUCCEEDED"
    );
}

#[test]
fn in_a_pipe_an_approval_is_given_from_elsewhere() {
    let place = Place::new();
    let text = "name: w\nsteps: [{name: gate, action: approval}]\n";
    let document = place.file("w.yaml", text).display().to_string();
    let (_server, address) = serve(&place);
    let mut running = Running::start(place.command(&["run", &document, "--server", &address]));
    let run = running.line_with("run_").split(' ').next().unwrap().to_owned();
    running.line_with("gate      waits for an approval");
    let waiting = place
        .quintet(&["approvals", "list", "--json", "--server", &address])
        .json();
    assert_eq!(waiting[0]["run_id"], run.as_str());
    place
        .quintet(&["approvals", "approve", &run, "--comment", "fine", "--server", &address])
        .ok();
    running.line_with("approved by ada");
    assert_eq!(running.end(), 0);
}

#[test]
fn a_store_that_a_server_uses_is_left_alone() {
    let place = Place::new();
    let (_server, _) = serve(&place);
    let done = place.quintet(&["run", &example("sequential.yaml")]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.err.contains("is in use by the process with pid"), "{}", done.err);
    assert!(done.err.contains("--server"), "{}", done.err);
}
