//! What the admin of another tenant hears: of what is somebody's, exactly what it hears of what is nobody's.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::operations;
use crate::site::{AWAY, HOME, Said, Site, Stream, key_of};
use crate::things::{Things, canary};

/// An answer without the ids, and without times and other numbers.
fn plain(said: &Said, things: [&Things; 2]) -> (u16, String) {
    let mut ids: Vec<&str> = things.iter().flat_map(|things| things.ids()).collect();
    // A name may begin another.
    ids.sort_by_key(|id| std::cmp::Reverse(id.len()));
    let mut text = said.body().to_owned();
    for id in ids {
        text = text.replace(id, "ID");
    }
    let mut plain = String::new();
    for one in text.chars() {
        let one = if one.is_ascii_digit() { '0' } else { one };
        // Times lose their last digits where those are 0.
        if one != '0' || !plain.ends_with('0') {
            plain.push(one);
        }
    }
    (said.status, plain.replace("0.0Z", "0Z"))
}

#[test]
fn ids_of_another_tenant_are_answered_on_every_operation_as_ids_that_nobody_has() {
    let site = Site::open();
    let things = Things::of(&site, "admin", HOME).with_services(&site);
    let nobody = things.of_nobody();
    let stranger = key_of("stranger");
    let operations = operations::described();
    let own = |pattern: &str| site.ask(Some(&key_of("admin")), "GET", &things.fill(pattern).expect("path"), "");
    let kept = [
        "/v1/runs/{id}",
        "/v1/workflows/{id}",
        "/v1/schedules/{id}",
        "/v1/auth/keys/{id}",
        "/api/tasks/{id}",
    ];
    for operation in operations.iter().filter(|one| one.has_parameters()) {
        let filled = [&things, &nobody].map(|things| things.fill(&operation.pattern).expect("one of each kind"));
        let answers = filled
            .each_ref()
            .map(|path| site.ask(Some(&stranger), &operation.method, path, operation.body()));
        let [theirs, nobodys] = answers.each_ref().map(|said| plain(said, [&things, &nobody]));
        let what = format!("{} {}", operation.method, filled[0]);
        assert_eq!(theirs, nobodys, "{what}");
        assert!(
            theirs.0 != 401 && theirs.0 != 429 && theirs.0 < 500,
            "{what}: {theirs:?}"
        );
        assert!(!answers[0].text.contains(&canary(HOME)), "{what}: {}", answers[0].text);
        let named = [("x-quintet-namespace", HOME), ("content-type", "application/json")];
        let asked = (operation.method.as_str(), filled[0].as_str(), operation.body());
        let by_header = site.ask_as(Some(&stranger), &named, asked, Stream::Begun);
        assert_eq!(by_header.status, 404, "{what}: {}", by_header.text);
    }
    for pattern in kept {
        assert_eq!(own(pattern).status, 200, "{pattern} is as it was");
    }
    let secret = own("/v1/secrets/{name}");
    assert_eq!(secret.json()["version"], 1, "{}", secret.text);
}

#[test]
fn nothing_that_one_tenant_has_is_in_any_answer_to_another() {
    let site = Site::open();
    let theirs = Things::of(&site, "admin", HOME).with_services(&site);
    let mine = Things::of(&site, "stranger", AWAY);
    let word = canary(HOME);
    let reads: Vec<_> = operations::all()
        .into_iter()
        .filter(|one| one.method == "GET")
        .collect();
    let is_over = AtomicBool::new(false);
    let (mut told, mut shown, mut streams) = (0, 0, 0);
    let run = theirs.fill("/v1/runs/{id}/logs").expect("path");
    let (client, bearer) = (site.server.client(), format!("Bearer {}", key_of("admin")));
    std::thread::scope(|scope| {
        // So that streams have something to tell.
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                client.call("POST", &run, &[("authorization", &bearer)], &word);
            }
        });
        let _ending = Ending(&is_over);
        for read in &reads {
            for things in [&theirs, &mine] {
                let Some(path) = things.fill(&read.pattern) else {
                    continue;
                };
                let asked = ("GET", path.as_str(), "");
                let said = site.ask_as(Some(&key_of("stranger")), &[], asked, Stream::Watched);
                let leaked = leak(&said, &path, &theirs, &word);
                streams += usize::from(said.is_stream());
                told += usize::from(said.text.contains(&canary(AWAY)));
                assert_eq!(leaked, None, "GET {path}: {}", said.text);
            }
            let path = theirs.fill(&read.pattern).expect("path");
            let own = site.ask(Some(&key_of("admin")), "GET", &path, "");
            assert_ne!(own.status, 404, "GET {path}: there is such a thing: {}", own.text);
            shown += usize::from(own.text.contains(&word));
        }
    });
    assert!(streams >= 2, "{streams} streams");
    // It would be seen if it were there: its own tenant sees it in many places, and the other one its own.
    assert!(shown >= 15 && told >= 10, "{shown} and {told}");
}

#[test]
fn a_filter_that_names_what_is_anothers_finds_what_it_finds_of_nobody() {
    let site = Site::open();
    let theirs = Things::of(&site, "admin", HOME).with_services(&site);
    let mine = Things::of(&site, "stranger", AWAY);
    let nobody = theirs.of_nobody();
    let stranger = key_of("stranger");
    let mut asked = 0;
    for read in operations::described().iter().filter(|one| one.method == "GET") {
        let Some(path) = mine.fill(&read.pattern) else {
            continue;
        };
        for name in operations::query(read) {
            for (id, other) in theirs.ids().zip(nobody.ids()) {
                let paths = [id, other].map(|id| format!("{path}?{name}={}", id.replace(' ', "%20")));
                let answers = paths.each_ref().map(|path| site.ask(Some(&stranger), "GET", path, ""));
                assert_eq!(
                    answers[0].status, answers[1].status,
                    "GET {}: {}",
                    paths[0], answers[0].text
                );
                let leaked = leak(&answers[0], &paths[0], &theirs, &canary(HOME));
                assert_eq!(leaked, None, "GET {}: {}", paths[0], answers[0].text);
                asked += 1;
            }
        }
    }
    assert!(asked >= 200, "{asked} questions");
}

/// Says at its end that it is over, however that comes.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What of another's an answer holds that was not in the question.
fn leak(said: &Said, path: &str, theirs: &Things, word: &str) -> Option<String> {
    let mut ids: Vec<&str> = theirs.ids().collect();
    ids.sort_by_key(|id| std::cmp::Reverse(id.len()));
    let (asked, rest): (Vec<&str>, Vec<&str>) = ids.into_iter().partition(|id| path.contains(id));
    let text = asked.iter().fold(said.text.clone(), |text, id| text.replace(id, ""));
    let mut words = rest
        .into_iter()
        .chain([word, HOME].into_iter().filter(|word| !path.contains(word)));
    words.find(|word| text.contains(word)).map(str::to_owned)
}
