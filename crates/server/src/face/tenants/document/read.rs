//! The types of the requests, field by field.

use super::super::duration::ZERO_TIME;
use super::go::{self, Faults, Fields, Struct};
use super::{Budget, Configuration, Control, Graph, ProjectContext, Request, RetryRule, Task, TaskDependency};

pub(super) fn execute(body: &[u8]) -> Result<Request, String> {
    go::body(&go::first_value(body)?)
}

pub(super) fn validate(body: &[u8]) -> Result<Graph, String> {
    go::body(&go::first_value(body)?)
}

pub(super) fn control(body: &[u8]) -> Result<Control, String> {
    go::body(&go::first_value(body)?)
}

impl Struct for Request {
    const NAME: &'static str = "ExecuteWorkflowRequest";

    fn read(fields: &Fields<'_>, faults: &mut Faults) -> Self {
        let intent_id = fields.text("intent_id", faults);
        // Nobody sees it again, but it has to be a text.
        fields.text("intent_text", faults);
        Self {
            intent_id,
            tasks: fields.objects("tasks", faults).unwrap_or_default(),
            dependencies: fields.objects("dependencies", faults),
            configuration: fields.object("configuration", faults).unwrap_or_default(),
            context: fields.object("context", faults).unwrap_or_default(),
            metadata: fields.table("metadata", faults),
        }
    }
}

impl Struct for Task {
    const NAME: &'static str = "Task";

    fn read(fields: &Fields<'_>, faults: &mut Faults) -> Self {
        Self {
            id: fields.text("id", faults),
            kind: fields.text("type", faults),
            description: fields.text("description", faults),
            dependencies: fields.texts("dependencies", faults),
            priority: fields.text("priority", faults),
            agent_type: fields.text("agent_type", faults),
            parameters: fields.table("parameters", faults),
            timeout: fields.duration("timeout", faults),
            retries: fields.integer("retries", faults),
            metadata: fields.texts_by_name("metadata", faults),
            status: fields.text("status", faults),
            created_at: fields
                .time("created_at", faults)
                .unwrap_or_else(|| ZERO_TIME.to_owned()),
            started_at: fields.time("started_at", faults),
            completed_at: fields.time("completed_at", faults),
        }
    }
}

impl Struct for TaskDependency {
    const NAME: &'static str = "TaskDependency";

    fn read(fields: &Fields<'_>, faults: &mut Faults) -> Self {
        Self {
            from: fields.text("from", faults),
            to: fields.text("to", faults),
            kind: fields.text("type", faults),
        }
    }
}

impl Struct for Configuration {
    const NAME: &'static str = "WorkflowConfiguration";

    fn read(fields: &Fields<'_>, faults: &mut Faults) -> Self {
        Self {
            max_concurrency: fields.integer("max_concurrency", faults),
            timeout: fields.duration("timeout", faults),
            failure_policy: fields.text("failure_policy", faults),
            retry_policy: fields.object("retry_policy", faults).unwrap_or_default(),
            notification_policy: fields.text("notification_policy", faults),
            enable_hitl: fields.flag("enable_hitl", faults),
            validation_level: fields.text("validation_level", faults),
        }
    }
}

impl Struct for RetryRule {
    const NAME: &'static str = "RetryPolicy";

    fn read(fields: &Fields<'_>, faults: &mut Faults) -> Self {
        Self {
            max_retries: fields.integer("max_retries", faults),
            initial_delay: fields.duration("initial_delay", faults),
            max_delay: fields.duration("max_delay", faults),
            backoff_factor: fields.float("backoff_factor", faults),
        }
    }
}

impl Struct for ProjectContext {
    const NAME: &'static str = "ProjectContext";

    fn read(fields: &Fields<'_>, faults: &mut Faults) -> Self {
        Self {
            project_type: fields.text("project_type", faults),
            tech_stack: fields.texts("tech_stack", faults),
            requirements: fields.texts("requirements", faults),
            constraints: fields.texts_by_name("constraints", faults),
            environment: fields.text("environment", faults),
            region: fields.text("region", faults),
            budget: fields.object("budget", faults),
        }
    }
}

impl Struct for Budget {
    const NAME: &'static str = "BudgetConstraints";

    fn read(fields: &Fields<'_>, faults: &mut Faults) -> Self {
        Self {
            max_cost: fields.float("max_cost", faults),
            currency: fields.text("currency", faults),
            period: fields.text("period", faults),
        }
    }
}

impl Struct for Graph {
    const NAME: &'static str = "DAGValidationRequest";

    fn read(fields: &Fields<'_>, faults: &mut Faults) -> Self {
        Self {
            tasks: fields.objects("tasks", faults).unwrap_or_default(),
            dependencies: fields.objects("dependencies", faults),
        }
    }
}

impl Struct for Control {
    const NAME: &'static str = "ControlRequest";

    fn read(fields: &Fields<'_>, faults: &mut Faults) -> Self {
        Self {
            reason: fields.text("reason", faults),
            force: fields.flag("force", faults),
            task_id: fields.text("task_id", faults),
        }
    }
}
