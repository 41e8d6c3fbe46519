//! Pagination of lists, with `limit` and `continuationToken` in the query.

use super::failure::Failure;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// The maximum and the default number of items of a page.
const MAX_PAGE: usize = 1000;

/// axum's `Query`, with errors in the form of the services.
pub(super) struct Arguments<T>(pub(super) T);

/// The page that a query requests.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageRequest {
    limit: Option<String>,
    continuation_token: Option<String>,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Arguments<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let Query(arguments) = Query::try_from_uri(&parts.uri)?;
        Ok(Self(arguments))
    }
}

impl PageRequest {
    /// Returns an object with the requested page of `items` in `member`, and with the `continuationToken` of
    /// the next page, if there is one.
    pub(super) fn page(
        &self,
        member: &str,
        items: impl ExactSizeIterator<Item = Value>,
    ) -> Result<Map<String, Value>, Failure> {
        let limit = number("limit", self.limit.as_deref(), 1..=MAX_PAGE)?.unwrap_or(MAX_PAGE);
        let count = items.len();
        let token = self.continuation_token.as_deref();
        let start = number("continuationToken", token, 0..=count)?.unwrap_or(0);
        let mut page = Map::new();
        page.insert(member.to_owned(), items.skip(start).take(limit).collect());
        let end = start.saturating_add(limit);
        if end < count {
            page.insert("continuationToken".to_owned(), end.to_string().into());
        }
        Ok(page)
    }
}

fn number(
    name: &str,
    text: Option<&str>,
    range: RangeInclusive<usize>,
) -> Result<Option<usize>, Failure> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.map(Some).ok_or_else(|| {
        let (first, last) = (range.start(), range.end());
        Failure::Arguments(format!("`{name}`: expected a number from {first} to {last}"))
    })
}
