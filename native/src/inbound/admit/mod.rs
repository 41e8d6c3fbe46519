#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;

use super::owner::HINT;
use super::{Owner, OwnerLookup, Peer, UserId};
use crate::config::Admission;
use crate::os::stream::Stream;
use crate::telemetry::metrics::Rejection;
use ipnet::IpNet;
use std::fmt;
use std::io;
use std::time::Duration;
use tokio::time::timeout;

/// Decides which connections get in (requirements.md, A1 to A3).
#[derive(Clone, Debug)]
pub struct Admitter {
    /// `None`: all of them.
    rule: Option<Rule>,
}

/// Whether a connection gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a connection that is rejected must be closed without an answer"]
pub enum Verdict {
    /// To be served.
    Admitted,
    /// To be closed without an answer; the log says why, where there is a reason to.
    Rejected(Rejection),
}

/// Why the options that restrict connections cannot be obeyed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdmitError {
    /// No such check on this platform.
    #[error(
        "--allowed-user and --allowed-network cannot be obeyed: this platform has no check of whose \
         a connection is; leave them out, and restrict connections by other means"
    )]
    Unsupported,
    /// No such user.
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
        /// What the system says.
        reason: io::Error,
    },
    /// The system's list of connections cannot be read.
    #[error(
        "--allowed-user and --allowed-network cannot be obeyed: whose a connection is cannot be \
         looked up: {0}; {HINT}"
    )]
    OwnerLookup(io::Error),
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
    /// Looks the user up, and makes sure that the owners of connections can be told.
    ///
    /// # Errors
    ///
    /// There is no such user, or no such check on this platform; never with neither option given.
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

    /// Decides on a connection. One that is not admitted, and was not just opened and closed to see
    /// whether the proxy is there, is logged.
    ///
    /// Waits up to 100 ms for what a peer that is not admitted has to say: not to be called where
    /// other connections wait for it.
    pub async fn admit(&self, stream: &Stream, peer: &Peer) -> Verdict {
        let Some(rule) = &self.rule else {
            return Verdict::Admitted;
        };
        let Err((why, reason)) = rule.judge(peer, rule.owners.find(peer).await) else {
            return Verdict::Admitted;
        };
        if !is_probe(stream).await {
            tracing::warn!("Rejected connection: from {peer}, {reason}, expected {rule}");
        }
        Verdict::Rejected(why)
    }
}

impl Rule {
    /// Why not, for the metrics and for the log.
    fn judge(&self, peer: &Peer, owner: io::Result<Owner>) -> Result<(), (Rejection, String)> {
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
            Ok(Owner::Gone) => {
                Err((Rejection::Gone, "which no process has open any more".to_owned()))
            }
            Err(error) => {
                Err((Rejection::Unknown, format!("whose owner cannot be looked up ({error})")))
            }
        }
    }
}

/// Who is expected.
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

/// Whether the peer only looked whether the port is open, and closed the connection again: workers
/// do so every 100 ms until the proxy is up (requirements.md, S7).
async fn is_probe(stream: &Stream) -> bool {
    matches!(timeout(PATIENCE, stream.peek()).await, Ok(Ok(0) | Err(_)))
}

fn find_user(name: &str) -> Result<User, AdmitError> {
    match UserId::named(name) {
        Ok(Some(id)) => Ok(User { name: name.to_owned(), id }),
        Ok(None) => Err(AdmitError::UnknownUser(name.to_owned())),
        Err(reason) => Err(AdmitError::UserLookup { user: name.to_owned(), reason }),
    }
}

/// How long a connection that is to be rejected may say nothing until it counts as more than a
/// probe. Longer only keeps it open longer.
const PATIENCE: Duration = Duration::from_millis(100);
