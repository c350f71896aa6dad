//! The template pack: built-in workflows that can be listed, copied, and run by their names.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use axum::extract::rejection::BytesRejection;
use bytes::Bytes;
use http::HeaderMap;
use quintet_core::plan::Plan;
use serde_json::Value;

use super::cx::Cx;
use super::definitions::{Check, store};
use super::document::{PlanOptions, plan_of};
use super::problem::{Answer, Problem};
use super::reply::{self, Items};

/// One template of the pack.
pub(crate) struct Template {
    pub id: Arc<str>,
    pub plan: Arc<Plan>,
}

/// The documents of the pack.
static PACK: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let pack = serde_json::from_str(include_str!("../../../../../templates/templates.json"));
    pack.expect("the pack is part of the program, and a test reads it")
});

/// The pack, compiled, by id and by name.
static COMPILED: LazyLock<HashMap<String, Arc<Template>>> = LazyLock::new(|| {
    let mut compiled = HashMap::new();
    for document in PACK.iter() {
        let read = plan_of(document, None, PlanOptions::default());
        let (stored, plan) = read.expect("the pack is part of the program, and a test compiles it");
        let id = stored.id.unwrap_or_default();
        let template = Arc::new(Template {
            id: Arc::from(id.as_str()),
            plan: Arc::new(plan),
        });
        compiled.insert(stored.name, Arc::clone(&template));
        compiled.insert(id, template);
    }
    compiled
});

/// The template of an id or a name.
pub(crate) fn find(name: &str) -> Option<&'static Arc<Template>> {
    COMPILED.get(name)
}

/// `GET /v1/templates`.
pub(super) async fn list() -> Answer {
    Ok(reply::json(&Items {
        items: PACK.iter().collect(),
    }))
}

/// `POST /v1/templates`: stores an ordinary workflow, without the schema.
pub(super) async fn create(cx: Cx, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Answer {
    store(&cx, &headers, body, Check::Plan).await.map_err(Problem::plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::workflows::schema::Schema;

    #[test]
    fn the_pack_holds_the_built_in_ids_and_each_is_found_by_id_and_name() {
        let ids: Vec<&str> = PACK.iter().filter_map(|template| template["id"].as_str()).collect();
        assert_eq!(
            ids,
            [
                "tpl_intake_enrich_decide_act",
                "tpl_detect_classify_route",
                "tpl_review_approve_execute"
            ]
        );
        for id in ids {
            let name = id.strip_prefix("tpl_").unwrap();
            assert!(Arc::ptr_eq(find(id).unwrap(), find(name).unwrap()));
        }
        assert!(find("ghost").is_none());
    }

    #[test]
    fn the_pack_satisfies_the_default_schema() {
        let schema = Schema::for_workflows(None).unwrap().unwrap();
        PACK.iter().for_each(|template| schema.check(template, "").unwrap());
    }
}
