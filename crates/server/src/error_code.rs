//! Every way a request can be refused, in one closed table: code, HTTP status, whether a retry can help, and a
//! page under `docs/errors/` that says what to do.
//!
//! The code is what clients may branch on; texts may change. A few original endpoints answer with another status
//! than the table's (an unknown workflow at start is 400 there); they say so where they do it.

use http::StatusCode;

/// What went wrong, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The body is not JSON (or YAML), or a field of it has the wrong type.
    BadJson,
    /// A query or path parameter, or a header, has an illegal value.
    InvalidParameter,
    /// A field of the body is missing or has an illegal value.
    InvalidField,
    /// The workflow document is not a legal one.
    InvalidWorkflow,
    /// The context does not fit the workflow's `input_schema`.
    InvalidInput,
    /// The body is too large.
    BodyTooLarge,
    /// The body's media type is not one that the endpoint reads.
    UnsupportedMediaType,
    /// No credentials, or wrong ones.
    Unauthorized,
    /// The credentials do not allow this.
    Forbidden,
    /// No such path.
    RouteNotFound,
    /// The path knows other methods only.
    MethodNotAllowed,
    /// No such workflow.
    WorkflowNotFound,
    /// The workflow has no such version.
    VersionNotFound,
    /// No such template.
    TemplateNotFound,
    /// No such schedule.
    ScheduleNotFound,
    /// No such secret.
    SecretNotFound,
    /// Secrets cannot be sealed or opened with the keys that this server has.
    SecretsUnavailable,
    /// The id of a new schedule is taken.
    ScheduleExists,
    /// No such namespace, or not the caller's.
    NamespaceNotFound,
    /// The name of a new namespace is taken.
    NamespaceExists,
    /// Something lives in the namespace.
    NamespaceNotEmpty,
    /// Nothing changes in the namespace at present.
    NamespaceSuspended,
    /// No such key.
    KeyNotFound,
    /// The key has expired or was revoked.
    KeyEnded,
    /// No such run.
    RunNotFound,
    /// The run has no such step.
    StepNotFound,
    /// The run is over.
    RunFinished,
    /// The run is not over.
    RunNotFinished,
    /// The run is in a state that does not allow this.
    RunConflict,
    /// The step is in a state that does not allow this.
    StepConflict,
    /// No step waits for an approval.
    NothingToApprove,
    /// No step has failed.
    NothingFailed,
    /// The answer comes from an attempt that is no longer the current one.
    AttemptSuperseded,
    /// The answer came after the attempt's time was up.
    AttemptExpired,
    /// The attempt has ended with another answer.
    AttemptRecorded,
    /// The run's history is full.
    HistoryFull,
    /// The workflow got another version, again and again, while a run of it was being started.
    WorkflowChanged,
    /// The idempotency key was used for another request.
    IdempotencyMismatch,
    /// The caller sends more than it may.
    RateLimited,
    /// The namespace has used up what it may.
    QuotaExceeded,
    /// The server has more to do than it can take.
    Overloaded,
    /// The server is stopping.
    ShuttingDown,
    /// The store cannot be used now.
    StoreUnavailable,
    /// The store did not answer: the request may or may not have been applied.
    OutcomeUnknown,
    /// A defect, or damaged data.
    Internal,
}

use ErrorCode as E;

/// All codes, in the order of their declaration.
pub const ALL: [ErrorCode; 45] = [
    E::BadJson,
    E::InvalidParameter,
    E::InvalidField,
    E::InvalidWorkflow,
    E::InvalidInput,
    E::BodyTooLarge,
    E::UnsupportedMediaType,
    E::Unauthorized,
    E::Forbidden,
    E::RouteNotFound,
    E::MethodNotAllowed,
    E::WorkflowNotFound,
    E::VersionNotFound,
    E::TemplateNotFound,
    E::ScheduleNotFound,
    E::SecretNotFound,
    E::SecretsUnavailable,
    E::ScheduleExists,
    E::NamespaceNotFound,
    E::NamespaceExists,
    E::NamespaceNotEmpty,
    E::NamespaceSuspended,
    E::KeyNotFound,
    E::KeyEnded,
    E::RunNotFound,
    E::StepNotFound,
    E::RunFinished,
    E::RunNotFinished,
    E::RunConflict,
    E::StepConflict,
    E::NothingToApprove,
    E::NothingFailed,
    E::AttemptSuperseded,
    E::AttemptExpired,
    E::AttemptRecorded,
    E::HistoryFull,
    E::WorkflowChanged,
    E::IdempotencyMismatch,
    E::RateLimited,
    E::QuotaExceeded,
    E::Overloaded,
    E::ShuttingDown,
    E::StoreUnavailable,
    E::OutcomeUnknown,
    E::Internal,
];

impl ErrorCode {
    /// The name that clients see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadJson => "bad_json",
            Self::InvalidParameter => "invalid_parameter",
            Self::InvalidField => "invalid_field",
            Self::InvalidWorkflow => "invalid_workflow",
            Self::InvalidInput => "invalid_input",
            Self::BodyTooLarge => "body_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::RouteNotFound => "route_not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::WorkflowNotFound => "workflow_not_found",
            Self::VersionNotFound => "version_not_found",
            Self::TemplateNotFound => "template_not_found",
            Self::ScheduleNotFound => "schedule_not_found",
            Self::SecretNotFound => "secret_not_found",
            Self::SecretsUnavailable => "secrets_unavailable",
            Self::ScheduleExists => "schedule_exists",
            Self::NamespaceNotFound => "namespace_not_found",
            Self::NamespaceExists => "namespace_exists",
            Self::NamespaceNotEmpty => "namespace_not_empty",
            Self::NamespaceSuspended => "namespace_suspended",
            Self::KeyNotFound => "key_not_found",
            Self::KeyEnded => "key_ended",
            Self::RunNotFound => "run_not_found",
            Self::StepNotFound => "step_not_found",
            Self::RunFinished => "run_finished",
            Self::RunNotFinished => "run_not_finished",
            Self::RunConflict => "run_conflict",
            Self::StepConflict => "step_conflict",
            Self::NothingToApprove => "nothing_to_approve",
            Self::NothingFailed => "nothing_failed",
            Self::AttemptSuperseded => "attempt_superseded",
            Self::AttemptExpired => "attempt_expired",
            Self::AttemptRecorded => "attempt_recorded",
            Self::HistoryFull => "history_full",
            Self::WorkflowChanged => "workflow_changed",
            Self::IdempotencyMismatch => "idempotency_mismatch",
            Self::RateLimited => "rate_limited",
            Self::QuotaExceeded => "quota_exceeded",
            Self::Overloaded => "overloaded",
            Self::ShuttingDown => "shutting_down",
            Self::StoreUnavailable => "store_unavailable",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Internal => "internal",
        }
    }

    /// The status that goes with it.
    pub const fn status(self) -> StatusCode {
        match self {
            E::BadJson | E::InvalidParameter | E::InvalidField | E::InvalidWorkflow => StatusCode::BAD_REQUEST,
            E::InvalidInput | E::IdempotencyMismatch => StatusCode::UNPROCESSABLE_ENTITY,
            E::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            E::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            E::Unauthorized => StatusCode::UNAUTHORIZED,
            E::Forbidden | E::NamespaceSuspended => StatusCode::FORBIDDEN,
            E::RouteNotFound
            | E::WorkflowNotFound
            | E::VersionNotFound
            | E::TemplateNotFound
            | E::ScheduleNotFound
            | E::SecretNotFound
            | E::KeyNotFound
            | E::NamespaceNotFound
            | E::RunNotFound
            | E::StepNotFound => StatusCode::NOT_FOUND,
            E::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            E::ScheduleExists
            | E::KeyEnded
            | E::NamespaceExists
            | E::NamespaceNotEmpty
            | E::RunFinished
            | E::RunNotFinished
            | E::RunConflict
            | E::StepConflict
            | E::NothingToApprove
            | E::NothingFailed
            | E::AttemptSuperseded
            | E::AttemptExpired
            | E::AttemptRecorded
            | E::WorkflowChanged
            | E::HistoryFull => StatusCode::CONFLICT,
            E::RateLimited | E::QuotaExceeded | E::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            E::ShuttingDown | E::StoreUnavailable | E::OutcomeUnknown | E::SecretsUnavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            E::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Whether the same request can succeed later without anybody changing anything.
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            E::WorkflowChanged
                | E::RateLimited
                | E::QuotaExceeded
                | E::Overloaded
                | E::ShuttingDown
                | E::StoreUnavailable
                | E::OutcomeUnknown
        )
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages() -> std::path::PathBuf {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors")
    }

    #[test]
    fn every_code_has_a_page_that_names_it_and_its_status() {
        for code in ALL {
            let path = pages().join(format!("{code}.md"));
            let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(page.starts_with(&format!("# {code}\n")), "{code}");
            assert!(page.contains(&format!("HTTP {}", code.status().as_u16())), "{code}");
            let retryable = if code.is_retryable() {
                "Retryable: yes"
            } else {
                "Retryable: no"
            };
            assert!(page.contains(retryable), "{code}: {retryable}");
        }
    }

    #[test]
    fn every_page_has_a_code() {
        let names = std::fs::read_dir(pages())
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        for name in names {
            let name = name.to_string_lossy().into_owned();
            let stem = name.strip_suffix(".md").unwrap_or(&name);
            assert!(
                ALL.iter().any(|code| code.as_str() == stem) || stem == "README",
                "{name}"
            );
        }
    }

    #[test]
    fn codes_are_told_apart_by_their_names() {
        let names: std::collections::HashSet<&str> = ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
