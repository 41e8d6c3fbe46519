//! Lists page by page, as `limit` and `continuationToken` in the query ask for.

use super::call::Call;
use super::failure::{Code, Failure};
use serde_json::{Map, Value};

/// The most items of a page, and how many it has unless asked otherwise.
const MAX_PAGE: usize = 1000;

/// Puts the page of `items` that `call` asks for into an object: the items as `member`, and where the
/// next page begins, if there is one.
pub(super) fn page(
    call: &Call<'_>,
    member: &str,
    items: impl ExactSizeIterator<Item = Value>,
) -> Result<Map<String, Value>, Failure> {
    let limit = number(call, "limit", 1..=MAX_PAGE)?.unwrap_or(MAX_PAGE);
    let count = items.len();
    let start = number(call, "continuationToken", 0..=count)?.unwrap_or(0);
    let mut page = Map::new();
    page.insert(member.to_owned(), items.skip(start).take(limit).collect());
    let end = start.saturating_add(limit);
    if end < count {
        page.insert("continuationToken".to_owned(), end.to_string().into());
    }
    Ok(page)
}

fn number(
    call: &Call<'_>,
    name: &str,
    range: std::ops::RangeInclusive<usize>,
) -> Result<Option<usize>, Failure> {
    let Some(text) = call.query(name).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.map(Some).ok_or_else(|| {
        let (first, last) = (range.start(), range.end());
        let expected = format!("`{name}`: expected a number from {first} to {last}");
        Failure::new(Code::InvalidRequestArguments, expected)
    })
}
