//! One operation of the API, put together from the few things in which operations differ.

use serde_json::{Map, Value, json};

/// The form that the errors of an operation have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Errors {
    /// Those of the product's own API.
    Own,
    /// The same, and plain text where the client does not ask for JSON.
    OwnOrText,
    /// Those of the pipelines face.
    Pipelines,
    /// Those of the tasks face.
    Tasks,
    /// Those of the tenants face.
    Tenants,
}

/// A method of a path.
pub(super) struct Operation {
    pub method: &'static str,
    pub path: &'static str,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    about: &'static str,
    errors_as: Errors,
    servers: Option<Value>,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Vec<(u16, Value)>,
    errors: Vec<(u16, &'static str)>,
}

impl Operation {
    /// An operation; `call` is its method and path.
    pub fn new(call: &'static str, id: &'static str, tag: &'static str, summary: &'static str) -> Self {
        let (method, path) = call.split_once(' ').unwrap_or((call, ""));
        let parameters = path_parameters(path);
        Self {
            method,
            path,
            id,
            tag,
            summary,
            about: "",
            errors_as: Errors::Own,
            servers: None,
            parameters,
            body: None,
            answers: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// One of the original's endpoints: its errors are plain text unless JSON is asked for.
    pub fn original(self) -> Self {
        Self {
            errors_as: Errors::OwnOrText,
            ..self
        }
    }

    /// One of the pipelines face, which has its own form of errors.
    pub fn of_pipelines(self) -> Self {
        Self {
            errors_as: Errors::Pipelines,
            ..self
        }
    }

    /// One of the tasks face, which has its own form of errors.
    pub fn of_tasks(self) -> Self {
        Self {
            errors_as: Errors::Tasks,
            ..self
        }
    }

    /// One of the tenants face, which has its own form of errors.
    pub fn of_tenants(self) -> Self {
        Self {
            errors_as: Errors::Tenants,
            ..self
        }
    }

    /// It is also served below another path.
    pub fn also_below(self, prefix: &str, variables: Value) -> Self {
        let servers = json!([{ "url": "/" }, { "url": prefix, "variables": variables }]);
        Self {
            servers: Some(servers),
            ..self
        }
    }

    pub fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    pub fn query(mut self, name: &str, description: &str, schema: Value) -> Self {
        self.parameters
            .push(json!({ "name": name, "in": "query", "description": description, "schema": schema }));
        self
    }

    pub fn header(mut self, name: &str, description: &str, schema: Value) -> Self {
        self.parameters
            .push(json!({ "name": name, "in": "header", "description": description, "schema": schema }));
        self
    }

    pub fn limit(self) -> Self {
        let schema = json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 });
        self.query("limit", "Most entries of the page.", schema)
    }

    /// A JSON body.
    pub fn body(self, schema: &str, required: bool, example: Value) -> Self {
        let content = json!({ "application/json": { "schema": reference(schema), "example": example } });
        Self {
            body: Some(json!({ "required": required, "content": content })),
            ..self
        }
    }

    /// A workflow document, in JSON or YAML.
    pub fn document(self, schema: &str, example: Value) -> Self {
        let content = json!({
            "application/json": { "schema": reference(schema), "example": example },
            "application/yaml": { "schema": reference(schema), "example": example },
        });
        Self {
            body: Some(json!({ "required": true, "content": content })),
            ..self
        }
    }

    /// A form with one file.
    pub fn file(self, schema: &str) -> Self {
        let content = json!({ "multipart/form-data": { "schema": reference(schema) } });
        Self {
            body: Some(json!({ "required": true, "content": content })),
            ..self
        }
    }

    /// A body of plain text.
    pub fn text(self, example: &str) -> Self {
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": 65536 });
        let content = json!({ "text/plain": { "schema": schema, "example": example } });
        Self {
            body: Some(json!({ "required": true, "content": content })),
            ..self
        }
    }

    /// A JSON answer.
    pub fn ok(self, schema: &str) -> Self {
        let content = json!({ "application/json": { "schema": reference(schema) } });
        self.answer(200, json!({ "description": "Done.", "content": content }))
    }

    pub fn answer(mut self, status: u16, answer: Value) -> Self {
        self.answers.push((status, answer));
        self
    }

    pub fn error(mut self, status: u16, description: &'static str) -> Self {
        self.errors.push((status, description));
        self
    }

    /// As OpenAPI has it.
    pub fn describe(self) -> Value {
        let mut errors = vec![
            (401, "No valid credentials."),
            (403, "Not permitted."),
            (429, "Too many requests, or more work than the server can take."),
            (500, "A defect of the server."),
            (503, "Stopping, or the store cannot be used."),
        ];
        if self.body.is_some() {
            errors.extend([(408, "The body came too slowly."), (413, "The body is too large.")]);
        }
        errors.extend(&self.errors);
        let has_input = self.body.is_some() || self.parameters.iter().any(|parameter| parameter["in"] != "path");
        if has_input && !errors.iter().any(|(status, _)| *status == 400) {
            errors.push((400, "A parameter or the body is wrong."));
        }
        let mut responses: Vec<(u16, Value)> = self.answers;
        responses.extend(
            errors
                .into_iter()
                .map(|(status, words)| (status, error(words, self.errors_as))),
        );
        responses.sort_by_key(|(status, _)| *status);
        let responses: Map<String, Value> = responses
            .into_iter()
            .map(|(status, answer)| (status.to_string(), answer))
            .collect();
        let mut operation = Map::new();
        operation.insert("operationId".to_owned(), self.id.into());
        operation.insert("tags".to_owned(), json!([self.tag]));
        operation.insert("summary".to_owned(), self.summary.into());
        if !self.about.is_empty() {
            operation.insert("description".to_owned(), self.about.into());
        }
        if !self.parameters.is_empty() {
            operation.insert("parameters".to_owned(), self.parameters.into());
        }
        if let Some(body) = self.body {
            operation.insert("requestBody".to_owned(), body);
        }
        operation.insert("responses".to_owned(), responses.into());
        operation.extend(self.servers.map(|servers| ("servers".to_owned(), servers)));
        operation.into()
    }
}

/// A reference to a schema.
pub(super) fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn error(words: &str, errors_as: Errors) -> Value {
    let schema = match errors_as {
        Errors::Own | Errors::OwnOrText => "Error",
        Errors::Pipelines => "PipelinesError",
        Errors::Tasks => "TasksError",
        Errors::Tenants => "TenantsError",
    };
    let mut content = json!({ "application/json": { "schema": reference(schema) } });
    if errors_as == Errors::OwnOrText
        && let Value::Object(content) = &mut content
    {
        content.insert("text/plain".to_owned(), json!({ "schema": { "type": "string" } }));
    }
    json!({ "description": words, "content": content })
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let schema = |name: &str| match name {
        "version" => json!({ "type": "integer", "minimum": 1 }),
        _ => json!({ "type": "string", "minLength": 1 }),
    };
    let parameter = |name: &str| json!({ "name": name, "in": "path", "required": true, "description": describe(name, path), "schema": schema(name) });
    names.map(parameter).collect()
}

/// What a parameter of a path stands for: an id is one of what the path is about.
fn describe(name: &str, path: &str) -> &'static str {
    const IDS: [(&str, &str); 11] = [
        (
            "/v1/auth/keys",
            "Id of the key: its part between `qk_` and the next `_`.",
        ),
        ("/v1/runs", "Id of the run."),
        ("/v1/workflows", "Id of the workflow."),
        ("/v1/schedules", "Id of the schedule."),
        ("/api/services", "Id of the service."),
        ("/api/tasks", "Id of the task."),
        ("/api/pipelines", "Id of the pipeline: of a service, or of a task."),
        ("/api/runs", "Id of the pipeline run, `prun_...`."),
        ("/api/dlq", "Id of the dead letter, `dlq_...`, or of its task run."),
        ("/api/upload", "Id of the upload, `tmp_...`."),
        ("/api/callback", "The `runId` that the worker was told."),
    ];
    match name {
        "tenant" => "The tenant: a namespace.",
        "workflow" => "Id of the workflow, `wf_...`.",
        "version" => "Number of the version, from 1.",
        "step" => "Id of the step; an item of a for_each step is `id[3]`.",
        "path" => "Key of the object; its slashes may stay as they are.",
        "name" => "Its name.",
        _ => {
            let known = IDS.iter().find(|(root, _)| path.starts_with(root));
            known.map_or(
                "Id of the task run, `trun_...`, or of one of its attempts.",
                |(_, words)| words,
            )
        }
    }
}
