//! The clients.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::journal::Journal;
use super::way::Way;
use super::workflows::Workflows;
use crate::http::Request;
use crate::random::Random;

/// What clients do when something was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterError {
    /// The only server is gone.
    Stop,
    /// There are others.
    GoOn,
}

/// What the clients are given.
pub(crate) struct Load<'a> {
    pub way: &'a dyn Way,
    pub workflows: &'a Workflows,
    pub journal: &'a Journal,
    /// Between two requests of a client.
    pub pause: Duration,
    pub after_error: AfterError,
}

impl Load<'_> {
    /// Lets clients work, one for each seed, while something happens.
    pub fn during<T>(&self, seeds: &[u64], happens: impl FnOnce() -> T) -> T {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for seed in seeds {
                let over = &over;
                scope.spawn(move || self.work(Random::new(*seed), over));
            }
            let outcome = happens();
            over.store(true, Ordering::Release);
            outcome
        })
    }

    /// One client: any error means that nobody knows what came of the request.
    #[allow(clippy::disallowed_methods, reason = "a client's pace is by the machine's clock")]
    fn work(&self, mut random: Random, over: &AtomicBool) {
        while !over.load(Ordering::Acquire) {
            let random = &mut random;
            let done = match random.below(10) {
                0 => self.repeat(random),
                1 => self.write_line(random),
                2 => self.approve(random),
                3 if random.below(4) == 0 => self.cancel(random),
                _ => self.start(random),
            };
            if done.is_err() && self.after_error == AfterError::Stop {
                return;
            }
            if !self.pause.is_zero() {
                std::thread::sleep(self.pause.mul_f64(random.log_uniform(0.25, 2.0)));
            }
        }
    }

    fn start(&self, random: &mut Random) -> anyhow::Result<()> {
        let choice = &self.workflows.started;
        let workflow = &choice[random.below(choice.len() as u64) as usize];
        let key = self.journal.intend("k", workflow);
        self.start_as(&key, workflow)
    }

    fn start_as(&self, key: &str, workflow: &str) -> anyhow::Result<()> {
        let (run, server) = self.way.start(key, workflow)?;
        self.journal.acknowledge(key, &run, server);
        Ok(())
    }

    /// Asks again for a start whose answer was lost, as a careful client does.
    fn repeat(&self, random: &mut Random) -> anyhow::Result<()> {
        match self.journal.some_unknown(random) {
            Some((key, workflow)) => self.start_as(&key, &workflow),
            None => Ok(()),
        }
    }

    fn write_line(&self, random: &mut Random) -> anyhow::Result<()> {
        let Some(run) = self.journal.some_run(random) else {
            return Ok(());
        };
        let line = format!("line {:016x}", random.bits());
        // Once: a line has no key, and its repetition would be another line.
        self.way
            .ask_once(&Request::post(&format!("/v1/runs/{run}/logs"), &line))?
            .answer
            .ok()?;
        self.journal.write(|entries| entries.lines.insert(line, run));
        Ok(())
    }

    /// Where there are several servers, not by the one that started the run.
    fn approve(&self, random: &mut Random) -> anyhow::Result<()> {
        let Some(run) = self.journal.some_run(random) else {
            return Ok(());
        };
        let home = self.journal.write(|entries| entries.homes.get(&run).copied());
        let path = format!("/v1/runs/{run}/approve");
        let answer = self.way.ask(&Request::post(&path, ""), home)?.answer;
        anyhow::ensure!(answer.status < 500, "status {}", answer.status);
        self.expect_ok(&path, answer.status, &answer.body);
        Ok(())
    }

    fn cancel(&self, random: &mut Random) -> anyhow::Result<()> {
        let Some(run) = self.journal.some_run(random) else {
            return Ok(());
        };
        self.journal.write(|entries| entries.cancels.insert(run.clone()));
        let path = format!("/v1/runs/{run}/cancel");
        let answer = self.way.ask(&Request::post(&path, ""), None)?.answer;
        self.expect_ok(&path, answer.status, &answer.body);
        if answer.ok()?["status"] == "CANCELED" {
            self.journal.write(|entries| entries.cancelled.insert(run));
        }
        Ok(())
    }

    /// An acknowledged run is known, whoever is asked.
    fn expect_ok(&self, path: &str, status: u16, body: &str) {
        if status != 200 && status < 500 && status != 429 {
            self.journal.write(|entries| {
                entries
                    .wrong
                    .push(format!("{path} was answered {status}: {}", body.trim()))
            });
        }
    }
}
