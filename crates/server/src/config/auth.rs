//! Who may do what.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::{Host, Url};

use super::ConfigError;
use super::section::section;
use super::value::{Millis, Secret};
use crate::identity::{Algorithm, EVERY_NAMESPACE, Grant, PublicKey, is_namespace};

/// Clocks that differ by more are broken, and tokens that are good for longer than they say are not what was signed.
const LONGEST_LEEWAY_MS: u64 = 60_000;

section! {
    /// Who may do what. Without any key everybody may do everything, which is why the server then listens on loopback
    /// only.
    pub struct Auth = "auth" {
        /// The keys that are accepted, beside those that are made over the API (`quintet auth keys create`) and kept in the
        /// store. `quintet keys create` makes one. Each has `name`; either `sha256` (hash of the key, in hex) or `key`
        /// (`env:NAME` or `file:PATH`); `permissions`: roles, of `viewer` (read), `operator` (start and control runs),
        /// `author` (write workflows and templates), `worker` (do work, see nothing) and `admin` (everything), or names
        /// such as `tasks:read` and `tasks:*`; `namespace`, by default `default`, `*` for all; and for workers `queues`, the
        /// services and queues that they may serve. Default: none.
        pub api_keys: Vec<ApiKey> = Vec::new(),
        /// Whether a key or token is needed: `auto` needs one as soon as there is any, in these settings or in the store;
        /// `true` always. Where nobody could make keys then, an admin's is made at the start and written to
        /// `<data_dir>/admin-token`. Default: `auto`. Set it to `true` on a server that others reach before any key exists.
        pub required: Required = Required::Auto,
        /// Tokens of an identity provider (JWT) that are accepted. A table with `issuer` and `audience` (a list; both are
        /// required, and so are `sub` and `exp` of a token); either `jwks_url` (https, or http on loopback) or `keys`, a list
        /// of tables with `key` (a public key in PEM, `env:NAME` or `file:PATH`) and `kid`; `algorithms`, by default all of
        /// `EdDSA`, `ES256` and `RS256` (others do not exist here); `leeway`, by default 30s, at most 60s;
        /// `subject_claim`, by default `sub`; `roles_claim` (`roles`) and `permissions_claim` (`permissions`), whose
        /// values are names of roles and permissions, a list or one text with spaces; `namespace_claim` (`namespace`), and
        /// `namespace`, that of tokens that name none, which are refused without it. A claim may lie deeper:
        /// `realm_access.roles`. Default: none.
        pub jwt: Option<Jwt> = None,
    }
}

/// A key that is accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Who uses it; appears in logs.
    pub name: String,
    /// SHA-256 of the key, in hex.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Where the key itself is: `env:NAME` or `file:PATH`.
    #[serde(default)]
    pub key: Option<Secret>,
    /// What it may do.
    pub permissions: Vec<Grant>,
    /// Whose workflows and runs it sees; `*` is everybody's.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// Queues and services that a worker with it may serve; all where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<String>>,
}

/// Whether a key or token is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Required {
    /// As soon as there is any.
    Auto,
    /// Always.
    Always,
}

impl Serialize for Required {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Always => serializer.serialize_bool(true),
        }
    }
}

impl<'de> Deserialize<'de> for Required {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Flag(bool),
            Text(String),
        }
        match Form::deserialize(deserializer) {
            Ok(Form::Flag(true)) => Ok(Self::Always),
            Ok(Form::Text(text)) if text == "true" => Ok(Self::Always),
            Ok(Form::Text(text)) if text == "auto" => Ok(Self::Auto),
            _ => Err(de::Error::custom(
                "expected `auto` or `true`; a server that lets everybody in on an address that others reach is \
                 started with --insecure-no-auth",
            )),
        }
    }
}

/// Tokens of an identity provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// Who must have made them.
    pub issuer: String,
    /// For whom they must be: for one of these.
    pub audience: Vec<String>,
    /// How they may be signed.
    #[serde(default = "all_algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// Where the keys are fetched from.
    #[serde(default)]
    pub jwks_url: Option<Url>,
    /// Keys that are not fetched.
    #[serde(default)]
    pub keys: Vec<JwtKey>,
    /// How far clocks may differ.
    #[serde(default = "usual_leeway")]
    pub leeway: Millis,
    /// The claim with the name of the bearer.
    #[serde(default = "sub")]
    pub subject_claim: String,
    /// The claim with roles.
    #[serde(default = "roles")]
    pub roles_claim: String,
    /// The claim with permissions.
    #[serde(default = "permissions")]
    pub permissions_claim: String,
    /// The claim with the namespace.
    #[serde(default = "namespace")]
    pub namespace_claim: String,
    /// The namespace of tokens that name none.
    #[serde(default)]
    pub namespace: Option<String>,
}

/// A public key that tokens are signed with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtKey {
    /// The name that tokens know it by; without one it is tried for every token.
    #[serde(default)]
    pub kid: Option<String>,
    /// The key in PEM, or where it is.
    pub key: Secret,
}

macro_rules! usual {
    ($($name:ident: $type:ty = $value:expr;)+) => { $(fn $name() -> $type { $value })+ };
}

usual! {
    default_namespace: String = "default".to_owned();
    all_algorithms: Vec<Algorithm> = Algorithm::ALL.to_vec();
    usual_leeway: Millis = Millis(30_000);
    sub: String = "sub".to_owned();
    roles: String = "roles".to_owned();
    permissions: String = "permissions".to_owned();
    namespace: String = "namespace".to_owned();
}

impl Auth {
    /// Whether these settings alone keep strangers out.
    pub fn keeps_strangers_out(&self) -> bool {
        !self.api_keys.is_empty() || self.jwt.is_some() || self.required == Required::Always
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (number, key) in self.api_keys.iter().enumerate() {
            key.check()
                .map_err(|reason| ConfigError::senseless(format!("auth.api_keys[{number}] ({})", key.name), reason))?;
        }
        let Some(jwt) = &self.jwt else { return Ok(()) };
        jwt.check()
            .map_err(|(field, reason)| ConfigError::senseless(format!("auth.jwt.{field}"), reason))
    }
}

impl ApiKey {
    fn check(&self) -> Result<(), &'static str> {
        match (&self.sha256, &self.key) {
            (None, None) | (Some(_), Some(_)) => return Err("needs either `sha256` or `key`"),
            (Some(hash), None) if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                return Err("`sha256` has 64 hexadecimal digits");
            }
            _ => {}
        }
        if self.name.trim().is_empty() {
            return Err("needs a `name`");
        }
        if self.permissions.is_empty() {
            return Err("needs at least one of `permissions`");
        }
        if self.namespace.is_empty() {
            return Err("needs a `namespace`");
        }
        if self.namespace != EVERY_NAMESPACE && !is_namespace(&self.namespace) {
            return Err("`namespace` must be `*`, or 1 to 63 letters, digits and ._-, and not `quintet`");
        }
        Ok(())
    }
}

impl Jwt {
    /// The keys that are not fetched.
    pub fn public_keys(&self) -> Result<Vec<PublicKey>, String> {
        let read = |key: &JwtKey| {
            let text = key.key.reveal()?;
            PublicKey::from_pem(&text, key.kid.clone()).map_err(|reason| format!("a key of `auth.jwt` {reason}"))
        };
        self.keys.iter().map(read).collect()
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        let wrong = |field, reason: &str| Err((field, reason.to_owned()));
        if self.issuer.is_empty() {
            return wrong("issuer", "must not be empty");
        }
        if self.audience.is_empty() || self.audience.iter().any(String::is_empty) {
            return wrong("audience", "must name at least one audience");
        }
        if self.algorithms.is_empty() {
            return wrong("algorithms", "must name at least one of EdDSA, ES256 and RS256");
        }
        if self.leeway.0 > LONGEST_LEEWAY_MS {
            return wrong("leeway", "must be at most 60s");
        }
        if self.keys.is_empty() == self.jwks_url.is_none() {
            return wrong(
                "jwks_url",
                "must be set, or else `keys`: one of them says which keys are good",
            );
        }
        if let Some(url) = self.jwks_url.as_ref().filter(|url| !is_safe(url)) {
            return Err((
                "jwks_url",
                format!("{url} must begin with https://, unless it is on loopback"),
            ));
        }
        let is_usable = |namespace: &String| namespace == EVERY_NAMESPACE || is_namespace(namespace);
        if !self.namespace.as_ref().is_none_or(is_usable) {
            return wrong(
                "namespace",
                "must be `*`, or 1 to 63 letters, digits and ._-, and not `quintet`",
            );
        }
        Ok(())
    }
}

/// Whether nobody on the way can replace the keys.
fn is_safe(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback)
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Required};

    fn refusal(text: &str) -> String {
        let refused = Config::parse(text).err();
        refused
            .map(|error| error.to_string())
            .unwrap_or_else(|| panic!("accepted: {text}"))
    }

    #[test]
    fn keys_may_have_roles_and_names_of_permissions() {
        let hash = "0".repeat(64);
        let with = |rest: &str| format!("[[auth.api_keys]]\nname = 'a'\nsha256 = '{hash}'\n{rest}\n");
        let config = Config::parse(&with(
            "permissions = ['worker', 'tasks:*', 'dlq:read']\nnamespace = '*'",
        ))
        .expect("good");
        assert_eq!(config.auth.api_keys[0].permissions.len(), 3);
        for (rest, expected) in [
            ("permissions = ['boss']", "no role or permission `boss`"),
            ("permissions = ['*']", "no role or permission `*`"),
            ("permissions = []", "at least one"),
            ("permissions = ['viewer']\nnamespace = 'quintet'", "not `quintet`"),
            ("permissions = ['viewer']\nnamespace = 'a b'", "letters, digits"),
        ] {
            let said = refusal(&with(rest));
            assert!(said.contains(expected), "{rest}: {said}");
        }
    }

    #[test]
    fn required_is_auto_or_true_and_false_is_told_what_it_would_mean() {
        for text in ["required = true", "required = 'true'"] {
            let config = Config::parse(&format!("[auth]\n{text}\n")).expect("good");
            assert_eq!(config.auth.required, Required::Always);
        }
        assert_eq!(Config::default().auth.required, Required::Auto);
        assert!(refusal("[auth]\nrequired = false\n").contains("--insecure-no-auth"));
    }

    #[test]
    fn settings_of_tokens_that_would_weaken_them_are_refused() {
        let with = |rest: &str| format!("[auth.jwt]\nissuer = 'i'\naudience = ['a']\n{rest}\n");
        assert!(Config::parse(&with("jwks_url = 'https://id.example/keys'")).is_ok());
        assert!(Config::parse(&with("jwks_url = 'http://127.0.0.1:9/keys'")).is_ok());
        for (rest, expected) in [
            ("", "auth.jwt.jwks_url"),
            ("jwks_url = 'http://id.example/keys'", "https://"),
            ("jwks_url = 'http://127.0.0.1.id.example/keys'", "https://"),
            ("jwks_url = 'file:///etc/keys'", "https://"),
            ("jwks_url = 'https://id.example/keys'\nleeway = '61s'", "60s"),
            ("jwks_url = 'https://id.example/keys'\nalgorithms = ['HS256']", "HS256"),
            ("jwks_url = 'https://id.example/keys'\nalgorithms = ['none']", "none"),
            ("jwks_url = 'https://id.example/keys'\nalgorithms = []", "at least one"),
            (
                "jwks_url = 'https://id.example/keys'\nnamespace = 'quintet'",
                "not `quintet`",
            ),
            ("jwks_url = 'https://id.example/keys'\nsecret = 'x'", "secret"),
        ] {
            let said = refusal(&with(rest));
            assert!(said.contains(expected), "{rest}: {said}");
        }
        assert!(refusal("[auth.jwt]\naudience = ['a']\njwks_url = 'https://i/'\n").contains("issuer"));
        assert!(refusal("[auth.jwt]\nissuer = 'i'\naudience = []\njwks_url = 'https://i/'\n").contains("audience"));
    }
}
