//! For random expressions, restrictions, certificates and roles: the diagnosis never reports as missing a
//! scope that the services would grant. The services' rule is implemented here a second time, by brute force.

use crate::service::{beyond_credentials, insufficient_scopes};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{Credentials, Scope, ScopeExpression};
use taskcluster_proxy_core::proxy::{
    CredentialsGrant, CredentialsProfile, Finding, MissingScopes, RefusedRequest, Restriction,
    ServiceError,
};

type Scopes = BTreeSet<String>;

/// The roles of a deployment: their ids, and what they grant.
type Roles = Vec<(String, Vec<String>)>;

fn matches(pattern: &str, scope: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => scope.starts_with(prefix),
        None => pattern == scope,
    }
}

/// What `scopes` and the anonymous role amount to: each role that is assumed adds its scopes, until none
/// adds any.
fn expand(scopes: &[String], roles: &Roles) -> Scopes {
    let mut expanded: Scopes = scopes.iter().cloned().collect();
    expanded.insert("assume:anonymous".to_owned());
    loop {
        let assumed = roles.iter().filter(|(id, _)| {
            let role = format!("assume:{id}");
            // A role whose id ends in a star is every role that starts so.
            expanded.iter().any(|scope| matches(scope, &role) || matches(&role, scope))
        });
        let granted: Vec<String> = assumed.flat_map(|(_, scopes)| scopes.clone()).collect();
        let before = expanded.len();
        expanded.extend(granted);
        if expanded.len() == before {
            return expanded;
        }
    }
}

fn satisfied(expression: &Value, held: &Scopes) -> bool {
    match expression {
        Value::String(scope) => held.iter().any(|pattern| matches(pattern, scope)),
        Value::Object(operator) => match operator.iter().next().unwrap() {
            (name, Value::Array(items)) if name == "AllOf" => {
                items.iter().all(|item| satisfied(item, held))
            }
            (_, Value::Array(items)) => items.iter().any(|item| satisfied(item, held)),
            _ => unreachable!(),
        },
        _ => unreachable!(),
    }
}

/// lib-scopes' removeGivenScopes.
fn unsatisfied(expression: &Value, held: &Scopes) -> Value {
    let Value::Object(operator) = expression else {
        return expression.clone();
    };
    let (name, items) = operator.iter().next().unwrap();
    let items = items.as_array().unwrap().iter();
    let left: Vec<Value> =
        items.filter(|item| !satisfied(item, held)).map(|item| unsatisfied(item, held)).collect();
    match <[Value; 1]>::try_from(left) {
        Ok([only]) => only,
        Err(left) => json!({ name: left }),
    }
}

fn scopes_of(expression: &Value) -> Scopes {
    match expression {
        Value::String(scope) => [scope.clone()].into(),
        Value::Array(items) => items.iter().flat_map(scopes_of).collect(),
        Value::Object(operator) => operator.values().flat_map(scopes_of).collect(),
        _ => unreachable!(),
    }
}

/// Few of them, so that they often satisfy each other.
fn scope() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[xy]:[ab]{0,2}[*\"]?",
        1 => "[xy]?\\*",
        2 => "assume:[rs]\\*?",
        1 => "a(s(s(u(m(e)?)?)?)?)?\\*",
        1 => "```\\*?",
    ]
}

fn scopes() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(scope(), 0..4)
}

fn expression() -> impl Strategy<Value = Value> {
    let leaf = "[xy]:[ab\"é\n]{0,2}".prop_map(Value::String);
    leaf.prop_recursive(3, 12, 4, |item| {
        (any::<bool>(), prop::collection::vec(item, 1..4)).prop_map(|(all, items)| match all {
            true => json!({ "AllOf": items }),
            false => json!({ "AnyOf": items }),
        })
    })
}

fn roles() -> impl Strategy<Value = Roles> {
    prop::collection::vec(("[rs]|anonymous|\\*|r\\*", scopes()), 0..4)
}

fn profile(
    certificate: &Option<Vec<String>>,
    restriction: &Option<Vec<String>>,
) -> CredentialsProfile {
    let certificate = certificate.as_ref().map(|scopes| {
        let (start, expiry) = (0, u32::MAX);
        json!({
            "version": 1, "scopes": scopes, "start": start, "expiry": expiry,
            "seed": "s".repeat(44), "signature": "c2lnbmF0dXJl",
        })
        .to_string()
    });
    let certificate = certificate.unwrap_or_default();
    let credentials = Credentials::unchecked("c/1", "no-secret", certificate.as_str());
    let scopes: Option<Vec<Scope>> = restriction
        .as_ref()
        .map(|scopes| scopes.iter().map(|scope| Scope::new(scope.as_str()).unwrap()).collect());
    let restriction = Restriction { scopes: scopes.into(), ..Restriction::default() };
    CredentialsProfile::new(&credentials, &restriction)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8192))]

    #[test]
    fn nothing_is_said_to_be_missing_that_is_granted(
        expression in expression(),
        client in scopes(),
        certificate in prop::option::of(scopes()),
        restriction in prop::option::of(scopes()),
        roles in roles(),
    ) {
        let own = expand(certificate.as_ref().unwrap_or(&client), &roles);
        let effective = match &restriction {
            Some(restriction) => expand(restriction, &roles),
            None => own.clone(),
        };
        if satisfied(&expression, &effective) {
            return Ok(());
        }
        let missing = unsatisfied(&expression, &effective);
        let error = ServiceError::parse(&insufficient_scopes("c/1", &missing, &expression));
        let now = Timestamp::from_secs(1_767_225_600);
        let diagnosis = profile(&certificate, &restriction).diagnose(&RefusedRequest {
            status: 403, error: error.as_ref(), date: Some(now), now, signed_at: now, resource: "/x",
        });
        let [Finding::MissingScopes(found)] = &diagnosis.0[..] else {
            panic!("{diagnosis}");
        };
        let not_granted = |claimed: &ScopeExpression, held: &Scopes| {
            !satisfied(&claimed.to_json(), held)
        };
        match found {
            MissingScopes::Restriction { missing, credentials, .. } => {
                prop_assert!(restriction.is_some() && not_granted(missing, &effective));
                match credentials {
                    CredentialsGrant::Granted(part) => {
                        prop_assert!(certificate.is_some());
                        // Granting all of the part to the restriction is enough, and allowed.
                        let part = scopes_of(&part.to_json());
                        prop_assert!(satisfied(&missing.to_json(), &part), "{}", diagnosis);
                        let all = part.iter().all(|scope| satisfied(&json!(scope), &own));
                        prop_assert!(all, "{}", diagnosis);
                    }
                    CredentialsGrant::NotGranted(part) => {
                        prop_assert!(certificate.is_some());
                        prop_assert!(not_granted(part, &own), "{}", diagnosis);
                    }
                    CredentialsGrant::Roles(..) => prop_assert!(certificate.is_some()),
                    CredentialsGrant::Client(_) => prop_assert!(certificate.is_none()),
                    other => panic!("{other:?}"),
                }
            }
            MissingScopes::Certificate { missing, .. } => {
                prop_assert!(restriction.is_none() && certificate.is_some());
                prop_assert!(not_granted(missing, &own), "{}", diagnosis);
            }
            MissingScopes::Client { missing, .. } => {
                prop_assert!(restriction.is_none() && certificate.is_none());
                prop_assert!(not_granted(missing, &own), "{}", diagnosis);
            }
            other => panic!("{other:?}"),
        }
        let header = diagnosis.to_header();
        prop_assert!(header.len() < 1024 && header.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    }

    #[test]
    fn no_scope_of_a_restriction_is_said_to_be_missing_that_the_credentials_have(
        client in scopes(),
        certificate in prop::option::of(scopes()),
        restriction in scopes(),
        roles in roles(),
    ) {
        let own = expand(certificate.as_ref().unwrap_or(&client), &roles);
        let is_held = |scope: &str| own.iter().any(|pattern| matches(pattern, scope));
        let missing: Scopes = restriction.iter().filter(|scope| !is_held(scope)).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let held: Vec<&str> = own.iter().map(String::as_str).collect();
        let authorized: Vec<&str> = restriction.iter().map(String::as_str).collect();
        let error = ServiceError::parse(&beyond_credentials(&held, &authorized));
        let now = Timestamp::from_secs(1_767_225_600);
        let diagnosis = profile(&certificate, &Some(restriction)).diagnose(&RefusedRequest {
            status: 401, error: error.as_ref(), date: Some(now), now, signed_at: now, resource: "/x",
        });
        let [Finding::RestrictionBeyondCredentials { missing: Some(claimed), .. }] = &diagnosis.0[..]
        else {
            panic!("{diagnosis}");
        };
        prop_assert_eq!(scopes_of(&claimed.to_json()), missing, "{}", diagnosis);
    }
}
