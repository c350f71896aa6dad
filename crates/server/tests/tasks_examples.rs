//! The example of tasks does what it says.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/tasks")
        .join(file)
}

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(example("run.sh"));
    command.args(arguments).env("QUINTET", env!("CARGO_BIN_EXE_quintet"));
    for name in [
        "DATABASE_URL",
        "MODAL_TOKEN",
        "RAY_URL",
        "RAY_DASHBOARD_URL",
        "REDIS_URL",
        "QUINTET_API_KEY",
    ] {
        command.env_remove(name);
    }
    command.output().expect("bash runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_review_is_written_although_the_backend_is_busy_at_first() {
    let ran = run(&[]);
    let (shown, told) = (text(&ran.stdout), text(&ran.stderr));
    assert!(ran.status.success(), "{shown}\n{told}");
    assert!(shown.contains(r#""title":"Review of Harbour ferries""#), "{shown}");
    assert!(shown.contains(r#""words":28"#), "{shown}");
    for step in ["parts", "counts", "report"] {
        let is_done = |line: &str| line.starts_with(&format!("{step} ")) && line.contains("completed");
        assert!(shown.lines().any(is_done), "{step}: {shown}");
    }
    assert!(told.contains("report failed, and is tried again"), "{told}");
    assert!(told.contains("report completed"), "{told}");
    assert!(shown.lines().any(|line| line.starts_with("gpu ")), "{shown}");
    let backend = shown.lines().find(|line| line.starts_with("modal "));
    assert!(
        backend.is_some_and(|line| line.contains("healthy") && line.contains("closed")),
        "{shown}"
    );
}

#[test]
fn a_task_that_the_backend_does_not_know_is_exit_code_1_with_its_words() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("task.yaml");
    std::fs::write(&file, "type: text.sing\npayload: {text: la}\nretry: {attempts: 1}\n").expect("written");
    let ran = run(&[file.to_str().expect("text")]);
    let (shown, told) = (text(&ran.stdout), text(&ran.stderr));
    assert_eq!(ran.status.code(), Some(1), "{shown}\n{told}");
    assert!(shown.contains("error     KeyError: 'text.sing'"), "{shown}");
}
