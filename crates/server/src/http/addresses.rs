//! How many connections one address may hold, so that a single client does not take every place there is.
//!
//! One more is closed at once: whoever opens a thousand connections is not waiting for an answer. Addresses of IPv6 count
//! together by their first 64 bits, which is what one customer of a provider has. Behind a proxy every connection is the
//! proxy's, and nothing is counted.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Who holds how many.
#[derive(Debug, Clone)]
pub(super) struct Addresses(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// 0 where nothing is counted.
    most: usize,
    of: Mutex<HashMap<IpAddr, usize>>,
}

/// Held by a connection as long as it is open.
#[derive(Debug)]
pub(super) struct Held {
    shared: Arc<Shared>,
    address: IpAddr,
}

impl Addresses {
    pub fn new(most: usize) -> Self {
        let of = Mutex::default();
        Self(Arc::new(Shared { most, of }))
    }

    /// Counts a connection; `None` where it is one too many.
    pub fn admit(&self, address: IpAddr) -> Option<Held> {
        let address = counted_as(address);
        let mut of = self.0.of.lock().unwrap_or_else(PoisonError::into_inner);
        let own = of.entry(address).or_default();
        if self.0.most > 0 && *own >= self.0.most {
            return None;
        }
        *own += 1;
        let shared = Arc::clone(&self.0);
        Some(Held { shared, address })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut of = self.shared.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = of.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                of.remove(&self.address);
            }
        }
    }
}

fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_holds_no_more_than_its_share_and_what_is_closed_makes_room() {
        let addresses = Addresses::new(2);
        let (one, other): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let (first, second) = (addresses.admit(one), addresses.admit(one));
        assert!(first.is_some() && second.is_some());
        assert!(addresses.admit(one).is_none());
        assert!(addresses.admit(other).is_some());
        drop(first);
        let again = addresses.admit(one);
        assert!(again.is_some() && addresses.admit(one).is_none());
        drop((second, again));
        assert!(addresses.0.of.lock().unwrap().is_empty(), "nobody is remembered");
    }

    #[test]
    fn addresses_of_one_network_are_one_client_and_zero_is_no_limit() {
        let addresses = Addresses::new(1);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let held = addresses.admit(address("2001:db8::1"));
        assert!(held.is_some() && addresses.admit(address("2001:db8::ffff:2")).is_none());
        assert!(addresses.admit(address("2001:db8:0:1::1")).is_some());
        let mapped = addresses.admit(address("::ffff:192.0.2.1"));
        assert!(mapped.is_some() && addresses.admit(address("192.0.2.1")).is_none());
        let open = Addresses::new(0);
        let held: Vec<Held> = (0..100).filter_map(|_| open.admit(address("192.0.2.1"))).collect();
        assert_eq!(held.len(), 100);
    }
}
