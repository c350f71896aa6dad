//! Which backend does an order.
//!
//! A named backend is taken as it is: who names one knows what it has. Otherwise the first one is taken that has what is
//! asked for and is healthy; `modal` and `ray` come before others. A backend for jobs has to be named, because it takes
//! no other tasks.

use std::sync::Arc;

use futures_util::future::join_all;
use quintet_core::outcome::Failure;

use super::member::Member;
use super::set::{Backends, not_registered};
use super::settings::Kind;
use super::{CIRCUIT_OPEN, Gpu, Order, Resources, UNHEALTHY};

const NONE_HEALTHY: &str = "No healthy backend available";

impl Member {
    /// Whether an order can get it without naming it.
    pub fn is_automatic(&self) -> bool {
        self.kind != Kind::RayJobs
    }
}

impl Backends {
    /// The backend for an order.
    ///
    /// # Errors
    /// How the attempt fails if there is none.
    pub(super) async fn choose(&self, order: &Order) -> Result<Arc<Member>, Failure> {
        if let Some(name) = &order.backend {
            let member = self.find(name).ok_or_else(|| not_registered(name))?;
            member.ready().await?;
            return Ok(Arc::clone(member));
        }
        let candidates: Vec<&Arc<Member>> = self.members.iter().filter(|member| member.is_automatic()).collect();
        // All at once: one that does not answer must not hold up the others one after another.
        let judged = join_all(candidates.iter().map(|member| judge(member, &order.resources))).await;
        let mut refusals = Vec::new();
        for (member, judgement) in candidates.into_iter().zip(judged) {
            match judgement {
                Ok(()) => return Ok(Arc::clone(member)),
                Err(refusal) => refusals.push(refusal),
            }
        }
        Err(none(refusals, &order.resources))
    }
}

/// Why a backend does not get an order.
enum Refusal {
    /// It does not have what is asked for.
    Unfit,
    NotReady(Failure),
}

async fn judge(member: &Arc<Member>, wish: &Resources) -> Result<(), Refusal> {
    if *wish != Resources::default() && !member.pool().await.fits(wish) {
        return Err(Refusal::Unfit);
    }
    member.ready().await.map_err(Refusal::NotReady)
}

fn none(refusals: Vec<Refusal>, wish: &Resources) -> Failure {
    let is_about_wish = !refusals.is_empty() && refusals.iter().all(|refusal| matches!(refusal, Refusal::Unfit));
    let mut failures = refusals.into_iter().filter_map(|refusal| match refusal {
        Refusal::NotReady(failure) => Some(failure),
        Refusal::Unfit => None,
    });
    // One whose circuit is open comes back by itself, and it says when it will be looked at.
    if let Some(shut) = failures.find(|failure| failure.kind.as_deref() == Some(CIRCUIT_OPEN)) {
        return Failure {
            message: NONE_HEALTHY.to_owned(),
            ..shut
        };
    }
    let message = match is_about_wish {
        true => format!("{NONE_HEALTHY}: none has {}", wording(wish)),
        false => NONE_HEALTHY.to_owned(),
    };
    Failure::new(UNHEALTHY, message)
}

fn wording(wish: &Resources) -> String {
    let mut parts = Vec::new();
    match &wish.gpu {
        Gpu::None => {}
        Gpu::Any => parts.push("a GPU".to_owned()),
        Gpu::Model(model) => parts.push(format!("GPU {model}")),
    }
    parts.extend(wish.vram_mb.map(|mb| format!("{mb} MB of VRAM")));
    parts.extend(wish.ram_mb.map(|mb| format!("{mb} MB of RAM")));
    parts.extend(wish.cpus.map(|cpus| format!("{cpus} CPUs")));
    parts.join(", ")
}
