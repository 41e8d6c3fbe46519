//! Logs warnings before the certificate expires, and when it has expired.

use crate::credentials::Snapshot;
use crate::os::clock;
use crate::telemetry::log;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{CERTIFICATE_SKEW, CredentialsFinding};
use tokio::sync::watch::Receiver;

/// The time between the first warning and the expiry of the certificate.
const AHEAD: Duration = Duration::from_secs(15 * 60);

/// The maximum time between two checks of the time of day, because the clock may be set or the machine
/// suspended meanwhile.
const INTERVAL: Duration = Duration::from_secs(60);

/// How close a certificate is to its expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Stage {
    Valid,
    Soon,
    Expired,
}

/// Warns of the expiry of the current certificate, also after updates. Never ends.
pub async fn warn(mut current: Receiver<Arc<Snapshot>>) {
    loop {
        let (expiry, logged) = initial_stage(&current.borrow_and_update());
        tokio::select! {
            never = warn_of_expiry(expiry, logged) => match never {},
            changed = current.changed() => if changed.is_err() { return },
        }
    }
}

/// When the certificate expires, and the stage that was already logged when it became the current one.
fn initial_stage(snapshot: &Snapshot) -> (Option<Timestamp>, Stage) {
    let expired = |finding: &_| matches!(finding, CredentialsFinding::Expired { .. });
    match snapshot.findings.iter().any(expired) {
        true => (snapshot.expiry, Stage::Expired),
        false => (snapshot.expiry, Stage::Valid),
    }
}

/// Warns when the certificate enters a stage after `logged`.
async fn warn_of_expiry(expiry: Option<Timestamp>, mut logged: Stage) -> Infallible {
    let Some(expiry) = expiry else {
        return std::future::pending().await;
    };
    loop {
        let now = clock::now();
        let (stage, next) = stage(now, expiry);
        if stage > logged {
            logged = stage;
            let date = log::date(expiry);
            match stage {
                Stage::Expired => tracing::warn!(
                    "the credentials expired on {date}, and the {} minutes for which services still \
                     accept them are over: send new ones with PUT /credentials",
                    CERTIFICATE_SKEW.as_secs() / 60
                ),
                _ => {
                    let expires = match expiry > now {
                        true => format!("expire in {} s, on", expiry.distance(now).as_secs()),
                        false => "expired on".to_owned(),
                    };
                    tracing::warn!(
                        "the credentials {expires} {date}; services accept them for {} minutes after \
                         that: send new ones with PUT /credentials",
                        CERTIFICATE_SKEW.as_secs() / 60
                    );
                }
            }
        }
        match next {
            Some(next) => tokio::time::sleep(next.min(INTERVAL)).await,
            None => std::future::pending().await,
        }
    }
}

/// The stage of a certificate that expires at `expiry`, and the time until the next stage.
fn stage(now: Timestamp, expiry: Timestamp) -> (Stage, Option<Duration>) {
    let refused = expiry.plus(CERTIFICATE_SKEW);
    if refused <= now {
        (Stage::Expired, None)
    } else if expiry <= now.plus(AHEAD) {
        (Stage::Soon, Some(refused.distance(now)))
    } else {
        (Stage::Valid, Some(expiry.distance(now) - AHEAD))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_begin_on_time() {
        let now = Timestamp::from_secs(1_000_000);
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        for (expiry, expected) in [
            (now.plus(minutes(20)), (Stage::Valid, Some(minutes(5)))),
            (now.plus(minutes(15)), (Stage::Soon, Some(minutes(20)))),
            (now, (Stage::Soon, Some(minutes(5)))),
            (now.minus(minutes(4)), (Stage::Soon, Some(minutes(1)))),
            (now.minus(minutes(5)), (Stage::Expired, None)),
        ] {
            assert_eq!(stage(now, expiry), expected);
        }
    }
}
