//! Settings: what is read, what wins, what is refused.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn error(text: &str) -> String {
    Config::parse(text).expect_err(text).to_string()
}

fn load(file: &str, environment: &[(&str, &str)], flags: &[(&'static str, Value)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("config.yaml"), file).expect("written");
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let flags = flags
        .iter()
        .map(|(path, value)| ("--flag", *path, value.clone()))
        .collect();
    Config::load(&Sources {
        file: None,
        folder: Some(folder.path().to_owned()),
        environment,
        flags,
    })
}

/// Paths of all leaves; tables of free names count as leaves.
fn leaves(prefix: &str, value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(table) if !table.is_empty() => {
            for (name, value) in table {
                leaves(&section::path(prefix, name), value, into);
            }
        }
        _ => drop(into.insert(prefix.to_owned())),
    }
}

#[test]
fn the_reference_lists_exactly_the_settings_that_exist() {
    let mut existing = BTreeSet::new();
    leaves(
        "",
        &serde_json::to_value(Config::default()).expect("json"),
        &mut existing,
    );
    let keys = || Config::sections().into_iter().flat_map(|section| section.keys);
    let listed: BTreeSet<String> = keys().map(|key| key.path).collect();
    assert_eq!(listed, existing);
    let page = reference::markdown();
    for key in keys() {
        assert!(page.contains(&format!("| `{}` |", key.path)), "{}", key.path);
        let says_default = key.doc.contains("Default: ") || key.doc.contains("by default");
        assert!(says_default, "`{}` does not say its default", key.path);
    }
}

#[test]
fn what_a_doc_comment_calls_the_default_is_the_default() {
    let defaults = serde_json::to_value(Config::default()).expect("json");
    let mut numbers = 0;
    for key in Config::sections().into_iter().flat_map(|section| section.keys) {
        let value = key.path.split('.').fold(&defaults, |value, name| &value[name]);
        if key.kind == Kind::Number && !value.is_null() {
            numbers += 1;
            let said = key.doc.split("Default: ").nth(1).unwrap_or_default();
            let said = said.split([' ', '.']).next().unwrap_or_default();
            assert_eq!(said.parse::<f64>().ok(), value.as_f64(), "{}: {}", key.path, key.doc);
        }
    }
    assert!(numbers > 5);
}

#[test]
fn the_originals_file_is_read_as_it_is() {
    let config = Config::parse(
        "server:\n  host: 0.0.0.0\n  port: 8100\n\ndatabase:\n  dsn: \"\"\n\nmemarch:\n  base_url: http://memarch:8080\n  \
         timeout: 5s\naudit_log:\n  base_url: \"\"\n  timeout: 5s\npolicy:\n  require_approval: true\n  \
         workflow_schema: schema/workflow.schema.json\n",
    )
    .expect("settings");
    assert_eq!(config.server.listen_text(), "0.0.0.0:8100");
    assert_eq!(config.memarch.base_url, "http://memarch:8080");
    assert_eq!(config.memarch.timeout, Millis(5000));
    assert!(config.policy.require_approval);
    assert_eq!(
        config.store_url().expect("store"),
        StoreUrl::Sqlite("data/quintet.db".into())
    );
}

#[test]
fn toml_and_yaml_say_the_same() {
    let toml = Config::parse("[server]\nlisten = '127.0.0.1:0'\n[egress]\nallow = ['10.0.0.0/8:80']\n");
    let yaml = Config::parse("server:\n  listen: 127.0.0.1:0\negress:\n  allow: ['10.0.0.0/8:80']\n");
    assert_eq!(toml.expect("toml"), yaml.expect("yaml"));
}

#[test]
fn an_unknown_setting_is_named_with_the_closest_known_one() {
    assert_eq!(
        error("server:\n  prot: 1\n"),
        "settings: unknown setting `server.prot`; did you mean `server.port`?"
    );
    assert!(error("sever:\n  port: 1\n").contains("did you mean `server`?"));
    assert!(error("server:\n  base_url: x\n").contains("base_url`?"));
    assert!(error("xylophone: 1\n").contains("`quintet docs config` lists all settings"));
    assert!(error("auth:\n  api_keys: [{name: a, colour: red, permissions: [viewer]}]\n").contains("colour"));
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let file = "server:\n  port: 1\nlog:\n  level: warn\nengine:\n  inbox: 5\n";
    let environment = [
        ("QUINTET_LOG__LEVEL", "debug"),
        ("QUINTET_ENGINE__INBOX", "6"),
        ("OTHER", "x"),
    ];
    let config = load(file, &environment, &[("engine.inbox", 7.into())]).expect("settings");
    assert_eq!(
        (config.server.port, config.log.level.as_str(), config.engine.inbox),
        (1, "debug", 7)
    );
    assert_eq!(config.engine.admission_ms, Config::default().engine.admission_ms);
}

#[test]
fn the_names_that_users_already_set_are_understood() {
    let environment = [
        ("HOST", "::1"),
        ("PORT", "9000"),
        ("DATABASE_URL", "sqlite:/tmp/x.db"),
        ("LOG_LEVEL", "error"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
    ];
    let config = load("database:\n  dsn: sqlite:old.db\n", &environment, &[]).expect("settings");
    assert_eq!(config.server.listen_text(), "[::1]:9000");
    assert_eq!(config.store_url().expect("store"), StoreUrl::Sqlite("/tmp/x.db".into()));
    assert_eq!(config.log.level, "error");
    assert_eq!(config.telemetry.otlp_endpoint.as_deref(), Some("http://collector:4318"));
}

#[test]
fn a_port_from_the_environment_replaces_only_the_port_of_the_file() {
    let config = load("server:\n  listen: 127.0.0.2:8000\n", &[("PORT", "9000")], &[]).expect("settings");
    assert_eq!(config.server.listen_text(), "127.0.0.2:9000");
    let config = load("", &[("PORT", "9000")], &[("server.listen", "127.0.0.1:1".into())]).expect("settings");
    assert_eq!(config.server.listen_text(), "127.0.0.1:1");
}

#[test]
fn lists_and_tables_are_read_from_variables() {
    let environment = [
        ("QUINTET_EGRESS__ALLOW", "10.0.0.0/8:80, workers.internal"),
        ("QUINTET_ACTIONS__BASE_URLS", "{\"ai_router\":\"http://ai:1\"}"),
        ("QUINTET_POLICY__REQUIRE_APPROVAL", "true"),
        ("QUINTET_MEMARCH__TIMEOUT_MS", "250"),
    ];
    let config = load("", &environment, &[]).expect("settings");
    assert_eq!(config.egress.allow, ["10.0.0.0/8:80", "workers.internal"]);
    assert_eq!(config.actions.base_urls["ai_router"], "http://ai:1");
    assert!(config.policy.require_approval);
    assert_eq!(config.memarch.timeout, Millis(250));
}

#[test]
fn a_misspelt_variable_is_refused_and_a_platforms_own_is_not() {
    let refused = load("", &[("QUINTET_SERVER__PROT", "1")], &[])
        .expect_err("refused")
        .to_string();
    assert_eq!(
        refused,
        "QUINTET_SERVER__PROT: unknown setting `server.prot`; did you mean `server.port`?"
    );
    assert!(
        load(
            "",
            &[
                ("QUINTET_PORT", "tcp://10.0.0.1:80"),
                ("QUINTET_SERVICE_HOST", "10.0.0.1")
            ],
            &[]
        )
        .is_ok()
    );
    let wrong = load("", &[("PORT", "http")], &[]).expect_err("refused").to_string();
    assert!(wrong.starts_with("PORT: `server.port`: "), "{wrong}");
}

#[test]
fn a_named_file_must_be_there_and_a_default_one_need_not() {
    let folder = tempfile::tempdir().expect("folder");
    let sources = Sources {
        folder: Some(folder.path().to_owned()),
        ..Sources::default()
    };
    assert_eq!(Config::load(&sources).expect("settings"), Config::default());
    let sources = Sources {
        file: Some(folder.path().join("missing.yaml")),
        ..sources
    };
    assert!(
        Config::load(&sources)
            .expect_err("refused")
            .to_string()
            .contains("missing.yaml")
    );
}

#[test]
fn a_postgres_url_is_taken_from_each_of_its_names_and_its_password_is_never_shown() {
    let url = "postgres://u:hunter2@h/d";
    let by_file = |text: String| load(&text, &[], &[]).expect("settings");
    for config in [
        by_file(format!("database:\n  dsn: {url}\n")),
        by_file(format!("store:\n  url: {url}\n")),
        by_file(format!("store:\n  url: {url}\ndatabase:\n  dsn: {url}\n")),
        load("", &[("DATABASE_URL", url)], &[]).expect("settings"),
        load("database:\n  dsn: sqlite:other\n", &[("DATABASE_URL", url)], &[]).expect("settings"),
        load("", &[], &[("store.url", url.into())]).expect("settings"),
    ] {
        let StoreUrl::Postgres(found) = config.store_url().expect("store") else {
            panic!("{config:?}")
        };
        assert_eq!(found.reveal(), url);
        let shown = format!(
            "{config:?} {found:?} {found} {}",
            serde_json::to_string(&config).expect("json")
        );
        assert!(
            shown.contains("postgres://u@h/d") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
    let keywords = Config::parse("database:\n  dsn: host=h user=u password=hunter2 dbname=d\n").expect("settings");
    assert_eq!(keywords.store_url().expect("store").kind(), "postgres");
}

#[test]
fn a_store_can_be_named_in_a_file_of_its_own() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("url");
    std::fs::write(&file, "postgresql://u:hunter2@h/d\n").expect("written");
    let config = Config::parse(&format!("store:\n  url: file:{}\n", file.display())).expect("settings");
    assert_eq!(config.store_url().expect("store").to_string(), "postgres://u@h/d");
    assert!(error("store:\n  url: env:QUINTET_TEST_NO_SUCH_URL\n").contains("QUINTET_TEST_NO_SUCH_URL"));
}

#[test]
fn stores_that_do_not_exist_are_refused_without_showing_their_password() {
    for text in [
        "database:\n  dsn: postgress://u:hunter2@h/d\n",
        "store:\n  url: postgres:u:hunter2@h/d\n",
        "store:\n  url: mysql://u:hunter2@h/d\n",
    ] {
        let error = error(text);
        assert!(error.contains("is not a store"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    assert!(error("store:\n  url: mysql://x\n").contains("store.url"));
    assert!(error("store:\n  url: sqlite:a\ndatabase:\n  dsn: sqlite:b\n").contains("keep one of them"));
}

#[test]
fn loops_are_counted_by_the_store_and_several_are_refused_where_they_gain_nothing() {
    let shards = |text: &str| {
        let config = Config::parse(text).expect(text);
        let url = config.store_url().expect("store");
        config
            .engine
            .engine_config(&url, config.node.node_config(None, "http"))
            .shards
    };
    let postgres = "store:\n  url: postgres://h/d\n";
    assert_eq!(shards(""), 1);
    assert_eq!(shards("store:\n  url: 'memory:'\n"), 1);
    assert_eq!(shards(postgres), 4);
    assert_eq!(shards(&format!("{postgres}engine:\n  shards: 2\n")), 2);
    assert!(error("engine:\n  shards: 2\n").contains("it has one writer"));
    assert!(error(&format!("{postgres}engine:\n  shards: 65\n")).contains("at most 64"));
    assert!(error(&format!("{postgres}database:\n  pool_size: 4\n")).contains("above 4"));
}

#[test]
fn senseless_values_are_refused_with_their_names() {
    for (text, part) in [
        ("engine:\n  inbox: 0\n", "engine.inbox"),
        ("node:\n  lease_ms: 999\n", "at least 1000"),
        ("node:\n  lease_ms: 600001\n", "at most 600000"),
        ("node:\n  url: db:80\n", "node.url"),
        ("database:\n  pooler: session\n", "expected `none` or `transaction`"),
        (
            "database:\n  row_level_security: maybe\n",
            "expected one of `auto`, `on`, `off`",
        ),
        ("database:\n  connect_timeout: 0\n", "database.connect_timeout"),
        ("limits:\n  connections: 0\n", "limits.connections"),
        ("memarch:\n  base_url: memarch:80\n", "memarch.base_url"),
        ("memarch:\n  timeout: soon\n", "memarch.timeout"),
        ("egress:\n  allow: ['a b']\n", "egress.allow"),
        ("log:\n  level: 'quintet=loud'\n", "log.level"),
        ("log:\n  format: xml\n", "log.format"),
        ("telemetry:\n  sample_ratio: 2\n", "telemetry.sample_ratio"),
        (
            "telemetry:\n  otlp_endpoint: collector:4317\n",
            "telemetry.otlp_endpoint",
        ),
        ("server:\n  port: 70000\n", "server.port"),
        (
            "auth:\n  api_keys: [{name: a, permissions: [viewer]}]\n",
            "either `sha256` or `key`",
        ),
        (
            "auth:\n  api_keys: [{name: a, sha256: ab, permissions: [viewer]}]\n",
            "64 hexadecimal",
        ),
        (
            "auth:\n  api_keys: [{name: a, key: 'env:X', permissions: []}]\n",
            "permissions",
        ),
        (
            "auth:\n  api_keys: [{name: a, key: 'env:X', permissions: [root]}]\n",
            "auth.api_keys",
        ),
        ("just text", "sections"),
    ] {
        let error = error(text);
        assert!(error.contains(part), "{text}: {error}");
    }
}
