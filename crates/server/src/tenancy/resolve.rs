//! Which namespace a request is about, and whether it may do there what it wants.
//!
//! A caller belongs to one namespace, or to all ([`EVERY`]). Who belongs to one is always there, and whoever names another
//! hears that there is none, whether there is or not. Who belongs to all says where: in the path of the tenants face, or
//! in a header, or nowhere, which is `default`.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method};

use super::Tenancy;
use super::model::{DEFAULT, RESERVED, State, is_name};
use crate::error_code::ErrorCode;

/// The namespace of callers that belong to all.
pub const EVERY: &str = "*";
/// The header that names one.
pub const HEADER: HeaderName = HeaderName::from_static("x-quintet-namespace");
/// What only checks or draws what it is sent.
const CHECKS: [&str; 4] = ["/validate", "/validate-input", "/dry-run", "/visualize"];
/// Where the tenants face has the name.
const OF_TENANTS: &str = "/api/v1/tenants/";

/// The namespace that a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked<'a> {
    /// None.
    Nothing,
    /// By the header.
    Header(&'a str),
    /// By its path.
    Path(Cow<'a, str>),
}

/// What a request wants to do in its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Look.
    Read,
    /// Start or change something.
    Change,
    /// Something about namespaces or credentials themselves, which must go on where one is suspended.
    Manage,
}

impl Access {
    /// Of a request with this method for this path.
    pub fn of(method: &Method, path: &str) -> Self {
        let is_about = |root: &str| {
            path.strip_prefix(root)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let is_check = *method == Method::POST && CHECKS.iter().any(|check| path.ends_with(check));
        if method.is_safe() || is_check {
            Self::Read
        } else if ["/v1/namespaces", "/v1/auth"].into_iter().any(is_about) {
            Self::Manage
        } else {
            Self::Change
        }
    }
}

/// Why a request is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is none, or it is not the caller's.
    #[error("namespace not found")]
    Unknown,
    /// The same, where namespaces are called tenants.
    #[error("Tenant not found")]
    UnknownTenant,
    /// Nothing changes in it at present.
    #[error("Tenant is not active")]
    Suspended,
    /// The header cannot be read.
    #[error("`X-Quintet-Namespace` is given once, as 1 to 63 letters, digits and `._-`")]
    Unreadable,
}

impl Refusal {
    /// The code that goes with it.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Unknown | Self::UnknownTenant => ErrorCode::NamespaceNotFound,
            Self::Suspended => ErrorCode::NamespaceSuspended,
            Self::Unreadable => ErrorCode::InvalidParameter,
        }
    }
}

impl<'a> Asked<'a> {
    /// What a request names.
    pub fn of(path: &'a str, headers: &'a HeaderMap) -> Result<Self, Refusal> {
        if let Some(rest) = path.strip_prefix(OF_TENANTS) {
            let name = rest.split('/').next().unwrap_or_default();
            return decoded(name).map(Self::Path).ok_or(Refusal::UnknownTenant);
        }
        let mut values = headers.get_all(&HEADER).iter();
        let (first, second) = (values.next(), values.next());
        match (first, second) {
            (None, _) => Ok(Self::Nothing),
            (Some(name), None) => name
                .to_str()
                .ok()
                .filter(|name| is_name(name) || *name == RESERVED)
                .map(Self::Header)
                .ok_or(Refusal::Unreadable),
            (Some(_), Some(_)) => Err(Refusal::Unreadable),
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Nothing => None,
            Self::Header(name) => Some(name),
            Self::Path(name) => Some(name),
        }
    }

    fn unknown(&self) -> Refusal {
        match self {
            Self::Path(_) => Refusal::UnknownTenant,
            Self::Nothing | Self::Header(_) => Refusal::Unknown,
        }
    }
}

/// A part of a path with its `%XX` replaced; `None` where that is no text.
fn decoded(part: &str) -> Option<Cow<'_, str>> {
    let Some((plain, rest)) = part.split_once('%') else {
        return Some(part.into());
    };
    let mut bytes = plain.as_bytes().to_vec();
    for piece in rest.split('%') {
        let (digits, plain) = piece.split_at_checked(2)?;
        bytes.push(
            u8::from_str_radix(digits, 16)
                .ok()
                .filter(|_| !digits.starts_with('+'))?,
        );
        bytes.extend_from_slice(plain.as_bytes());
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

impl Tenancy {
    /// The namespace of a request of a caller that belongs to `own`.
    pub fn resolve(&self, own: &Arc<str>, asked: &Asked<'_>, access: Access) -> Result<Arc<str>, Refusal> {
        let resolved = self.find(own, asked, access);
        match resolved {
            Err(Refusal::Suspended) => drop(self.metrics.suspended.inc()),
            Err(Refusal::Unknown | Refusal::UnknownTenant) => drop(self.metrics.unknown.inc()),
            Err(Refusal::Unreadable) | Ok(_) => {}
        }
        resolved
    }

    fn find(&self, own: &Arc<str>, asked: &Asked<'_>, access: Access) -> Result<Arc<str>, Refusal> {
        let name: Arc<str> = match asked.name() {
            None if **own == *EVERY => DEFAULT.into(),
            None => Arc::clone(own),
            Some(name) if *name == **own && **own != *EVERY => Arc::clone(own),
            Some(name) if **own == *EVERY && is_name(name) => name.into(),
            Some(_) => return Err(asked.unknown()),
        };
        if access == Access::Manage && asked.name().is_none() {
            return Ok(name);
        }
        match self.state(&name) {
            None => Err(asked.unknown()),
            Some(State::Suspended) if access == Access::Change => Err(Refusal::Suspended),
            Some(_) => Ok(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_tenants_face_names_before_the_header() {
        let mut headers = HeaderMap::new();
        assert_eq!(Asked::of("/v1/runs", &headers), Ok(Asked::Nothing));
        headers.insert(HEADER, "acme".parse().expect("header"));
        assert_eq!(Asked::of("/v1/runs", &headers), Ok(Asked::Header("acme")));
        let path = Asked::of("/api/v1/tenants/b%2Dc/workflows", &headers);
        assert_eq!(path, Ok(Asked::Path("b-c".into())));
        for path in ["%FF", "%", "%4", "%+1", "%C3%B"] {
            let asked = format!("/api/v1/tenants/{path}");
            assert_eq!(Asked::of(&asked, &headers), Err(Refusal::UnknownTenant), "{path}");
        }
        headers.append(HEADER, "acme".parse().expect("header"));
        assert_eq!(Asked::of("/v1/runs", &headers), Err(Refusal::Unreadable));
        for name in ["", "a b", "*"] {
            headers.insert(HEADER, name.parse().expect("header"));
            assert_eq!(Asked::of("/v1/runs", &headers), Err(Refusal::Unreadable), "{name:?}");
        }
    }

    #[test]
    fn what_manages_goes_on_and_everything_else_that_is_not_safe_changes() {
        for (method, path, access) in [
            (Method::GET, "/v1/runs", Access::Read),
            (Method::HEAD, "/v1/namespaces/a", Access::Read),
            (Method::POST, "/v1/workflows/validate", Access::Read),
            (Method::POST, "/api/v1/dag/validate", Access::Read),
            (Method::POST, "/v1/runs", Access::Change),
            (Method::DELETE, "/v1/runs/r", Access::Change),
            (Method::POST, "/v1/namespaces/a/resume", Access::Manage),
            (Method::POST, "/v1/auth/keys", Access::Manage),
            (Method::POST, "/v1/namespacesx", Access::Change),
        ] {
            assert_eq!(Access::of(&method, path), access, "{method} {path}");
        }
    }
}
