//! The one way out: every request to a URL that somebody gave goes through this guard.
//!
//! Whoever can write a workflow chooses URLs, and the server that follows them stands inside a network. So the
//! guard decides at two moments:
//!
//! * [`Guard::admit`] reads a URL, before anything is sent and again at each redirect: scheme, user-info, port,
//!   metadata names, and addresses written as such in any notation (the `url` crate has turned `0x7f.1` and its
//!   kind into an address by then);
//! * [`Guard::judge`] sees the address that is about to be dialled ([`client`]), for literals as well as for every
//!   address that a name resolved to. A name is looked up once per connection and exactly the judged addresses are
//!   dialled, so a name that answers differently the second time gains nothing.
//!
//! Invariants: no connection is opened to an address that was not judged; one refused address among the answers
//! refuses the name; no proxy from the environment; no redirect is followed by the transport.

pub mod address;
pub mod client;
pub mod policy;
mod redirect;
pub mod resolver;
mod retry_after;

use std::net::IpAddr;

use url::{Host, Url};

pub use self::address::{Cidr, Class};
pub use self::client::{Call, CallError, Client, Redirects, Reply};
pub use self::policy::{Policy, Rule};
pub use self::resolver::{Lookup, SystemLookup};

/// Names of metadata services, which are refused before they are looked up.
const METADATA_NAMES: &[&str] = &[
    "metadata",
    "metadata.amazonaws.com",
    "metadata.azure.internal",
    "metadata.goog",
    "metadata.google.internal",
    "metadata.tencentyun.com",
    "instance-data",
    "instance-data.ec2.internal",
];

/// Ports whose services could be made to act on the text of an HTTP request: those that browsers refuse
/// (the Fetch standard's "bad ports"), and the usual ones of databases and caches.
const REFUSED_PORTS: &[u16] = &[
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110,
    111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532,
    540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1433, 1521, 1719, 1720, 1723, 2049, 3306, 3659, 4045,
    4190, 5060, 5061, 5432, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080, 11211, 27017,
];

/// Why a target was refused. Another attempt does not help; the operator's settings do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not `http://` or `https://`.
    #[error("url must be http or https")]
    Scheme,
    /// Not a URL at all.
    #[error("invalid url: {0}")]
    Malformed(#[from] url::ParseError),
    /// `user:password@host`.
    #[error("a user or password inside a url is refused: send an Authorization header")]
    UserInfo,
    /// A port that does not speak HTTP.
    #[error("port {0} is refused because it is not a port of web services: list host and port in `egress.allow`")]
    Port(u16),
    /// A metadata service by its name.
    #[error("{0} is refused because it names a cloud metadata service: list this name in `egress.allow`")]
    MetadataName(String),
    /// An address that is not to be reached.
    #[error("{host} is refused because {address} is {class}: {}", remedy(*class))]
    Address {
        /// Host as the URL has it.
        host: String,
        /// The address that it stands for, or that is hidden in it.
        address: IpAddr,
        /// What kind of address.
        class: Class,
    },
    /// An address in a block of `egress.deny`.
    #[error("{host} is refused because {address} lies in {block} of `egress.deny`: list it in `egress.allow`")]
    Denied {
        /// Host as the URL has it.
        host: String,
        /// The address that it stands for.
        address: IpAddr,
        /// The block.
        block: Cidr,
    },
}

impl Refusal {
    /// Whether the URL itself is wrong, rather than the place that it names.
    pub fn is_invalid_input(&self) -> bool {
        matches!(self, Refusal::Scheme | Refusal::Malformed(_))
    }
}

fn remedy(class: Class) -> &'static str {
    match class {
        Class::Private => "list it in `egress.allow`, or set `egress.allow_private`",
        Class::Loopback => "list it in `egress.allow`, or set `egress.allow_loopback`",
        Class::Metadata => "list this single address in `egress.allow`",
        Class::Public | Class::Reserved => "list it in `egress.allow`",
    }
}

/// Who chose the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// A user: all rules apply.
    User,
    /// The operator, in the configuration: any address may be reached.
    Operator,
}

/// Decides which targets may be reached.
#[derive(Debug, Clone)]
pub struct Guard {
    policy: Policy,
    trust: Trust,
}

impl Guard {
    /// A guard for URLs that users give.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            trust: Trust::User,
        }
    }

    /// The same limits, for URLs that only the operator gives.
    pub fn for_operator(&self) -> Self {
        Self {
            policy: self.policy.clone(),
            trust: Trust::Operator,
        }
    }

    /// Permits the host and port of a URL that the operator configured, for everyone.
    pub fn permit(&mut self, url: &Url) {
        self.policy.allow.extend(Rule::for_url(url));
    }

    /// The settings it works by.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Reads a URL and judges what can be judged without looking up its name.
    pub fn admit(&self, text: &str) -> Result<Url, Refusal> {
        let scheme = text.trim_start().split(':').next().unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(Refusal::Scheme);
        }
        let url = Url::parse(text)?;
        self.admit_url(&url)?;
        Ok(url)
    }

    /// Judges a URL that was read already, for instance the target of a redirect.
    pub fn admit_url(&self, url: &Url) -> Result<(), Refusal> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::UserInfo);
        }
        let host = url.host().ok_or(url::ParseError::EmptyHost)?;
        let port = url.port_or_known_default().ok_or(url::ParseError::InvalidPort)?;
        match host {
            Host::Domain(name) => self.judge_name(name, port),
            Host::Ipv4(address) => self.judge(&address.to_string(), port, address.into()),
            Host::Ipv6(address) => self.judge(&address.to_string(), port, address.into()),
        }
    }

    fn judge_name(&self, name: &str, port: u16) -> Result<(), Refusal> {
        if self.trust == Trust::Operator {
            return Ok(());
        }
        let name = policy::bare_name(name);
        let mut naming = self.policy.allow.iter().filter(|rule| rule.names(name, port));
        if METADATA_NAMES.contains(&name) && !naming.clone().any(Rule::is_exact) {
            return Err(Refusal::MetadataName(name.to_owned()));
        }
        // A block with this port permits it for names too: the addresses are judged when it is dialled.
        let says_port = |rule: &Rule| rule.says_port(port);
        if REFUSED_PORTS.contains(&port) && naming.next().is_none() && !self.policy.allow.iter().any(says_port) {
            return Err(Refusal::Port(port));
        }
        Ok(())
    }

    /// Judges an address that `host` stands for, and any address hidden in it, before it is dialled.
    ///
    /// `host` is as URLs have it: lower case, no brackets.
    pub fn judge(&self, host: &str, port: u16, address: IpAddr) -> Result<(), Refusal> {
        if self.trust == Trust::Operator {
            return Ok(());
        }
        let address = address.to_canonical();
        self.judge_one(host, port, address)?;
        match address::embedded(address) {
            Some(inner) => self.judge_one(host, port, inner.into()),
            None => Ok(()),
        }
    }

    fn judge_one(&self, host: &str, port: u16, address: IpAddr) -> Result<(), Refusal> {
        let name = policy::bare_name(host);
        let class = address::classify(address);
        let refuse = || Refusal::Address {
            host: host.to_owned(),
            address,
            class,
        };
        let is_named = || self.policy.allow.iter().any(|rule| rule.names(name, port));
        if class == Class::Metadata {
            let is_exact = |rule: &Rule| rule.is_exact() && rule.covers(address, port);
            let is_permitted = METADATA_NAMES.contains(&name) && is_named();
            return if is_permitted || self.policy.allow.iter().any(is_exact) {
                Ok(())
            } else {
                Err(refuse())
            };
        }
        if is_named() || self.policy.allow.iter().any(|rule| rule.covers(address, port)) {
            return Ok(());
        }
        if let Some(block) = self.policy.deny.iter().find(|block| block.contains(address)) {
            return Err(Refusal::Denied {
                host: host.to_owned(),
                address,
                block: *block,
            });
        }
        match class {
            Class::Public => {}
            Class::Private if self.policy.allow_private => {}
            Class::Loopback if self.policy.allow_loopback => {}
            Class::Private | Class::Loopback | Class::Metadata | Class::Reserved => return Err(refuse()),
        }
        if REFUSED_PORTS.contains(&port) {
            Err(Refusal::Port(port))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
#[path = "egress/tests.rs"]
mod tests;
