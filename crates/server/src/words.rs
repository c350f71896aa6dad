//! How quantities are said to people, on a terminal and in a picture alike.

/// A duration: `850ms`, `2.4s`, `3m 05s`, `2h 10m`, `4d 3h`.
pub(crate) fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        _ if ms < 1000 => format!("{ms}ms"),
        0..10 => format!("{}.{}s", seconds, ms % 1000 / 100),
        10..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_and_exact_enough() {
        let texts = [0, 999, 1_000, 9_960, 10_400, 185_000, 7_800_000, 356_400_000].map(duration);
        assert_eq!(
            texts,
            ["0ms", "999ms", "1.0s", "9.9s", "10s", "3m 05s", "2h 10m", "4d 3h"]
        );
    }
}
