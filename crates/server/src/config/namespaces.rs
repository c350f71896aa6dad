//! Namespaces: who is served, and what those may use that nobody set limits for.

use super::ConfigError;
use super::section::section;
use crate::tenancy::Quotas;

section! {
    /// Namespaces: each has its own workflows, runs, schedules and limits.
    pub struct Namespaces = "namespaces" {
        /// Whether a namespace that was never created is served, with `namespaces.default_quotas`; otherwise it is not
        /// found, except `default`. Default: true. Set it to false where namespaces are tenants that somebody creates
        /// (`quintet namespaces create`).
        pub open: bool = true,
    }
}

section! {
    /// What a namespace may use that was never created. One that was has the limits that it was given, and no others.
    pub struct DefaultQuotas = "namespaces.default_quotas" {
        /// Runs that are not over, at most. Default: no limit.
        pub max_live_runs: Option<u64> = None,
        /// Runs that are started per second, in the long run, on each node. Default: no limit.
        pub runs_per_second: Option<f64> = None,
        /// Runs that may be started at once after a quiet time; needs `runs_per_second`. Default: as many as in a second.
        pub burst: Option<u32> = None,
        /// Steps in progress at a time, on each node. Default: no limit.
        pub max_running_steps: Option<u32> = None,
        /// Bytes of content in the store, after which nothing is started any more; see `GET
        /// /v1/namespaces/{name}/usage`. Default: no limit.
        pub max_stored_bytes: Option<u64> = None,
        /// Workflows at most. Default: no limit.
        pub max_workflows: Option<u64> = None,
    }
}

impl DefaultQuotas {
    /// As they are used.
    pub fn quotas(&self) -> Quotas {
        Quotas {
            max_live_runs: self.max_live_runs,
            runs_per_second: self.runs_per_second,
            burst: self.burst,
            max_running_steps: self.max_running_steps,
            max_stored_bytes: self.max_stored_bytes,
            max_workflows: self.max_workflows,
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let checked = self.quotas().check();
        checked
            .map_err(|wrong| ConfigError::senseless(format!("namespaces.default_quotas.{}", wrong.field), wrong.reason))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn default_quotas_are_read_and_senseless_ones_refused_by_their_name() {
        let config =
            Config::parse("[namespaces]\nopen = false\n[namespaces.default_quotas]\nmax_live_runs = 5").unwrap();
        assert!(!config.namespaces.open);
        assert_eq!(config.default_quotas.quotas().max_live_runs, Some(5));
        for (text, key) in [
            ("burst = 5", "namespaces.default_quotas.burst"),
            ("runs_per_second = 0", "namespaces.default_quotas.runs_per_second"),
            ("max_running_steps = 0", "namespaces.default_quotas.max_running_steps"),
        ] {
            let refused = Config::parse(&format!("[namespaces.default_quotas]\n{text}")).expect_err("refused");
            assert!(refused.to_string().contains(key), "{refused}");
        }
        let unknown = Config::parse("[namespaces.default_quotas]\nmax_runs = 5").expect_err("unknown");
        assert!(unknown.to_string().contains("max_runs"), "{unknown}");
    }
}
