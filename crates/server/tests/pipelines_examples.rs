//! The examples with workers do what they say, and the JavaScript beside the TypeScript is the same program.

#[allow(unused_imports, reason = "workers are called here, and not the targets of steps")]
mod common;
mod pipelines;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use pipelines::House;
use serde_json::json;

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(file)
}

/// What `run.sh` prints for this input.
fn shown(input: &str) -> String {
    let ran = Command::new(example("pdf-pipeline/run.sh"))
        .arg(input)
        .env("QUINTET", env!("CARGO_BIN_EXE_quintet"))
        .env_remove("DATABASE_URL")
        .output()
        .expect("bash runs");
    let (shown, errors) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(ran.status.success(), "{shown}\n{errors}");
    shown.into_owned()
}

#[test]
fn the_pdf_pipeline_extracts_sums_up_and_notifies() {
    let shown = shown(r#"{"pdfUrl": "https://example.com/harbour-ferries.pdf", "extractTables": true}"#);
    for task in ["download", "extract-text", "extract-tables", "summarize", "notify"] {
        assert!(shown.contains(&format!("completed  {task}\n")), "{task}: {shown}");
    }
    assert!(shown.contains("2 pages, 71 words, 2 tables"), "{shown}");
    assert!(shown.contains("\"September\""), "{shown}");
}

#[test]
fn the_pdf_pipeline_leaves_out_the_tables_where_nobody_wants_them() {
    let shown = shown(r#"{"pdfUrl": "https://example.com/harbour-ferries.pdf"}"#);
    assert!(!shown.contains("completed  extract-tables"), "{shown}");
    assert!(
        shown.contains("completed  summarize\n") && shown.contains("71 words, 0 tables"),
        "{shown}"
    );
}

#[test]
fn the_javascript_of_the_example_is_its_typescript_with_the_types_blanked_out() {
    let read = |name| std::fs::read_to_string(example("pdf-pipeline").join(name)).expect("a file");
    let (typescript, javascript) = (read("worker.ts"), read("worker.mjs"));
    assert_eq!(typescript.lines().count(), javascript.lines().count());
    for (number, (typed, plain)) in typescript.lines().zip(javascript.lines()).enumerate() {
        let left = plain
            .chars()
            .zip(typed.chars())
            .all(|(plain, typed)| plain == typed || plain == ' ');
        assert!(left && plain.len() <= typed.len(), "line {}: {typed}", number + 1);
    }
    let checked = Command::new("node")
        .arg("--check")
        .arg(example("pdf-pipeline/worker.mjs"))
        .status();
    assert!(checked.expect("Node starts").success());
}

/// The worker in bash; it is asked to end, so that it ends what it started.
struct Script(Child);

impl Drop for Script {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

#[test]
fn the_worker_in_bash_counts_words() {
    let house = House::start();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let mut script = Script(
        Command::new(example("bash-worker/worker.sh"))
            .env("SERVER", house.url())
            .env("PORT", port.to_string())
            .env("OBJECTS", house.file(""))
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash runs"),
    );
    let mut lines = BufReader::new(script.0.stdout.take().expect("stdout")).split(b'}');
    let registered = lines.next().expect("an answer").expect("an answer");
    assert!(String::from_utf8_lossy(&registered).contains("\"success\""));
    let run = house.queue("count-words", &json!({ "text": "to be or not to be" }));
    let done = house.task_when(&run, "completed");
    assert_eq!(done["attempt"], 1);
    assert_eq!(house.stored(&format!("runs/{run}/output.json")), json!({ "words": 6 }));
}
