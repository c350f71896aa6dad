//! Who is speaking, as everything behind the edge sees it.

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};

use axum::extract::FromRequestParts;
use http::request::Parts;
use quintet_core::time::Time;

use super::permission::{Permission, Permissions};
use super::role::Grant;

pub use crate::tenancy::{DEFAULT as USUAL_NAMESPACE, EVERY as EVERY_NAMESPACE, RESERVED as OWN_NAMESPACE};

/// By what a caller was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// Nothing was needed.
    NoneNeeded,
    /// Nothing valid was shown.
    NoneValid,
    /// A key of the settings, by its name.
    Setting,
    /// A key of this program's own, made for this process.
    Process,
    /// A stored key, by its id.
    Key(Arc<str>),
    /// A token, by its subject.
    Token(Arc<str>),
}

impl Credential {
    /// Its kind, for the API and the audit log.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NoneNeeded | Self::NoneValid => "none",
            Self::Setting => "setting",
            Self::Process => "process",
            Self::Key(_) => "key",
            Self::Token(_) => "token",
        }
    }
}

/// What is known of a caller beside its name and namespace.
#[derive(Debug)]
pub(super) struct Who {
    pub credential: Credential,
    pub is_global: bool,
    pub grants: Vec<Grant>,
    pub permissions: Permissions,
    /// Queues and services that a worker may serve; all where nothing is said.
    pub queues: Option<Vec<String>>,
    pub expires_at: Option<Time>,
}

/// Who is speaking; in the extensions of every request that reaches a face.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The key's name or the token's subject; `anonymous` where nobody needs a key.
    pub name: Arc<str>,
    /// Whose workflows and runs this request is about.
    pub namespace: Arc<str>,
    who: Arc<Who>,
    /// It reaches all namespaces and has chosen one of them.
    has_chosen: bool,
}

impl Caller {
    pub(super) fn new(name: Arc<str>, namespace: &str, who: Who) -> Self {
        let namespace = if who.is_global { USUAL_NAMESPACE } else { namespace };
        Self {
            name,
            namespace: namespace.into(),
            who: Arc::new(who),
            has_chosen: false,
        }
    }

    fn special(name: &str, credential: Credential, permissions: Permissions) -> Self {
        let who = Who {
            is_global: !permissions.is_empty(),
            credential,
            grants: Vec::new(),
            permissions,
            queues: None,
            expires_at: None,
        };
        Self::new(name.into(), USUAL_NAMESPACE, who)
    }

    /// Everybody, where nobody needs a key.
    pub fn anonymous() -> Self {
        static ANONYMOUS: LazyLock<Caller> =
            LazyLock::new(|| Caller::special("anonymous", Credential::NoneNeeded, Permissions::all()));
        ANONYMOUS.clone()
    }

    /// Somebody who showed no valid key where keys are needed.
    pub fn unknown() -> Self {
        static UNKNOWN: LazyLock<Caller> =
            LazyLock::new(|| Caller::special("unknown", Credential::NoneValid, Permissions::NONE));
        UNKNOWN.clone()
    }

    /// The same caller, about this namespace. Only of one that [`Caller::is_global`].
    #[must_use]
    pub fn within(&self, namespace: Arc<str>) -> Self {
        Self {
            namespace,
            has_chosen: true,
            ..self.clone()
        }
    }

    /// Whether it reaches every namespace.
    pub fn is_global(&self) -> bool {
        self.who.is_global
    }

    /// The namespace that it belongs to; `*` is all of them.
    pub fn home(&self) -> Arc<str> {
        static EVERY: LazyLock<Arc<str>> = LazyLock::new(|| EVERY_NAMESPACE.into());
        if self.is_global() {
            Arc::clone(&EVERY)
        } else {
            Arc::clone(&self.namespace)
        }
    }

    /// Whether it may be about this namespace.
    pub fn reaches(&self, namespace: &str) -> bool {
        self.is_global() || *self.namespace == *namespace
    }

    /// Whether it showed a key of another namespace than this one, or chose another one.
    pub fn is_of_another(&self, namespace: &str) -> bool {
        let is_everywhere = self.is_global() && !self.has_chosen;
        !self.who.permissions.is_empty() && !is_everywhere && *self.namespace != *namespace
    }

    /// Whether nobody needs a key here.
    pub fn is_anonymous(&self) -> bool {
        self.who.credential == Credential::NoneNeeded
    }

    /// Whether it showed nothing valid where something is needed.
    pub fn is_unknown(&self) -> bool {
        self.who.credential == Credential::NoneValid
    }

    /// Whether it may do this.
    pub fn may(&self, permission: Permission) -> bool {
        self.who.permissions.contains(permission)
    }

    /// All that it may do.
    pub fn permissions(&self) -> Permissions {
        self.who.permissions
    }

    /// What it was granted, as it was said.
    pub fn grants(&self) -> &[Grant] {
        &self.who.grants
    }

    /// Whether it may do the work of this queue or service.
    pub fn serves(&self, queue: &str) -> bool {
        let queues = self.who.queues.as_ref();
        queues.is_none_or(|queues| queues.iter().any(|known| known == queue))
    }

    /// The queues and services that it may serve; `None` is all.
    pub fn queues(&self) -> Option<&[String]> {
        self.who.queues.as_deref()
    }

    /// By what it was recognised.
    pub fn credential(&self) -> &Credential {
        &self.who.credential
    }

    /// When what it showed ends to be valid.
    pub fn expires_at(&self) -> Option<Time> {
        self.who.expires_at
    }

    /// Under what its requests are counted: the same for all requests with the same credential.
    pub fn account(&self) -> String {
        let kind = self.who.credential.kind();
        match &self.who.credential {
            Credential::Key(id) | Credential::Token(id) => format!("{kind}:{id}"),
            _ => format!("{kind}:{}", self.name),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts
            .extensions
            .get::<Caller>()
            .cloned()
            .unwrap_or_else(Caller::anonymous))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::role::Role;

    fn of(namespace: &str) -> Caller {
        let grants = vec![Grant::Role(Role::Viewer)];
        let who = Who {
            credential: Credential::Setting,
            is_global: namespace == EVERY_NAMESPACE,
            permissions: Grant::total(&grants),
            grants,
            queues: Some(vec!["gpu".to_owned()]),
            expires_at: None,
        };
        Caller::new("x".into(), namespace, who)
    }

    #[test]
    fn a_key_of_one_namespace_reaches_no_other() {
        let one = of("one");
        assert!(one.reaches("one") && !one.reaches("two"));
        assert!(one.is_of_another("two") && !one.is_of_another("one"));
    }

    #[test]
    fn a_key_of_all_namespaces_is_of_another_only_where_it_chose_one() {
        let all = of("*");
        assert_eq!(&*all.namespace, USUAL_NAMESPACE);
        assert!(all.reaches("two") && !all.is_of_another("two"));
        let chosen = all.within("two".into());
        assert!(!chosen.is_of_another("two") && chosen.is_of_another("default"));
        assert!(chosen.is_global(), "it may still choose another");
    }

    #[test]
    fn who_showed_nothing_may_nothing_and_who_needs_nothing_may_everything() {
        assert!(Caller::unknown().permissions().is_empty() && !Caller::unknown().is_global());
        assert!(Caller::anonymous().is_anonymous() && Caller::anonymous().may(Permission::TasksDelete));
        assert!(!Caller::unknown().is_anonymous());
    }

    #[test]
    fn a_worker_serves_the_queues_of_its_key_only() {
        assert!(of("one").serves("gpu") && !of("one").serves("cpu"));
        assert!(Caller::anonymous().serves("cpu"));
    }
}
