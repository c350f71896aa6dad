//! One workflow: `GET .../workflows/{workflow}`, and what it took: `GET .../metrics`.

use serde::Serialize;

use super::cx::Cx;
use super::reply::{self, Answer};
use super::view::{Execution, Scene};

#[derive(Serialize)]
struct Shown<'s> {
    workflow_id: &'s str,
    execution: Execution<'s>,
}

pub(super) async fn show(cx: Cx) -> Answer {
    let found = cx.found().await?;
    Ok(reply::json(&Shown {
        workflow_id: &found.id,
        execution: Scene::of(&found, cx.now()).execution(),
    }))
}

pub(super) async fn metrics(cx: Cx) -> Answer {
    let found = cx.found().await?;
    Ok(reply::json(&Scene::of(&found, cx.now()).metrics()))
}
