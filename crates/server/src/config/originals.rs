//! Variables of the replaced orchestrators that do not say one setting each: several that make one together, and one whose
//! words are others than ours.
//!
//! A set that is begun and not complete is an error and not nothing: whoever sets `DB_HOST` believes to be on that
//! database.

use serde_json::Value;

use super::ConfigError;
use super::pipelines::from_variables;

const STORE: &str = "store.url";
const STORAGE: &str = "pipelines.storage_backends";
const PROVIDER: &str = "STORAGE_PROVIDER";

/// A setting that several variables make together.
pub(super) struct Composed {
    /// The variable that begins the set, for error messages.
    pub origin: &'static str,
    pub path: &'static str,
    pub value: Value,
}

/// The variables that were set to something.
pub(super) struct Variables<'a>(pub &'a [(String, String)]);

impl<'a> Variables<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().find(|(own, value)| own == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    fn first(&self, names: &[&str]) -> Option<&'a str> {
        names.iter().find_map(|name| self.get(name))
    }
}

/// A variable's text in our words.
pub(super) fn translated<'a>(variable: &str, text: &'a str) -> &'a str {
    match (variable, text) {
        ("LOG_LEVEL", "minimal") => "warn",
        ("LOG_LEVEL", "normal") => "info",
        ("LOG_LEVEL", "detailed") => "debug",
        _ => text,
    }
}

/// The address of a PostgreSQL database from its parts. A certificate is checked where `DB_SSL` asks for one, which the
/// original did not.
pub(super) fn database(variables: &Variables<'_>) -> Result<Option<Composed>, ConfigError> {
    const ORIGIN: &str = "DB_HOST";
    let Some(host) = variables.get(ORIGIN) else {
        return Ok(None);
    };
    let missing = |names: &str| {
        wrong(
            ORIGIN,
            STORE,
            format!("is set without {names}: set it too, or DATABASE_URL"),
        )
    };
    let name = variables.first(&["DB_NAME", "DB_DATABASE"]);
    let user = variables.first(&["DB_USER", "DB_USERNAME"]);
    let name = name.ok_or_else(|| missing("DB_NAME (or DB_DATABASE)"))?;
    let user = user.ok_or_else(|| missing("DB_USER (or DB_USERNAME)"))?;
    let port = variables.get("DB_PORT").unwrap_or("5432");
    if port.parse::<u16>().is_err() {
        return Err(wrong("DB_PORT", STORE, "must be a port, such as 5432".to_owned()));
    }
    let tls = match variables.get("DB_SSL").map(str::to_ascii_lowercase).as_deref() {
        None | Some("false" | "0") => "",
        Some("true" | "1") => "?sslmode=require",
        Some(_) => return Err(wrong("DB_SSL", STORE, "must be true or false".to_owned())),
    };
    let password = variables.first(&["DB_PASS", "DB_PASSWORD"]);
    let password = password
        .map(|password| format!(":{}", escaped(password)))
        .unwrap_or_default();
    let host = match host.parse::<std::net::Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => escaped(host),
    };
    let url = format!(
        "postgres://{}{password}@{host}:{port}/{}{tls}",
        escaped(user),
        escaped(name)
    );
    Ok(Some(Composed {
        origin: ORIGIN,
        path: STORE,
        value: url.into(),
    }))
}

/// The one storage backend of the original's older variables.
pub(super) fn storage(variables: &Variables<'_>) -> Result<Option<Composed>, ConfigError> {
    let found = from_variables(|name| variables.get(name).map(str::to_owned));
    // Whichever variable is wrong is named; without a name it is what they say together.
    let found = found.map_err(|error| match error.field.as_str() {
        "" => wrong(PROVIDER, STORAGE, error.problem),
        name => wrong(name, STORAGE, error.problem),
    })?;
    Ok(found.map(|value| Composed {
        origin: PROVIDER,
        path: STORAGE,
        value,
    }))
}

fn wrong(origin: &str, key: &str, reason: String) -> ConfigError {
    ConfigError::Invalid {
        origin: origin.to_owned(),
        key: key.to_owned(),
        reason,
    }
}

/// A text inside a URL.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}
