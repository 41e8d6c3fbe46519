//! Fuzz target: leaving out redundant scopes.

use taskcluster_proxy_core::credentials::{Scope, reduce_scopes, satisfies};

/// The reduced scopes, one per line, grant exactly the same, and none of them is redundant.
pub fn scopes(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let all: Vec<Scope> = text.lines().take(64).flat_map(str::parse).collect();
    let reduced = reduce_scopes(&all);
    assert!(satisfies(&reduced, &all) && satisfies(&all, &reduced), "{all:?} become {reduced:?}");
    for (at, scope) in reduced.iter().enumerate() {
        let others = reduced.iter().enumerate().filter(|(other, _)| *other != at);
        let redundant = others.into_iter().any(|(_, held)| held.satisfies(scope));
        assert!(!redundant, "{scope} is redundant in {reduced:?}");
    }
    let mut rest = all.iter();
    assert!(
        reduced.iter().all(|scope| rest.any(|other| other == scope)),
        "{reduced:?} has another order than {all:?}"
    );
}
