//! The checks of the tenants face's contract, one test or more for each of the eighteen, and one or more for each fault of
//! the original that Quintet does not have, against the real program and an endpoint that notes what it is sent.

#[allow(
    unused_imports,
    reason = "most tests here look at the worker, and not at the targets of steps"
)]
mod common;
mod tenants;

#[path = "tenants/checks/client.rs"]
mod client;
#[path = "tenants/checks/controls.rs"]
mod controls;
#[path = "tenants/checks/life.rs"]
mod life;
#[path = "tenants/checks/lists.rs"]
mod lists;
#[path = "tenants/checks/requests.rs"]
mod requests;

#[path = "tenants/defects"]
mod defects {
    use super::{common, tenants};

    mod answers;
    mod strangers;
    mod work;
}
