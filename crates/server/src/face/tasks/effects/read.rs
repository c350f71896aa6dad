//! Reading effects, and checking them when a task is submitted.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, Method};
use lettre::message::Mailboxes;
use quintet_executors::webhook;
use serde_json::{Map, Value};
use url::Url;

use super::super::document::{Problem, Problems, Rules, Task};
use super::fill::holds_template;
use super::{Action, Channel, Effect, Effects, Trigger};

/// The SDK's short way to name a webhook for the end of the task.
pub(super) const WEBHOOK_URL: &str = "webhookUrl";
/// Most effects of one moment: each may carry the whole result.
const MOST: usize = 32;

const KINDS: &str = "webhook, enqueue, notify, toast, invalidate, emit, redirect";

/// Checks the effects of a document, and those of the tasks that they enqueue.
pub(crate) fn check(document: &Value, rules: &Rules) -> Result<(), Vec<Problem>> {
    let mut problems = Problems::default();
    let effects = effects(document, &mut problems);
    for (trigger, effect) in effects
        .0
        .iter()
        .flat_map(|(trigger, list)| list.iter().map(move |one| (trigger, one)))
    {
        if let Action::Enqueue { task } = &effect.action {
            let at = format!("{}[{}].task", trigger.field(), effect.nth);
            for Problem { field, message } in problems_of_child(task, rules) {
                let dot = if field.is_empty() { "" } else { "." };
                problems.add(format!("{at}{dot}{field}"), message);
            }
        }
    }
    problems.into_result()
}

/// What is wrong with a task that is to be enqueued, whatever its templates will be filled with.
fn problems_of_child(task: &Value, rules: &Rules) -> Vec<Problem> {
    let problems = match Task::parse(task, rules) {
        Ok(_) => check(task, rules).err(),
        Err(problems) => Some(problems),
    };
    let mut problems = problems.unwrap_or_default();
    problems.retain(|problem| !field(task, &problem.field).is_some_and(holds_template));
    problems
}

/// The value at a path such as `steps[2].input`; `None` for the whole, and where there is none.
fn field<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    if path.is_empty() {
        return None;
    }
    path.split('.').try_fold(value, |value, part| {
        let mut indices = part.split('[');
        let value = value.get(indices.next().unwrap_or_default())?;
        indices.try_fold(value, |value, index| {
            value.get(index.trim_end_matches(']').parse::<usize>().ok()?)
        })
    })
}

/// The effects of a document that can be read.
pub(super) fn effects(document: &Value, problems: &mut Problems) -> Effects {
    let mut effects = Effects::default();
    for trigger in Trigger::ALL {
        let list = list(document, trigger, problems);
        if !list.is_empty() {
            effects.0.insert(trigger, list);
        }
    }
    if let Some(url) = document
        .get(WEBHOOK_URL)
        .and_then(Value::as_str)
        .filter(|url| !url.is_empty())
    {
        if web_url(url).is_none() {
            problems.add(WEBHOOK_URL, NOT_A_URL);
        }
        for trigger in [Trigger::Success, Trigger::Error] {
            let list = effects.0.entry(trigger).or_default();
            list.push(Effect {
                // After the last one that there may be, so that it keeps its name when others come and go.
                nth: MOST,
                every_attempt: false,
                action: Action::Webhook {
                    url: url.to_owned(),
                    method: Method::POST,
                    headers: BTreeMap::new(),
                },
            });
        }
    }
    effects
}

const NOT_A_URL: &str = "must be a URL that begins with http:// or https://";

fn list(document: &Value, trigger: Trigger, problems: &mut Problems) -> Vec<Effect> {
    let name = trigger.field();
    let values = match document.get(name) {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(values)) => values,
        Some(_) => {
            problems.add(name, "must be an array of effects");
            return Vec::new();
        }
    };
    if values.len() > MOST {
        problems.add(name, format!("has {} effects, and {MOST} are the most", values.len()));
    }
    let read = |(nth, value): (usize, &Value)| {
        let at = format!("{name}[{nth}]");
        let Some(map) = value.as_object() else {
            problems.add(at, "must be an object with `$event`");
            return None;
        };
        let mut fields = Fields { map, at, problems };
        let every_attempt = fields.every_attempt(trigger)?;
        let action = fields.action()?;
        Some(Effect {
            nth,
            every_attempt,
            action,
        })
    };
    values.iter().take(MOST).enumerate().filter_map(read).collect()
}

/// A URL for a request over HTTP.
pub(super) fn web_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty());
    is_web.then_some(url)
}

/// Whether a dashboard may be sent there: a page of the web, or a path on its own site. Never a script.
pub(super) fn is_page(text: &str) -> bool {
    let is_own = text.starts_with('/') && !text.starts_with("//") && !text.contains(['\\', '\r', '\n', '\t']);
    is_own || web_url(text).is_some()
}

/// One effect, where it stands, and what was found wrong.
struct Fields<'d, 'p> {
    map: &'d Map<String, Value>,
    at: String,
    problems: &'p mut Problems,
}

impl<'d> Fields<'d, '_> {
    fn get(&self, name: &str) -> Option<&'d Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    fn wrong<T>(&mut self, name: &str, message: impl Into<String>) -> Option<T> {
        self.problems.add(format!("{}.{name}", self.at), message);
        None
    }

    /// A text that must be there and must not be empty.
    fn text(&mut self, name: &str) -> Option<&'d str> {
        match self.get(name) {
            None => self.wrong(name, "is required"),
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            Some(_) => self.wrong(name, "must be a string that is not empty"),
        }
    }

    /// A text that may be left out; `None` when it is wrong.
    fn maybe(&mut self, name: &str) -> Option<Option<&'d str>> {
        match self.get(name) {
            None => Some(None),
            Some(Value::String(text)) => Some(Some(text).filter(|text| !text.is_empty()).map(String::as_str)),
            Some(_) => self.wrong(name, "must be a string"),
        }
    }

    fn every_attempt(&mut self, trigger: Trigger) -> Option<bool> {
        match self.get("everyAttempt") {
            None => Some(false),
            Some(Value::Bool(every)) if trigger == Trigger::Error || !every => Some(*every),
            Some(Value::Bool(_)) => self.wrong("everyAttempt", "is said of effects of `onError`"),
            Some(_) => self.wrong("everyAttempt", "must be true or false"),
        }
    }

    fn action(&mut self) -> Option<Action> {
        match self.text("$event")? {
            "webhook" => self.webhook(),
            "enqueue" => self.enqueue(),
            "notify" => self.notify(),
            "toast" => self.toast(),
            "invalidate" => self.invalidate(),
            "emit" => Some(Action::Emit {
                event: self.text("event")?.to_owned(),
                data: self.get("data").cloned().unwrap_or_default(),
            }),
            "redirect" => match self.text("url")? {
                // What it is filled with is looked at again when it is shown.
                url if is_page(url) || holds_template(&url.into()) => Some(Action::Redirect { url: url.to_owned() }),
                _ => self.wrong("url", "must be a URL of http or https, or a path that begins with /"),
            },
            other => self.wrong("$event", format!("{other:?} is not one of {KINDS}")),
        }
    }

    fn webhook(&mut self) -> Option<Action> {
        let url = self.text("url")?;
        if web_url(url).is_none() {
            return self.wrong("url", NOT_A_URL);
        }
        if holds_template(&url.into()) {
            return self.wrong("url", "is called as it is written: no templates are filled in");
        }
        let method = match self.maybe("method")?.map(str::to_ascii_uppercase).as_deref() {
            None | Some("POST") => Method::POST,
            Some("PUT") => Method::PUT,
            Some("PATCH") => Method::PATCH,
            Some(_) => return self.wrong("method", "must be POST, PUT or PATCH"),
        };
        let headers = self.headers()?;
        Some(Action::Webhook {
            url: url.to_owned(),
            method,
            headers,
        })
    }

    fn headers(&mut self) -> Option<BTreeMap<String, String>> {
        let map = match self.get("headers") {
            None => return Some(BTreeMap::new()),
            Some(Value::Object(map)) => map,
            Some(_) => return self.wrong("headers", "must be an object of strings"),
        };
        let mut headers = BTreeMap::new();
        for (name, value) in map {
            let at = format!("headers.{name}");
            let Ok(known) = name.parse::<HeaderName>() else {
                return self.wrong(&at, "is not a name of a header");
            };
            if webhook::is_reserved(&known) {
                return self.wrong(&at, "is set by the sender");
            }
            match value.as_str() {
                Some(text) if HeaderValue::from_str(text).is_ok() => {
                    headers.insert(known.as_str().to_owned(), text.to_owned());
                }
                _ => return self.wrong(&at, "must be a string in one line"),
            }
        }
        Some(headers)
    }

    fn enqueue(&mut self) -> Option<Action> {
        match self.get("task") {
            None => self.wrong("task", "is required"),
            Some(task @ Value::Object(_)) => Some(Action::Enqueue { task: task.clone() }),
            Some(_) => self.wrong("task", "must be an object"),
        }
    }

    fn notify(&mut self) -> Option<Action> {
        let channel = match self.text("channel")? {
            "slack" => Channel::Slack,
            "email" => Channel::Email,
            "discord" => Channel::Discord,
            other => return self.wrong("channel", format!("{other:?} is not one of slack, email, discord")),
        };
        let message = self.text("message")?.to_owned();
        let target = self.maybe("target")?;
        if channel == Channel::Email && target.is_some_and(|target| target.parse::<Mailboxes>().is_err()) {
            return self.wrong("target", "must be a mail address, or several with commas between");
        }
        Some(Action::Notify {
            channel,
            message,
            target: target.map(str::to_owned),
        })
    }

    fn toast(&mut self) -> Option<Action> {
        let text = self.text("text")?.to_owned();
        let variant = match self.maybe("variant")? {
            None | Some("info") => "info",
            Some("success") => "success",
            Some("error") => "error",
            Some("warning") => "warning",
            Some(_) => return self.wrong("variant", "must be one of success, error, warning, info"),
        };
        Some(Action::Toast { text, variant })
    }

    fn invalidate(&mut self) -> Option<Action> {
        let path = self.maybe("path")?.map(str::to_owned);
        let tags = match self.get("tags") {
            None => None,
            Some(Value::Array(tags)) if tags.iter().all(Value::is_string) => {
                Some(tags.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            }
            Some(_) => return self.wrong("tags", "must be an array of strings"),
        };
        Some(Action::Invalidate { path, tags })
    }
}
