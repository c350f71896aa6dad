//! The audit trail. (`audit_log` is something else: a service that is told about runs.)

use super::section::section;

section! {
    /// The audit trail: who did what to which object, in a chain that shows what was changed later.
    pub struct Audit = "audit" {
        /// Whether requests that change something are noted. Default: true. Each costs a write to the store before it is
        /// answered; several at a time share one.
        pub enabled: bool = true,
        /// Whether starts of runs, appended log lines and what workers send are noted too. Default: false. They are what a
        /// server does all day, and each run's own history tells them.
        pub data_plane: bool = false,
        /// Whether requests without permission, and those over a limit, are noted: of the same caller and kind one a
        /// minute, with the number of the others. Default: true.
        pub refusals: bool = true,
    }
}
