//! Settings as the binary takes them: files, variables, flags, and what it says when they are wrong.

mod serving;

use serving::{Server, file, folder, quintet, run, stderr};

#[test]
fn the_originals_file_serves_with_either_spelling_of_the_flag() {
    let folder = folder();
    let text = "server:\n  host: 127.0.0.1\n  port: 0\ndatabase:\n  dsn: \"\"\nmemarch:\n  base_url: \"\"\n  timeout: 5s\n\
                policy:\n  require_approval: false\n";
    file(&folder, "original.yaml", text);
    for flag in ["-config", "--config"] {
        let server = Server::with(folder.path(), &[flag, "original.yaml"], &[]);
        assert_eq!(server.get("/healthz").status, 200, "{flag}");
        server.stop();
    }
}

#[test]
fn a_default_file_is_read_if_it_is_there_and_flags_win_over_it() {
    let folder = folder();
    file(
        &folder,
        "config.yaml",
        "server:\n  listen: 127.0.0.1:1\n  max_body_bytes: 1000\ndata_dir: elsewhere\n",
    );
    let server = Server::with(folder.path(), &[], &[("QUINTET_SERVER__MAX_BODY_BYTES", "100")]);
    let refused = server.post("/v1/workflows", &"x".repeat(101));
    assert_eq!(refused.status, 413, "the variable wins over the file");
    assert!(folder.path().join("elsewhere/quintet.db").exists());
    server.stop();
}

#[test]
fn wrong_settings_end_the_program_with_a_sentence_that_names_them() {
    let folder = folder();
    file(&folder, "typo.yaml", "server:\n  prot: 80\n");
    file(&folder, "broken.toml", "[server\n");
    file(
        &folder,
        "mysql.yaml",
        "database:\n  dsn: mysql://u:hunter2@db/orchestrator\n",
    );
    for (words, expected) in [
        (
            &["serve", "--config", "typo.yaml"][..],
            "typo.yaml: unknown setting `server.prot`; did you mean `server.port`?",
        ),
        (
            &["serve", "--config", "missing.yaml"],
            "cannot read the settings file missing.yaml",
        ),
        (&["serve", "--config", "broken.toml"], "broken.toml: "),
        (&["serve", "--config", "mysql.yaml"], "`database.dsn`: is not a store"),
        (&["serve", "--store", "mysql://x"], "`store.url`"),
        (&["serve", "--listen", "nonsense"], "`server.listen`"),
    ] {
        let output = run(folder.path(), words);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains(expected), "{words:?}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
        assert!(output.stdout.is_empty(), "{words:?}");
    }
    let output = quintet(folder.path())
        .arg("serve")
        .env("QUINTET_ENGINE__DRIAN_MS", "1")
        .output()
        .expect("it runs");
    assert!(
        stderr(&output).contains("did you mean `engine.drain_ms`?"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_key_that_cannot_be_found_is_not_served_without() {
    let folder = folder();
    file(
        &folder,
        "quintet.toml",
        "[[auth.api_keys]]\nname = 'a'\nkey = 'env:QUINTET_TEST_NO_SUCH_KEY'\npermissions = ['admin']\n",
    );
    let output = run(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("QUINTET_TEST_NO_SUCH_KEY"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn wrong_variables_of_the_original_end_the_program_with_their_names() {
    let folder = folder();
    for (name, value, expected) in [
        ("MODE", "production", "MODE: `pipelines.mode`: unknown variant"),
        (
            "MAX_CONCURRENCY",
            "many",
            "MAX_CONCURRENCY: `pipelines.max_concurrency`: `many` is not a number",
        ),
        (
            "STORAGE_BACKENDS",
            "[{\"id\":\"m\",\"provider\":\"minio\",\"credentials\":{\"secretKey\":\"hunter2\"}}]",
            "`pipelines.storage_backends[0]`",
        ),
        ("DB_HOST", "db", "DB_HOST: `store.url`: is set without DB_NAME"),
    ] {
        let output = quintet(folder.path())
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env(name, value)
            .output()
            .expect("it runs");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert!(said.contains(expected), "{name}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn the_reference_pages_that_are_checked_in_are_those_of_this_binary() {
    let folder = folder();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (words, page) in [
        (["docs", "config"], "docs/reference/configuration.md"),
        (["docs", "state-machines"], "docs/state-machines.md"),
    ] {
        let printed = run(folder.path(), &words);
        assert!(printed.status.success());
        let kept = std::fs::read_to_string(root.join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        assert!(
            String::from_utf8_lossy(&printed.stdout) == kept,
            "{page} is out of date: cargo xtask regenerate"
        );
    }
}
