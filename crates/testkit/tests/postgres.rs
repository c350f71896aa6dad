//! The launcher of PostgreSQL against the real one: what survives which end, and that nothing is left behind.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use quintet_testkit::patience;
use quintet_testkit::postgres::{Cluster, Durability, Options, Replication, Server, shared};

fn started() -> Cluster {
    Cluster::start(&Options::default()).unwrap()
}

/// The folder of a server's data.
fn data(server: &Server) -> PathBuf {
    server.psql("postgres", "SHOW data_directory").unwrap().into()
}

fn eventually(what: &str, holds: impl FnMut() -> bool) {
    assert!(
        patience::until(Duration::from_secs(30), holds),
        "not within 30 seconds: {what}"
    );
}

#[test]
fn a_cluster_runs_under_the_settings_that_it_was_given() {
    let fast = Cluster::start(&Options::default().set("max_connections", 33)).unwrap();
    let settings =
        "SELECT current_setting('fsync'), current_setting('max_connections'), current_setting('listen_addresses')";
    assert_eq!(fast.psql("postgres", settings).unwrap(), "off|33|127.0.0.1");

    let default = Cluster::start(&Options::new(Durability::Default)).unwrap();
    assert_eq!(default.psql("postgres", settings).unwrap(), "on|100|127.0.0.1");
    assert_ne!(default.address(), fast.address());
}

#[test]
fn what_was_committed_survives_every_end_of_the_server() {
    let mut cluster = started();
    let database = cluster.create_database("kept").unwrap();
    database.psql("CREATE TABLE t (word text)").unwrap();
    let url = database.url();
    let ends = [
        ("stop", Cluster::stop as fn(&mut Cluster) -> anyhow::Result<()>),
        ("immediate", Cluster::stop_immediate),
        ("kill", Cluster::kill_postmaster),
    ];
    for (word, end) in ends {
        database.psql(&format!("INSERT INTO t VALUES ('{word}')")).unwrap();
        let pid = cluster.pid();
        end(&mut cluster).unwrap();
        assert_eq!(cluster.pid(), None);
        assert!(database.psql("SELECT 1").is_err());
        cluster.start_again().unwrap();
        assert_ne!(cluster.pid(), pid);
    }
    cluster.restart_immediate().unwrap();
    assert_eq!(database.url(), url);
    assert_eq!(database.psql("SELECT word FROM t").unwrap(), "stop\nimmediate\nkill");
}

#[test]
fn a_dropped_cluster_leaves_no_process_and_no_folder() {
    let cluster = started();
    let (data, pid) = (data(&cluster), cluster.pid().unwrap());
    drop(cluster);
    assert!(!data.exists());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

/// The process that [`a_cluster_ends_with_a_killed_process`] kills: this program once more.
fn be_the_victim(how: &str) -> ! {
    let cluster = started();
    println!("\nvictim {} {}", cluster.pid().unwrap(), data(&cluster).display());
    // A paused postmaster is the hardest to get rid of.
    if how == "paused" {
        signal("STOP", cluster.pid().unwrap());
    }
    println!("\nvictim ready");
    loop {
        std::thread::park();
    }
}

fn signal(name: &str, pid: u32) {
    let status = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn a_cluster_ends_with_a_killed_process() {
    if let Ok(how) = std::env::var("QUINTET_TESTKIT_VICTIM") {
        be_the_victim(&how);
    }
    for how in ["running", "paused"] {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_cluster_ends_with_a_killed_process", "--nocapture"])
            .env("QUINTET_TESTKIT_VICTIM", how)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(victim.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let told = lines
            .find(|line| line.starts_with("victim ") && line != "victim ready")
            .unwrap();
        lines.find(|line| line == "victim ready").unwrap();
        let (pid, data) = told["victim ".len()..].split_once(' ').unwrap();
        assert!(Path::new(&format!("/proc/{pid}")).exists());

        victim.kill().unwrap();
        victim.wait().unwrap();
        eventually("the postmaster is gone", || {
            !Path::new(&format!("/proc/{pid}")).exists()
        });
        eventually("the folder is gone", || !Path::new(data).exists());
    }
}

#[test]
fn a_cluster_that_was_killed_and_dropped_leaves_no_shared_memory() {
    let mut cluster = started();
    let note = std::fs::read_to_string(data(&cluster).join("postmaster.pid")).unwrap();
    let segment = note
        .lines()
        .nth(6)
        .unwrap()
        .split_whitespace()
        .last()
        .unwrap()
        .to_owned();
    let there = || {
        let listed = Command::new("ipcs").arg("-m").output().unwrap();
        let lines = String::from_utf8(listed.stdout).unwrap();
        lines
            .lines()
            .any(|line| line.split_whitespace().nth(1) == Some(segment.as_str()))
    };
    cluster.kill_postmaster().unwrap();
    assert!(there());
    drop(cluster);
    assert!(!there());
}

#[test]
fn fresh_databases_know_nothing_of_each_other_and_are_dropped() {
    let server = shared().unwrap();
    let (one, other) = (server.fresh_database().unwrap(), server.fresh_database().unwrap());
    one.psql("CREATE TABLE t ()").unwrap();
    assert_eq!(other.psql("SELECT to_regclass('t') IS NULL").unwrap(), "t");
    let name = one.name().to_owned();
    drop(one);
    let left = format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'");
    assert_eq!(server.psql("postgres", &left).unwrap(), "0");
}

#[test]
fn a_template_is_prepared_once_and_copied_often() {
    let cluster = started();
    let prepare = |url: &str| {
        let database = url.rsplit_once('/').unwrap().1;
        cluster.psql(database, "CREATE TABLE t AS SELECT 7 AS n").map(drop)
    };
    // One that fails half-way leaves no template.
    let failure = cluster.template("seven", |url| prepare(url).and_then(|()| anyhow::bail!("half-way")));
    assert!(failure.is_err());

    let template = cluster.template("seven", prepare).unwrap();
    let again = cluster
        .template("seven", |_| unreachable!("it is there already"))
        .unwrap();
    assert_eq!(template, again);
    for _ in 0..2 {
        let copy = cluster.create_from(&template).unwrap();
        assert_eq!(copy.psql("UPDATE t SET n = n + 1 RETURNING n").unwrap(), "8");
    }
}

#[test]
fn a_promoted_standby_has_what_was_committed_with_it() {
    let mut primary = started();
    let mut standby = primary.standby(Replication::Synchronous).unwrap();
    primary.psql("postgres", "CREATE TABLE t AS SELECT 1 AS n").unwrap();
    assert!(standby.psql("postgres", "INSERT INTO t VALUES (0)").is_err());

    primary.kill_postmaster().unwrap();
    standby.promote().unwrap();
    let rows = standby
        .psql("postgres", "INSERT INTO t VALUES (2); SELECT n FROM t")
        .unwrap();
    assert_eq!(rows, "1\n2");
}

#[test]
fn a_synchronous_commit_waits_for_a_stopped_standby_and_an_asynchronous_one_does_not() {
    let primary = started();
    let mut asynchronous = primary.standby(Replication::Asynchronous).unwrap();
    asynchronous.stop().unwrap();
    primary.psql("postgres", "CREATE TABLE t (n int)").unwrap();

    let mut synchronous = primary.standby(Replication::Synchronous).unwrap();
    synchronous.stop().unwrap();
    std::thread::scope(|scope| {
        let insert = scope.spawn(|| primary.psql("postgres", "INSERT INTO t VALUES (1)"));
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        eventually("the commit waits", || primary.psql("postgres", waits).unwrap() == "1");
        synchronous.start_again().unwrap();
        insert.join().unwrap().unwrap();
    });
}
