//! Who may change the credentials (`--credentials-from`).

use super::CredentialsFrom;
use crate::os::peer::{HINT, Owner, OwnerLookup, Peer, UserId};
use std::fmt;
use std::io;
use taskcluster_proxy_core::proxy::ProxyError;

/// Decides who may change the credentials. A task may send requests, but need not be allowed to change
/// the credentials.
#[derive(Clone, Debug)]
pub struct CredentialsGuard {
    /// `None`: every client may.
    rule: Option<Rule>,
}

/// Why changes of the credentials cannot be restricted as `--credentials-from` demands.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// The owners of connections cannot be looked up on this platform.
    #[error(
        "--credentials-from: the owner of a connection cannot be looked up on this platform: leave the \
         option out, and restrict connections by other means"
    )]
    Unsupported,
    /// The system's list of connections cannot be read.
    #[error("--credentials-from: the owners of connections cannot be looked up: {0}: {HINT}")]
    OwnerLookup(#[source] io::Error),
}

#[derive(Clone, Debug)]
struct Rule {
    expected: Expected,
    owners: OwnerLookup,
}

#[derive(Clone, Debug)]
enum Expected {
    Root,
    User(UserId),
}

impl CredentialsGuard {
    /// Checks that the owners of connections can be looked up.
    ///
    /// # Errors
    ///
    /// They cannot be looked up. Does not fail if every client may change the credentials.
    pub fn new(from: CredentialsFrom) -> Result<Self, GuardError> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::Unsupported => GuardError::Unsupported,
            _ => GuardError::OwnerLookup(error),
        };
        let expected = match from {
            CredentialsFrom::Any => return Ok(Self { rule: None }),
            CredentialsFrom::Root => Expected::Root,
            CredentialsFrom::SameUser => Expected::User(UserId::current().map_err(failed)?),
        };
        Ok(Self { rule: Some(Rule { expected, owners: OwnerLookup::new().map_err(failed)? }) })
    }

    /// Decides whether `peer` may change the credentials, by the user who opened its connection.
    ///
    /// # Errors
    ///
    /// The peer may not, or its user cannot be looked up.
    pub async fn admit(&self, peer: &Peer) -> Result<(), ProxyError> {
        let Some(Rule { expected, owners }) = &self.rule else {
            return Ok(());
        };
        let found = match owners.find(peer).await {
            Ok(Owner::User(user)) if expected.is(&user) => return Ok(()),
            Ok(Owner::User(user)) => format!("of {user}"),
            Ok(Owner::NotVisible) => "that is not of this machine or network namespace".to_owned(),
            Ok(Owner::NoProcess) => "that no process has open any more".to_owned(),
            Err(error) => format!("whose owner cannot be looked up ({error})"),
        };
        Err(ProxyError::CredentialsFrom { expected: expected.to_string(), found })
    }
}

impl Expected {
    fn is(&self, user: &UserId) -> bool {
        match self {
            Self::Root => user.is_root(),
            Self::User(expected) => user == expected,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::User(user) => write!(f, "the proxy's own user ({user})"),
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    async fn admitted(from: CredentialsFrom, owner: Owner) -> Result<(), String> {
        let guard = CredentialsGuard::new(from).unwrap();
        guard.admit(&Peer::Unix(owner)).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn only_one_user_may() {
        let user = |uid| Owner::User(UserId::Uid(uid));
        let me = nix::unistd::geteuid().as_raw();
        for (from, owner, expected) in [
            (CredentialsFrom::Root, user(0), true),
            (CredentialsFrom::Root, user(1), false),
            (CredentialsFrom::Root, Owner::NoProcess, false),
            (CredentialsFrom::Root, Owner::NotVisible, false),
            (CredentialsFrom::SameUser, user(me), true),
            (CredentialsFrom::SameUser, user(me + 1), false),
            (CredentialsFrom::SameUser, Owner::NotVisible, false),
            (CredentialsFrom::Any, user(1), true),
            (CredentialsFrom::Any, Owner::NotVisible, true),
            (CredentialsFrom::Any, Owner::NoProcess, true),
        ] {
            let admitted = admitted(from, owner.clone()).await;
            assert_eq!(admitted.is_ok(), expected, "{from:?} {owner:?}: {admitted:?}");
        }
        assert_eq!(
            admitted(CredentialsFrom::Root, user(7)).await.unwrap_err(),
            "only root may send PUT /credentials (--credentials-from), found a connection of uid 7: \
             the credentials were not replaced"
        );
    }
}
