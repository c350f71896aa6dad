//! The settings of tasks, by their own names and by those of the original.

use crate::config::{Config, Sources};

use super::*;

fn load(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Config::load(&Sources {
        environment: variables.iter().map(own).collect(),
        ..Sources::default()
    })
}

fn tasks(text: &str) -> Tasks {
    Config::parse(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .tasks
}

fn refusal(text: &str) -> String {
    Config::parse(text).expect_err(text).to_string()
}

const fn rule(concurrency: u32, ageing_ms: Option<u64>) -> QueueRule {
    QueueRule { concurrency, ageing_ms }
}

#[test]
fn three_queues_are_always_there() {
    let rules = Tasks::default().queue_rules();
    let usual = rule(5, Some(30_000));
    let expected = [("cpu", usual), ("default", usual), ("gpu", rule(2, Some(30_000)))];
    assert_eq!(rules, expected.map(|(name, rule)| (name.to_owned(), rule)).into());
}

#[test]
fn tables_change_queues_and_add_some() {
    let text = "tasks:\n  worker_concurrency: 7\n  ageing: 1m\n  queues:\n    gpu: {ageing: 0}\n    \
                cpu: {concurrency: 3}\n    nightly: {}\n";
    let rules = tasks(text).queue_rules();
    assert_eq!(rules["default"], rule(7, Some(60_000)));
    assert_eq!(rules["gpu"], rule(2, None));
    assert_eq!(rules["cpu"], rule(3, Some(60_000)));
    assert_eq!(rules["nightly"], rule(7, Some(60_000)));
}

#[test]
fn the_originals_variables_mean_what_they_meant() {
    let config = load(&[
        ("WORKER_CONCURRENCY", "8"),
        ("GPU_WORKER_CONCURRENCY", "1"),
        ("SLACK_WEBHOOK_URL", "https://hooks.slack.example/T/B/hunter2"),
        ("DISCORD_WEBHOOK_URL", "https://discord.example/api/webhooks/1/hunter2"),
        ("CORS_ORIGIN", "https://dash.example"),
    ])
    .expect("settings");
    assert_eq!(config.server.cors_origin.to_string(), "https://dash.example");
    let rules = config.tasks.queue_rules();
    let found = ["default", "cpu", "gpu"].map(|name| rules[name].concurrency);
    assert_eq!(found, [8, 8, 1]);
    let targets = config.tasks.effect_targets().expect("targets");
    let hosts = [&targets.slack, &targets.discord].map(|url| url.as_ref().and_then(url::Url::host_str));
    assert_eq!(hosts, [Some("hooks.slack.example"), Some("discord.example")]);
}

#[test]
fn secrets_are_shown_nowhere() {
    let text = "tasks:\n  slack_webhook_url: https://hooks.example/hunter2\n  \
                smtp_url: smtp://ann:hunter2@mail.example\n  mail_from: ann@example.com\n";
    let config = Config::parse(text).expect("settings");
    let targets = config.tasks.effect_targets().expect("targets");
    let shown = format!(
        "{config:?} {} {:?}",
        serde_json::to_string(&config).expect("json"),
        targets.mail
    );
    assert!(!shown.contains("hunter2"), "{shown}");
    for field in ["slack_webhook_url", "discord_webhook_url", "webhook_secret", "smtp_url"] {
        let refused = refusal(&format!("tasks: {{{field}: 'ftp://hunter2', mail_from: a@b}}"));
        assert!(
            refused.contains(&format!("`tasks.{field}`")) && !refused.contains("hunter2"),
            "{refused}"
        );
    }
}

#[test]
fn references_are_followed_when_they_are_needed_and_not_before() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("url");
    std::fs::write(&file, "smtps://ann:hunter2@mail.example:465\n").expect("written");
    let found = tasks(&format!(
        "tasks:\n  smtp_url: file:{}\n  mail_from: Ann <ann@example.com>\n",
        file.display()
    ));
    let mail = found.effect_targets().expect("targets").mail.expect("mail");
    assert_eq!(
        (mail.server.port(), mail.server.password()),
        (Some(465), Some("hunter2"))
    );
    let unset = tasks("tasks: {webhook_secret: 'env:QUINTET_TEST_NO_SUCH_SECRET'}").effect_targets();
    let unset = unset.expect_err("refused").to_string();
    assert!(
        unset.contains("tasks.webhook_secret") && unset.contains("NO_SUCH_SECRET"),
        "{unset}"
    );
}

#[test]
fn backends_come_from_the_originals_variables_and_from_tables() {
    let table = r#"{"modal": {"gpus": ["H100"], "timeout_ms": 5000}, "lab": {"kind": "http", "url": "http://lab:1", "token": "file:PLACE"}}"#;
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "sesame\n").expect("written");
    let table = table.replace("PLACE", &file.display().to_string());
    let config = load(&[
        ("MODAL_URL", "https://m.example"),
        ("MODAL_TOKEN", "hunter2"),
        ("RAY_URL", "http://r:8000"),
        ("RAY_DASHBOARD_URL", "http://r:8265"),
        ("QUINTET_TASKS__BACKENDS", &table),
        ("QUINTET_TASKS__BACKEND_RULES", r#"{"health_ttl_ms": 0}"#),
    ])
    .expect("settings");
    let shown = format!("{config:?} {}", serde_json::to_string(&config).expect("json"));
    assert!(!shown.contains("hunter2") && shown.contains("http://lab:1"), "{shown}");
    let (backends, rules) = config.tasks.backend_settings().expect("backends");
    let names: Vec<&str> = backends.keys().map(String::as_str).collect();
    assert_eq!(names, ["lab", "modal", "ray", "ray-jobs"]);
    let modal = &backends["modal"];
    assert_eq!(
        (modal.url.as_str(), modal.timeout_ms),
        ("https://m.example", Some(5000))
    );
    assert_eq!(modal.gpus.as_deref(), Some(&["H100".to_owned()][..]));
    let token = |name: &str| backends[name].token.as_ref().map(|token| token.reveal().to_owned());
    assert_eq!(
        (token("modal").as_deref(), token("lab").as_deref()),
        (Some("hunter2"), Some("sesame"))
    );
    assert_eq!(backends["ray"].dashboard_url.as_deref(), Some("http://r:8265"));
    assert_eq!(
        (rules.health_ttl_ms, rules.health_timeout_ms),
        (0, Rules::default().health_timeout_ms)
    );
    assert!(Tasks::default().backend_settings().expect("none").0.is_empty());
}

#[test]
fn a_variable_that_makes_no_backend_is_refused_with_its_setting() {
    for (name, value, part) in [
        ("MODAL_URL", "modal.example", "`tasks.modal_url`: `url` is invalid"),
        (
            "MODAL_URL",
            "https://me:hunter2@modal.example",
            "`tasks.modal_url`: `url` must not hold a user",
        ),
        ("RAY_URL", "ftp://ray", "`tasks.ray_url`: `url` must be http or https"),
        ("RAY_DASHBOARD_URL", "ray", "`tasks.ray_dashboard_url`"),
        (
            "QUINTET_TASKS__BACKENDS",
            r#"{"lab": "hunter2"}"#,
            "must be tables by name",
        ),
        (
            "QUINTET_TASKS__BACKENDS",
            r#"{"lab": {"kind": "http"}}"#,
            "`tasks.backends.lab`: missing field `url`",
        ),
    ] {
        let refused = load(&[(name, value)]).expect_err(value).to_string();
        assert!(
            refused.contains(part) && !refused.contains("hunter2"),
            "{name}={value}: {refused}"
        );
    }
}

#[test]
fn a_bridge_needs_queues_and_finds_redis_where_the_original_found_it() {
    let alone = load(&[("REDIS_URL", "redis://cache:6380")]).expect("settings");
    assert_eq!(alone.tasks.bullmq_settings().expect("settings"), None);
    let table = r#"{"queues": {"gpu": {"mode": "workers"}, "cpu": {"mode": "producers", "name": "jobs"}}}"#;
    let bridged = load(&[
        ("REDIS_URL", "redis://u:hunter2@cache:6380"),
        ("QUINTET_TASKS__BULLMQ", table),
    ]);
    let bridged = bridged.expect("settings");
    assert!(!format!("{bridged:?} {}", serde_json::to_string(&bridged).expect("json")).contains("hunter2"));
    let bridge = bridged.tasks.bullmq_settings().expect("settings").expect("a bridge");
    assert_eq!(
        (bridge.url.as_str(), bridge.prefix.as_str()),
        ("redis://u:hunter2@cache:6380", "bull")
    );
    assert_eq!(bridge.queues["cpu"].name_in_bullmq("cpu"), "jobs");
    let usual = tasks("tasks: {bullmq: {prefix: b, queues: {gpu: {mode: workers}}}}").bullmq_settings();
    let usual = usual.expect("settings").expect("a bridge");
    assert_eq!(
        (usual.url.as_str(), usual.prefix.as_str()),
        ("redis://localhost:6379", "b")
    );
    let named = load(&[("REDIS_URL", "localhost:6379")])
        .expect_err("refused")
        .to_string();
    assert!(named.contains("`tasks.redis_url`: must be a redis://"), "{named}");
}

#[test]
fn chunks_are_cut_only_where_there_is_a_folder_for_them() {
    let rule = "tasks: {chunking: {audio.transcribe: {input_field: audio_path, size: 90s, split: ffmpeg}}}\n";
    let refused = refusal(rule);
    assert!(
        refused.contains("`tasks.chunking.audio.transcribe`") && refused.contains("media folder"),
        "{refused}"
    );
    let config = Config::parse(&format!("{rule}media: {{dir: /srv/media, keep_chunks: 1h}}\n")).expect("settings");
    assert_eq!(config.tasks.chunking.0["audio.transcribe"].size_ms, 90_000);
    assert_eq!(config.media.settings().keep_chunks_ms, 3_600_000);
    assert_eq!(
        Config::default().media.settings(),
        quintet_executors::media::Settings::default()
    );
}

#[test]
fn settings_that_make_no_sense_are_refused_with_their_names() {
    for (text, part) in [
        ("tasks: {namespace: ''}", "`tasks.namespace`"),
        (
            "tasks: {worker_concurrency: 0}",
            "`tasks.worker_concurrency`: must be at least 1",
        ),
        ("tasks: {gpu_worker_concurrency: 0}", "`tasks.gpu_worker_concurrency`"),
        ("tasks: {queues: {a: {concurrency: 0}}}", "`tasks.queues.a.concurrency`"),
        ("tasks: {queues: {'a b': {}}}", "`tasks.queues.a b`: a queue's name"),
        ("tasks: {queues: {a: {concurency: 1}}}", "unknown field `concurency`"),
        ("tasks: {ageing: soon}", "`tasks.ageing`"),
        ("tasks: {graph_errors: never}", "expected `at_submit` or `at_run`"),
        (
            "tasks: {smtp_url: 'smtp://mail.example'}",
            "`tasks.mail_from`: must be set",
        ),
        ("tasks: {mail_from: nobody}", "`tasks.mail_from`"),
        ("tasks: {mail_to: ['a@b', \"a@b\\r\\nBcc: c@d\"]}", "`tasks.mail_to`"),
        ("tasks: {slack_webhook_url: 'https://'}", "`tasks.slack_webhook_url`"),
        (
            "tasks: {bullmq: {queues: {nope: {mode: workers}}}}",
            "`tasks.bullmq.queues.nope`: there is no such queue",
        ),
        (
            "tasks: {bullmq: {queues: {gpu: {mode: both}}}}",
            "unknown variant `both`",
        ),
        (
            "tasks: {bullmq: {queues: {gpu: {mode: workers, name: 'a:b'}}}}",
            "`tasks.bullmq.queues.gpu.name`",
        ),
        ("tasks: {bullmq: {prefix: ''}}", "`tasks.bullmq.prefix`"),
        ("tasks: {redis_url: 'http://cache'}", "`tasks.redis_url`"),
        (
            "tasks: {chunking: {a: {input_field: x, size: soon}}}",
            "\"soon\" is not a time",
        ),
        ("media: {concurrency: 0}", "`media.concurrency`: must be above 0"),
        (
            "tasks: {worker_concurency: 1}",
            "did you mean `tasks.worker_concurrency`?",
        ),
        ("server: {cors_origin: 'https://a.example/'}", "`server.cors_origin`"),
    ] {
        let refused = refusal(text);
        assert!(refused.contains(part), "{text}: {refused}");
    }
    let named = load(&[("CORS_ORIGIN", "a.example")]).expect_err("refused").to_string();
    assert!(named.starts_with("CORS_ORIGIN: `server.cors_origin`: "), "{named}");
}
