//! What executors are told of steps: everything about a step is in its run's document, and read there when it is handed out.

use std::time::Duration;

use quintet_core::outcome::{Failure, Work};
use quintet_executors::backend::{self, Gpu};
use quintet_executors::media::{Parts, Script, Whole};

use super::document;
use super::order::{self, Resolved};
use crate::face::tenants;

/// How long after a step's limit its call ends by itself.
const LATER: Duration = Duration::from_secs(5);

/// Tells backends and what cuts media up.
pub(super) struct Desk;

impl backend::Desk for Desk {
    fn order(&self, work: &Work) -> Result<backend::Order, Failure> {
        if tenants::order::intent_of(&work.workflow).is_some() {
            return tenants::order::for_backend(work).map_err(|failure| *failure);
        }
        let resolved = order::resolve(work)?;
        Ok(backend::Order {
            // A step's limit goes before the backend's own; it is the engine that ends the call, in the step's words.
            timeout: resolved
                .resources
                .timeout_ms
                .map(|ms| Duration::from_millis(ms) + LATER),
            resources: resources(&resolved.resources),
            task_type: resolved.task_type,
            payload: resolved.payload,
            backend: resolved.backend,
        })
    }
}

fn resources(wanted: &document::Resources) -> backend::Resources {
    backend::Resources {
        gpu: match &wanted.gpu {
            document::Gpu::None => Gpu::None,
            document::Gpu::Any => Gpu::Any,
            document::Gpu::Model(model) => Gpu::Model(model.clone()),
        },
        vram_mb: wanted.vram_mb.map(whole),
        ram_mb: wanted.ram_mb.map(whole),
        cpus: wanted.cpu,
    }
}

/// At least what is asked for.
fn whole(megabytes: f64) -> u64 {
    megabytes.ceil() as u64
}

impl Script for Desk {
    fn split(&self, work: &Work) -> Result<Whole, Box<Failure>> {
        let Resolved { payload, chunk, .. } = order::resolve(work).map_err(Box::new)?;
        let rule = chunk.ok_or_else(|| no_rule(work))?;
        Ok(Whole { payload, rule })
    }

    fn parts(&self, work: &Work) -> Result<Parts, Box<Failure>> {
        let Resolved { parts, chunk, .. } = order::resolve(work).map_err(Box::new)?;
        let (parts, rule) = parts.zip(chunk).ok_or_else(|| no_rule(work))?;
        Ok(Parts {
            chunks: parts.chunks,
            results: parts.results,
            rule,
        })
    }
}

fn no_rule(work: &Work) -> Box<Failure> {
    let message = format!("the plan does not say how {} is cut up", work.step);
    Box::new(Failure::permanent("invalid_input", message))
}
