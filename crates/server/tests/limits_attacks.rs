//! What a client can do to a server that is only meant to make it fall over: each attack is answered soon, costs little
//! memory, and another client is served meanwhile.
//!
//! The memory is the most that the real process held while the attack went on (`VmHWM`) over what it held before.

mod attacks;
mod serving;
