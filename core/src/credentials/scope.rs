//! Scopes: which other scopes they satisfy, and their JSON form.

use crate::escaped::Escaped;
use crate::json::{JsonError, JsonValue, parse};
use std::fmt;

/// A scope: printable ASCII characters, possibly none. A trailing `*` matches any characters.
///
/// ```
/// use taskcluster_proxy_core::credentials::Scope;
///
/// assert!(Scope::new("queue:route:*")?.satisfies("queue:route:index.x"));
/// assert!(Scope::new("tab\t").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Scope(String);

/// The error for a text that is not a scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a scope of printable ASCII characters, found '{}' in \"{}\"",
    Escaped(.found.encode_utf8(&mut [0; 4])), Escaped(.scope)
)]
pub struct InvalidScope {
    scope: String,
    found: char,
}

impl Scope {
    /// Checks a scope.
    ///
    /// # Errors
    ///
    /// `scope` has a character other than printable ASCII.
    pub fn new(scope: impl Into<String>) -> Result<Self, InvalidScope> {
        let scope = scope.into();
        match scope.chars().find(|c| !matches!(c, ' '..='~')) {
            Some(found) => Err(InvalidScope { scope, found }),
            None => Ok(Self(scope)),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a client that has this scope also has `required`: the two are equal, or this one ends
    /// with `*` and `required` begins with the part before it. Only a trailing star is special.
    pub fn satisfies(&self, required: impl AsRef<str>) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => required.as_ref().starts_with(prefix),
            None => self.0 == required.as_ref(),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Scope {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(scope: &str) -> Result<Self, InvalidScope> {
        Self::new(scope)
    }
}

/// Whether a client that has `scopes` also has all of `required`.
///
/// ```
/// use taskcluster_proxy_core::credentials::{Scope, satisfies};
///
/// let [held, required] = [Scope::new("queue:*")?, Scope::new("queue:ping")?];
/// assert!(satisfies(&[held], &[required]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn satisfies(scopes: &[Scope], required: &[Scope]) -> bool {
    required.iter().all(|required| scopes.iter().any(|scope| scope.satisfies(required)))
}

/// The scopes as a JSON array of strings.
///
/// ```
/// use taskcluster_proxy_core::credentials::{Scope, scopes_to_json};
///
/// assert_eq!(scopes_to_json(&[Scope::new("a:\"b\"")?]), r#"["a:\"b\""]"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn scopes_to_json(scopes: &[Scope]) -> String {
    // Strings can always be serialized.
    serde_json::to_string(scopes).unwrap_or_default()
}

/// Reads a JSON array of strings.
///
/// ```
/// use taskcluster_proxy_core::credentials::{Scope, scopes_from_json};
///
/// assert_eq!(scopes_from_json(r#"["a:*"]"#)?, [Scope::new("a:*")?]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// The text is not a JSON array of strings, or a string is not a scope.
pub fn scopes_from_json(json: &str) -> Result<Vec<Scope>, ScopesError> {
    scopes_from_value(&parse(json.as_bytes())?)
}

/// Reads an array of strings from a parsed JSON value.
///
/// # Errors
///
/// As [`scopes_from_json`].
pub fn scopes_from_value(json: &impl JsonValue) -> Result<Vec<Scope>, ScopesError> {
    let items = json.items().ok_or(ScopesError::NotStrings)?;
    let text = |item: &_| JsonValue::string(item).ok_or(ScopesError::NotStrings);
    items.iter().map(|item| Ok(Scope::new(text(item)?.as_str())?)).collect()
}

/// Why a text is not a JSON array of scopes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopesError {
    /// The text is not JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The text is JSON, but not an array of strings.
    #[error("expected an array of strings, found something else")]
    NotStrings,
    /// A string that is not a scope.
    #[error(transparent)]
    Scope(#[from] InvalidScope),
}

/// Removes each scope that another one in the list satisfies. The result grants the same, in the
/// same order.
///
/// ```
/// use taskcluster_proxy_core::credentials::{Scope, reduce_scopes};
///
/// let scope = |text| Scope::new(text).unwrap();
/// let all = [scope("a:b"), scope("a:*"), scope("c"), scope("c")];
/// assert_eq!(reduce_scopes(&all), [scope("a:*"), scope("c")]);
/// ```
pub fn reduce_scopes(scopes: &[Scope]) -> Vec<Scope> {
    // Sorted by the part before the star, a scope follows every scope that can satisfy it, and the
    // scopes that a star satisfies follow it directly. One pass is therefore enough.
    let prefix = |scope: &Scope| scope.0.strip_suffix('*').unwrap_or(&scope.0).to_owned();
    let mut order: Vec<(String, bool, usize)> = scopes
        .iter()
        .enumerate()
        .map(|(index, scope)| (prefix(scope), !scope.0.ends_with('*'), index))
        .collect();
    order.sort_unstable();
    let mut kept = vec![false; scopes.len()];
    let mut star: Option<&Scope> = None;
    let mut last: Option<&Scope> = None;
    for (_, plain, index) in &order {
        let Some(scope) = scopes.get(*index) else { continue };
        if star.is_some_and(|star| star.satisfies(scope)) || last == Some(scope) {
            continue;
        }
        if !plain {
            star = Some(scope);
        }
        last = Some(scope);
        if let Some(kept) = kept.get_mut(*index) {
            *kept = true;
        }
    }
    scopes.iter().zip(kept).filter(|(_, kept)| *kept).map(|(scope, _)| scope.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scopes(texts: &[&str]) -> Vec<Scope> {
        texts.iter().map(|text| Scope::new(*text).unwrap()).collect()
    }

    #[test]
    fn only_a_trailing_star_is_special() {
        for (held, required, expected) in [
            ("a", "a", true),
            ("a", "a*", false),
            ("a*", "a", true),
            ("a*", "a*", true),
            ("a*", "ab*", true),
            ("ab*", "a*", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a*c", "abc", false),
            ("a**", "a*x", true),
            ("a**", "ax", false),
            ("", "", true),
            ("", "a", false),
        ] {
            let [held, required] = [held, required].map(|text| Scope::new(text).unwrap());
            assert_eq!(held.satisfies(&required), expected, "{held} {required}");
        }
    }

    #[test]
    fn invalid_scopes_are_rejected() {
        for text in ["a\n", "é", "\u{7f}"] {
            assert!(Scope::new(text).unwrap_err().to_string().contains("printable"), "{text:?}");
        }
    }

    proptest! {
        /// Compares with a second implementation of the definition: the same scopes are granted before
        /// and after the reduction.
        #[test]
        fn reduction_grants_the_same(
            texts in prop::collection::vec("[ab*]{0,4}", 0..12),
            required in prop::collection::vec("[ab*]{0,5}", 32),
        ) {
            let all = scopes(&texts.iter().map(String::as_str).collect::<Vec<_>>());
            let reduced = reduce_scopes(&all);
            for required in required {
                let granted = |held: &[Scope]| held.iter().any(|held| match held.0.split_at_checked(held.0.len().wrapping_sub(1)) {
                    Some((prefix, "*")) => required.get(..prefix.len()) == Some(prefix),
                    _ => held.0 == required,
                });
                prop_assert_eq!(granted(&all), granted(&reduced), "{} of {:?}", required, all);
            }
        }

        /// Few letters, so that scopes often satisfy each other.
        #[test]
        fn reduction_is_lossless_and_minimal(texts in prop::collection::vec("[ab*]{0,4}", 0..12)) {
            let all: Vec<Scope> = texts.iter().map(|text| Scope::new(text.as_str()).unwrap()).collect();
            let reduced = reduce_scopes(&all);
            prop_assert!(satisfies(&reduced, &all));
            prop_assert!(satisfies(&all, &reduced));
            for (index, scope) in reduced.iter().enumerate() {
                let others: Vec<Scope> = reduced.iter().enumerate()
                    .filter(|(other, _)| *other != index).map(|(_, scope)| scope.clone()).collect();
                prop_assert!(!satisfies(&others, std::slice::from_ref(scope)), "{scope} is left over");
            }
        }
    }
}
