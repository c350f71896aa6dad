//! Throwing away what failed long ago.

use std::sync::Arc;

use axum::extract::State;
use quintet_core::time::Time;
use serde_json::{Value, json};

use super::super::body::Json;
use super::super::reply::{self, Answer};
use super::super::zod_error::{self, Fields, Findings, Range};
use crate::app::App;

/// Letters removed by one transaction.
const BATCH: usize = 500;
const SECOND_US: u64 = 1_000_000;
const DAY_US: u64 = 86_400 * SECOND_US;
/// What is younger is kept where nothing is said.
const DEFAULT_US: u64 = 30 * DAY_US;

/// `POST /api/dlq/purge`, of open letters and of those that were tried again.
pub(in super::super) async fn purge(State(app): State<Arc<App>>, body: Json) -> Answer {
    let age_us = age(&body.or_empty())?;
    let pipelines = &app.pipelines;
    // With no age at all, what failed at this very moment goes too.
    let now = pipelines.clock.now().0.saturating_add(1);
    let before = Time(now.saturating_sub(i64::try_from(age_us).unwrap_or(i64::MAX)));
    let mut purged = 0;
    loop {
        let some = pipelines
            .store
            .purge_letters(Some(&pipelines.namespace), before, BATCH)
            .await?;
        purged += some;
        if some < BATCH as u64 {
            break;
        }
    }
    tracing::info!(purged, "dead letters removed");
    Ok(reply::json(&json!({ "purged": purged })))
}

/// In microseconds.
fn age(body: &Value) -> Result<u64, Findings> {
    let mut found = Findings::default();
    let Some(fields) = Fields::of(Some(body), zod_error::Path::root(), &mut found) else {
        return Err(found);
    };
    let days = fields.optional_number("olderThanDays", Range::from(0.0).to(1e6), &mut found);
    let text = fields.optional_text("olderThan", &mut found);
    let span = text.and_then(span_us);
    if text.is_some() && span.is_none() {
        found.add(
            &fields.at("olderThan"),
            "must be a number and a unit, such as 30d, 24h, 15m or 90s",
        );
    }
    if text.is_some() && days.is_some() {
        found.add(&fields.at("olderThanDays"), "must not be given beside olderThan");
    }
    if found.is_any() {
        return Err(found);
    }
    let days = days.map(|days| (days * DAY_US as f64) as u64);
    Ok(span.or(days).unwrap_or(DEFAULT_US))
}

/// Reads `30d`, `24h`, `15m`, `90s`.
fn span_us(text: &str) -> Option<u64> {
    let unit = text.chars().next_back()?;
    let scale = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let number = &text[..text.len() - 1];
    if number.is_empty() || !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    number.checked_mul(scale * SECOND_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_a_unit_and_is_thirty_days_where_none_is_given() {
        for (body, expected) in [
            (json!({}), 30 * DAY_US),
            (json!({ "olderThan": null }), 30 * DAY_US),
            (json!({ "olderThan": "7d" }), 7 * DAY_US),
            (json!({ "olderThan": "24h" }), DAY_US),
            (json!({ "olderThan": "15m" }), 900 * SECOND_US),
            (json!({ "olderThan": "0s" }), 0),
            (json!({ "olderThanDays": 0 }), 0),
            (json!({ "olderThanDays": 1.5 }), DAY_US + DAY_US / 2),
        ] {
            assert_eq!(age(&body).ok(), Some(expected), "{body}");
        }
    }

    #[test]
    fn an_age_that_cannot_be_read_is_refused_by_its_name() {
        for (body, name) in [
            (json!({ "olderThan": "7" }), "olderThan"),
            (json!({ "olderThan": "d" }), "olderThan"),
            (json!({ "olderThan": "-1d" }), "olderThan"),
            (json!({ "olderThan": "1.5d" }), "olderThan"),
            (json!({ "olderThan": "9999999999999999d" }), "olderThan"),
            (json!({ "olderThan": "7ä" }), "olderThan"),
            (json!({ "olderThan": 7 }), "olderThan"),
            (json!({ "olderThanDays": -1 }), "olderThanDays"),
            (json!({ "olderThanDays": "7" }), "olderThanDays"),
            (json!({ "olderThan": "7d", "olderThanDays": 7 }), "olderThanDays"),
        ] {
            let details = age(&body).expect_err("refused").details();
            assert!(details.get(name).is_some(), "{body}: {details}");
        }
        assert!(age(&json!([])).is_err());
    }
}
