//! What a request asks for, read as Go's `encoding/json` would: its clients send what that package writes, and expect it
//! to read what they send.
//!
//! Fields that nobody knows are ignored, names match without regard to case, null and an absent field are the zero value,
//! and what follows the first value of a body is not looked at. A wrong type is told in Go's words (`go`). What Go would have
//! taken and cannot be meant (a negative number, a word that nothing is done about) is refused too, with its field
//! ([`checks`]): the original kept and returned such settings, and did nothing with them.
//!
//! A [`Workflow`] is the request with its defaults filled in. It is the context of its run, and everything that is echoed
//! is echoed from there, in Go's shape: absent texts are empty, absent lists and tables are null.

mod checks;
mod go;
mod read;
mod settings;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::duration::ZERO_TIME;

pub(crate) use go::float as go_float;
pub(crate) use settings::{Configuration, FailurePolicy, RetryRule, Validation};

/// The priority of tasks that name none.
pub(crate) const MEDIUM: i32 = 5;

/// A request to execute a workflow, with the defaults filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Workflow {
    /// Whose it is.
    pub tenant: String,
    pub intent_id: String,
    pub tasks: Vec<Task>,
    pub dependencies: Option<Vec<TaskDependency>>,
    pub configuration: Configuration,
    pub context: ProjectContext,
    /// Always with `tenant_id`.
    pub metadata: Map<String, Value>,
}

/// One task, as it is echoed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Task {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub description: String,
    pub dependencies: Option<Vec<String>>,
    pub priority: String,
    pub agent_type: String,
    pub parameters: Option<Map<String, Value>>,
    /// In nanoseconds.
    pub timeout: i64,
    pub retries: i64,
    pub metadata: Option<Map<String, Value>>,
    /// What the client said of it; nothing is done about it.
    pub status: String,
    pub created_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
}

/// `from` comes before `to`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskDependency {
    pub from: String,
    pub to: String,
    #[serde(rename = "type")]
    pub kind: String,
}

/// What the tasks are about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProjectContext {
    pub project_type: String,
    pub tech_stack: Option<Vec<String>>,
    pub requirements: Option<Vec<String>>,
    pub constraints: Option<Map<String, Value>>,
    pub environment: String,
    pub region: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
}

/// What a project may cost; nothing is done about it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Budget {
    #[serde(serialize_with = "go::float")]
    pub max_cost: f64,
    pub currency: String,
    pub period: String,
}

/// A request to validate a graph.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Graph {
    pub tasks: Vec<Task>,
    pub dependencies: Option<Vec<TaskDependency>>,
}

/// Reads a request to execute. The error is the text of the answer 400.
pub(crate) fn parse(body: &[u8], tenant: &str) -> Result<Workflow, String> {
    let request = read::execute(body)?;
    if request.intent_id.is_empty() {
        return Err("intent_id is required".to_owned());
    }
    some_tasks(&request.tasks)?;
    checks::all(&request)?;
    let mut metadata = request.metadata.unwrap_or_default();
    metadata.insert("tenant_id".to_owned(), tenant.into());
    Ok(Workflow {
        tenant: tenant.to_owned(),
        intent_id: request.intent_id,
        tasks: request.tasks,
        dependencies: request.dependencies,
        configuration: request.configuration.with_defaults(),
        context: request.context,
        metadata,
    })
}

/// Reads a request to validate. The error is the text of the answer 400.
pub(crate) fn parse_graph(body: &[u8]) -> Result<Graph, String> {
    let graph = read::validate(body)?;
    some_tasks(&graph.tasks)?;
    checks::tasks(&graph.tasks)?;
    Ok(graph)
}

/// What pause, resume, cancel and retry are told, all of them together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Control {
    pub reason: String,
    pub force: bool,
    pub task_id: String,
}

/// Reads the body of a control. None at all is as good as an empty one. The error is the text of the answer 400.
pub(crate) fn parse_control(body: &[u8]) -> Result<Control, String> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Control::default());
    }
    read::control(body)
}

fn some_tasks(tasks: &[Task]) -> Result<(), String> {
    match tasks.is_empty() {
        true => Err("at least one task is required".to_owned()),
        false => Ok(()),
    }
}

impl Workflow {
    /// As the context of its run.
    pub fn to_context(&self) -> Value {
        serde_json::to_value(self).expect("its keys are texts")
    }

    /// From the context of its run.
    pub fn of_context(context: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(context)
    }
}

impl Task {
    /// What its priority is worth; `None` where it is no word and no number.
    pub fn rank(&self) -> Option<i32> {
        match self.priority.to_ascii_lowercase().as_str() {
            "" | "medium" => Some(MEDIUM),
            "high" => Some(2 * MEDIUM),
            "low" => Some(0),
            number => number.parse().ok(),
        }
    }

    /// Tasks that come before it, by its own word.
    pub fn own_dependencies(&self) -> &[String] {
        self.dependencies.as_deref().unwrap_or_default()
    }
}

impl Default for Task {
    fn default() -> Self {
        Self {
            id: String::new(),
            kind: String::new(),
            description: String::new(),
            dependencies: None,
            priority: String::new(),
            agent_type: String::new(),
            parameters: None,
            timeout: 0,
            retries: 0,
            metadata: None,
            status: String::new(),
            created_at: ZERO_TIME.to_owned(),
            started_at: None,
            completed_at: None,
        }
    }
}

/// What was read of an execution, before it is judged.
#[derive(Debug, Clone, Default, PartialEq)]
struct Request {
    intent_id: String,
    tasks: Vec<Task>,
    dependencies: Option<Vec<TaskDependency>>,
    configuration: Configuration,
    context: ProjectContext,
    metadata: Option<Map<String, Value>>,
}

#[cfg(test)]
mod tests;
