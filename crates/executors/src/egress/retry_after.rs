//! The receiver's wish to be left alone for a while (`Retry-After`).

use std::time::Duration;

use http::{HeaderMap, header};

/// Nobody may put a run to sleep for longer than this.
const CAP: Duration = Duration::from_secs(3600);

/// Milliseconds to wait, from seconds or from a date, at most an hour.
///
/// A date is read against the answer's own `Date`: the wait is then right even where the two clocks disagree, and
/// no clock has to be asked here. Without `Date` a date says nothing.
pub(super) fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let wish = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !wish.is_empty() && wish.bytes().all(|byte| byte.is_ascii_digit()) {
        wish.parse().map_or(CAP, Duration::from_secs)
    } else {
        let until = httpdate::parse_http_date(wish).ok()?;
        let now = httpdate::parse_http_date(headers.get(header::DATE)?.to_str().ok()?).ok()?;
        until.duration_since(now).unwrap_or_default()
    };
    u64::try_from(wait.min(CAP).as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(retry_after: &str, date: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, retry_after.parse().expect("value"));
        if let Some(date) = date {
            headers.insert(header::DATE, date.parse().expect("value"));
        }
        retry_after_ms(&headers)
    }

    #[test]
    fn seconds_and_dates_are_read_and_capped_at_an_hour() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(wait("7", None), Some(7000));
        assert_eq!(wait(" 0 ", None), Some(0));
        assert_eq!(wait("7200", None), Some(3_600_000));
        assert_eq!(wait("99999999999999999999999", None), Some(3_600_000));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:37 GMT", date), Some(60_000));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT", date), Some(0));
        assert_eq!(wait("Mon, 07 Nov 1994 08:49:37 GMT", date), Some(3_600_000));
    }

    #[test]
    fn what_cannot_be_read_is_no_wish() {
        for text in ["", "soon", "-1", "1.5"] {
            assert_eq!(wait(text, Some("Sun, 06 Nov 1994 08:49:37 GMT")), None, "{text}");
        }
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:37 GMT", None), None);
        assert_eq!(retry_after_ms(&HeaderMap::new()), None);
    }
}
