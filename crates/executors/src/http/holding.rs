//! Which parts of a request hold secrets, and what follows from it.
//!
//! A header that holds one is marked, so that nothing prints it and no redirect takes it to another place; a body that
//! holds one goes to the receiver that it was written for, and no further.

use http::{HeaderMap, HeaderName};

use super::input::{Form, InputError};
use crate::egress::Redirects;
use crate::secrets::Slot;

/// The parts of one request that hold secrets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Holding {
    headers: Vec<HeaderName>,
    is_body: bool,
}

impl Holding {
    /// Reads it from the places; a secret anywhere else is not sent, and therefore refused.
    pub fn of(secrets: &[Slot], form: Form) -> Result<Self, InputError> {
        let mut holding = Self::default();
        for slot in secrets {
            let path = slot.pointer.strip_prefix('/').unwrap_or_default();
            let (field, rest) = path.split_once('/').unwrap_or((path, ""));
            match (form, field) {
                (Form::Request, "url" | "query") => {}
                (Form::Request, "headers") => {
                    let name = rest.replace("~1", "/").replace("~0", "~");
                    // A name that is none is refused where the headers are read.
                    holding.headers.extend(HeaderName::from_bytes(name.as_bytes()));
                }
                (Form::Request, "body") => holding.is_body = true,
                (Form::Bare, "timeout_ms" | "url" | "") | (Form::Request, _) => {
                    let message = format!("input.{field}: a secret can stand in url, headers, query and body only");
                    return Err(InputError::Illegal(message));
                }
                (Form::Bare, _) => holding.is_body = true,
            }
        }
        Ok(holding)
    }

    /// Marks the values of headers that hold secrets.
    pub fn mark(&self, headers: &mut HeaderMap) {
        for name in &self.headers {
            if let Some(value) = headers.get_mut(name) {
                value.set_sensitive(true);
            }
        }
    }

    /// What is done with a redirect.
    pub fn redirects(&self) -> Redirects {
        if self.is_body {
            Redirects::FollowNearby
        } else {
            Redirects::Follow
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pointer: &str, form: Form) -> Result<Holding, InputError> {
        let slot = Slot {
            pointer: pointer.into(),
            at: 0,
            name: "A".into(),
        };
        Holding::of(&[slot], form)
    }

    #[test]
    fn only_parts_that_are_sent_may_hold_secrets() {
        for pointer in ["/url", "/query/a", "/headers/X-A", "/body", "/body/a/0"] {
            assert!(of(pointer, Form::Request).is_ok(), "{pointer}");
        }
        for pointer in ["", "/method", "/timeout_ms", "/unknown"] {
            assert!(of(pointer, Form::Request).is_err(), "{pointer}");
        }
        assert!(of("/anything/0", Form::Bare).is_ok_and(|holding| holding.is_body));
        assert!(of("/timeout_ms", Form::Bare).is_err());
    }

    #[test]
    fn headers_are_marked_and_bodies_stay_near() {
        let holding = of("/headers/X-Own", Form::Request).expect("header");
        assert_eq!(holding.redirects(), Redirects::Follow);
        let mut headers = HeaderMap::new();
        headers.insert("x-own", "value".parse().expect("value"));
        headers.insert("x-other", "value".parse().expect("value"));
        holding.mark(&mut headers);
        assert!(headers["x-own"].is_sensitive() && !headers["x-other"].is_sensitive());
        assert_eq!(
            of("/body/0", Form::Request).expect("body").redirects(),
            Redirects::FollowNearby
        );
    }
}
