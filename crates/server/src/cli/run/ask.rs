//! Questions to the person at the terminal: whether a step that needs an approval may start.

use std::io::{BufRead, Write};

use quintet_client::Client;
use tokio::sync::mpsc;

/// Asks, one question at a time.
pub struct Asker {
    agree: bool,
    interactive: bool,
    how: String,
    waiting: Vec<String>,
    asked: Option<String>,
    answers: (mpsc::UnboundedSender<String>, mpsc::UnboundedReceiver<String>),
}

impl Asker {
    /// For a run. `agree` answers everything with yes; `interactive` says whether there is somebody to ask.
    pub fn new(client: &Client, run: &str, agree: bool, interactive: bool) -> Self {
        let how = format!("quintet approvals approve {run} --server {}", client.base());
        Self {
            agree,
            interactive,
            how,
            waiting: Vec::new(),
            asked: None,
            answers: mpsc::unbounded_channel(),
        }
    }

    /// Whether the answer is known.
    pub fn agrees_to_all(&self) -> bool {
        self.agree
    }

    /// Whether there is somebody to ask.
    pub fn can_ask(&self) -> bool {
        self.interactive
    }

    /// Says how to approve from elsewhere.
    pub fn explain(&self, step: &str) {
        eprintln!("approve it with: {} --step '{step}'", self.how);
    }

    /// Asks about a step, now or after the question that is open.
    pub fn ask(&mut self, step: &str) {
        self.waiting.push(step.to_owned());
        self.next();
    }

    /// Somebody else decided.
    pub fn forget(&mut self, step: &str) {
        self.waiting.retain(|waiting| waiting != step);
    }

    /// The next answer: which step, and whether it may start. Waits for ever while nothing is asked.
    pub async fn answer(&mut self) -> anyhow::Result<(String, bool)> {
        loop {
            let Some(line) = self.answers.1.recv().await else {
                return std::future::pending().await;
            };
            let step = self.asked.take();
            let agreed = match line.trim().to_lowercase().as_str() {
                "y" | "yes" => Some(true),
                "n" | "no" => Some(false),
                _ => None,
            };
            match (step, agreed) {
                (Some(step), Some(agreed)) => {
                    self.waiting.retain(|waiting| *waiting != step);
                    self.next();
                    return Ok((step, agreed));
                }
                _ => self.next(),
            }
        }
    }

    fn next(&mut self) {
        if self.asked.is_some() {
            return;
        }
        let Some(step) = self.waiting.first() else { return };
        eprint!("approve step {step}? [y/n] ");
        // Only the prompt is lost where this fails.
        let _ = std::io::stderr().flush();
        self.asked = Some(step.clone());
        let answers = self.answers.0.clone();
        // Reading a line cannot be called off, so it has a thread that nobody waits for.
        std::thread::spawn(move || {
            let mut line = String::new();
            if std::io::stdin().lock().read_line(&mut line).is_ok_and(|read| read > 0) {
                // Nobody listens any more when the run is over.
                let _ = answers.send(line);
            }
        });
    }
}
