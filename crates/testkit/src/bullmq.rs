//! The real BullMQ for tests: a Node.js process that plays its worker and its producer by order.
//!
//! `cargo xtask test` installs the packages from npm, in the versions that the bridge is written for.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

/// The environment variable that names the folder with `node_modules`.
pub const FOLDER_VARIABLE: &str = "QUINTET_BULLMQ";
/// What is to be installed: both major versions under names of their own, and the client that they use.
pub const PACKAGES: [&str; 3] = ["bullmq5@npm:bullmq@5.67.1", "bullmq6@npm:bullmq@6.7.0", "ioredis@5.9.2"];
/// The versions, by the names under which they are installed.
pub const VERSIONS: [&str; 2] = ["bullmq5", "bullmq6"];

const PLAYER: &str = include_str!("bullmq/player.cjs");
/// Long enough for Node.js to start on a machine that is busy with other tests, and for BullMQ to notice a dead worker.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process with BullMQ in it; it is killed with the value.
pub struct Player {
    child: Child,
    orders: ChildStdin,
    told: Arc<(Mutex<Told>, Condvar)>,
}

#[derive(Default)]
struct Told {
    events: Vec<Value>,
    has_ended: bool,
}

/// Where the packages are: the folder that [`FOLDER_VARIABLE`] names, or the one that `cargo xtask test` makes.
pub fn folder() -> anyhow::Result<PathBuf> {
    let named = std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from);
    let folder = named.unwrap_or_else(|| {
        let target = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target");
        std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| target.into(), PathBuf::from)
            .join("tools/npm")
    });
    ensure!(
        folder.join("node_modules/bullmq6").is_dir(),
        "BullMQ is not in {}: run the tests by `cargo xtask test`, which installs it, or name the folder of its \
         node_modules by {FOLDER_VARIABLE}",
        folder.display()
    );
    Ok(folder)
}

impl Player {
    /// Starts a process that plays with this version of [`VERSIONS`].
    pub fn start(version: &str, redis_url: &str, queue: &str) -> anyhow::Result<Self> {
        let folder = folder()?;
        let mut child = Command::new("node")
            .args(["-e", PLAYER, "player", version, redis_url, queue])
            .env("NODE_PATH", folder.join("node_modules"))
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .context("Node.js cannot be started")?;
        let told = Arc::<(Mutex<Told>, Condvar)>::default();
        let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let listening = Arc::clone(&told);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
                tell(&listening, |told| told.events.push(event));
            }
            tell(&listening, |told| told.has_ended = true);
        });
        let orders = child.stdin.take().context("no input")?;
        let player = Self { child, orders, told };
        player.wait_for(|event| event["event"] == "ready")?;
        Ok(player)
    }

    /// Gives an order: the name of one of the player's `orders`, and its argument.
    pub fn order(&mut self, order: &str, argument: &Value) -> anyhow::Result<()> {
        let line = json!({ order: argument });
        writeln!(self.orders, "{line}").with_context(|| format!("the player took no order: {line}"))
    }

    /// Begins to work, with options of BullMQ's `Worker`.
    pub fn work(&mut self, options: &Value) -> anyhow::Result<()> {
        self.order("work", options)?;
        self.wait_for(|event| event["event"] == "working").map(drop)
    }

    /// Adds a job, and gives its id.
    pub fn add(&mut self, name: &str, data: &Value, options: &Value) -> anyhow::Result<String> {
        let job = json!({ "name": name, "data": data, "options": options });
        let added = self.ask("add", &job, "added")?;
        added["id"].as_str().map(str::to_owned).context("no id")
    }

    /// Gives an order, and waits for what it makes happen; for those that are given one at a time.
    pub fn ask(&mut self, order: &str, argument: &Value, event: &str) -> anyhow::Result<Value> {
        let before = self.events().len();
        self.order(order, argument)?;
        self.wait_from(before, |told| told["event"] == event)
    }

    /// Everything that has happened.
    pub fn events(&self) -> Vec<Value> {
        let told = self.told.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.events.clone()
    }

    /// Waits for something that happens, or has happened.
    pub fn wait_for(&self, is_it: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        self.wait_from(0, is_it)
    }

    /// Waits until so many events of a kind have happened, and gives all of all kinds.
    pub fn wait_for_many(&self, count: usize, event: &str) -> anyhow::Result<Vec<Value>> {
        let of_kind = |told: &&Value| told["event"] == event;
        self.wait(|events| (events.iter().filter(of_kind).count() >= count).then(|| events.to_vec()))
    }

    fn wait_from(&self, start: usize, is_it: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        self.wait(|events| events.iter().skip(start).find(|event| is_it(event)).cloned())
    }

    fn wait<T>(&self, find: impl Fn(&[Value]) -> Option<T>) -> anyhow::Result<T> {
        let (lock, changed) = &*self.told;
        let told = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |told: &mut Told| find(&told.events).is_none() && !told.has_ended;
        let (told, _) = changed
            .wait_timeout_while(told, PATIENCE, waits)
            .unwrap_or_else(PoisonError::into_inner);
        match find(&told.events) {
            Some(found) => Ok(found),
            None => bail!("it did not happen; what did: {:#?}", told.events),
        }
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.end();
    }
}

fn tell(told: &(Mutex<Told>, Condvar), change: impl FnOnce(&mut Told)) {
    change(&mut told.0.lock().unwrap_or_else(PoisonError::into_inner));
    told.1.notify_all();
}
