//! What the operator says about outbound requests.

use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;
use url::{Host, Url};

use super::address::Cidr;

/// Settings of the outbound guard (`egress`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Targets that are permitted whatever else is said here: `host`, `*.domain`, address or block, each with an
    /// optional `:port`, for instance `workers.internal:8080` or `10.2.0.0/16:8443` (IPv6 with a port in brackets:
    /// `[fd00::/8]:8443`). A cloud metadata address is permitted only by an entry for that single address or name.
    /// Default: none. Add the internal services that workflows are meant to call.
    pub allow: Vec<Rule>,
    /// Blocks that are refused in addition to the built-in ones. Default: none. Add public addresses of your own
    /// network that workflows must not reach; `allow` wins over it.
    pub deny: Vec<Cidr>,
    /// Permits private addresses (10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7). Default: false. Set it where
    /// everyone who may write a workflow may also reach everything in the network.
    pub allow_private: bool,
    /// Permits loopback addresses. Default: false; the server turns it on while it is itself bound to loopback.
    pub allow_loopback: bool,
    /// Milliseconds for looking up the name and connecting. Default: 5000.
    pub connect_timeout_ms: u64,
    /// Longest response body that is read, in bytes. Default: 4194304 (4 MiB).
    pub max_response_bytes: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            deny: Vec::new(),
            allow_private: false,
            allow_loopback: false,
            connect_timeout_ms: 5000,
            max_response_bytes: 4 << 20,
        }
    }
}

/// One entry of [`Policy::allow`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Rule {
    target: Target,
    /// `None` permits every port.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    /// A name, in the form that URLs are brought into: lower case, punycode, no dot at the end.
    Name(String),
    /// Every name that ends in this, which starts with a dot.
    Suffix(String),
    Block(Cidr),
}

/// An entry of [`Policy::allow`] made no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not host, *.domain, address or block, with an optional :port")]
pub struct ParseRuleError(String);

impl Rule {
    /// Permits exactly the host and port that the URL names.
    pub fn for_url(url: &Url) -> Option<Self> {
        let target = Target::of(url.host()?.to_owned());
        Some(Self {
            target,
            port: Some(url.port_or_known_default()?),
        })
    }

    /// Whether the entry permits the name at the port, whatever the name resolves to.
    pub fn names(&self, host: &str, port: u16) -> bool {
        self.serves(port)
            && match &self.target {
                Target::Name(name) => name == host,
                Target::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
                Target::Block(_) => false,
            }
    }

    /// Whether the entry permits the address at the port.
    pub fn covers(&self, address: IpAddr, port: u16) -> bool {
        self.serves(port) && matches!(self.target, Target::Block(block) if block.contains(address))
    }

    /// Whether the entry is for one single address or one name, not for a block or a domain.
    pub fn is_exact(&self) -> bool {
        match &self.target {
            Target::Name(_) => true,
            Target::Suffix(_) => false,
            Target::Block(block) => block.is_host(),
        }
    }

    /// Whether the entry says this port itself.
    pub fn says_port(&self, port: u16) -> bool {
        self.port == Some(port)
    }

    fn serves(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }
}

impl Target {
    fn of<S: AsRef<str>>(host: Host<S>) -> Self {
        match host {
            Host::Domain(name) => Target::Name(bare_name(name.as_ref()).to_owned()),
            Host::Ipv4(address) => Target::Block(Cidr::host(address.into())),
            Host::Ipv6(address) => Target::Block(Cidr::host(address.into())),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if let Ok(block) = text.parse() {
            return Some(Target::Block(block));
        }
        if let Some(domain) = text.strip_prefix("*.") {
            return match Self::of(Host::parse(domain).ok()?) {
                Target::Name(name) => Some(Target::Suffix(format!(".{name}"))),
                Target::Suffix(_) | Target::Block(_) => None,
            };
        }
        Some(Self::of(Host::parse(text).ok()?))
    }
}

/// A host name without the dot that an absolute name may end in.
pub(super) fn bare_name(host: &str) -> &str {
    host.trim_end_matches('.')
}

impl FromStr for Rule {
    type Err = ParseRuleError;

    fn from_str(text: &str) -> Result<Self, ParseRuleError> {
        let error = || ParseRuleError(text.to_owned());
        if let Some(rest) = text.strip_prefix('[') {
            let (inner, tail) = rest.split_once(']').ok_or_else(error)?;
            let port = match tail.strip_prefix(':') {
                Some(port) => Some(port.parse().map_err(|_| error())?),
                None if tail.is_empty() => None,
                None => return Err(error()),
            };
            return Ok(Self {
                target: Target::Block(inner.parse().map_err(|_| error())?),
                port,
            });
        }
        // Bare IPv6 first: its last group would be taken for a port.
        if let Ok(block) = text.parse() {
            return Ok(Self {
                target: Target::Block(block),
                port: None,
            });
        }
        let (head, port) = match text.rsplit_once(':') {
            Some((head, port)) => (head, Some(port.parse().map_err(|_| error())?)),
            None => (text, None),
        };
        Ok(Self {
            target: Target::parse(head).ok_or_else(error)?,
            port,
        })
    }
}

impl TryFrom<String> for Rule {
    type Error = ParseRuleError;

    fn try_from(text: String) -> Result<Self, ParseRuleError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        text.parse().expect(text)
    }

    #[test]
    fn entries_permit_what_they_say_and_nothing_else() {
        let address = |text: &str| text.parse::<IpAddr>().expect(text);
        assert!(rule("10.2.0.0/16:8443").covers(address("10.2.9.9"), 8443));
        assert!(!rule("10.2.0.0/16:8443").covers(address("10.2.9.9"), 8444));
        assert!(!rule("10.2.0.0/16:8443").covers(address("10.3.0.1"), 8443));
        assert!(rule("[fd00::/8]:80").covers(address("fd00::5"), 80));
        assert!(rule("::1").covers(address("::1"), 1));
        assert!(rule("0x7f.1:80").covers(address("127.0.0.1"), 80));
        assert!(rule("Workers.Internal.:8080").names("workers.internal", 8080));
        assert!(!rule("workers.internal:8080").names("workers.internal", 8081));
        assert!(!rule("workers.internal").names("evil-workers.internal", 80));
        assert!(rule("*.svc.local").names("a.b.svc.local", 80));
        assert!(!rule("*.svc.local").names("svc.local", 80));
        assert!(!rule("*.svc.local").names("evilsvc.local", 80));
    }

    #[test]
    fn senseless_entries_are_refused() {
        for text in [
            "",
            "http://x",
            "host:port",
            "host:70000",
            "[::1",
            "[::1]x",
            "*.",
            "*.10.0.0.1",
            "a b",
            "10.0.0.0/40",
        ] {
            assert!(text.parse::<Rule>().is_err(), "{text}");
        }
    }

    #[test]
    fn settings_are_read_and_unknown_ones_refused() {
        let policy: Policy = toml::from_str(
            "allow = ['10.2.0.0/16:8443', 'x.internal']\ndeny = ['203.0.114.0/24']\nallow_private = true",
        )
        .expect("policy");
        assert_eq!(policy.allow.len(), 2);
        assert!(policy.allow_private && !policy.allow_loopback);
        assert_eq!((policy.connect_timeout_ms, policy.max_response_bytes), (5000, 4 << 20));
        assert!(toml::from_str::<Policy>("allow_everything = true").is_err());
        assert!(toml::from_str::<Policy>("allow = ['a b']").is_err());
    }
}
