//! Waiting for what gives no signal: another program's state, seen from outside.
//!
//! A look now and again until a deadline; never a pause of a fixed length and a hope. Where there is something to wait
//! on (a pipe, a channel, an exit), wait on that instead.

use std::time::{Duration, Instant};

/// How long to leave between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// Looks until the condition holds; whether it did within the time.
#[allow(
    clippy::disallowed_methods,
    reason = "patience with another program is by the machine's clock"
)]
pub fn until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_comes_true_ends_the_wait() {
        let mut looks = 0;
        let came = until(Duration::from_secs(60), || {
            looks += 1;
            looks == 3
        });
        assert!(came);
        assert_eq!(looks, 3);
    }

    #[test]
    fn a_condition_that_never_comes_true_ends_in_time() {
        assert!(!until(Duration::ZERO, || false));
    }
}
