//! One pass over what is due, for servers that do nothing by themselves (`pipelines.mode = "serverless"`).

use std::sync::Arc;

use axum::extract::State;
use quintet_executors::push::ACTION;
use serde_json::json;

use super::reply::{self, Answer, iso};
use crate::app::App;
use crate::config::Mode;

/// Steps that one pass starts at most where the number of running tasks is not limited.
const BOUND: usize = 100;

/// Hands out what is due, as far as the limits go, and says how much that was. A server that does it by itself has
/// nothing left to hand out.
pub(super) async fn pass(State(app): State<Arc<App>>) -> Answer {
    let pipelines = &app.pipelines;
    let processed = match pipelines.settings.mode {
        Mode::Standalone => 0,
        Mode::Serverless => {
            pipelines.catch_up(&app.engine).await?;
            let bound = match pipelines.settings.max_concurrency {
                0 => BOUND,
                max => max as usize,
            };
            app.engine.pass(ACTION, bound).await
        }
    };
    pipelines.settle_down().await?;
    let timestamp = iso(pipelines.clock.now());
    Ok(reply::json(
        &json!({ "status": "ok", "processed": processed, "timestamp": timestamp }),
    ))
}
