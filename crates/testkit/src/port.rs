//! Ports for servers that go away and come back.
//!
//! Port 0 would do for a server that lives once. A server that is stopped and started again under its clients needs a
//! port that nobody takes in between, and the kernel hands those of port 0 to any outgoing connection: a client that
//! dials the dead port often enough even gets that very port for its own end, connects to itself, and keeps the server
//! from coming back. So ports are drawn from below the range that the kernel uses for outgoing connections.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::TcpListener;
use std::ops::Range;

use anyhow::Context;

/// Below Linux's default `ip_local_port_range`, which begins at 32768, and above what is usually taken.
const DRAWN: Range<u16> = 15_000..32_000;

/// Listens on a loopback port that can be closed and bound again.
pub(crate) fn listen() -> anyhow::Result<TcpListener> {
    // The hasher's keys come from the system: processes that begin at the same moment do not draw the same ports.
    let start = RandomState::new().build_hasher().finish();
    let count = u64::from(DRAWN.end - DRAWN.start);
    (0..count)
        .map(|step| DRAWN.start + ((start.wrapping_add(step)) % count) as u16)
        .find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok())
        .context("no port is free")
}

/// A port that was free a moment ago, for a program that binds by itself.
pub(crate) fn free() -> anyhow::Result<u16> {
    Ok(listen()?.local_addr()?.port())
}
