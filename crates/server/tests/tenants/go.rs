//! The face's Go client, as far as it can be seen from outside: it sends every field of its types, zero values too, puts ids
//! into paths as they are, and reads answers into those types, where a number with a fraction is no `int`, a text is no
//! number, and what is not a time is an error.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::House;

type Texts = Option<Vec<String>>;

/// A `time.Time`.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Timestamp(pub jiff::Timestamp);

impl TryFrom<String> for Timestamp {
    type Error = jiff::Error;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

#[derive(Debug, Deserialize)]
pub struct ExecuteWorkflowResponse {
    pub workflow_id: String,
    pub status: String,
    pub message: String,
    pub execution: Option<WorkflowExecution>,
}

#[derive(Debug, Deserialize)]
pub struct GetWorkflowResponse {
    pub workflow_id: String,
    pub execution: Option<WorkflowExecution>,
}

#[derive(Debug, Deserialize)]
pub struct WorkflowExecution {
    pub id: String,
    pub intent_id: String,
    pub status: String,
    pub tasks: Option<Vec<TaskExecution>>,
    pub dependencies: Option<Vec<TaskDependency>>,
    pub configuration: WorkflowConfiguration,
    pub context: ProjectContext,
    pub progress: WorkflowProgress,
    pub results: Option<std::collections::HashMap<String, TaskResult>>,
    pub errors: Option<Vec<WorkflowError>>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub duration: i64,
    pub metadata: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
pub struct TaskExecution {
    pub task: Task,
    pub status: String,
    pub agent_id: String,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub duration: i64,
    pub attempts: i64,
    pub result: Option<TaskResult>,
    pub error: Option<TaskError>,
    pub logs: Texts,
    pub metadata: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
pub struct Task {
    pub id: String,
    pub r#type: String,
    pub description: String,
    pub dependencies: Texts,
    pub priority: String,
    pub agent_type: String,
    pub parameters: Option<Map<String, Value>>,
    pub timeout: i64,
    pub retries: i64,
    pub metadata: Option<std::collections::HashMap<String, String>>,
    pub status: String,
    pub created_at: Timestamp,
}

#[derive(Debug, Deserialize)]
pub struct TaskDependency {
    pub from: String,
    pub to: String,
    pub r#type: String,
}

#[derive(Debug, Deserialize)]
pub struct WorkflowConfiguration {
    pub max_concurrency: i64,
    pub timeout: i64,
    pub failure_policy: String,
    pub retry_policy: RetryPolicy,
    pub notification_policy: String,
    pub enable_hitl: bool,
    pub validation_level: String,
}

#[derive(Debug, Deserialize)]
pub struct RetryPolicy {
    pub max_retries: i64,
    pub initial_delay: i64,
    pub max_delay: i64,
    pub backoff_factor: f64,
}

#[derive(Debug, Deserialize)]
pub struct ProjectContext {
    pub project_type: String,
    pub tech_stack: Texts,
    pub requirements: Texts,
    pub constraints: Option<std::collections::HashMap<String, String>>,
    pub environment: String,
    pub region: String,
    pub budget: Option<Budget>,
}

#[derive(Debug, Deserialize)]
pub struct Budget {
    pub max_cost: f64,
    pub currency: String,
    pub period: String,
}

#[derive(Debug, Deserialize)]
pub struct WorkflowProgress {
    pub total_tasks: i64,
    pub completed_tasks: i64,
    pub failed_tasks: i64,
    pub running_tasks: i64,
    pub pending_tasks: i64,
    pub percent_complete: f64,
    pub estimated_time_left: i64,
}

#[derive(Debug, Deserialize)]
pub struct TaskResult {
    pub output: String,
    pub files: Option<std::collections::HashMap<String, String>>,
    pub artifacts: Texts,
    pub metrics: Option<Map<String, Value>>,
    pub sandbox_result: Option<SandboxResult>,
}

#[derive(Debug, Deserialize)]
pub struct SandboxResult {
    pub exit_code: i64,
    pub stdout: String,
    pub stderr: String,
    pub execution_time: i64,
}

#[derive(Debug, Deserialize)]
pub struct TaskError {
    pub r#type: String,
    pub message: String,
    pub code: String,
    pub details: String,
    pub recoverable: bool,
    pub timestamp: Timestamp,
}

#[derive(Debug, Deserialize)]
pub struct WorkflowError {
    pub r#type: String,
    pub message: String,
    pub task_id: Option<String>,
    pub code: String,
    pub details: String,
    pub timestamp: Timestamp,
}

#[derive(Debug, Deserialize)]
pub struct ListWorkflowsResponse {
    pub workflows: Option<Vec<WorkflowSummary>>,
    pub total: i64,
    pub page: i64,
    pub page_size: i64,
}

#[derive(Debug, Deserialize)]
pub struct WorkflowSummary {
    pub id: String,
    pub intent_id: String,
    pub status: String,
    pub progress: WorkflowProgress,
    pub created_at: Timestamp,
    pub completed_at: Option<Timestamp>,
    pub duration: i64,
}

#[derive(Debug, Deserialize)]
pub struct DAGValidationResponse {
    pub valid: bool,
    pub errors: Texts,
    pub warnings: Texts,
    pub execution_order: Texts,
}

#[derive(Debug, Deserialize)]
pub struct WorkflowMetrics {
    pub workflow_id: String,
    pub execution_time: i64,
    pub task_metrics: Option<Vec<TaskMetrics>>,
    pub resource_usage: ResourceUsage,
    pub error_rate: f64,
    pub throughput_tasks_per_hour: f64,
    pub custom_metrics: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
pub struct TaskMetrics {
    pub task_id: String,
    pub execution_time: i64,
    pub resource_usage: ResourceUsage,
    pub retry_count: i64,
    pub custom_metrics: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
pub struct ResourceUsage {
    pub cpu_time: i64,
    pub memory_used: i64,
    pub disk_used: i64,
    pub network_io: i64,
}

/// A task as the client marshals one of which only this is set.
pub fn task(id: &str, kind: &str) -> Value {
    json!({
        "id": id, "type": kind, "description": "", "dependencies": null, "priority": "", "agent_type": "",
        "parameters": null, "timeout": 0, "retries": 0, "metadata": null, "status": "",
        "created_at": "0001-01-01T00:00:00Z",
    })
}

/// A request as the client marshals one of which only tasks and dependencies are set.
pub fn request(intent: &str, tasks: Vec<Value>, dependencies: Value) -> Value {
    json!({
        "intent_id": intent, "intent_text": "", "tasks": tasks, "dependencies": dependencies,
        "configuration": {
            "max_concurrency": 0, "timeout": 0, "failure_policy": "",
            "retry_policy": { "max_retries": 0, "initial_delay": 0, "max_delay": 0, "backoff_factor": 0 },
            "notification_policy": "", "enable_hitl": false, "validation_level": "",
        },
        "context": {
            "project_type": "", "tech_stack": null, "requirements": null, "constraints": null, "environment": "",
            "region": "",
        },
        "metadata": null,
    })
}

/// The client, about one tenant.
pub struct OrchestratorClient<'h> {
    pub house: &'h House,
    pub tenant: &'static str,
}

impl OrchestratorClient<'_> {
    fn path(&self, rest: &str) -> String {
        format!("/api/v1/tenants/{}/workflows{rest}", self.tenant)
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>, good: &[u16]) -> Result<String, String> {
        let headers = [
            ("user-agent", "Go-http-client/1.1"),
            ("content-type", "application/json"),
            ("accept-encoding", "gzip"),
        ];
        let headers = if body.is_some() { &headers[..] } else { &headers[..1] };
        let body = body.map(Value::to_string).unwrap_or_default();
        let reply = self.house.server().client().call(method, path, headers, &body);
        match good.contains(&reply.status) {
            true => Ok(reply.text()),
            false => Err(format!("request failed with status {}: {}", reply.status, reply.text())),
        }
    }

    fn read<T: serde::de::DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        good: &[u16],
    ) -> Result<T, String> {
        let text = self.call(method, path, body, good)?;
        serde_json::from_str(&text).map_err(|error| format!("failed to decode response: {error}: {text}"))
    }

    pub fn execute(&self, request: &Value) -> Result<ExecuteWorkflowResponse, String> {
        self.read("POST", &self.path(""), Some(request), &[200, 201])
    }

    pub fn workflow(&self, id: &str) -> Result<GetWorkflowResponse, String> {
        self.read("GET", &self.path(&format!("/{id}")), None, &[200])
    }

    /// The page is left out where it is the first.
    pub fn list(&self, page: u32, page_size: u32, status: &str) -> Result<ListWorkflowsResponse, String> {
        let mut query = Vec::new();
        query.extend((page > 0).then(|| format!("page={page}")));
        query.extend((page_size > 0).then(|| format!("page_size={page_size}")));
        query.extend((!status.is_empty()).then(|| format!("status={status}")));
        let query = if query.is_empty() {
            String::new()
        } else {
            format!("?{}", query.join("&"))
        };
        self.read("GET", &self.path(&query), None, &[200])
    }

    pub fn pause(&self, id: &str, reason: &str) -> Result<(), String> {
        self.control(id, "pause", self.because(reason))
    }

    pub fn resume(&self, id: &str, reason: &str) -> Result<(), String> {
        self.control(id, "resume", self.because(reason))
    }

    pub fn cancel(&self, id: &str, reason: &str, force: bool) -> Result<(), String> {
        let mut body = self.because(reason);
        body["force"] = force.into();
        self.control(id, "cancel", body)
    }

    pub fn retry(&self, id: &str, task: &str, reason: &str) -> Result<(), String> {
        let mut body = self.because(reason);
        body["task_id"] = task.into();
        self.control(id, "retry", body)
    }

    fn because(&self, reason: &str) -> Value {
        match reason {
            "" => json!({}),
            reason => json!({ "reason": reason }),
        }
    }

    fn control(&self, id: &str, verb: &str, body: Value) -> Result<(), String> {
        let path = self.path(&format!("/{id}/{verb}"));
        self.call("POST", &path, Some(&body), &[200]).map(drop)
    }

    pub fn metrics(&self, id: &str) -> Result<WorkflowMetrics, String> {
        self.read("GET", &self.path(&format!("/{id}/metrics")), None, &[200])
    }

    pub fn validate(&self, tasks: Vec<Value>, dependencies: Value) -> Result<DAGValidationResponse, String> {
        let body = json!({ "tasks": tasks, "dependencies": dependencies });
        self.read("POST", "/api/v1/dag/validate", Some(&body), &[200])
    }
}
