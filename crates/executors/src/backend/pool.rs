//! What a backend has, compared with what an order asks for.
//!
//! What is not known of memory and processors is taken to be enough: only the operator or the cluster can tell, and a
//! backend that scales has no fixed amount. Graphics processors are different: a backend has those that somebody said it
//! has. Whether one is free at the moment plays no part: a service of Ray holds its own for as long as it runs, so all of
//! them are taken while everything is well.

use serde_json::Value;

use super::{Gpu, Resources};

/// A Ray cluster's word for a graphics processor whose model it does not know.
const UNKNOWN_MODEL: &str = "GPU";
const MB: f64 = 1_000_000.0;

/// Megabytes of memory by model, the more special ones first.
const MODELS_MB: &[(&str, u64)] = &[
    ("A100-80GB", 80_000),
    ("A100-80G", 80_000),
    ("A100", 40_000),
    ("A10G", 24_000),
    ("A10", 24_000),
    ("B200", 180_000),
    ("H100", 80_000),
    ("H200", 141_000),
    ("L4", 24_000),
    ("L40S", 48_000),
    ("P100", 16_000),
    ("P4", 8_000),
    ("T4", 16_000),
    ("V100", 16_000),
];

/// What a task can get of a backend.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Pool {
    /// Models.
    pub gpus: Vec<String>,
    /// Of each of them; `None` goes by the model.
    pub vram_mb: Option<u64>,
    pub ram_mb: Option<u64>,
    pub cpus: Option<f64>,
}

impl Pool {
    /// Whether it has what is asked for.
    pub fn fits(&self, wish: &Resources) -> bool {
        let is_enough = |has: Option<u64>, wants: Option<u64>| match (has, wants) {
            (Some(has), Some(wants)) => has >= wants,
            _ => true,
        };
        let has_cpus = match (self.cpus, wish.cpus) {
            (Some(has), Some(wants)) => has >= wants,
            _ => true,
        };
        let has_vram = |model: &String| is_enough(self.vram_mb.or_else(|| vram_mb(model)), wish.vram_mb);
        let has_gpu = match &wish.gpu {
            Gpu::None if wish.vram_mb.is_none() => true,
            Gpu::None | Gpu::Any => self.gpus.iter().any(has_vram),
            Gpu::Model(wanted) => self.gpus.iter().any(|model| is_model(model, wanted) && has_vram(model)),
        };
        has_gpu && has_cpus && is_enough(self.ram_mb, wish.ram_mb)
    }

    /// Adds what a cluster says about itself; what the operator said stays.
    pub fn add(&mut self, reported: Pool) {
        for model in reported.gpus {
            if !self.gpus.contains(&model) {
                self.gpus.push(model);
            }
        }
        self.ram_mb = self.ram_mb.or(reported.ram_mb);
        self.cpus = self.cpus.or(reported.cpus);
    }

    /// Reads a Ray dashboard's `GET /api/cluster_status`: the list of nodes with their `gpu`, and the load report in
    /// which today's dashboards count the resources of each kind of node. Memory and processors are those of the largest
    /// node, because a task runs on one.
    pub fn of_ray(status: &Value) -> Self {
        let mut pool = Self::default();
        for report in [
            &status["autoscaler_report"]["active_nodes"],
            &status["data"]["clusterStatus"]["autoscalerReport"]["activeNodes"],
        ] {
            let models = report
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|node| node["gpu"].as_str());
            models
                .filter(|model| !model.is_empty())
                .for_each(|model| pool.gpus.push(model.to_owned()));
        }
        let kinds = status["data"]["clusterStatus"]["loadMetricsReport"]["nodeTypes"].as_array();
        for node in kinds.into_iter().flatten().filter_map(|kind| kind[0].as_object()) {
            let amount = |name: &str| node.get(name).and_then(Value::as_f64);
            if amount("GPU").is_some_and(|count| count > 0.0) {
                let models = node.keys().filter_map(|key| key.strip_prefix("accelerator_type:"));
                let known = pool.gpus.len();
                pool.gpus.extend(models.map(str::to_owned));
                if pool.gpus.len() == known {
                    pool.gpus.push(UNKNOWN_MODEL.to_owned());
                }
            }
            pool.cpus = larger(pool.cpus, amount("CPU"));
            let ram_mb = amount("memory").map(|bytes| (bytes / MB) as u64);
            pool.ram_mb = pool.ram_mb.max(ram_mb);
        }
        pool.gpus.sort();
        pool.gpus.dedup();
        pool
    }
}

fn larger(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.max(other)),
        (one, other) => one.or(other),
    }
}

/// Whether a processor is of the model that is wanted: `A100` is satisfied by an `A100-80GB`, not the other way round.
fn is_model(model: &str, wanted: &str) -> bool {
    let (model, wanted) = (model.to_ascii_uppercase(), wanted.trim().to_ascii_uppercase());
    model
        .strip_prefix(&wanted)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn vram_mb(model: &str) -> Option<u64> {
    let known = MODELS_MB.iter().find(|(name, _)| is_model(model, name));
    known.map(|(_, vram_mb)| *vram_mb)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pool(gpus: &[&str]) -> Pool {
        Pool {
            gpus: gpus.iter().map(|model| (*model).to_owned()).collect(),
            ..Pool::default()
        }
    }

    fn wish(gpu: Gpu, vram_mb: Option<u64>) -> Resources {
        Resources {
            gpu,
            vram_mb,
            ..Resources::default()
        }
    }

    fn model(name: &str) -> Gpu {
        Gpu::Model(name.to_owned())
    }

    #[test]
    fn models_are_compared_for_real() {
        let modal = pool(&["T4", "A10G", "A100"]);
        assert!(modal.fits(&wish(Gpu::Any, None)) && modal.fits(&wish(model("a100"), None)));
        assert!(!modal.fits(&wish(model("H100"), None)) && !modal.fits(&wish(model("A10"), None)));
        assert!(pool(&["A100-80GB"]).fits(&wish(model("A100"), None)));
        assert!(!modal.fits(&wish(model("A100-80GB"), None)));
        assert!(pool(&[]).fits(&Resources::default()) && !pool(&[]).fits(&wish(Gpu::Any, None)));
        assert!(pool(&["GPU"]).fits(&wish(Gpu::Any, None)) && !pool(&["GPU"]).fits(&wish(model("T4"), None)));
    }

    #[test]
    fn memory_of_processors_is_that_of_the_wanted_model() {
        let modal = pool(&["T4", "A10G", "A100"]);
        assert!(modal.fits(&wish(Gpu::Any, Some(40_000))) && modal.fits(&wish(Gpu::None, Some(40_000))));
        assert!(!modal.fits(&wish(Gpu::Any, Some(40_001))));
        assert!(!modal.fits(&wish(model("T4"), Some(24_000))));
        let told = Pool {
            vram_mb: Some(12_000),
            ..pool(&["T4"])
        };
        assert!(!told.fits(&wish(Gpu::Any, Some(16_000))));
        assert!(
            pool(&["X1"]).fits(&wish(Gpu::Any, Some(500_000))),
            "nobody knows that model"
        );
    }

    #[test]
    fn unknown_memory_and_processors_are_enough_and_known_ones_count() {
        let wish = Resources {
            ram_mb: Some(64_000),
            cpus: Some(8.0),
            ..Resources::default()
        };
        assert!(pool(&[]).fits(&wish));
        let small = Pool {
            ram_mb: Some(63_999),
            ..pool(&[])
        };
        let narrow = Pool {
            cpus: Some(7.5),
            ..pool(&[])
        };
        assert!(!small.fits(&wish) && !narrow.fits(&wish));
    }

    #[test]
    fn a_clusters_word_is_read_in_both_of_its_forms() {
        let nodes =
            json!({ "autoscaler_report": { "active_nodes": [{ "gpu": "T4" }, { "gpu": "T4" }, {}, { "gpu": "" }] } });
        assert_eq!(Pool::of_ray(&nodes), pool(&["T4"]));
        let load = json!({ "data": { "clusterStatus": {
            "autoscalerReport": { "activeNodes": { "node1": 1 } },
            "loadMetricsReport": { "nodeTypes": [
                [{ "CPU": 2.0, "memory": 24_000_000_000.0 }, 1],
                [{ "CPU": 8.0, "memory": 8_000_000_000.0, "GPU": 1.0, "accelerator_type:A10G": 1.0 }, 2],
                [{ "GPU": 1.0 }, 1],
            ] },
        } } });
        let expected = Pool {
            ram_mb: Some(24_000),
            cpus: Some(8.0),
            ..pool(&["A10G", "GPU"])
        };
        assert_eq!(Pool::of_ray(&load), expected);
        for nothing in [json!(null), json!({}), json!({ "data": { "clusterStatus": null } })] {
            assert_eq!(Pool::of_ray(&nothing), Pool::default());
        }
    }
}
