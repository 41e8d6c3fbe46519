//! Warnings before the certificate expires, and when it has: whoever is to send new credentials in
//! time has an interest.

use crate::clock;
use crate::credentials::Snapshot;
use crate::telemetry::log;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::CredentialsFinding;
use tokio::sync::watch::Receiver;

/// So long before the certificate expires there is the first warning. Workers renew credentials
/// minutes before that.
const AHEAD: Duration = Duration::from_secs(15 * 60);

/// The time of day is looked at no less often, for it may be set meanwhile, and machines sleep.
const INTERVAL: Duration = Duration::from_secs(60);

/// How much has been said of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Stage {
    Valid,
    Soon,
    Expired,
}

/// Warns of the certificate in force, and of each that follows, for ever.
pub async fn warn(mut in_force: Receiver<Arc<Snapshot>>) {
    loop {
        let (expiry, said) = stage_said(&in_force.borrow_and_update());
        tokio::select! {
            never = warn_of(expiry, said) => match never {},
            changed = in_force.changed() => if changed.is_err() { return },
        }
    }
}

/// When the certificate expires, and what the log said of that when it was put in force.
fn stage_said(snapshot: &Snapshot) -> (Option<Timestamp>, Stage) {
    let expired = |finding: &_| matches!(finding, CredentialsFinding::Expired { .. });
    match snapshot.findings.iter().any(expired) {
        true => (snapshot.expiry, Stage::Expired),
        false => (snapshot.expiry, Stage::Valid),
    }
}

async fn warn_of(expiry: Option<Timestamp>, mut said: Stage) -> Infallible {
    let Some(expiry) = expiry else {
        return std::future::pending().await;
    };
    loop {
        let now = clock::now();
        let (stage, next) = stage(now, expiry);
        if stage > said {
            said = stage;
            let date = log::date(expiry);
            match stage {
                Stage::Expired => tracing::warn!(
                    "the credentials expired on {date}: services refuse what is signed with them; \
                     send new ones with PUT /credentials"
                ),
                _ => tracing::warn!(
                    "the credentials expire in {} s, on {date}: send new ones with PUT /credentials",
                    expiry.distance(now).as_secs()
                ),
            }
        }
        match next {
            Some(next) => tokio::time::sleep(next.min(INTERVAL)).await,
            None => std::future::pending().await,
        }
    }
}

/// Where a certificate that expires at `expiry` is, and when that changes.
fn stage(now: Timestamp, expiry: Timestamp) -> (Stage, Option<Duration>) {
    let left = expiry.distance(now);
    if expiry <= now {
        (Stage::Expired, None)
    } else if left <= AHEAD {
        (Stage::Soon, Some(left))
    } else {
        (Stage::Valid, Some(left - AHEAD))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_when_it_is_time() {
        let now = Timestamp::from_secs(1_000_000);
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        for (expiry, expected) in [
            (now.plus(minutes(20)), (Stage::Valid, Some(minutes(5)))),
            (now.plus(minutes(15)), (Stage::Soon, Some(minutes(15)))),
            (now.plus(Duration::from_millis(1)), (Stage::Soon, Some(Duration::from_millis(1)))),
            (now, (Stage::Expired, None)),
            (now.minus(minutes(1)), (Stage::Expired, None)),
        ] {
            assert_eq!(stage(now, expiry), expected);
        }
    }
}
