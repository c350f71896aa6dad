//! Roles: sets of permissions under the names that people think in; and what a key or token is granted, which is a role,
//! one permission, or all permissions of one resource.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::{Serialize, Serializer};

use super::permission::{Permission, Permissions};
use Permission as P;

/// A set of permissions with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads; starts and controls runs.
    Operator,
    /// Reads; writes workflows and templates, but starts nothing.
    Author,
    /// Does work, and sees nothing but that.
    Worker,
    /// Everything, removal of history included.
    Admin,
}

const READS: Permissions = Permissions::of(&[
    P::TasksRead,
    P::TasksList,
    P::TasksContextRead,
    P::StepsRead,
    P::DlqRead,
    P::DlqStats,
    P::TemplatesRead,
    P::TemplatesValidate,
    P::SystemHandlersRead,
    P::SystemAnalyticsRead,
    P::SchedulesRead,
    P::QueuesRead,
    P::ObjectsRead,
]);

const WORKS: Permissions = Permissions::of(&[P::WorkerExecute, P::WorkerConfigRead, P::WorkerTemplatesRead]);

const OPERATES: Permissions = Permissions::of(&[
    P::TasksCreate,
    P::TasksCancel,
    P::TasksControl,
    P::TasksApprove,
    P::StepsResolve,
    P::DlqUpdate,
    P::SchedulesWrite,
    P::QueuesControl,
    P::ObjectsWrite,
]);

const WRITES: Permissions = Permissions::of(&[P::TemplatesWrite, P::SecretsList]);

impl Role {
    /// All roles; each of the first three includes what the one before it may see.
    pub const ALL: [Role; 5] = [Self::Viewer, Self::Operator, Self::Author, Self::Worker, Self::Admin];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Author => "author",
            Self::Worker => "worker",
            Self::Admin => "admin",
        }
    }

    /// What it may do.
    pub const fn permissions(self) -> Permissions {
        match self {
            Self::Viewer => READS,
            Self::Operator => READS.and(OPERATES).and(WORKS),
            Self::Author => READS.and(WRITES),
            Self::Worker => WORKS,
            Self::Admin => Permissions::all(),
        }
    }

    /// The least of the roles that may do this.
    pub fn least_with(permission: Permission) -> Self {
        let least = Self::ALL
            .into_iter()
            .find(|role| role.permissions().contains(permission));
        least.unwrap_or(Self::Admin)
    }
}

/// Something that a key or token is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grant {
    /// What this role may do.
    Role(Role),
    /// This.
    One(Permission),
    /// Everything about this resource: `tasks:*`.
    Every(&'static str),
}

/// No role or permission has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no role or permission `{0}`: roles are viewer, operator, author, worker and admin, permissions are such as tasks:read or tasks:*"
)]
pub struct UnknownGrant(String);

impl Grant {
    /// What it permits.
    pub fn permissions(self) -> Permissions {
        match self {
            Self::Role(role) => role.permissions(),
            Self::One(permission) => Permissions::of(&[permission]),
            Self::Every(resource) => {
                let about = Permission::ALL.iter().filter(|one| one.resource() == resource);
                about.fold(Permissions::NONE, |all, one| all.and(Permissions::of(&[*one])))
            }
        }
    }

    /// What all of them permit together.
    pub fn total(grants: &[Grant]) -> Permissions {
        grants
            .iter()
            .fold(Permissions::NONE, |all, grant| all.and(grant.permissions()))
    }
}

impl FromStr for Grant {
    type Err = UnknownGrant;

    fn from_str(text: &str) -> Result<Self, UnknownGrant> {
        if let Some(role) = Role::ALL.into_iter().find(|role| role.as_str() == text) {
            return Ok(Self::Role(role));
        }
        if let Some(resource) = text.strip_suffix(":*") {
            let known = Permission::ALL.iter().map(|one| one.resource());
            let known = { known }.find(|known| *known == resource);
            return known.map(Self::Every).ok_or_else(|| UnknownGrant(text.to_owned()));
        }
        let one = Permission::parse(text).map(Self::One);
        one.ok_or_else(|| UnknownGrant(text.to_owned()))
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(role) => f.write_str(role.as_str()),
            Self::One(permission) => f.write_str(permission.as_str()),
            Self::Every(resource) => write!(f, "{resource}:*"),
        }
    }
}

impl Serialize for Grant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Grant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_include_what_they_need_and_no_more() {
        let may = |role: Role, permission| role.permissions().contains(permission);
        for (permission, roles) in [
            (P::TasksRead, "viewer operator author admin"),
            (P::TasksCreate, "operator admin"),
            (P::TemplatesWrite, "author admin"),
            (P::TasksDelete, "admin"),
            (P::DlqPurge, "admin"),
            (P::SecretsWrite, "admin"),
            (P::AuthRead, "admin"),
            (P::AuditRead, "admin"),
            (P::WorkerExecute, "operator worker admin"),
            (P::SystemMaintain, "admin"),
        ] {
            let having: Vec<&str> = Role::ALL
                .into_iter()
                .filter(|role| may(*role, permission))
                .map(Role::as_str)
                .collect();
            assert_eq!(having.join(" "), roles, "{permission}");
        }
    }

    #[test]
    fn every_permission_is_an_admins_and_the_least_role_that_has_it_is_named() {
        for permission in Permission::ALL {
            assert!(Role::Admin.permissions().contains(*permission));
        }
        assert_eq!(Role::least_with(P::TasksRead), Role::Viewer);
        assert_eq!(Role::least_with(P::TasksCreate), Role::Operator);
        assert_eq!(Role::least_with(P::TasksDelete), Role::Admin);
    }

    #[test]
    fn grants_are_read_and_written_by_their_names() {
        for text in ["viewer", "tasks:read", "tasks:*", "worker"] {
            assert_eq!(
                text.parse::<Grant>().map(|grant| grant.to_string()),
                Ok(text.to_owned())
            );
        }
        for text in [
            "",
            "*",
            "tasks",
            "tasks:",
            "tasks:**",
            ":*",
            "nobody:*",
            "Viewer",
            "tasks:fly",
        ] {
            assert!(text.parse::<Grant>().is_err(), "{text}");
        }
        let every = "dlq:*".parse::<Grant>().map(Grant::permissions);
        let expected = Permissions::of(&[P::DlqRead, P::DlqUpdate, P::DlqStats, P::DlqPurge]);
        assert_eq!(every, Ok(expected));
    }
}
