use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;
use proptest::prelude::*;

use super::{Cron, CronError};
use crate::time::Time;

fn at(text: &str) -> Time {
    Time::parse_rfc3339(text).expect(text)
}

fn cron(text: &str, zone: &str) -> Cron {
    Cron::parse(text, zone).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The next `count` due times as the zone's clock shows them, without the zone's name.
fn due(text: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let cron = cron(text, zone);
    let local = |time| cron.local(time).split('[').next().unwrap_or_default().to_owned();
    cron.upcoming(at(after)).take(count).map(local).collect()
}

#[test]
fn expressions_are_due_when_their_fields_say() {
    // 2026-01-01 is a Thursday.
    let cases: &[(&str, &[&str])] = &[
        ("* * * * *", &["2026-01-01T00:01:00", "2026-01-01T00:02:00"]),
        (
            "*/20 * * * *",
            &["2026-01-01T00:20:00", "2026-01-01T00:40:00", "2026-01-01T01:00:00"],
        ),
        (
            "5/20 1 * * *",
            &["2026-01-01T01:05:00", "2026-01-01T01:25:00", "2026-01-01T01:45:00"],
        ),
        (
            "10-30/10 0 * * *",
            &["2026-01-01T00:10:00", "2026-01-01T00:20:00", "2026-01-01T00:30:00"],
        ),
        (
            "30 0 9,17 * * *",
            &["2026-01-01T09:00:30", "2026-01-01T17:00:30", "2026-01-02T09:00:30"],
        ),
        ("*/30 * * * * *", &["2026-01-01T00:00:30", "2026-01-01T00:01:00"]),
        (
            "0 9 * * MON-FRI",
            &["2026-01-01T09:00:00", "2026-01-02T09:00:00", "2026-01-05T09:00:00"],
        ),
        (
            "0 9 * * 5-7",
            &["2026-01-02T09:00:00", "2026-01-03T09:00:00", "2026-01-04T09:00:00"],
        ),
        ("0 0 * * 7", &["2026-01-04T00:00:00"]),
        ("0 0 1 jan,Jul *", &["2026-07-01T00:00:00", "2027-01-01T00:00:00"]),
        ("0 0 ? * sun", &["2026-01-04T00:00:00"]),
        // Either, where both are given.
        (
            "0 0 13 * FRI",
            &["2026-01-02T00:00:00", "2026-01-09T00:00:00", "2026-01-13T00:00:00"],
        ),
        (
            "0 0 L * *",
            &["2026-01-31T00:00:00", "2026-02-28T00:00:00", "2026-03-31T00:00:00"],
        ),
        (
            "0 0 L 2 *",
            &["2026-02-28T00:00:00", "2027-02-28T00:00:00", "2028-02-29T00:00:00"],
        ),
        ("0 0 * * 5L", &["2026-01-30T00:00:00", "2026-02-27T00:00:00"]),
        (
            "0 0 * * MON#1,FRI#3",
            &["2026-01-05T00:00:00", "2026-01-16T00:00:00", "2026-02-02T00:00:00"],
        ),
        ("0 0 * * THU#5", &["2026-01-29T00:00:00", "2026-04-30T00:00:00"]),
        ("0 0 31 * *", &["2026-01-31T00:00:00", "2026-03-31T00:00:00"]),
        ("0 0 29 2 *", &["2028-02-29T00:00:00", "2032-02-29T00:00:00"]),
        ("@hourly", &["2026-01-01T01:00:00"]),
        ("@Daily", &["2026-01-02T00:00:00"]),
        ("@weekly", &["2026-01-04T00:00:00"]),
        ("@monthly", &["2026-02-01T00:00:00"]),
        ("@yearly", &["2027-01-01T00:00:00"]),
        ("  0\t0 1  1 * ", &["2027-01-01T00:00:00"]),
    ];
    for (text, expected) in cases {
        let found = due(text, "UTC", "2026-01-01T00:00:00Z", expected.len());
        let expected: Vec<String> = expected.iter().map(|time| format!("{time}+00:00")).collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn what_means_nothing_is_refused_by_the_name_of_its_field() {
    let cases = [
        ("60 * * * *", "minute: 60 is not from 0 to 59"),
        ("* 24 * * *", "hour: 24 is not from 0 to 23"),
        ("* * 0 * *", "day of month: 0 is not from 1 to 31"),
        ("* * * 13 *", "month: 13 is not from 1 to 12"),
        (
            "* * * FOO *",
            "month: \"FOO\" is not a number from 1 to 12 or a name from JAN to DEC",
        ),
        ("* * * * 8", "day of week: 8 is not from 0 to 7"),
        (
            "* * * * MON#6",
            "day of week: \"MON#6\": behind # is a number from 1 to 5",
        ),
        ("61 * * * * *", "second: 61 is not from 0 to 59"),
        ("1,,2 * * * *", "minute: \"\" is not a number from 0 to 59"),
        ("30-10 * * * *", "minute: the range 30-10 goes backwards"),
        ("*/0 * * * *", "minute: the step \"0\" is not from 1 to 59"),
        ("*/90 * * * *", "minute: the step \"90\" is not from 1 to 59"),
        ("-5 * * * *", "minute: \"\" is not a number from 0 to 59"),
        ("+5 * * * *", "minute: \"+5\" is not a number from 0 to 59"),
        ("999999999999 * * * *", "minute: 999999999999 is not from 0 to 59"),
        (
            "* * 15W * *",
            "day of month: \"15W\": the nearest working day (W) is not supported",
        ),
        ("0 0 31 2 *", "no date matches: the days and months exclude each other"),
        (
            "0 0 31 4,6,9,11 *",
            "no date matches: the days and months exclude each other",
        ),
    ];
    for (text, expected) in cases {
        let error = Cron::parse(text, "UTC").map(|_| text).expect_err(text);
        assert_eq!(error.to_string(), expected, "{text}");
    }
    assert_eq!(Cron::parse("* * *", "UTC").unwrap_err(), CronError::FieldCount(3));
    assert_eq!(Cron::parse(" ", "UTC").unwrap_err(), CronError::Length);
    assert_eq!(Cron::parse(&"1,".repeat(200), "UTC").unwrap_err(), CronError::Length);
    assert!(matches!(Cron::parse("@reboot", "UTC"), Err(CronError::Nickname(name)) if name == "@reboot"));
    for zone in ["", "Europe/Atlantis", "+02:00", "Etc/Unknown", "../UTC"] {
        assert!(
            Cron::parse("* * * * *", zone).is_err_and(|error| error.is_about_zone()),
            "{zone}"
        );
    }
}

#[test]
fn zones_are_known_by_their_name_in_any_case() {
    for (given, name) in [
        ("UTC", "UTC"),
        ("europe/berlin", "Europe/Berlin"),
        ("Etc/GMT-3", "Etc/GMT-3"),
    ] {
        assert_eq!(cron("* * * * *", given).zone_name(), name);
    }
}

/// Expression, zone, after, and what is due, around changes of the clock in both directions.
const CHANGES: &[(&str, &str, &str, &[&str])] = &[
    // Berlin, 2026-03-29: 02:00 is followed by 03:00.
    (
        "30 2 * * *",
        "Europe/Berlin",
        "2026-03-28T00:00:00Z",
        &[
            "2026-03-28T02:30:00+01:00",
            "2026-03-29T03:00:00+02:00",
            "2026-03-30T02:30:00+02:00",
        ],
    ),
    // All of an hour that is missing is due together, and with what is due then anyway.
    (
        "*/15 2,3 * * *",
        "Europe/Berlin",
        "2026-03-28T12:00:00Z",
        &["2026-03-29T03:00:00+02:00", "2026-03-29T03:15:00+02:00"],
    ),
    (
        "0 0 3 * * *",
        "Europe/Berlin",
        "2026-03-28T12:00:00Z",
        &["2026-03-29T03:00:00+02:00", "2026-03-30T03:00:00+02:00"],
    ),
    // A pace has no times that do not exist.
    (
        "30 * * * *",
        "Europe/Berlin",
        "2026-03-29T00:00:00Z",
        &["2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"],
    ),
    // Berlin, 2026-10-25: 03:00 is followed by 02:00.
    (
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-24T12:00:00Z",
        &["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
    ),
    // Asked in the repeated hour itself: it has been.
    (
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-25T01:10:00Z",
        &["2026-10-26T02:30:00+01:00"],
    ),
    (
        "0 */2 * * *",
        "Europe/Berlin",
        "2026-10-24T22:00:00Z",
        &["2026-10-25T02:00:00+02:00", "2026-10-25T04:00:00+01:00"],
    ),
    (
        "0 3 * * *",
        "Europe/Berlin",
        "2026-10-24T22:00:00Z",
        &["2026-10-25T03:00:00+01:00", "2026-10-26T03:00:00+01:00"],
    ),
    // A pace goes on through it.
    (
        "*/30 * * * *",
        "Europe/Berlin",
        "2026-10-24T23:45:00Z",
        &[
            "2026-10-25T02:00:00+02:00",
            "2026-10-25T02:30:00+02:00",
            "2026-10-25T02:00:00+01:00",
            "2026-10-25T02:30:00+01:00",
            "2026-10-25T03:00:00+01:00",
        ],
    ),
    (
        "45 * 25 10 *",
        "Europe/Berlin",
        "2026-10-25T00:50:00Z",
        &["2026-10-25T02:45:00+01:00", "2026-10-25T03:45:00+01:00"],
    ),
    // New York, 2026-03-08 and 2026-11-01, both at 02:00.
    (
        "15 2 * * *",
        "America/New_York",
        "2026-03-07T12:00:00Z",
        &["2026-03-08T03:00:00-04:00", "2026-03-09T02:15:00-04:00"],
    ),
    (
        "30 1 * * *",
        "America/New_York",
        "2026-10-31T12:00:00Z",
        &["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"],
    ),
    // Lord Howe moves by half an hour: 2026-10-04 from 02:00 to 02:30, 2026-04-05 from 02:00 to 01:30.
    (
        "15 2 * * *",
        "Australia/Lord_Howe",
        "2026-10-03T00:00:00Z",
        &["2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"],
    ),
    (
        "45 1 * * *",
        "Australia/Lord_Howe",
        "2026-04-04T00:00:00Z",
        &["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"],
    ),
    (
        "*/15 * * * *",
        "Australia/Lord_Howe",
        "2026-04-04T14:30:00Z",
        &[
            "2026-04-05T01:45:00+11:00",
            "2026-04-05T01:30:00+10:30",
            "2026-04-05T01:45:00+10:30",
            "2026-04-05T02:00:00+10:30",
        ],
    ),
    // Midnight does not exist in Beirut on 2026-03-29.
    (
        "@daily",
        "Asia/Beirut",
        "2026-03-27T23:00:00Z",
        &["2026-03-29T01:00:00+03:00", "2026-03-30T00:00:00+03:00"],
    ),
    // Apia had no 30 December 2011.
    (
        "0 12 * * *",
        "Pacific/Apia",
        "2011-12-29T00:00:00Z",
        &[
            "2011-12-29T12:00:00-10:00",
            "2011-12-31T00:00:00+14:00",
            "2011-12-31T12:00:00+14:00",
        ],
    ),
];

#[test]
fn changes_of_the_clock_leave_nothing_out_and_repeat_nothing() {
    for (text, zone, after, expected) in CHANGES {
        assert_eq!(&due(text, zone, after, expected.len()), expected, "{text} {zone}");
    }
}

#[test]
fn asking_at_each_due_time_for_the_one_before_goes_the_way_back() {
    for (text, zone, after, expected) in CHANGES {
        let cron = cron(text, zone);
        let times: Vec<Time> = cron.upcoming(at(after)).take(expected.len()).collect();
        for pair in times.windows(2) {
            assert_eq!(cron.last_until(Time(pair[1].0 - 1)), Some(pair[0]), "{text} {zone}");
            assert_eq!(cron.last_until(pair[1]), Some(pair[1]), "{text} {zone}");
        }
    }
}

#[test]
fn the_latest_of_many_years_is_found_at_once() {
    let now = at("2026-08-15T10:20:30.5Z");
    for (text, expected) in [
        ("* * * * * *", "2026-08-15T10:20:30Z"),
        ("0 0 29 2 *", "2024-02-29T00:00:00Z"),
        ("0 0 1 1 *", "2026-01-01T00:00:00Z"),
        ("* * * 1 *", "2026-01-31T23:59:00Z"),
    ] {
        assert_eq!(cron(text, "UTC").last_until(now), Some(at(expected)), "{text}");
    }
}

#[test]
fn a_fraction_of_a_second_belongs_to_the_time_before() {
    let cron = cron("* * * * * *", "UTC");
    let next = |text| cron.next_after(at(text));
    assert_eq!(next("2026-01-01T00:00:00Z"), Some(at("2026-01-01T00:00:01Z")));
    assert_eq!(next("2026-01-01T00:00:00.999999Z"), Some(at("2026-01-01T00:00:01Z")));
}

#[test]
fn nothing_is_due_beyond_the_calendar() {
    let cron = cron("0 0 1 1 *", "UTC");
    for time in [Time::NEVER, Time(i64::MIN), at("9999-06-01T00:00:00Z")] {
        assert_eq!(cron.next_after(time), None);
    }
    assert_eq!(cron.last_until(Time::NEVER), None);
}

/// Minutes and hours as sets, and the expression of them.
fn sets() -> impl Strategy<Value = (BTreeSet<i64>, BTreeSet<i64>, String)> {
    let minutes = proptest::collection::btree_set(0..60_i64, 1..4);
    let hours = prop_oneof![
        Just((0..24).collect::<BTreeSet<i64>>()),
        proptest::collection::btree_set(0..24_i64, 1..5),
        proptest::collection::btree_set(0..5_i64, 1..4),
    ];
    (minutes, hours).prop_map(|(minutes, hours)| {
        let list = |set: &BTreeSet<i64>| set.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        let text = format!("{} {} * * *", list(&minutes), list(&hours));
        (minutes, hours, text)
    })
}

/// What is due within three days, found by looking at every minute of them.
fn by_hand(minutes: &BTreeSet<i64>, hours: &BTreeSet<i64>, zone: &str, from: i64) -> Vec<Time> {
    let zone = TimeZoneDatabase::bundled().get(zone).expect("zone");
    let shown =
        |second: i64| second + i64::from(zone.to_offset(Timestamp::from_second(second).expect("time")).seconds());
    let fits = |local: &i64| hours.contains(&(local / 3600 % 24)) && minutes.contains(&(local / 60 % 60));
    // A day earlier, so that what the clock has shown is known.
    let mut highest = (from - 86_400..=from).step_by(60).map(shown).max().expect("some");
    let mut due = Vec::new();
    for second in (from + 60..from + 3 * 86_400).step_by(60) {
        let local = shown(second);
        let is_due = if hours.len() == 24 {
            fits(&local)
        } else {
            (highest + 60..=local).step_by(60).any(|local| fits(&local))
        };
        highest = highest.max(local);
        if is_due {
            due.push(Time(second * 1_000_000));
        }
    }
    due
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_arithmetic_agrees_with_looking_at_every_minute(
        (minutes, hours, text) in sets(),
        zone in prop_oneof![
            Just("Europe/Berlin"), Just("America/New_York"), Just("Australia/Lord_Howe"), Just("UTC"),
            Just("America/Sao_Paulo"), Just("Africa/Casablanca"), Just("Antarctica/Troll"),
        ],
        change in 0..8_usize,
        minutes_before in -180..2_880_i64,
    ) {
        let database = TimeZoneDatabase::bundled().get(zone).expect("zone");
        let start = Timestamp::from_second(1_500_000_000).expect("time");
        let change = database.following(start).nth(change).map_or(1_700_000_040, |change| change.timestamp().as_second());
        let from = change.div_euclid(60) * 60 - minutes_before * 60;
        let expected = by_hand(&minutes, &hours, zone, from);
        let cron = cron(&text, zone);
        let end = Time((from + 3 * 86_400) * 1_000_000);
        let found: Vec<Time> = cron.upcoming(Time(from * 1_000_000)).take_while(|time| *time < end).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[0-9A-Z*/,#L? @-]{0,40}") {
        if let Ok(cron) = Cron::parse(&text, "UTC") {
            prop_assert!(cron.next_after(Time(0)).is_some());
        }
    }
}
