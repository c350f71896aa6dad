//! What the operator says about backends.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use url::Url;

use crate::storage::Secret;

/// What a backend speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `POST /run_task` with `{task_type, payload}`.
    Modal,
    /// `POST /task` with `{type, payload}`: Ray Serve's HTTP ingress.
    Ray,
    /// Ray's Jobs API. It takes only tasks that name it.
    RayJobs,
    /// Like Ray's ingress, with paths and keys by configuration.
    Http,
}

impl Kind {
    /// As in the settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Modal => "modal",
            Kind::Ray => "ray",
            Kind::RayJobs => "ray-jobs",
            Kind::Http => "http",
        }
    }

    pub(super) const fn health_path(self) -> &'static str {
        match self {
            Kind::Modal => "health_check",
            Kind::Ray | Kind::Http => "health",
            Kind::RayJobs => "api/version",
        }
    }

    pub(super) const fn run_path(self) -> &'static str {
        match self {
            Kind::Modal => "run_task",
            Kind::Ray | Kind::Http => "task",
            Kind::RayJobs => "api/jobs/",
        }
    }

    pub(super) const fn types_path(self) -> Option<&'static str> {
        match self {
            Kind::Modal => Some("tasks_list"),
            Kind::Ray => Some("tasks"),
            Kind::RayJobs | Kind::Http => None,
        }
    }

    const fn timeout_ms(self) -> u64 {
        match self {
            Kind::Modal => 120_000,
            Kind::Ray | Kind::RayJobs | Kind::Http => 3_600_000,
        }
    }
}

/// Settings of one backend.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendSettings {
    /// What it speaks: `modal`, `ray` (its HTTP ingress), `ray-jobs` (its Jobs API, on the dashboard's URL) or `http`
    /// (anything else that takes a type and a payload).
    pub kind: Kind,
    /// Its base URL.
    pub url: String,
    /// Bearer token that calls carry; questions after its health do not. Default: none.
    #[serde(default, deserialize_with = "secret")]
    pub token: Option<Secret>,
    /// Milliseconds that a call may take unless its task says otherwise. Default: 120000 for `modal`, else 3600000.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// Path that answers with a status of the 200s while it is healthy. Default: `health_check` for `modal`,
    /// `api/version` for `ray-jobs`, else `health`.
    #[serde(default)]
    pub health_path: Option<String>,
    /// Path that takes tasks. Default: `run_task` for `modal`, else `task`. Not for `ray-jobs`.
    #[serde(default)]
    pub run_path: Option<String>,
    /// Path that lists the types of tasks, as Modal's or as Ray's app does. Default: `tasks_list` for `modal`, `tasks`
    /// for `ray`, none for others.
    #[serde(default)]
    pub types_path: Option<String>,
    /// Key of the type in the body of a call. Default: `type`. Only for `http`.
    #[serde(default)]
    pub type_key: Option<String>,
    /// Key of the payload in the body of a call. Default: `payload`. Only for `http`.
    #[serde(default)]
    pub payload_key: Option<String>,
    /// Key of the result in the answer; an empty one takes the whole answer. Default: `result`. Only for `http`.
    #[serde(default)]
    pub result_key: Option<String>,
    /// Key in the answer that holds the text of an error. Default: `error`. Only for `http`.
    #[serde(default)]
    pub error_key: Option<String>,
    /// Models of its graphics processors, such as `T4` or `A100-80GB`. Default: `T4`, `A10G` and `A100` for `modal`,
    /// else none, and what the dashboard of `ray` tells.
    #[serde(default)]
    pub gpus: Option<Vec<String>>,
    /// Megabytes of memory of each of its graphics processors. Default: by the model.
    #[serde(default)]
    pub vram_mb: Option<u64>,
    /// Megabytes of memory that a task can get. Default: unknown, which is enough for every task.
    #[serde(default)]
    pub ram_mb: Option<u64>,
    /// Processors that a task can get. Default: unknown, which is enough for every task.
    #[serde(default)]
    pub cpus: Option<f64>,
    /// URL of Ray's dashboard, which tells what the cluster has. Default: none. Only for `ray`.
    #[serde(default)]
    pub dashboard_url: Option<String>,
    /// Calls in a row that fail as calls to a dead backend do before its circuit opens although it says that it is
    /// healthy. Default: 5.
    #[serde(default)]
    pub failures_to_open: Option<u32>,
}

/// When backends are asked how they are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Milliseconds for which an answer about health is believed. Default: 2000.
    pub health_ttl_ms: u64,
    /// Milliseconds after which no answer about health is a bad one. Default: 5000.
    pub health_timeout_ms: u64,
    /// Milliseconds before the first probe of an open circuit; each further pause is twice as long. Default: 1000.
    pub probe_min_ms: u64,
    /// Longest pause between two probes. Default: 10000.
    pub probe_max_ms: u64,
    /// Milliseconds after which the one call that a half-open circuit lets through has held up the others for long
    /// enough: then good health closes it. Default: 2000.
    pub trial_ms: u64,
    /// Milliseconds for which a list of types is believed. Default: 60000.
    pub types_ttl_ms: u64,
    /// Milliseconds between the first looks at a Ray job; they become more until there are `job_poll_max_ms` between
    /// two. Default: 1000.
    pub job_poll_min_ms: u64,
    /// Longest pause between two looks at a Ray job. Default: 5000.
    pub job_poll_max_ms: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            health_ttl_ms: 2_000,
            health_timeout_ms: 5_000,
            probe_min_ms: 1_000,
            probe_max_ms: 10_000,
            trial_ms: 2_000,
            types_ttl_ms: 60_000,
            job_poll_min_ms: 1_000,
            job_poll_max_ms: 5_000,
        }
    }
}

/// A backend's settings make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("backend `{name}`: {problem}")]
pub struct SettingsError {
    /// Of the backend.
    pub name: String,
    /// What is wrong.
    pub problem: String,
}

/// Where the usual backends are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Usual {
    /// `MODAL_URL`.
    pub modal_url: Option<String>,
    /// `MODAL_TOKEN`.
    pub modal_token: Option<Secret>,
    /// `RAY_URL`.
    pub ray_url: Option<String>,
    /// `RAY_DASHBOARD_URL`.
    pub ray_dashboard_url: Option<String>,
}

/// The backends `modal`, `ray` and `ray-jobs`, as far as there are URLs for them.
pub fn usual(places: &Usual) -> BTreeMap<String, BackendSettings> {
    let mut backends = BTreeMap::new();
    if let Some(url) = &places.modal_url {
        let modal = BackendSettings {
            token: places.modal_token.clone(),
            ..BackendSettings::new(Kind::Modal, url)
        };
        backends.insert("modal".to_owned(), modal);
    }
    if let Some(url) = &places.ray_url {
        let ray = BackendSettings {
            dashboard_url: places.ray_dashboard_url.clone(),
            ..BackendSettings::new(Kind::Ray, url)
        };
        backends.insert("ray".to_owned(), ray);
    }
    if let Some(url) = &places.ray_dashboard_url {
        backends.insert("ray-jobs".to_owned(), BackendSettings::new(Kind::RayJobs, url));
    }
    backends
}

impl BackendSettings {
    /// A backend with everything else as usual.
    pub fn new(kind: Kind, url: &str) -> Self {
        Self {
            kind,
            url: url.to_owned(),
            token: None,
            timeout_ms: None,
            health_path: None,
            run_path: None,
            types_path: None,
            type_key: None,
            payload_key: None,
            result_key: None,
            error_key: None,
            gpus: None,
            vram_mb: None,
            ram_mb: None,
            cpus: None,
            dashboard_url: None,
            failures_to_open: None,
        }
    }

    pub(super) fn timeout_ms(&self) -> u64 {
        self.timeout_ms.unwrap_or(self.kind.timeout_ms())
    }

    /// Looks whether they can be used.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    pub fn check(&self) -> Result<(), String> {
        base(&self.url).map_err(|problem| format!("`url` {problem}"))?;
        if let Some(url) = &self.dashboard_url {
            base(url).map_err(|problem| format!("`dashboard_url` {problem}"))?;
        }
        let only = |key: &str, kind: Kind, is_set: bool| {
            let problem = format!("`{key}` is only for kind `{}`", kind.as_str());
            if is_set && self.kind != kind {
                Err(problem)
            } else {
                Ok(())
            }
        };
        only("type_key", Kind::Http, self.type_key.is_some())?;
        only("payload_key", Kind::Http, self.payload_key.is_some())?;
        only("result_key", Kind::Http, self.result_key.is_some())?;
        only("error_key", Kind::Http, self.error_key.is_some())?;
        only("dashboard_url", Kind::Ray, self.dashboard_url.is_some())?;
        if self.kind == Kind::RayJobs && self.run_path.is_some() {
            return Err("`run_path` is not for kind `ray-jobs`".to_owned());
        }
        for (key, value) in [
            ("type_key", &self.type_key),
            ("payload_key", &self.payload_key),
            ("error_key", &self.error_key),
        ] {
            if value.as_deref() == Some("") {
                return Err(format!("`{key}` is empty"));
            }
        }
        let same_key = self.type_key.as_deref().unwrap_or("type") == self.payload_key.as_deref().unwrap_or("payload");
        if same_key {
            return Err("`type_key` and `payload_key` are the same".to_owned());
        }
        for (key, value) in [
            ("timeout_ms", self.timeout_ms),
            ("failures_to_open", self.failures_to_open.map(u64::from)),
        ] {
            if value == Some(0) {
                return Err(format!("`{key}` must be above 0"));
            }
        }
        Ok(())
    }
}

/// Reads a base URL.
pub(super) fn base(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is invalid: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must be http or https".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user or password: set `token`".to_owned());
    }
    Ok(url)
}

/// A path below a base URL, with one slash between them however they are written. A query of the base stays.
pub(super) fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!(
        "{}/{}",
        base.path().trim_end_matches('/'),
        path.trim_start_matches('/')
    ));
    url
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_backends_are_those_that_have_urls() {
        let names = |places: Usual| usual(&places).into_keys().collect::<Vec<_>>().join(" ");
        let url = |text: &str| Some(text.to_owned());
        assert_eq!(names(Usual::default()), "");
        let modal = Usual {
            modal_url: url("http://m"),
            modal_token: Some(Secret::new("t")),
            ..Usual::default()
        };
        assert_eq!(names(modal.clone()), "modal");
        assert_eq!(usual(&modal)["modal"].token, Some(Secret::new("t")));
        let ray = Usual {
            ray_url: url("http://r"),
            ray_dashboard_url: url("http://d"),
            ..Usual::default()
        };
        assert_eq!(names(ray.clone()), "ray ray-jobs");
        let backends = usual(&ray);
        assert_eq!(backends["ray"].dashboard_url.as_deref(), Some("http://d"));
        assert_eq!(
            (backends["ray-jobs"].kind, backends["ray-jobs"].url.as_str()),
            (Kind::RayJobs, "http://d")
        );
    }

    #[test]
    fn a_base_may_end_in_a_slash_and_has_its_own_path() {
        for (text, expected) in [
            ("http://h", "http://h/task"),
            ("http://h/", "http://h/task"),
            ("http://h//", "http://h/task"),
            ("http://h/a/b/", "http://h/a/b/task"),
            ("http://h/a?key=1", "http://h/a/task?key=1"),
        ] {
            let base = base(text).expect(text);
            assert_eq!(below(&base, "task").as_str(), expected);
            assert_eq!(below(&base, "/task").as_str(), expected);
        }
    }

    #[test]
    fn settings_are_read_and_a_token_is_not_shown() {
        let settings: BackendSettings =
            toml::from_str("kind = 'ray-jobs'\nurl = 'http://h'\ntoken = 'sesame'").expect("settings");
        assert_eq!((settings.kind, settings.timeout_ms()), (Kind::RayJobs, 3_600_000));
        assert!(!format!("{settings:?}").contains("sesame"));
        assert_eq!(BackendSettings::new(Kind::Modal, "http://h").timeout_ms(), 120_000);
        for wrong in [
            "kind = 'modal'",
            "kind = 'lambda'\nurl = 'http://h'",
            "kind = 'http'\nurl = 'http://h'\npayloadkey = 'x'",
        ] {
            assert!(toml::from_str::<BackendSettings>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_with_a_sentence() {
        for (text, complaint) in [
            ("kind = 'http'\nurl = 'ftp://h'", "`url` must be http or https"),
            (
                "kind = 'http'\nurl = 'http://u:p@h'",
                "`url` must not hold a user or password: set `token`",
            ),
            (
                "kind = 'ray'\nurl = 'http://h'\ndashboard_url = 'h'",
                "`dashboard_url` is invalid: relative URL without a base",
            ),
            (
                "kind = 'modal'\nurl = 'http://h'\ndashboard_url = 'http://d'",
                "`dashboard_url` is only for kind `ray`",
            ),
            (
                "kind = 'ray'\nurl = 'http://h'\ntype_key = 'x'",
                "`type_key` is only for kind `http`",
            ),
            (
                "kind = 'ray-jobs'\nurl = 'http://h'\nrun_path = 'x'",
                "`run_path` is not for kind `ray-jobs`",
            ),
            (
                "kind = 'http'\nurl = 'http://h'\npayload_key = 'type'",
                "`type_key` and `payload_key` are the same",
            ),
            ("kind = 'http'\nurl = 'http://h'\ntype_key = ''", "`type_key` is empty"),
            (
                "kind = 'http'\nurl = 'http://h'\ntimeout_ms = 0",
                "`timeout_ms` must be above 0",
            ),
        ] {
            let settings: BackendSettings = toml::from_str(text).expect(text);
            assert_eq!(settings.check(), Err(complaint.to_owned()), "{text}");
        }
    }
}
