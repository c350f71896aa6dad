//! Rules for all workflows.

use std::path::PathBuf;

use super::section::section;

section! {
    /// Rules for all workflows.
    pub struct Policy = "policy" {
        /// Every step waits for an approval before it runs. Default: false.
        pub require_approval: bool = false,
        /// JSON Schema file that every workflow must satisfy; a relative path starts at the working directory. Default:
        /// none, which is the schema that comes with the program; an empty path checks only what the engine needs.
        pub workflow_schema: Option<PathBuf> = None,
    }
}
