//! Decides which connections are admitted, by the owner of the peer's socket or by its network.

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;

use crate::inbound::Admission;
use crate::os::peer::{HINT, Owner, OwnerLookup, Peer, UserId};
use crate::os::stream::Stream;
use crate::telemetry::metrics::Rejection;
use ipnet::IpNet;
use std::fmt;
use std::io;
use std::time::Duration;
use tokio::time::timeout;

/// Decides which connections are admitted (docs/compatibility.md, A1 to A3).
#[derive(Clone, Debug)]
pub struct Admitter {
    /// `None`: all connections are admitted.
    rule: Option<Rule>,
}

/// Whether a connection is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a connection that is rejected must be closed without a response"]
pub enum Verdict {
    /// Serve it.
    Admitted,
    /// Close it without a response.
    Rejected(Rejection),
}

/// Why connections cannot be restricted as the options demand.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdmitError {
    /// The owners of connections cannot be looked up on this platform.
    #[error(
        "--allowed-user and --allowed-network: the owner of a connection cannot be looked up on this \
         platform: leave these options out, and restrict connections by other means"
    )]
    Unsupported,
    /// There is no such user.
    #[error(
        "--allowed-user: expected a user of this machine, found none named \"{0}\": create the user \
         first, or name another"
    )]
    UnknownUser(String),
    /// The system's list of users cannot be read.
    #[error("--allowed-user: the user \"{user}\" cannot be looked up: {reason}")]
    UserLookup {
        /// The user's name.
        user: String,
        /// The system's error.
        #[source]
        reason: io::Error,
    },
    /// The system's list of connections cannot be read.
    #[error(
        "--allowed-user and --allowed-network: the owners of connections cannot be looked up: {0}: \
         {HINT}"
    )]
    OwnerLookup(#[source] io::Error),
}

#[derive(Clone, Debug)]
struct Rule {
    user: Option<User>,
    network: Option<IpNet>,
    owners: OwnerLookup,
}

#[derive(Clone, Debug)]
struct User {
    name: String,
    id: UserId,
}

impl Admitter {
    /// Looks the user up, and checks that the owners of connections can be looked up.
    ///
    /// # Errors
    ///
    /// There is no such user, or owners cannot be looked up. Does not fail if all connections are
    /// admitted.
    pub fn new(admission: &Admission) -> Result<Self, AdmitError> {
        if *admission == Admission::default() {
            return Ok(Self { rule: None });
        }
        let user = admission.user.as_deref().map(find_user).transpose()?;
        let owners = OwnerLookup::new().map_err(|error| match error.kind() {
            io::ErrorKind::Unsupported => AdmitError::Unsupported,
            _ => AdmitError::OwnerLookup(error),
        })?;
        Ok(Self { rule: Some(Rule { user, network: admission.network, owners }) })
    }

    /// Decides whether a connection is admitted. Logs a rejection, unless the connection was a probe,
    /// which was opened and closed only to find out whether the proxy listens.
    ///
    /// Before a rejection this waits up to 100 ms for the peer's first byte, so it must not delay other
    /// connections.
    pub async fn admit(&self, stream: &Stream, peer: &Peer) -> Verdict {
        let Some(rule) = &self.rule else {
            return Verdict::Admitted;
        };
        let Err((rejection, reason)) = rule.check(peer, rule.owners.find(peer).await) else {
            return Verdict::Admitted;
        };
        if !is_probe(stream).await {
            tracing::warn!("Rejected connection: from {peer}, {reason}, expected {rule}");
        }
        Verdict::Rejected(rejection)
    }
}

impl Rule {
    /// The error is the reason for a rejection, for the metrics and for the log.
    fn check(&self, peer: &Peer, owner: io::Result<Owner>) -> Result<(), (Rejection, String)> {
        match owner {
            Ok(Owner::User(id)) if id.is_root() => Ok(()),
            Ok(Owner::User(id)) => match &self.user {
                Some(user) if user.id == id => Ok(()),
                _ => Err((Rejection::User, format!("of {id}"))),
            },
            Ok(Owner::NotVisible) => match (&self.network, peer) {
                (Some(network), Peer::Tcp { client, .. }) if network.contains(&client.ip()) => {
                    Ok(())
                }
                _ => Err((
                    Rejection::Network,
                    "which is not of this machine or network namespace".to_owned(),
                )),
            },
            Ok(Owner::NoProcess) => {
                Err((Rejection::Gone, "which no process has open any more".to_owned()))
            }
            Err(error) => {
                Err((Rejection::Unknown, format!("whose owner cannot be looked up ({error})")))
            }
        }
    }
}

/// Names the users and addresses that are admitted.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(User { name, id }) = &self.user {
            write!(f, "user {name} ({id}) or ")?;
        }
        f.write_str(if cfg!(windows) { "SYSTEM" } else { "root (uid 0)" })?;
        if let Some(network) = &self.network {
            write!(f, ", or a container's address in {network}")?;
        }
        Ok(())
    }
}

/// Whether the peer closed the connection without sending anything, as workers do every 100 ms until
/// the proxy listens (docs/compatibility.md, S7).
async fn is_probe(stream: &Stream) -> bool {
    matches!(timeout(PROBE_TIMEOUT, stream.peek()).await, Ok(Ok(0) | Err(_)))
}

fn find_user(name: &str) -> Result<User, AdmitError> {
    match UserId::named(name) {
        Ok(Some(id)) => Ok(User { name: name.to_owned(), id }),
        Ok(None) => Err(AdmitError::UnknownUser(name.to_owned())),
        Err(reason) => Err(AdmitError::UserLookup { user: name.to_owned(), reason }),
    }
}

/// How long to wait for a probe to close its connection. With a longer time rejected connections would
/// stay open longer.
const PROBE_TIMEOUT: Duration = Duration::from_millis(100);
