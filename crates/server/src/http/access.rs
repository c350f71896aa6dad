//! What each request needs: one row for every route that is served. A route without a row fails a test, and needs an admin.
//!
//! The key of a row is method and pattern, as the router has them, so what is judged is what is served: no second reading of
//! the path can differ from the router's.

use std::collections::HashMap;
use std::sync::LazyLock;

use http::Method;

use crate::identity::Permission;

use Need::{Face, Known, May, Nothing};
use Permission as P;

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
    /// Any valid key or token.
    Known,
    /// This permission.
    May(Permission),
}

type Row = (&'static str, &'static str, Need);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("get", "/health", Nothing),
    ("get", "/health/live", Nothing),
    ("get", "/health/ready", Nothing),
    ("get", "/healthz", Nothing),
    ("get", "/readyz", Nothing),
    ("get", "/metrics", May(P::SystemAnalyticsRead)),
    ("get", "/openapi.json", Known),
    ("get", "/docs", Known),

    ("post", "/v1/workflows", May(P::TemplatesWrite)),
    ("get", "/v1/workflows", May(P::TemplatesRead)),
    ("post", "/v1/workflows/validate", May(P::TemplatesValidate)),
    ("get", "/v1/workflows/{id}", May(P::TemplatesRead)),
    ("delete", "/v1/workflows/{id}", May(P::TemplatesWrite)),
    ("get", "/v1/workflows/{id}/versions", May(P::TemplatesRead)),
    ("get", "/v1/workflows/{id}/versions/{version}", May(P::TemplatesRead)),
    ("post", "/v1/workflows/{id}/rollback", May(P::TemplatesWrite)),
    ("get", "/v1/workflows/{id}/visualize", May(P::TemplatesRead)),
    ("get", "/v1/templates", May(P::TemplatesRead)),
    ("post", "/v1/templates", May(P::TemplatesWrite)),
    ("post", "/v1/runs", May(P::TasksCreate)),
    ("get", "/v1/runs", May(P::TasksList)),
    ("post", "/v1/runs/batch", May(P::TasksCreate)),
    ("get", "/v1/runs/{id}", May(P::TasksRead)),
    // Removing a run removes the evidence of what it did.
    ("delete", "/v1/runs/{id}", May(P::TasksDelete)),
    ("post", "/v1/runs/{id}/approve", May(P::TasksApprove)),
    ("post", "/v1/runs/{id}/reject", May(P::TasksApprove)),
    ("post", "/v1/runs/{id}/cancel", May(P::TasksCancel)),
    ("post", "/v1/runs/{id}/pause", May(P::TasksControl)),
    ("post", "/v1/runs/{id}/resume", May(P::TasksControl)),
    ("post", "/v1/runs/{id}/retry", May(P::TasksControl)),
    ("post", "/v1/runs/{id}/rerun", May(P::TasksCreate)),
    ("post", "/v1/runs/{id}/resolve", May(P::StepsResolve)),
    ("get", "/v1/runs/{id}/steps", May(P::StepsRead)),
    ("get", "/v1/runs/{id}/steps/{step}", May(P::StepsRead)),
    ("get", "/v1/runs/{id}/steps/{step}/why", May(P::StepsRead)),
    ("post", "/v1/runs/{id}/steps/{step}/resolve", May(P::StepsResolve)),
    ("get", "/v1/runs/{id}/why", May(P::TasksRead)),
    ("get", "/v1/runs/{id}/visualize", May(P::TasksRead)),
    ("get", "/v1/runs/{id}/history", May(P::TasksRead)),
    ("get", "/v1/runs/{id}/events", May(P::TasksRead)),
    ("get", "/v1/runs/{id}/logs", May(P::TasksRead)),
    ("post", "/v1/runs/{id}/logs", May(P::TasksControl)),
    ("get", "/v1/runs/{id}/logs/stream", May(P::TasksRead)),
    ("post", "/v1/schedules", May(P::SchedulesWrite)),
    ("get", "/v1/schedules", May(P::SchedulesRead)),
    ("get", "/v1/schedules/{id}", May(P::SchedulesRead)),
    ("patch", "/v1/schedules/{id}", May(P::SchedulesWrite)),
    ("delete", "/v1/schedules/{id}", May(P::SchedulesWrite)),
    ("post", "/v1/schedules/{id}/pause", May(P::SchedulesWrite)),
    ("post", "/v1/schedules/{id}/resume", May(P::SchedulesWrite)),
    ("post", "/v1/schedules/{id}/trigger", May(P::SchedulesWrite)),
    ("get", "/v1/schedules/{id}/upcoming", May(P::SchedulesRead)),
    ("get", "/v1/approvals", May(P::TasksList)),
    ("get", "/v1/nodes", May(P::SystemAnalyticsRead)),

    ("get", "/v1/auth/me", Known),
    ("post", "/v1/auth/keys", May(P::AuthWrite)),
    ("get", "/v1/auth/keys", May(P::AuthRead)),
    ("get", "/v1/auth/keys/{id}", May(P::AuthRead)),
    ("delete", "/v1/auth/keys/{id}", May(P::AuthWrite)),
    ("post", "/v1/auth/keys/{id}/rotate", May(P::AuthWrite)),
    ("post", "/v1/namespaces", May(P::NamespacesWrite)),
    ("get", "/v1/namespaces", May(P::NamespacesRead)),
    ("get", "/v1/namespaces/{name}", May(P::NamespacesRead)),
    ("patch", "/v1/namespaces/{name}", May(P::NamespacesWrite)),
    ("delete", "/v1/namespaces/{name}", May(P::NamespacesWrite)),
    ("post", "/v1/namespaces/{name}/suspend", May(P::NamespacesWrite)),
    ("post", "/v1/namespaces/{name}/resume", May(P::NamespacesWrite)),
    ("get", "/v1/namespaces/{name}/usage", May(P::NamespacesRead)),
    ("get", "/v1/secrets", May(P::SecretsList)),
    ("get", "/v1/secrets/{name}", May(P::SecretsList)),
    ("put", "/v1/secrets/{name}", May(P::SecretsWrite)),
    ("delete", "/v1/secrets/{name}", May(P::SecretsWrite)),
    ("post", "/v1/secrets/rotate-key", May(P::SystemMaintain)),
    ("get", "/v1/audit", May(P::AuditRead)),
    ("get", "/v1/audit/head", May(P::AuditRead)),
    ("get", "/v1/audit/export", May(P::AuditRead)),

    ("get", "/api/info", May(P::SystemHandlersRead)),
    ("post", "/api/register", Face),
    ("post", "/api/heartbeat", Face),
    ("post", "/api/progress", Face),
    ("post", "/api/callback/{id}", Face),
    ("post", "/w/{token}/api/register", Face),
    ("post", "/w/{token}/api/heartbeat", Face),
    ("post", "/w/{token}/api/progress", Face),
    ("post", "/w/{token}/api/callback/{id}", Face),
    ("get", "/api/services", May(P::SystemHandlersRead)),
    ("get", "/api/services/{id}", May(P::SystemHandlersRead)),
    ("delete", "/api/services/{id}", May(P::SystemMaintain)),
    ("get", "/api/services/{id}/tasks", May(P::SystemHandlersRead)),
    ("get", "/api/tasks/{id}/history", May(P::TasksRead)),
    ("get", "/api/tasks/{id}/input-schema", May(P::TemplatesRead)),
    ("post", "/api/tasks/{id}/validate-input", May(P::TemplatesValidate)),
    ("get", "/api/pipelines", May(P::TemplatesRead)),
    ("get", "/api/pipelines/{id}", May(P::TemplatesRead)),
    ("post", "/api/pipelines/{id}/dry-run", May(P::TemplatesValidate)),
    ("post", "/api/pipelines/{id}/trigger", May(P::TasksCreate)),
    ("get", "/api/runs", May(P::TasksList)),
    ("get", "/api/runs/{id}", May(P::TasksRead)),
    ("get", "/api/task-runs/{id}", May(P::StepsRead)),
    ("post", "/api/queue/task", May(P::TasksCreate)),
    ("post", "/api/queue/batch", May(P::TasksCreate)),
    ("get", "/api/queue/status", May(P::QueuesRead)),
    ("get", "/api/queue/items", May(P::QueuesRead)),
    ("post", "/api/process", May(P::QueuesControl)),
    ("post", "/api/tick", May(P::QueuesControl)),
    ("get", "/api/dlq", May(P::DlqRead)),
    ("get", "/api/dlq/{id}", May(P::DlqRead)),
    ("post", "/api/dlq/{id}/retry", May(P::DlqUpdate)),
    ("post", "/api/dlq/retry-all", May(P::DlqUpdate)),
    ("post", "/api/dlq/purge", May(P::DlqPurge)),
    ("get", "/api/storage/backends", May(P::ObjectsRead)),
    ("get", "/api/storage/", May(P::ObjectsRead)),
    ("get", "/api/storage/{*path}", May(P::ObjectsRead)),
    ("post", "/api/upload/temp", May(P::ObjectsWrite)),
    ("get", "/api/upload/temp/{id}", May(P::ObjectsRead)),
    ("delete", "/api/upload/temp/{id}", May(P::ObjectsWrite)),
    ("get", "/api/upload/stats", May(P::ObjectsRead)),
    ("get", "/api/maintenance", May(P::SystemAnalyticsRead)),
    ("post", "/api/maintenance/request", May(P::SystemMaintain)),
    ("post", "/api/maintenance/enter", May(P::SystemMaintain)),
    ("post", "/api/maintenance/exit", May(P::SystemMaintain)),

    ("post", "/api/tasks", May(P::TasksCreate)),
    ("get", "/api/tasks", May(P::TasksList)),
    ("get", "/api/tasks/types", May(P::TemplatesRead)),
    ("get", "/api/tasks/stream", May(P::TasksList)),
    ("get", "/api/tasks/{id}", May(P::TasksRead)),
    ("delete", "/api/tasks/{id}", May(P::TasksCancel)),
    ("post", "/api/tasks/{id}/retry", May(P::TasksControl)),
    ("get", "/api/tasks/{id}/logs", May(P::TasksRead)),
    ("get", "/api/tasks/{id}/visualize", May(P::TasksRead)),
    ("post", "/api/visualize", May(P::TemplatesValidate)),
    ("get", "/v1/queues", May(P::QueuesRead)),
    ("post", "/v1/queues/{name}/pause", May(P::QueuesControl)),
    ("post", "/v1/queues/{name}/resume", May(P::QueuesControl)),
    ("get", "/v1/backends", May(P::QueuesRead)),

    ("post", "/api/v1/tenants/{tenant}/workflows", May(P::TasksCreate)),
    ("get", "/api/v1/tenants/{tenant}/workflows", May(P::TasksList)),
    ("get", "/api/v1/tenants/{tenant}/workflows/{workflow}", May(P::TasksRead)),
    ("post", "/api/v1/tenants/{tenant}/workflows/{workflow}/pause", May(P::TasksControl)),
    ("post", "/api/v1/tenants/{tenant}/workflows/{workflow}/resume", May(P::TasksControl)),
    ("post", "/api/v1/tenants/{tenant}/workflows/{workflow}/cancel", May(P::TasksCancel)),
    ("post", "/api/v1/tenants/{tenant}/workflows/{workflow}/retry", May(P::TasksControl)),
    ("get", "/api/v1/tenants/{tenant}/workflows/{workflow}/metrics", May(P::TasksRead)),
    ("post", "/api/v1/dag/validate", May(P::TemplatesValidate)),
];

/// What a request needs that the router sent to this pattern; `None` is one that it sent nowhere.
pub(crate) fn need(method: &Method, pattern: Option<&str>) -> Need {
    row(method, pattern).unwrap_or_else(|| match is_read(method) {
        // It will hear that there is nothing, but not from whom.
        true => Known,
        false => May(P::SystemMaintain),
    })
}

fn row(method: &Method, pattern: Option<&str>) -> Option<Need> {
    static TABLE: LazyLock<HashMap<(&str, &str), Need>> = LazyLock::new(|| {
        let rows = ROWS.iter().map(|(method, pattern, need)| ((*method, *pattern), *need));
        rows.collect()
    });
    let name = match *method {
        // The router answers HEAD as GET.
        Method::GET | Method::HEAD => "get",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => return None,
    };
    TABLE.get(&(name, pattern?)).copied()
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
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
    use std::collections::HashSet;

    use super::*;
    use crate::face::{pipelines, tasks, tenants, workflows};
    use crate::identity::Role;

    fn served() -> Vec<(&'static str, &'static str)> {
        [workflows::ROUTES, pipelines::ROUTES, tasks::ROUTES, tenants::ROUTES].concat()
    }

    #[test]
    fn every_route_that_a_face_serves_has_a_row_and_every_row_a_route() {
        let rows: HashSet<(&str, &str)> = ROWS.iter().map(|(method, pattern, _)| (*method, *pattern)).collect();
        assert_eq!(rows.len(), ROWS.len(), "a row is there twice");
        let served: HashSet<(&str, &str)> = served().into_iter().collect();
        let missing: Vec<_> = served.difference(&rows).collect();
        assert!(missing.is_empty(), "routes without a row: {missing:?}");
        let own = |pattern: &str| !["/v1/", "/api/", "/w/"].iter().any(|root| pattern.starts_with(root));
        let idle: Vec<_> = rows.difference(&served).filter(|(_, pattern)| !own(pattern)).collect();
        assert!(idle.is_empty(), "rows without a route: {idle:?}");
    }

    #[test]
    fn only_probes_need_nothing_and_only_workers_are_asked_by_their_face() {
        let needing = |wanted: Need| -> Vec<&str> {
            let rows = ROWS.iter().filter(|(_, _, need)| *need == wanted);
            rows.map(|(_, pattern, _)| *pattern).collect()
        };
        let probes = ["/health", "/health/live", "/health/ready", "/healthz", "/readyz"];
        assert_eq!(needing(Nothing), probes);
        let of_workers = ["register", "heartbeat", "progress", "callback/{id}"];
        let below = |root: &str| of_workers.map(|rest| format!("{root}/{rest}"));
        assert_eq!(needing(Face), [below("/api"), below("/w/{token}/api")].concat());
    }

    #[test]
    fn a_viewer_changes_nothing() {
        let harmless = ["/validate", "/validate-input", "/dry-run", "/api/visualize"];
        for (method, pattern, need) in ROWS {
            let May(permission) = need else { continue };
            let may = Role::Viewer.permissions().contains(*permission);
            let is_harmless = *method == "get" || harmless.iter().any(|end| pattern.ends_with(end));
            assert!(!may || is_harmless, "{method} {pattern}");
        }
    }

    #[test]
    fn every_class_of_request_needs_its_role() {
        let cases = [
            (Method::GET, "/metrics", Role::Viewer),
            (Method::HEAD, "/metrics", Role::Viewer),
            (Method::GET, "/v1/runs/{id}/logs/stream", Role::Viewer),
            (Method::POST, "/v1/runs", Role::Operator),
            (Method::POST, "/v1/runs/{id}/approve", Role::Operator),
            (Method::DELETE, "/v1/runs/{id}", Role::Admin),
            (Method::POST, "/v1/workflows", Role::Author),
            (Method::POST, "/v1/workflows/validate", Role::Viewer),
            (Method::DELETE, "/v1/workflows/{id}", Role::Author),
            (Method::POST, "/v1/schedules", Role::Operator),
            (Method::POST, "/api/pipelines/{id}/dry-run", Role::Viewer),
            (Method::POST, "/api/dlq/{id}/retry", Role::Operator),
            (Method::POST, "/api/dlq/purge", Role::Admin),
            (Method::POST, "/api/maintenance/request", Role::Admin),
            (Method::DELETE, "/api/services/{id}", Role::Admin),
            (Method::POST, "/api/tasks", Role::Operator),
            (Method::POST, "/v1/queues/{name}/pause", Role::Operator),
            (Method::GET, "/v1/auth/keys", Role::Admin),
            (Method::GET, "/v1/audit", Role::Admin),
            (Method::PUT, "/v1/secrets/{name}", Role::Admin),
            (Method::GET, "/v1/secrets", Role::Author),
        ];
        for (method, pattern, expected) in cases {
            let May(permission) = need(&method, Some(pattern)) else {
                panic!("{method} {pattern}");
            };
            assert_eq!(Role::least_with(permission), expected, "{method} {pattern}");
        }
    }

    #[test]
    fn what_is_in_no_row_needs_the_most() {
        for (method, pattern) in [
            (Method::POST, None),
            (Method::PATCH, Some("/v1/runs")),
            (Method::OPTIONS, Some("/v1/runs")),
            (Method::POST, Some("/healthz")),
            (Method::DELETE, Some("/api/callback/{id}")),
        ] {
            assert_eq!(need(&method, pattern), May(P::SystemMaintain), "{method} {pattern:?}");
        }
        assert_eq!(need(&Method::GET, None), Known, "it hears 404, if it is anybody");
        assert_eq!(need(&Method::HEAD, Some("/healthz")), Nothing);
    }
}
