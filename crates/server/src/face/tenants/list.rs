//! The workflows of a tenant, newest first: `GET .../workflows`.
//!
//! Pages are counted from 0, and `total` is how many there are on all of them. A number that is none counts as not given,
//! as in the original, whose clients leave the first page's out.

use std::sync::Arc;

use axum::extract::Query;
use futures_util::StreamExt;
use http::Uri;
use quintet_core::id::RunId;
use quintet_engine::EngineError;
use quintet_store::RunFilter;
use serde::Serialize;

use super::cx::{Cx, Found};
use super::order::OF_TENANT;
use super::reply::{self, Answer, Refusal};
use super::status;
use super::view::{Scene, Summary};

/// Workflows of a page where nothing is said.
const PAGE: usize = 20;
/// Most workflows of a page.
const MAX_PAGE: usize = 100;
/// Rows counted at a time.
const ROWS: usize = 1_000;
/// Workflows read at a time.
const READS: usize = 16;

/// What a query asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    page: u64,
    page_size: usize,
    status: Option<String>,
}

#[derive(Serialize)]
struct Page {
    workflows: Vec<Summary>,
    total: usize,
    page: u64,
    page_size: usize,
}

impl Wanted {
    fn of(uri: &Uri) -> Self {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri);
        let pairs = pairs.map(|pairs| pairs.0).unwrap_or_default();
        let text = |name: &str| {
            pairs
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.as_str())
        };
        let number = |name: &str| text(name).and_then(|text| text.parse::<i64>().ok());
        let page_size = number("page_size").and_then(|number| usize::try_from(number).ok());
        Self {
            page: number("page")
                .and_then(|number| u64::try_from(number).ok())
                .unwrap_or(0),
            page_size: page_size.filter(|size| (1..=MAX_PAGE).contains(size)).unwrap_or(PAGE),
            status: text("status").filter(|text| !text.is_empty()).map(str::to_owned),
        }
    }

    /// Which rows are asked for; `None` where no row can be.
    fn filter(&self) -> Option<RunFilter> {
        let statuses = match &self.status {
            Some(name) => Some(status::workflows_called(name)).filter(|called| !called.is_empty())?,
            None => Vec::new(),
        };
        Some(RunFilter {
            workflow_prefix: Some(OF_TENANT.into()),
            statuses,
            ..RunFilter::default()
        })
    }

    /// Place of the page's first workflow among all.
    fn first(&self) -> usize {
        let first = u128::from(self.page) * self.page_size as u128;
        usize::try_from(first).unwrap_or(usize::MAX)
    }
}

pub(super) async fn list(cx: Cx, uri: Uri) -> Answer {
    let wanted = Wanted::of(&uri);
    let (ids, total) = match wanted.filter() {
        Some(filter) => rows(&cx, &filter, &wanted).await?,
        None => (Vec::new(), 0),
    };
    Ok(reply::json(&Page {
        workflows: summaries(&cx, ids).await?,
        total,
        page: wanted.page,
        page_size: wanted.page_size,
    }))
}

/// The runs of the page, and how many there are.
async fn rows(cx: &Cx, filter: &RunFilter, wanted: &Wanted) -> Result<(Vec<RunId>, usize), Refusal> {
    let (mut ids, mut total, mut before) = (Vec::new(), 0, None);
    let first = wanted.first();
    let on_page = first..first.saturating_add(wanted.page_size);
    loop {
        let page = cx.app.engine.store().runs(&cx.tenant, filter, before, ROWS).await?;
        for row in &page.rows {
            if on_page.contains(&total) {
                ids.push(row.id);
            }
            total += 1;
        }
        before = page.next;
        if before.is_none() {
            return Ok((ids, total));
        }
    }
}

/// The workflows of these runs, in order; what was removed in the meantime is left out.
async fn summaries(cx: &Cx, ids: Vec<RunId>) -> Result<Vec<Summary>, Refusal> {
    let now = cx.now();
    let states = ids.into_iter().map(|id| cx.app.engine.state(&cx.tenant, id));
    let states: Vec<_> = futures_util::stream::iter(states).buffered(READS).collect().await;
    let mut all = Vec::with_capacity(states.len());
    for state in states {
        match state {
            Ok(state) => all.extend(Found::of(Arc::clone(&state)).map(|found| Scene::of(&found, now).summary())),
            Err(EngineError::RunNotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(query: &str) -> (u64, usize, Option<String>) {
        let uri: Uri = format!("/api/v1/tenants/t/workflows{query}").parse().expect("a path");
        let Wanted {
            page,
            page_size,
            status,
        } = Wanted::of(&uri);
        (page, page_size, status)
    }

    #[test]
    fn what_is_no_number_or_out_of_range_counts_as_not_given() {
        for query in [
            "",
            "?page=&page_size=",
            "?page=-1&page_size=0",
            "?page=one&page_size=101",
            "?page=99999999999999999999&page_size=-5",
            "?status=",
        ] {
            assert_eq!(wanted(query), (0, 20, None), "{query}");
        }
        assert_eq!(
            wanted("?page=3&page_size=100&status=paused"),
            (3, 100, Some("paused".to_owned()))
        );
        assert_eq!(wanted("?page=1&page=2&page_size=1").0, 1, "the first one counts");
    }

    #[test]
    fn no_page_is_so_far_away_that_its_place_overflows() {
        let far = Wanted {
            page: u64::MAX,
            page_size: 100,
            status: None,
        };
        assert_eq!(far.first(), usize::MAX);
    }

    #[test]
    fn an_unknown_status_asks_for_nothing_and_not_for_everything() {
        let of = |status: &str| Wanted {
            page: 0,
            page_size: 20,
            status: Some(status.to_owned()),
        };
        assert!(of("bogus").filter().is_none());
        let filter = of("pending").filter().expect("a filter");
        assert_eq!(filter.statuses.len(), 2, "{:?}", filter.statuses);
    }
}
