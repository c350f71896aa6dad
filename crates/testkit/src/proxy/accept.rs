//! The thread that owns the proxy's port.
//!
//! To refuse connections it closes the port, as there is no other way to have them refused by the system, and binds it
//! again afterwards.

use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;

use super::connection::{self, Connection};
use super::state::{Admission, Shared};
use crate::patience;

/// How long to try to get the port back.
const REBIND: Duration = Duration::from_secs(20);

/// Accepts until the proxy is closed.
pub(super) fn run(shared: &Arc<Shared>, mut listener: TcpListener, address: SocketAddr) {
    for number in 0.. {
        let Ok((client, _)) = listener.accept() else { continue };
        match shared.admission() {
            Admission::Close => return,
            Admission::Serve => {
                let (shared, connection) = (Arc::clone(shared), Connection::new(number, client));
                std::thread::spawn(move || connection::serve(&shared, connection));
            }
            Admission::Reset => {
                shared.count(|counters| counters.accepted += 1);
                Connection::new(number, client).reset();
            }
            Admission::Refuse => {
                // A child process that another thread is just starting has a copy of the port until it runs its program:
                // so closing alone may come too late.
                let _ = SockRef::from(&listener).shutdown(Shutdown::Both);
                drop((client, listener));
                if shared.wait_closed() == Admission::Close {
                    return;
                }
                listener = bind(address);
                shared.opened();
            }
        }
    }
}

fn bind(address: SocketAddr) -> TcpListener {
    let mut bound = None;
    patience::until(REBIND, || {
        bound = TcpListener::bind(address).ok();
        bound.is_some()
    });
    bound.expect("nobody else takes a port of this range")
}
