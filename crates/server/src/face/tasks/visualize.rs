//! Pipelines as pictures: one that is only asked about, and a task's with the states of its steps.
//!
//! What the original answered is the Mermaid text, letter for letter, and a link; its link did not open, ours does. The
//! `svg` is ours, and so is the picture of a task.

mod link;
mod live;
mod sketch;

use std::sync::Arc;

use axum::extract::{Path, State};
use http::{StatusCode, Uri};
use serde_json::json;

use super::body::Json;
use super::ids;
use super::query::Params;
use super::reply::{self, Answer, Refusal};
use crate::app::App;
use crate::face::workflows::picture_answer;
use crate::picture::{Format, TooLarge, aside};
use live::Live;
use sketch::Sketch;

/// How a task's picture is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Everything that there is to say about it.
    Json,
    /// Only the picture.
    Only(Format),
}

/// `POST /api/visualize`.
pub(super) async fn of_body(Json(body): Json) -> Answer {
    let drawn = aside(move || {
        let sketch = Sketch::read(&body)?;
        let mermaid = sketch.mermaid();
        Ok(json!({
            "url": link::to(&mermaid),
            "mermaid": mermaid,
            "svg": sketch.picture().draw_bounded(Format::Svg).ok(),
        }))
    });
    drawn
        .await
        .map(|answer| reply::json(&answer))
        .map_err(|reason: String| Refusal::bad(reason))
}

/// `GET /api/tasks/{id}/visualize`.
pub(super) async fn of_task(State(app): State<Arc<App>>, Path(id): Path<String>, uri: Uri) -> Answer {
    let form = form(&Params::of(&uri)?);
    let form = form.ok_or_else(|| Refusal::bad("format must be one of json, svg, mermaid, dot"))?;
    let state = ids::find(&app, &id, &uri).await?;
    let drawn = aside(move || {
        let live = Live::of(&state);
        match form {
            Form::Json => Ok(reply::json(&live.described())),
            Form::Only(format) => Ok(picture_answer(format, live.picture.draw_bounded(format)?)),
        }
    });
    drawn.await.map_err(too_large)
}

fn too_large(error: TooLarge) -> Refusal {
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
}

/// The form that the query asks for, if it is one that there is.
fn form(params: &Params) -> Option<Form> {
    match params.text("format") {
        None | Some("json") => Some(Form::Json),
        Some(text) => Format::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .map(Form::Only),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_what_is_answered_unless_a_format_is_named() {
        let of = |path: &'static str| form(&Params::of(&Uri::from_static(path)).expect("a query"));
        assert_eq!(of("/x"), Some(Form::Json));
        assert_eq!(of("/x?queue=gpu&format=json"), Some(Form::Json));
        assert_eq!(of("/x?format=mermaid"), Some(Form::Only(Format::Mermaid)));
        assert_eq!(of("/x?format=gif"), None);
    }
}
