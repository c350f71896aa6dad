//! Moving a store with the real program: there and back, killed in the middle, and work that goes on at the other side.

mod cli;
mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use cli::Place;
use common::{Answer, Server, Target, until};
use quintet_core::id::RunId;
use quintet_store::conformance::support::{apply_all, start, unit};
use quintet_store::conformance::transfer::{drained, fill, picture};
use quintet_store::transfer::{Kind, Mover, Portable, Summary};
use quintet_store::{Commit, Store};
use quintet_store_postgres::PostgresStore;
use quintet_store_sqlite::{Options, SqliteStore};
use quintet_testkit::postgres::{self, Database};
use serde_json::{Value, json};

fn database() -> Database {
    let server = postgres::shared().expect("PostgreSQL");
    server.fresh_database().expect("a database")
}

fn sqlite(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

fn embedded(path: &Path) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open_for_transfer(path, Options::default()).unwrap())
}

async fn shared(database: &Database) -> Arc<PostgresStore> {
    let options = quintet_store_postgres::Options::default();
    let url = database.url();
    Arc::new(PostgresStore::open_for_transfer(&url, options).await.unwrap())
}

async fn moved(source: &dyn Portable, target: &dyn Portable) -> Summary {
    let summary = Mover::new(source, target).run(&mut |_| {}).await.unwrap();
    assert_eq!(summary.difference(), None);
    summary
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

/// Some thousand runs with three entries each.
fn large(path: &Path, runs: u64) {
    block_on(async {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(path, Options::default()).unwrap());
        let id = |number: u64| RunId::from_bits(u128::from(number + 1) << 80);
        for chunk in (0..runs).collect::<Vec<_>>().chunks(1000) {
            let first = chunk
                .iter()
                .map(|number| start(*number).with(|row| row.id = id(*number)));
            let mut writes: Vec<_> = first.collect();
            for _ in 0..3 {
                apply_all(&store, writes.clone()).await;
                writes = writes
                    .iter()
                    .map(|write| write.next().saying(&"x".repeat(300)))
                    .collect();
            }
        }
        store.close().await.unwrap();
    });
}

#[test]
fn a_store_comes_back_from_postgres_as_it_left() {
    let (place, database) = (Place::new(), database());
    let paths = ["first.db", "back.db"].map(|name| place.path().join(name));
    block_on(async {
        for seed in 20..23 {
            let (first, back) = (embedded(&paths[0]), embedded(&paths[1]));
            let there = shared(&database).await;
            fill(&(first.clone() as Arc<dyn Store>), seed).await;
            let out = moved(&*first, &*there).await;
            let home = moved(&*there, &*back).await;
            assert_eq!(out.checks, home.checks);
            assert!(
                out.checks.iter().all(|check| check.source.count > 0),
                "{:?}",
                out.checks
            );
            let pictures = [
                picture(&(first.clone() as Arc<dyn Store>)).await,
                picture(&(there.clone() as Arc<dyn Store>)).await,
                picture(&(back.clone() as Arc<dyn Store>)).await,
            ];
            assert!(
                pictures[0] == pictures[1],
                "the database answers otherwise, seed {seed}"
            );
            assert!(
                pictures[0] == pictures[2],
                "what came back answers otherwise, seed {seed}"
            );
            let messages = drained(&(first.clone() as Arc<dyn Store>)).await;
            assert_eq!(messages, drained(&(there.clone() as Arc<dyn Store>)).await);
            assert_eq!(messages, drained(&(back.clone() as Arc<dyn Store>)).await);
            for store in [&*first as &dyn Store, &*there, &*back] {
                store.close().await.unwrap();
            }
            drop((first, back));
            database.psql("DROP SCHEMA quintet CASCADE").unwrap();
            paths.iter().for_each(|path| std::fs::remove_file(path).unwrap());
        }
    });
}

/// Starts a move and kills it as soon as it has written something and not everything.
fn kill_half_way(place: &Place, from: &str, to: &str) {
    let mut child = place
        .command(&["db", "move", "--from", from, "--to", to])
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let half = lines
        .map_while(Result::ok)
        .find(|line| line.starts_with("copying") && line.contains("history"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(half.is_some(), "it ended before it was killed");
}

/// Moves what a kill left over, and says what is in both stores.
fn go_on(place: &Place, from: &str, to: &str) -> Value {
    let done = place.quintet(&["db", "move", "--json", "--from", from, "--to", to]);
    assert_eq!(done.code, 0, "{done:?}");
    let report: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((&report["equal"], &report["difference"]), (&json!(true), &Value::Null));
    report
}

fn counts(report: &Value) -> Vec<(u64, String)> {
    let kinds = report["kinds"].as_array().unwrap().iter();
    let count = |kind: &Value| {
        assert_eq!(kind["source"], kind["target"]);
        let count = kind["source"]["count"].as_u64().unwrap();
        (count, kind["source"]["sha256"].as_str().unwrap().to_owned())
    };
    kinds.map(count).collect()
}

#[test]
fn a_move_that_is_killed_goes_on_and_ends_equal_in_both_directions() {
    const RUNS: u64 = 20_000;
    let (place, database) = (Place::new(), database());
    let (first, back) = (place.path().join("first.db"), place.path().join("back.db"));
    large(&first, RUNS);
    let (first, there, back) = (sqlite(&first), database.url(), sqlite(&back));

    kill_half_way(&place, &first, &there);
    let serve = ["serve", "--listen", "127.0.0.1:0", "--store", &there];
    let served = place.quintet(&serve);
    assert_eq!(served.code, 1, "{served:?}");
    assert!(served.err.contains("goes on where it stopped"), "{}", served.err);
    let status = place.quintet(&["db", "status", "--store", &there]).ok();
    assert!(status.contains("WARNING     A move from the store"), "{status}");
    let saved = place.quintet(&["db", "backup", "saved.db", "--store", &there]);
    assert!(saved.code == 1 && saved.err.contains("is not over"), "{saved:?}");
    let other = place.path().join("other.db");
    large(&other, 1);
    let other = place.quintet(&["db", "move", "--from", &sqlite(&other), "--to", &there]);
    assert!(other.code == 1 && other.err.contains("from another store"), "{other:?}");

    let out = go_on(&place, &first, &there);
    assert!(out["resumed_at"].is_string(), "{out}");
    let found = counts(&out);
    assert_eq!(found[Kind::Runs as usize].0, RUNS);
    assert_eq!(found[Kind::History as usize].0, RUNS * 3);
    assert!(out["copied"].as_u64().unwrap() < RUNS * 4, "it began anew: {out}");

    kill_half_way(&place, &there, &back);
    let home = go_on(&place, &there, &back);
    assert!(home["resumed_at"].is_string(), "{home}");
    assert_eq!(counts(&home), found);

    let again = place.quintet(&["db", "move", "--from", &first, "--to", &there]);
    assert!(
        again.code == 1 && again.err.contains("something in it already"),
        "{again:?}"
    );
}

#[test]
fn what_is_said_about_a_move_is_meant_for_people_too() {
    let (place, database) = (Place::new(), database());
    let first = place.path().join("first.db");
    large(&first, 50);
    let first = sqlite(&first);
    let secret = database.url().replace("postgres@", "postgres:hunter2@");
    let done = place.quintet(&["db", "migrate", "--from", &first, "--to", &secret]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(
        done.out.contains("runs                         50  sha256 "),
        "{}",
        done.out
    );
    assert!(done.out.contains("Both stores are equal."), "{}", done.out);
    assert!(done.err.contains("comparing 200 of 200 records"), "{}", done.err);
    let status = place.quintet(&["db", "status", "--store", &secret]);
    assert!(status.out.contains("runs        50 steps_in_process"), "{status:?}");
    for said in [&done.out, &done.err, &status.out, &status.err] {
        assert!(!said.contains("hunter2"), "{said}");
    }
    let itself = place.quintet(&["db", "move", "--from", &secret, "--to", &secret]);
    assert!(
        itself.code == 2 && itself.err.contains("name another one"),
        "{itself:?}"
    );
    assert!(!itself.err.contains("hunter2"), "{itself:?}");
    let half = place.quintet(&["db", "migrate", "--from", &secret]);
    assert_eq!(half.code, 2, "{half:?}");
    let nowhere = place.quintet(&["db", "move", "--from", "sqlite:nowhere.db", "--to", "sqlite:new.db"]);
    assert!(
        nowhere.code == 2 && nowhere.err.contains("there is no store at nowhere.db"),
        "{nowhere:?}"
    );
    assert!(!place.path().join("new.db").exists());
}

#[test]
fn a_store_whose_runs_went_on_during_the_move_is_told_apart_by_its_first_run() {
    let (place, database) = (Place::new(), database());
    let first = place.path().join("first.db");
    large(&first, 20_000);
    kill_half_way(&place, &sqlite(&first), &database.url());
    block_on(async {
        let store = SqliteStore::open(&first, Options::default()).unwrap();
        let moved = start(0).with(|row| row.id = RunId::from_bits(1 << 80));
        let moved = moved.next().next().next();
        let commit = Commit {
            meta: quintet_store::conformance::support::meta(10),
            units: vec![unit([moved])],
        };
        let applied = store.commit(commit).await.unwrap();
        assert_eq!(applied, [quintet_store::UnitResult::Applied]);
        store.close().await.unwrap();
    });
    let done = place.quintet(&["db", "move", "--from", &sqlite(&first), "--to", &database.url()]);
    assert_eq!(done.code, 1, "{done:?}");
    let run = RunId::from_bits(1 << 80);
    let sentence = format!("THE STORES DIFFER: {run} is not the same in both.");
    assert!(done.out.contains(&sentence), "{}", done.out);
    let served = place.quintet(&["serve", "--listen", "127.0.0.1:0", "--store", &database.url()]);
    assert_eq!(served.code, 1, "a store that differs is opened: {served:?}");
}

/// What a document of one step calls.
fn call(name: &str, url: &str) -> Value {
    json!([{ "name": name, "action": "http", "input": { "url": url }, "timeout_ms": 60_000,
             "retry": { "max": 5, "backoff_ms": 2_000 } }])
}

#[test]
fn runs_that_wait_are_claimed_or_queued_go_on_after_a_move_and_after_the_way_back() {
    let target = Target::scripted(|call, before| match call.path.as_str() {
        "/held" if before == 0 => Answer::held(""),
        "/later" if before == 0 => Answer::status(503, ""),
        _ => Answer::ok("{\"fine\":true}"),
    });
    let (place, database) = (Place::new(), database());
    let one_at_a_time = [("QUINTET_HTTP_ACTION__CONCURRENCY", "1")];
    let mut server = Server::on(place.path(), &[], &one_at_a_time);
    let gate = server.run_steps(&json!([{ "name": "ask", "action": "approval" }]), &json!({}));
    server.when(&gate, &["WAITING_APPROVAL"]);
    let later = server.run_steps(&call("later", &target.url("/later")), &json!({}));
    until("the first try has failed", || {
        (!target.calls_of("/later").is_empty()).then_some(())
    });
    let held = server.run_steps(&call("held", &target.url("/held")), &json!({}));
    until("the step is under way", || {
        (!target.calls_of("/held").is_empty()).then_some(())
    });
    let queued = server.run_steps(&call("queued", &target.url("/queued")), &json!({}));
    until("a step waits for its turn", || {
        (server.figure("quintet_store_queued_steps") > 0.0).then_some(())
    });
    let finished = server.run_steps(&json!([{ "name": "done", "action": "noop" }]), &json!({}));
    server.ended(&finished);
    let lines = server.log(&finished);
    server.kill();

    let embedded = sqlite(&place.path().join("quintet.db"));
    let moved = go_on(&place, &embedded, &database.url());
    let found = counts(&moved);
    assert_eq!((found[Kind::Runs as usize].0, found[Kind::Queue as usize].0), (5, 1));
    target.release();
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::on(folder.path(), &["--store", &database.url()], &[]);
    for run in [&later, &held, &queued] {
        assert_eq!(server.ended(run)["status"], "SUCCEEDED");
    }
    assert_eq!(target.calls_of("/held").len(), 2, "the attempt under way is made again");
    assert_eq!(server.log(&finished), lines);
    server.when(&gate, &["WAITING_APPROVAL"]);
    let busy = place.quintet(&["db", "move", "--from", &database.url(), "--to", "sqlite:busy.db"]);
    assert!(busy.code == 1 && busy.err.contains("in use by node"), "{busy:?}");
    let status = place.quintet(&["db", "status", "--store", &database.url()]).ok();
    assert!(
        status.contains("node        ") && status.contains("durability  PostgreSQL"),
        "{status}"
    );
    server.stop();

    let back = tempfile::tempdir().unwrap();
    go_on(&place, &database.url(), &sqlite(&back.path().join("quintet.db")));
    let server = Server::on(back.path(), &[], &[]);
    server.post(&format!("/v1/runs/{gate}/approve"), "{}");
    for run in [&gate, &later, &held, &queued, &finished] {
        assert_eq!(server.ended(run)["status"], "SUCCEEDED");
    }
}

#[test]
fn a_database_is_made_migrated_and_looked_at_without_a_server() {
    let (place, database) = (Place::new(), database());
    let url = database.url();
    for _ in 0..2 {
        // Looking makes none, or the second look would find one.
        let early = place.quintet(&["db", "status", "--store", &url]);
        assert!(early.code == 2 && early.err.contains("quintet db init"), "{early:?}");
    }
    for verb in ["init", "init", "migrate", "status"] {
        let figures = place.quintet(&["db", verb, "--json", "--store", &url]).json();
        assert_eq!(
            (&figures["kind"], &figures["complete"]),
            (&json!("postgres"), &json!(true))
        );
        assert!(figures["durability"].as_str().unwrap().contains("fsync"), "{figures}");
    }
    let backup = place.quintet(&["db", "backup", "copy.db", "--store", &url]);
    assert!(backup.code == 1 && backup.err.contains("pg_dump"), "{backup:?}");
    let absent = url.replace(database.name(), "no_such_database");
    let absent = place.quintet(&["db", "init", "--store", &absent]);
    assert!(
        absent.code == 1 && absent.err.contains("no_such_database"),
        "{absent:?}"
    );
}
