//! Quintet's priorities in BullMQ's numbers.
//!
//! Here higher goes sooner and 0 is usual. There 1 goes sooner than 10, and 0 means to stand before everything that has
//! a priority. So that a step of priority 5 can overtake one of priority 0 that waits already, every job gets a
//! priority, and the usual one is in the middle of BullMQ's range. That range is half as wide as Quintet's: around the
//! middle every number keeps its place, and far from it three share one and go in the order in which they came.

/// Lowest priority that is told apart from others.
pub const LOWEST: i32 = -(1 << 21);
/// Highest.
pub const SOONEST: i32 = 1 << 21;

/// The middle of BullMQ's 1 to 2^21.
const MIDDLE: i32 = 1 << 20;
/// As far from the middle as every number has its own place.
const EXACT: i32 = 1 << 19;
/// How many share a place farther out.
const SHARED: i32 = 3;

/// BullMQ's number: never 0, and never sooner for what is lower here.
pub fn to_bullmq(priority: i32) -> u32 {
    let priority = priority.clamp(LOWEST, SOONEST);
    let far = (priority.abs() - EXACT).max(0);
    let distance = priority.abs().min(EXACT) + (far + SHARED - 1) / SHARED;
    let place = MIDDLE - priority.signum() * distance;
    place.max(1).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_is_never_later_and_near_the_usual_one_always_sooner() {
        let mut previous = to_bullmq(LOWEST);
        for priority in LOWEST + 1..=SOONEST {
            let place = to_bullmq(priority);
            assert!(place <= previous, "{priority}");
            let is_near = priority > -EXACT && priority <= EXACT;
            assert!(!is_near || place < previous, "{priority}");
            previous = place;
        }
    }

    #[test]
    fn every_number_is_one_that_bullmq_takes() {
        assert_eq!(to_bullmq(0), 1 << 20);
        assert_eq!(to_bullmq(i32::MAX), 1);
        assert_eq!(to_bullmq(i32::MIN), 1 << 21);
    }
}
