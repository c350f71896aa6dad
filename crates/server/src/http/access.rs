//! What each request needs: a table by path and method. What is not in it needs the most.

use http::Method;

use crate::config::Permission;

/// What a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: probes have no keys.
    Nothing,
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
    // Checking a document keeps nothing of it.
    if is_read || (*method == Method::POST && path == "/v1/workflows/validate") {
        return Need::May(Permission::Viewer);
    }
    if below(path, "/v1/workflows") || below(path, "/v1/templates") {
        return Need::May(Permission::Author);
    }
    // Removing a run removes the evidence of what it did.
    if (below(path, "/v1/runs") || below(path, "/v1/approvals")) && *method != Method::DELETE {
        return Need::May(Permission::Operator);
    }
    Need::May(Permission::Admin)
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
            (Method::POST, "/v1/runsaway", Need::May(Permission::Admin)),
            (Method::OPTIONS, "/v1/runs", Need::May(Permission::Operator)),
            (Method::PATCH, "/anything", Need::May(Permission::Admin)),
        ];
        for (method, path, expected) in cases {
            assert_eq!(need(&method, path), expected, "{method} {path}");
        }
    }
}
