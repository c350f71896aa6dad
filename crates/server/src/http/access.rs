//! What each request needs: a table by path and method. What is not in it needs the most.

use http::Method;

use crate::config::Permission;

/// A file, and the form around it.
const UPLOAD_BYTES: usize = crate::face::pipelines::MAX_UPLOAD_BYTES + (64 << 10);

/// What clients of the pipelines face may send.
const API_BYTES: usize = 10 << 20;

/// What a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: probes have no keys.
    Nothing,
    /// What the face itself decides: workers show a token of their own, or a key.
    Face,
    /// This permission.
    May(Permission),
}

/// What a request with this method for this path needs.
pub(crate) fn need(method: &Method, path: &str) -> Need {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    if is_read
        && matches!(
            path,
            "/health" | "/health/live" | "/health/ready" | "/healthz" | "/readyz"
        )
    {
        return Need::Nothing;
    }
    if *method == Method::POST && is_of_workers(path) {
        return Need::Face;
    }
    // Checking a document or an input keeps nothing of it.
    if *method == Method::POST
        && below(path, "/api")
        && (path.ends_with("/dry-run") || path.ends_with("/validate-input"))
    {
        return Need::May(Permission::Viewer);
    }
    if is_read || (*method == Method::POST && matches!(path, "/v1/workflows/validate" | "/api/visualize")) {
        return Need::May(Permission::Viewer);
    }
    if below(path, "/v1/workflows") || below(path, "/v1/templates") {
        return Need::May(Permission::Author);
    }
    let operates = [
        "/api/tasks",
        "/v1/queues",
        "/api/pipelines",
        "/api/queue",
        "/api/upload",
        "/api/process",
        "/api/tick",
        "/v1/schedules",
    ];
    if operates.iter().any(|root| below(path, root)) {
        return Need::May(Permission::Operator);
    }
    if *method == Method::POST && below(path, "/api/dlq") && path.ends_with("/retry") || path == "/api/dlq/retry-all" {
        return Need::May(Permission::Operator);
    }
    // Removing a run removes the evidence of what it did.
    if (below(path, "/v1/runs") || below(path, "/v1/approvals")) && *method != Method::DELETE {
        return Need::May(Permission::Operator);
    }
    Need::May(Permission::Admin)
}

/// What workers call, with or without a token at the beginning of the path.
fn is_of_workers(path: &str) -> bool {
    let own = path
        .strip_prefix("/w/")
        .and_then(|rest| rest.split_once('/'))
        .map(|(_, rest)| rest);
    let path = own.unwrap_or_else(|| path.trim_start_matches('/'));
    matches!(path, "api/register" | "api/heartbeat" | "api/progress") || path.starts_with("api/callback/")
}

/// How long a body may be: files are larger than anything else.
pub(crate) fn body_limit(path: &str, usual: usize) -> usize {
    match path {
        "/api/upload/temp" => usual.max(UPLOAD_BYTES),
        _ if below(path, "/api") => usual.max(API_BYTES),
        _ => usual,
    }
}

fn below(path: &str, root: &str) -> bool {
    path.strip_prefix(root)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_request_needs_its_permission() {
        let cases = [
            (Method::GET, "/health/ready", Need::Nothing),
            (Method::GET, "/healthz", Need::Nothing),
            (Method::POST, "/healthz", Need::May(Permission::Admin)),
            (Method::GET, "/metrics", Need::May(Permission::Viewer)),
            (Method::GET, "/docs", Need::May(Permission::Viewer)),
            (Method::GET, "/v1/runs/run_1/logs/stream", Need::May(Permission::Viewer)),
            (Method::POST, "/v1/runs", Need::May(Permission::Operator)),
            (Method::POST, "/v1/runs/run_1/approve", Need::May(Permission::Operator)),
            (Method::DELETE, "/v1/runs/run_1", Need::May(Permission::Admin)),
            (Method::POST, "/v1/workflows", Need::May(Permission::Author)),
            (Method::POST, "/v1/workflows/validate", Need::May(Permission::Viewer)),
            (Method::DELETE, "/v1/workflows/wf_1", Need::May(Permission::Author)),
            (Method::POST, "/v1/templates", Need::May(Permission::Author)),
            (Method::POST, "/v1/schedules", Need::May(Permission::Operator)),
            (Method::DELETE, "/v1/schedules/s", Need::May(Permission::Operator)),
            (Method::GET, "/v1/schedules/s/upcoming", Need::May(Permission::Viewer)),
            (Method::POST, "/v1/runsaway", Need::May(Permission::Admin)),
            (Method::OPTIONS, "/v1/runs", Need::May(Permission::Operator)),
            (Method::PATCH, "/anything", Need::May(Permission::Admin)),
            (Method::POST, "/api/register", Need::Face),
            (Method::POST, "/w/token/api/callback/trun_1", Need::Face),
            (Method::POST, "/w/token/api/queue/task", Need::May(Permission::Admin)),
            (Method::DELETE, "/api/callback/trun_1", Need::May(Permission::Admin)),
            (Method::POST, "/api/queue/task", Need::May(Permission::Operator)),
            (
                Method::POST,
                "/api/pipelines/p/trigger",
                Need::May(Permission::Operator),
            ),
            (Method::POST, "/api/pipelines/p/dry-run", Need::May(Permission::Viewer)),
            (Method::POST, "/api/dlq/dlq_1/retry", Need::May(Permission::Operator)),
            (Method::POST, "/api/dlq/purge", Need::May(Permission::Admin)),
            (Method::POST, "/api/maintenance/request", Need::May(Permission::Admin)),
            (Method::GET, "/api/storage/runs/x", Need::May(Permission::Viewer)),
            (Method::POST, "/api/tasks", Need::May(Permission::Operator)),
            (Method::DELETE, "/api/tasks/run_1", Need::May(Permission::Operator)),
            (Method::POST, "/api/tasks/run_1/retry", Need::May(Permission::Operator)),
            (
                Method::POST,
                "/api/tasks/t/validate-input",
                Need::May(Permission::Viewer),
            ),
            (Method::GET, "/api/tasks/stream", Need::May(Permission::Viewer)),
            (Method::POST, "/api/visualize", Need::May(Permission::Viewer)),
            (Method::POST, "/v1/queues/gpu/pause", Need::May(Permission::Operator)),
            (Method::GET, "/v1/queues", Need::May(Permission::Viewer)),
            (Method::GET, "/v1/backends", Need::May(Permission::Viewer)),
        ];
        for (method, path, expected) in cases {
            assert_eq!(need(&method, path), expected, "{method} {path}");
        }
    }
}
