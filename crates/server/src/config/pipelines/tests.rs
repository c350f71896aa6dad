//! The settings of pipelines, by their own names and by those of the original.

use quintet_executors::storage::Provider;
use serde_json::json;

use super::*;
use crate::config::{Config, Sources, StoreUrl};

fn environment(variables: &[(&str, &str)]) -> Sources {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Sources {
        environment: variables.iter().map(own).collect(),
        ..Sources::default()
    }
}

fn load(variables: &[(&str, &str)]) -> Config {
    Config::load(&environment(variables)).unwrap_or_else(|error| panic!("{variables:?}: {error}"))
}

fn refusal(variables: &[(&str, &str)]) -> String {
    Config::load(&environment(variables)).expect_err("refused").to_string()
}

fn refused_file(text: &str) -> String {
    Config::parse(text).expect_err(text).to_string()
}

fn storage(config: &Config) -> BackendSet {
    config.pipelines.storage(Path::new("/srv/data")).expect("storage")
}

const TWO: &str = r#"[{"id":"disk","provider":"local","endpoint":"file://","bucket":"data","credentials":{"basePath":"/objects"}},
  {"id":"cloud","provider":"minio","endpoint":"http://minio:9000","bucket":"b","isDefault":true,
   "credentials":{"accessKey":"ann","secretKey":"hunter2"}}]"#;

#[test]
fn nothing_has_to_be_set_to_try_a_pipeline() {
    let config = Config::default();
    let storage = storage(&config);
    let backend = storage.default_backend();
    assert_eq!((backend.id.as_str(), backend.provider), ("local", Provider::Local));
    assert_eq!(backend.base_path(), Some(Path::new("/srv/data/objects")));
    let folder = tempfile::tempdir().expect("folder");
    let secret = config.pipelines.shared_secret(folder.path()).expect("secret");
    assert_eq!(config.pipelines.shared_secret(folder.path()).expect("secret"), secret);
    assert!(folder.path().join("pipelines.key").exists());
}

#[test]
fn the_originals_variables_mean_what_they_meant() {
    let config = load(&[
        ("STORAGE_BACKENDS", TWO),
        ("DEFAULT_STORAGE_BACKEND_ID", "disk"),
        ("PIPEWEAVE_SECRET_KEY", "hunter3"),
        ("MODE", "serverless"),
        ("MAX_CONCURRENCY", "0"),
        ("POLL_INTERVAL_MS", "250"),
        ("DLQ_RETENTION_DAYS", "7"),
        ("IDEMPOTENCY_TTL_SECONDS", "60"),
        ("MAX_RETRY_DELAY_MS", "5000"),
        ("PIPEWEAVE_TOKEN_FORMAT", "pbkdf2"),
        ("RETRY_SEMANTICS", "total"),
        ("PIPEWEAVE_WORKER_URLS", r#"{"pdf":"http://pdf:8080"}"#),
        ("PORT", "3000"),
        ("LOG_LEVEL", "detailed"),
        ("DB_POOL_MAX", "20"),
    ]);
    let pipelines = &config.pipelines;
    assert_eq!(storage(&config).default_backend().id, "disk");
    assert_eq!(
        pipelines.shared_secret(Path::new("/nowhere")).expect("secret"),
        "hunter3"
    );
    assert_eq!(
        (pipelines.mode, pipelines.token_format),
        (Mode::Serverless, TokenFormat::Pbkdf2)
    );
    assert_eq!((pipelines.max_concurrency, pipelines.poll_interval_ms), (0, 250));
    assert_eq!(
        (pipelines.dlq_retention_days, pipelines.idempotency_ttl_seconds),
        (7, 60)
    );
    assert_eq!(pipelines.max_retry_delay_ms, 5000);
    assert_eq!(pipelines.retry_semantics.attempts(3), 3);
    assert_eq!(pipelines.worker_urls["pdf"], "http://pdf:8080");
    assert_eq!((config.server.port, config.log.level.as_str()), (3000, "debug"));
    assert_eq!(config.database.pool_size, 20);
}

#[test]
fn the_originals_words_for_how_much_is_logged_are_translated() {
    for (word, level) in [
        ("minimal", "warn"),
        ("normal", "info"),
        ("detailed", "debug"),
        ("trace", "trace"),
    ] {
        assert_eq!(load(&[("LOG_LEVEL", word)]).log.level, level);
    }
}

#[test]
fn our_own_variable_wins_over_the_originals_and_a_flag_over_both() {
    let variables = [("MAX_CONCURRENCY", "5"), ("QUINTET_PIPELINES__MAX_CONCURRENCY", "6")];
    assert_eq!(load(&variables).pipelines.max_concurrency, 6);
    let sources = environment(&variables).flag("--flag", "pipelines.max_concurrency", Some(7));
    assert_eq!(Config::load(&sources).expect("settings").pipelines.max_concurrency, 7);
}

#[test]
fn storage_is_read_alike_from_toml_from_yaml_and_from_json_in_a_variable() {
    let toml = "[[pipelines.storage_backends]]\nid = 'm'\nprovider = 'minio'\nendpoint = 'http://m:9000'\nbucket = 'b'\n\
                credentials = { accessKey = 'a', secretKey = 's' }\n";
    let json = json!([{"id": "m", "provider": "minio", "endpoint": "http://m:9000", "bucket": "b",
        "credentials": {"accessKey": "a", "secretKey": "s"}}]);
    let by_file = Config::parse(toml).expect("toml");
    let yaml = Config::parse(&json!({ "pipelines": { "storage_backends": json } }).to_string()).expect("yaml");
    let variable = load(&[("QUINTET_PIPELINES__STORAGE_BACKENDS", &json.to_string())]);
    assert_eq!(storage(&by_file), storage(&yaml));
    assert_eq!(storage(&by_file), storage(&variable));
}

#[test]
fn credentials_may_be_references() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("key");
    std::fs::write(&file, "hunter2\n").expect("written");
    let referring = |reference: &str| {
        let backends = json!([{"id": "m", "provider": "minio", "endpoint": "http://m:9000", "bucket": "b",
            "credentials": {"accessKey": "a", "secretKey": reference}}]);
        load(&[("STORAGE_BACKENDS", &backends.to_string())])
    };
    let found = referring(&format!("file:{}", file.display()));
    let plain = referring("hunter2");
    assert_eq!(storage(&found), storage(&plain));
    let unset = referring("env:QUINTET_TEST_NO_SUCH_KEY")
        .pipelines
        .storage(Path::new("d"));
    let unset = unset.expect_err("refused").to_string();
    assert!(
        unset.contains("secretKey") && unset.contains("QUINTET_TEST_NO_SUCH_KEY"),
        "{unset}"
    );
}

#[test]
fn the_older_variables_describe_one_backend() {
    let config = load(&[
        ("STORAGE_PROVIDER", "minio"),
        ("S3_ENDPOINT", "http://minio:9000"),
        ("S3_BUCKET", "runs"),
        ("S3_REGION", "eu-central-1"),
        ("S3_ACCESS_KEY", "ann"),
        ("S3_SECRET_KEY", "hunter2"),
    ]);
    let written = json!([{"id": "default", "provider": "minio", "endpoint": "http://minio:9000", "bucket": "runs",
        "region": "eu-central-1", "isDefault": true, "credentials": {"accessKey": "ann", "secretKey": "hunter2"}}]);
    assert_eq!(
        storage(&config),
        storage(&load(&[("STORAGE_BACKENDS", &written.to_string())]))
    );
    let aws = [
        ("STORAGE_PROVIDER", "aws-s3"),
        ("S3_BUCKET", "runs"),
        ("AWS_ACCESS_KEY_ID", "ann"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_SESSION_TOKEN", "tok"),
    ];
    assert_eq!(storage(&load(&aws)).default_backend().provider, Provider::AwsS3);
    let gcs = [
        ("STORAGE_PROVIDER", "gcs"),
        ("S3_BUCKET", "runs"),
        ("GCP_PROJECT_ID", "p"),
        ("GCP_CLIENT_EMAIL", "a@p"),
        (
            "GCP_PRIVATE_KEY",
            "-----BEGIN PRIVATE KEY-----\\nx\\n-----END PRIVATE KEY-----",
        ),
    ];
    assert_eq!(storage(&load(&gcs)).default_backend().provider, Provider::Gcs);
    let local = load(&[("LOCAL_STORAGE_BASE_PATH", "/objects")]);
    assert_eq!(
        storage(&local).default_backend().base_path(),
        Some(Path::new("/objects"))
    );
    let both = load(&[("STORAGE_BACKENDS", TWO), ("STORAGE_PROVIDER", "nonsense")]);
    assert_eq!(
        storage(&both).backends().len(),
        2,
        "the list wins, and the rest is not even looked at"
    );
}

#[test]
fn keys_of_other_programs_make_no_storage() {
    let config = load(&[
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("S3_BUCKET", "b"),
    ]);
    assert_eq!(storage(&config).default_backend().id, "local");
}

#[test]
fn a_database_is_put_together_from_its_parts() {
    let url = |variables: &[(&str, &str)]| match load(variables).store_url().expect("store") {
        StoreUrl::Postgres(url) => url.reveal().to_owned(),
        other => panic!("{other:?}"),
    };
    let parts = [
        ("DB_HOST", "db"),
        ("DB_NAME", "weave"),
        ("DB_USER", "ann"),
        ("DB_PASSWORD", "p@ss/w:rd?"),
    ];
    assert_eq!(url(&parts), "postgres://ann:p%40ss%2Fw%3Ard%3F@db:5432/weave");
    let others = [
        ("DB_HOST", "::1"),
        ("DB_PORT", "6000"),
        ("DB_DATABASE", "weave"),
        ("DB_USERNAME", "ann"),
        ("DB_SSL", "true"),
    ];
    assert_eq!(url(&others), "postgres://ann@[::1]:6000/weave?sslmode=require");
    let whole = [&parts[..], &[("DATABASE_URL", "postgres://whole/d")]].concat();
    assert_eq!(url(&whole), "postgres://whole/d");
    let shown = format!("{:?}", load(&parts));
    assert!(!shown.contains("p@ss") && !shown.contains("p%40ss"), "{shown}");
}

#[test]
fn a_database_that_is_only_half_named_is_not_served_without() {
    let refused = refusal(&[("DB_HOST", "db"), ("DB_USER", "ann")]);
    assert!(
        refused.starts_with("DB_HOST: ") && refused.contains("DB_NAME"),
        "{refused}"
    );
    let flagged = environment(&[("DB_HOST", "db")]).flag("--store", "store.url", Some("memory:"));
    assert_eq!(
        Config::load(&flagged).expect("settings").store_url().expect("store"),
        StoreUrl::Memory
    );
}

#[test]
fn secrets_are_shown_nowhere() {
    let config = load(&[
        ("STORAGE_BACKENDS", TWO),
        ("PIPEWEAVE_SECRET_KEY", "hunter2"),
        ("QUINTET_PIPELINES__WORKER_TOKEN", "hunter2"),
    ]);
    let shown = format!("{config:?} {}", serde_json::to_string(&config).expect("json"));
    assert!(!shown.contains("hunter2"), "{shown}");
    for wrong in [
        r#"[{"id":"a","provider":"minio","credentials":{"secretKey":"hunter2"}}]"#,
        r#"[{"id":"a","provider":"minio","secretKey":"hunter2"}]"#,
        r#"[{"id":"a","credentials":"hunter2"}]"#,
        r#"[{"credentials":{"secretKey":"hunter2""#,
        r#""hunter2""#,
        r#"["hunter2"]"#,
    ] {
        let refused = refusal(&[("STORAGE_BACKENDS", wrong)]);
        assert!(
            refused.contains("storage_backends") && !refused.contains("hunter2"),
            "{refused}"
        );
    }
}

#[test]
fn values_that_cannot_be_used_are_refused_with_the_name_of_their_variable() {
    for (name, value, reason) in [
        ("MODE", "production", "expected `standalone` or `serverless`"),
        ("MAX_CONCURRENCY", "many", "is not a number"),
        ("MAX_CONCURRENCY", "-1", "expected u32"),
        ("PIPEWEAVE_TOKEN_FORMAT", "jwt", "expected `sdk` or `pbkdf2`"),
        ("RETRY_SEMANTICS", "both", "expected `extra` or `total`"),
        ("PIPEWEAVE_WORKER_URLS", "pdf=http://pdf", "is not JSON"),
        ("STORAGE_BACKENDS", "local", "is not JSON"),
        ("STORAGE_BACKENDS", "{}", "must be a list of backends"),
        ("STORAGE_PROVIDER", "ftp", "local"),
        ("DB_HOST", "db", "DATABASE_URL"),
    ] {
        let refused = refusal(&[(name, value)]);
        assert!(
            refused.starts_with(&format!("{name}: ")) && refused.contains(reason),
            "{refused}"
        );
    }
}

#[test]
fn settings_that_make_no_sense_are_refused_with_their_names() {
    let local = |id: &str| json!({"id": id, "provider": "local", "credentials": {"basePath": "/x"}});
    let backends = |backends: serde_json::Value| json!({"pipelines": {"storage_backends": backends}}).to_string();
    for (text, part) in [
        (backends(json!([local("a"), local("a")])), "another storage backend"),
        (backends(json!([{"id": "a", "provider": "ftp"}])), "storage_backends[0]"),
        (
            "pipelines: {default_storage_backend: b}".to_owned(),
            "pipelines.default_storage_backend",
        ),
        (
            "pipelines: {poll_interval_ms: 0}".to_owned(),
            "pipelines.poll_interval_ms",
        ),
        (
            "pipelines: {dlq_retention_days: 0}".to_owned(),
            "pipelines.dlq_retention_days",
        ),
        (
            "pipelines: {idempotency_ttl_seconds: 400000000}".to_owned(),
            "pipelines.idempotency_ttl_seconds",
        ),
        (
            "pipelines: {max_retry_delay_ms: 0}".to_owned(),
            "pipelines.max_retry_delay_ms",
        ),
        ("pipelines: {namespace: ''}".to_owned(), "pipelines.namespace"),
        (
            "pipelines: {worker_urls: {pdf: 'pdf:80'}}".to_owned(),
            "must begin with http",
        ),
        (
            "pipelines: {worker_url: x}".to_owned(),
            "did you mean `pipelines.worker_urls`?",
        ),
    ] {
        let refused = refused_file(&text);
        assert!(refused.contains(part), "{text}: {refused}");
    }
}

#[test]
fn a_secret_that_cannot_be_used_is_an_error_and_not_a_weak_one() {
    let with = |field: &str, value: &str| {
        let text = format!("pipelines:\n  {field}: '{value}'\n");
        Config::parse(&text).expect("settings").pipelines
    };
    let data = Path::new("/nowhere");
    let empty = with("secret_key", "")
        .shared_secret(data)
        .expect_err("refused")
        .to_string();
    assert!(empty.contains("pipelines.secret_key"), "{empty}");
    let unset = with("secret_key", "env:QUINTET_TEST_NO_SUCH_SECRET").shared_secret(data);
    assert!(
        unset
            .expect_err("refused")
            .to_string()
            .contains("QUINTET_TEST_NO_SUCH_SECRET")
    );
    assert_eq!(
        with("worker_token", "t0ken").worker_secret().expect("token").as_deref(),
        Some("t0ken")
    );
    assert!(with("worker_token", "a/b").worker_secret().is_err());
    assert_eq!(Pipelines::default().worker_secret().expect("none"), None);
}

#[test]
fn retries_count_as_they_are_told_to() {
    assert_eq!(
        [0, 1, 3].map(|retries| RetrySemantics::Extra.attempts(retries)),
        [1, 2, 4]
    );
    assert_eq!(
        [0, 1, 3].map(|retries| RetrySemantics::Total.attempts(retries)),
        [1, 1, 3]
    );
}
