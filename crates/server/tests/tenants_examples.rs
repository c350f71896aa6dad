//! The example of a tenant's workflow does what it says.

use std::path::Path;
use std::process::Command;

#[test]
fn the_release_is_documented_although_its_tests_fail_at_first_and_mended_without_repeating_anything() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/tenants/run.sh");
    let ran = Command::new(script)
        .env("QUINTET", env!("CARGO_BIN_EXE_quintet"))
        .env_remove("DATABASE_URL")
        .output()
        .expect("bash runs");
    let (shown, told) = (
        String::from_utf8_lossy(&ran.stdout).into_owned(),
        String::from_utf8_lossy(&ran.stderr).into_owned(),
    );
    assert!(ran.status.success(), "{shown}\n{told}");
    assert!(shown.contains("order: parser printer test doc"), "{shown}");
    let lines: Vec<&str> = shown.lines().collect();
    let said = |words: &[&str]| {
        lines
            .iter()
            .filter(|line| words.iter().all(|word| line.contains(word)))
            .count()
    };
    assert_eq!(said(&["failed ", "test", "attempt 1"]), 1, "{shown}");
    assert_eq!(
        said(&["completed ", "doc", "attempt 1", "documented 2 modules"]),
        2,
        "{shown}"
    );
    assert_eq!(
        said(&[
            "completed ",
            "test",
            "attempt 2",
            "2 tests passed in parser.py, printer.py"
        ]),
        1,
        "{shown}"
    );
    assert_eq!(
        (said(&["failed, 75 %"]), said(&["completed, 100 %"])),
        (1, 1),
        "{shown}"
    );
    assert!(shown.contains(r#""memory_used": 9437184"#), "{shown}");
}
