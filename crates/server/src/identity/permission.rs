//! What a caller may do, one thing at a time.
//!
//! The names are `resource:action`. Those that the tasker face's clients know keep their names and meanings; the others
//! are for what only Quintet has. A caller holds a set of them, which is one number, so that asking costs nothing.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! permissions {
    ($( $(#[doc = $doc:literal])+ $name:ident = $text:literal, )+) => {
        /// One thing that a caller may do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Permission { $( $(#[doc = $doc])+ $name, )+ }

        impl Permission {
            /// All of them, in the order of their declaration.
            pub const ALL: &'static [Permission] = &[$(Self::$name),+];

            /// Its name: `resource:action`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// What it permits, for people.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+),)+ }
            }
        }
    };
}

permissions! {
    /// Start runs and tasks.
    TasksCreate = "tasks:create",
    /// Read a run or task, with its history and logs.
    TasksRead = "tasks:read",
    /// List runs and tasks.
    TasksList = "tasks:list",
    /// Cancel runs and tasks.
    TasksCancel = "tasks:cancel",
    /// Read what a run was started with.
    TasksContextRead = "tasks:context_read",
    /// Pause, resume and retry runs and tasks, and write to their logs.
    TasksControl = "tasks:control",
    /// Approve and reject.
    TasksApprove = "tasks:approve",
    /// Remove runs with their history.
    TasksDelete = "tasks:delete",
    /// Read steps.
    StepsRead = "steps:read",
    /// Settle steps by hand.
    StepsResolve = "steps:resolve",
    /// Read dead letters.
    DlqRead = "dlq:read",
    /// Retry dead letters.
    DlqUpdate = "dlq:update",
    /// Read figures of dead letters.
    DlqStats = "dlq:stats",
    /// Remove dead letters.
    DlqPurge = "dlq:purge",
    /// Read workflows, templates and pipelines.
    TemplatesRead = "templates:read",
    /// Check a document or an input, keeping nothing of it.
    TemplatesValidate = "templates:validate",
    /// Write and remove workflows.
    TemplatesWrite = "templates:write",
    /// Read the server's settings, without secrets.
    SystemConfigRead = "system:config_read",
    /// Read which services and tasks are registered.
    SystemHandlersRead = "system:handlers_read",
    /// Read figures.
    SystemAnalyticsRead = "system:analytics_read",
    /// Maintenance, and whatever no other permission names.
    SystemMaintain = "system:maintain",
    /// Read a worker's settings.
    WorkerConfigRead = "worker:config_read",
    /// Read a worker's templates.
    WorkerTemplatesRead = "worker:templates_read",
    /// Work: register, take work, give signs of life and answer.
    WorkerExecute = "worker:execute",
    /// Read schedules.
    SchedulesRead = "schedules:read",
    /// Write, pause, trigger and remove schedules.
    SchedulesWrite = "schedules:write",
    /// Read queues and backends.
    QueuesRead = "queues:read",
    /// Pause and resume queues, and hand out what is due.
    QueuesControl = "queues:control",
    /// Read stored objects and uploads.
    ObjectsRead = "objects:read",
    /// Upload files, and remove them.
    ObjectsWrite = "objects:write",
    /// List the names of secrets.
    SecretsList = "secrets:list",
    /// Write and remove secrets.
    SecretsWrite = "secrets:write",
    /// Read namespaces, and what they use.
    NamespacesRead = "namespaces:read",
    /// Create, change, suspend and remove namespaces.
    NamespacesWrite = "namespaces:write",
    /// List keys.
    AuthRead = "auth:read",
    /// Make, replace and revoke keys.
    AuthWrite = "auth:write",
    /// Read the audit log.
    AuditRead = "audit:read",
}

impl Permission {
    /// The one with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|permission| permission.as_str() == name)
    }

    /// What it is about: the part before the colon.
    pub fn resource(self) -> &'static str {
        self.as_str().split(':').next().unwrap_or_default()
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Permission {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u64);

const _: () = assert!(Permission::ALL.len() <= 64, "a set is one number");

impl Permissions {
    /// None.
    pub const NONE: Self = Self(0);

    /// All there are.
    pub const fn all() -> Self {
        Self::of(Permission::ALL)
    }

    /// These.
    pub const fn of(permissions: &[Permission]) -> Self {
        let (mut set, mut place) = (0, 0);
        while place < permissions.len() {
            set |= 1 << permissions[place] as u8;
            place += 1;
        }
        Self(set)
    }

    /// Those in either.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether this one is among them.
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & 1 << permission as u8 != 0
    }

    /// Whether all of them are among those.
    pub const fn is_within(self, others: Self) -> bool {
        self.0 & !others.0 == 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL
            .iter()
            .copied()
            .filter(move |permission| self.contains(*permission))
    }
}

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_tasker_face_are_all_there() {
        let known = [
            "tasks:create tasks:read tasks:list tasks:cancel tasks:context_read steps:read steps:resolve dlq:read",
            "dlq:update dlq:stats templates:read templates:validate system:config_read system:handlers_read",
            "system:analytics_read worker:config_read worker:templates_read",
        ];
        for name in known.iter().flat_map(|line| line.split(' ')) {
            assert_eq!(Permission::parse(name).map(Permission::as_str), Some(name));
        }
        assert_eq!(Permission::parse("*"), None);
        assert_eq!(Permission::parse("tasks:*"), None);
    }

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let set = Permissions::of(&[Permission::TasksRead, Permission::AuditRead]);
        assert_eq!(
            set.iter().collect::<Vec<_>>(),
            [Permission::TasksRead, Permission::AuditRead]
        );
        assert!(set.is_within(Permissions::all()) && !Permissions::all().is_within(set));
        assert_eq!(Permissions::all().iter().count(), Permission::ALL.len());
        assert!(Permissions::NONE.is_empty() && Permissions::NONE.is_within(set));
    }
}
