//! The actions that stand for a service, and where the operator says that the service is.
//!
//! An alias is the http action under another name. Where a URL is configured for it (`ai_router.chat`) or for its
//! service (`ai_router`), the step need not name one, or names only a path of the service.

use std::collections::BTreeMap;

use url::Url;

struct Alias {
    action: &'static str,
    service: &'static str,
    path: &'static str,
}

const fn alias(action: &'static str, service: &'static str, path: &'static str) -> Alias {
    Alias { action, service, path }
}

const ALIASES: &[Alias] = &[
    alias("ai_router.chat", "ai_router", "/v1/chat/completions"),
    alias("web.search", "web", "/v1/search"),
    alias("web.extract", "web", "/v1/extract"),
    alias("memarch.store_fact", "memarch", "/v1/facts"),
    alias("memarch.search", "memarch", "/v1/search"),
    alias("scm.call", "scm", "/v1/call"),
];

/// A configured URL made no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// Neither an alias nor the service of one.
    #[error("`{name}` is no action with a url: known are {}", known_names())]
    Unknown {
        /// What was configured.
        name: String,
    },
    /// Not a URL that can be used.
    #[error("the url of `{name}` {problem}")]
    BadUrl {
        /// What it was configured for.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
}

fn known_names() -> String {
    let services = ALIASES.iter().map(|alias| alias.service);
    let mut names: Vec<_> = ALIASES.iter().map(|alias| alias.action).chain(services).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

/// The configured URLs.
#[derive(Debug, Clone, Default)]
pub struct Services {
    urls: BTreeMap<String, Url>,
}

impl Services {
    /// Reads a map from action (`ai_router.chat`) or service (`ai_router`) to URL.
    pub fn new(configured: &BTreeMap<String, String>) -> Result<Self, ServiceError> {
        let mut urls = BTreeMap::new();
        for (name, text) in configured {
            let name = name.to_lowercase();
            let is_action = is_alias(&name);
            if !is_action && !ALIASES.iter().any(|alias| alias.service == name) {
                return Err(ServiceError::Unknown { name });
            }
            match read(text, is_action) {
                Ok(url) => urls.insert(name, url),
                Err(problem) => return Err(ServiceError::BadUrl { name, problem }),
            };
        }
        Ok(Self { urls })
    }

    /// Every configured URL.
    pub fn urls(&self) -> impl Iterator<Item = &Url> {
        self.urls.values()
    }

    /// The URL of an action that names none itself.
    pub(super) fn default_url(&self, action: &str) -> Option<String> {
        if let Some(url) = self.urls.get(action) {
            return Some(url.to_string());
        }
        let alias = ALIASES.iter().find(|alias| alias.action == action)?;
        Some(join(self.urls.get(alias.service)?, alias.path))
    }

    /// The URL of a path (with its leading slash) of the action's service.
    pub(super) fn path_url(&self, action: &str, path: &str) -> Option<String> {
        let alias = ALIASES.iter().find(|alias| alias.action == action)?;
        if let Some(base) = self.urls.get(alias.service) {
            return Some(join(base, path));
        }
        let mut origin = self.urls.get(action)?.clone();
        origin.set_path("");
        origin.set_query(None);
        Some(join(&origin, path))
    }
}

/// The actions that are aliases of `http`.
pub(super) fn aliases() -> impl Iterator<Item = &'static str> {
    ALIASES.iter().map(|alias| alias.action)
}

/// Whether the action (in lower case) is an alias of `http`.
pub(super) fn is_alias(action: &str) -> bool {
    aliases().any(|alias| alias == action)
}

fn read(text: &str, is_action: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is invalid: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must be http or https".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user or password".to_owned());
    }
    if url.fragment().is_some() || (url.query().is_some() && !is_action) {
        return Err("must end with its path".to_owned());
    }
    Ok(url)
}

/// Text is put behind text, not resolved as a reference: `//other.host/` stays a path of this service.
fn join(base: &Url, path: &str) -> String {
    format!("{}{path}", base.as_str().trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services(entries: &[(&str, &str)]) -> Result<Services, ServiceError> {
        Services::new(
            &entries
                .iter()
                .map(|(name, url)| ((*name).to_owned(), (*url).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn a_service_serves_its_actions_and_an_action_can_have_its_own_url() {
        let services = services(&[
            ("ai_router", "http://ai-router:8080/"),
            ("web", "http://web:1/api"),
            ("web.extract", "https://extract.test/run?v=2"),
            ("SCM.call", "http://scm:2/hook"),
        ])
        .expect("services");
        for (action, url) in [
            ("ai_router.chat", Some("http://ai-router:8080/v1/chat/completions")),
            ("web.search", Some("http://web:1/api/v1/search")),
            ("web.extract", Some("https://extract.test/run?v=2")),
            ("scm.call", Some("http://scm:2/hook")),
            ("memarch.search", None),
            ("http", None),
        ] {
            assert_eq!(services.default_url(action).as_deref(), url, "{action}");
        }
        assert_eq!(
            services.path_url("ai_router.chat", "/v2/x?y=1").as_deref(),
            Some("http://ai-router:8080/v2/x?y=1")
        );
        assert_eq!(services.path_url("scm.call", "/x").as_deref(), Some("http://scm:2/x"));
        assert_eq!(services.path_url("memarch.search", "/x"), None);
        assert_eq!(services.urls().count(), 4);
    }

    #[test]
    fn a_path_cannot_leave_the_service() {
        let services = services(&[("web", "http://web:1")]).expect("services");
        for path in [
            "//evil.test/x",
            "/@evil.test/",
            "/\\evil.test/",
            "/..//evil.test",
            "/:80@evil.test",
        ] {
            let url: Url = services
                .path_url("web.search", path)
                .expect("url")
                .parse()
                .expect("url");
            assert_eq!((url.host_str(), url.port()), (Some("web"), Some(1)), "{path}");
        }
    }

    #[test]
    fn unknown_names_and_unusable_urls_are_refused() {
        assert!(matches!(
            services(&[("web.fetch", "http://x")]),
            Err(ServiceError::Unknown { .. })
        ));
        for url in [
            "web:1",
            "ftp://x",
            "http://",
            "http://u:p@x",
            "http://x?y",
            "http://x#y",
            "/path",
        ] {
            assert!(
                matches!(services(&[("web", url)]), Err(ServiceError::BadUrl { .. })),
                "{url}"
            );
        }
    }
}
