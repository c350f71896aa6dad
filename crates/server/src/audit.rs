//! Who did what to which object: an append-only chain.
