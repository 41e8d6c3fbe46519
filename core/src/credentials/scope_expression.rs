//! Scope expressions: the scopes that a service requires, combined with AllOf and AnyOf.

use super::Scope;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A scope, or a combination of scope expressions. Taskcluster's services declare with it which scopes
/// a request needs.
///
/// ```
/// use taskcluster_proxy_core::credentials::{Scope, ScopeExpression};
///
/// let json = serde_json::json!({ "AllOf": ["a:b", { "AnyOf": ["c", "d"] }] });
/// let required = ScopeExpression::from_json(&json).unwrap();
/// let missing = required.missing(&[Scope::new("a:*")?]).unwrap();
/// assert_eq!(missing.to_json(), serde_json::json!({ "AnyOf": ["c", "d"] }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScopeExpression {
    /// This scope. A service may compose it of parts of the request, so it can contain characters that
    /// no client's scope has; then only a scope with a star satisfies it.
    Scope(String),
    /// Each of these.
    AllOf(Vec<Self>),
    /// At least one of these.
    AnyOf(Vec<Self>),
}

impl ScopeExpression {
    /// Reads the JSON form of the services: a string, or an object with the single member `AllOf` or
    /// `AnyOf`, an array. Returns `None` for anything else.
    pub fn from_json(json: &Value) -> Option<Self> {
        if let Value::String(scope) = json {
            return Some(Self::Scope(scope.clone()));
        }
        let mut members = json.as_object()?.iter();
        let (Some((operator, Value::Array(items))), None) = (members.next(), members.next()) else {
            return None;
        };
        let items = items.iter().map(Self::from_json).collect::<Option<_>>()?;
        match operator.as_str() {
            "AllOf" => Some(Self::AllOf(items)),
            "AnyOf" => Some(Self::AnyOf(items)),
            _ => None,
        }
    }

    /// The JSON form of the services.
    pub fn to_json(&self) -> Value {
        let array = |items: &[Self]| Value::Array(items.iter().map(Self::to_json).collect());
        match self {
            Self::Scope(scope) => scope.as_str().into(),
            Self::AllOf(items) => json!({ "AllOf": array(items) }),
            Self::AnyOf(items) => json!({ "AnyOf": array(items) }),
        }
    }

    /// The part of the expression that `scopes` do not satisfy; `None` if they satisfy all of it. For
    /// an AllOf this is the unsatisfied items, for an AnyOf all items, each of them once.
    pub fn missing(&self, scopes: &[Scope]) -> Option<Self> {
        match self {
            Self::Scope(required) => {
                let held = scopes.iter().any(|scope| scope.satisfies(required));
                (!held).then(|| self.clone())
            }
            Self::AllOf(items) => {
                let missing: Vec<Self> =
                    items.iter().filter_map(|item| item.missing(scopes)).collect();
                match <[Self; 1]>::try_from(distinct(missing)) {
                    Ok([only]) => Some(only),
                    Err(missing) if missing.is_empty() => None,
                    Err(missing) => Some(Self::AllOf(missing)),
                }
            }
            Self::AnyOf(items) => {
                let missing: Option<Vec<Self>> =
                    items.iter().map(|item| item.missing(scopes)).collect();
                match <[Self; 1]>::try_from(distinct(missing?)) {
                    Ok([only]) => Some(only),
                    Err(missing) => Some(Self::AnyOf(missing)),
                }
            }
        }
    }

    /// The part of an expression that `scopes` satisfy which they grant: of each AnyOf the satisfied items.
    pub(crate) fn granted(&self, scopes: &[Scope]) -> Self {
        match self {
            Self::Scope(_) => self.clone(),
            Self::AllOf(items) => {
                Self::AllOf(items.iter().map(|item| item.granted(scopes)).collect())
            }
            Self::AnyOf(items) => {
                let satisfied = items.iter().filter(|item| item.missing(scopes).is_none());
                let granted: Vec<Self> = satisfied.map(|item| item.granted(scopes)).collect();
                match <[Self; 1]>::try_from(granted) {
                    Ok([only]) => only,
                    Err(granted) => Self::AnyOf(granted),
                }
            }
        }
    }

    /// The number of scopes in the expression.
    pub(crate) fn scope_count(&self) -> usize {
        match self {
            Self::Scope(_) => 1,
            Self::AllOf(items) | Self::AnyOf(items) => items.iter().map(Self::scope_count).sum(),
        }
    }
}

impl From<Scope> for ScopeExpression {
    fn from(scope: Scope) -> Self {
        Self::Scope(scope.as_str().to_owned())
    }
}

/// The items without repetitions, in the same order. Items that are satisfied in part may become equal.
fn distinct(items: Vec<ScopeExpression>) -> Vec<ScopeExpression> {
    let mut seen = BTreeSet::new();
    items.into_iter().filter(|item| seen.insert(item.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(held: &[&str], required: Value) -> Option<Value> {
        let held: Vec<Scope> = held.iter().map(|scope| Scope::new(*scope).unwrap()).collect();
        ScopeExpression::from_json(&required).unwrap().missing(&held).map(|it| it.to_json())
    }

    #[test]
    fn missing_scopes() {
        for (held, required, expected) in [
            (&["a"][..], json!("a"), None),
            (&["a*"], json!("aé"), None),
            (&["a"], json!("aé"), Some(json!("aé"))),
            (&[], json!("a"), Some(json!("a"))),
            (&[], json!({ "AllOf": [] }), None),
            (&["*"], json!({ "AnyOf": [] }), Some(json!({ "AnyOf": [] }))),
            (&["a"], json!({ "AnyOf": ["a", "b"] }), None),
            (&["c"], json!({ "AnyOf": ["a", "b"] }), Some(json!({ "AnyOf": ["a", "b"] }))),
            (&["a"], json!({ "AllOf": ["a", "b"] }), Some(json!("b"))),
            (
                &["a"],
                json!({ "AnyOf": ["b", { "AllOf": ["a", "c"] }] }),
                Some(json!({ "AnyOf": ["b", "c"] })),
            ),
            (
                &["x:*"],
                json!({ "AnyOf": [{ "AllOf": ["a", "x:0"] }, { "AllOf": ["a", "x:1"] }] }),
                Some(json!("a")),
            ),
            (&[], json!({ "AllOf": ["b", "a", "b"] }), Some(json!({ "AllOf": ["b", "a"] }))),
        ] {
            assert_eq!(missing(held, required.clone()), expected, "{held:?} {required}");
        }
    }

    #[test]
    fn invalid_expressions() {
        for json in [
            json!(null),
            json!(1),
            json!(["a"]),
            json!({}),
            json!({ "AllOf": "a" }),
            json!({ "NoneOf": ["a"] }),
            json!({ "AllOf": ["a"], "AnyOf": ["b"] }),
            json!({ "AnyOf": [{ "AllOf": [1] }] }),
        ] {
            assert_eq!(ScopeExpression::from_json(&json), None, "{json}");
        }
    }
}
