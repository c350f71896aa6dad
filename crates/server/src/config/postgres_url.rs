//! The address of a PostgreSQL database, which may hold a password and so is never shown whole.

use std::fmt;

/// The address of a PostgreSQL database: `postgres://USER:PASSWORD@HOST:PORT/DATABASE?...`, or libpq's
/// `host=... dbname=...`.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

impl PostgresUrl {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// With its password.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether a text looks like `host=... dbname=...`.
    pub(super) fn is_keywords(text: &str) -> bool {
        let first = text.trim_start().split_once('=').map(|(name, _)| name.trim_end());
        matches!(
            first,
            Some("host" | "hostaddr" | "port" | "user" | "password" | "dbname" | "sslmode" | "application_name")
        )
    }

    /// What may be shown of it: user, host and database. Where it is not quite clear what is what, less.
    fn shown(&self) -> String {
        let Some((_, rest)) = self.0.split_once("://") else {
            return keywords_shown(&self.0);
        };
        // The query may hold a password too.
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        match rest.rsplit_once('@') {
            Some((login, place)) => {
                let user = login.split(':').next().unwrap_or_default();
                format!("postgres://{user}@{place}")
            }
            // A password with a question mark in it has been cut in two.
            None if query.contains('@') => "postgres://…".to_owned(),
            None => format!("postgres://{rest}"),
        }
    }
}

/// `host`, `port` and `dbname` of libpq's form; a quoted value may hold anything, so then nothing is shown.
fn keywords_shown(text: &str) -> String {
    if text.contains(['\'', '\\']) || text.contains(" =") || text.contains("= ") {
        return "postgres".to_owned();
    }
    let harmless = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        matches!(name, "host" | "hostaddr" | "port" | "dbname" | "user")
    };
    text.split_whitespace().filter(harmless).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown_wherever_it_stands() {
        for (text, shown) in [
            (
                "postgres://ann:hunter2@db.example:5433/q",
                "postgres://ann@db.example:5433/q",
            ),
            (
                "postgresql://ann@db/q?password=hunter2&sslmode=require",
                "postgres://ann@db/q",
            ),
            ("postgres://db/q?user=ann&password=hun@ter2", "postgres://…"),
            ("postgres://ann:hun@ter2@db/q", "postgres://ann@db/q"),
            ("postgres://ann:hunter2?@db/q", "postgres://…"),
            ("postgres://db/q", "postgres://db/q"),
            (
                "host=db user=ann password=hunter2 dbname=q",
                "host=db user=ann dbname=q",
            ),
            ("host=db password='hunter2 dbname=x' user=ann", "postgres"),
            ("host = db password = hunter2", "postgres"),
        ] {
            let url = PostgresUrl::new(text);
            assert_eq!(url.to_string(), shown, "{text}");
            assert_eq!(format!("{url:?}"), shown, "{text}");
            assert_eq!(url.reveal(), text);
        }
    }
}
