//! What the proxy would sign with: for how long, whether it fits, whether the deployment takes it.

use super::Report;
use super::deployment::NO_ANSWER;
use crate::call;
use crate::clock;
use crate::outbound::Outbound;
use crate::telemetry::log;
use http::StatusCode;
use serde::Deserialize;
use std::time::Duration;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{
    Credentials, CredentialsFinding, GivenCertificate, SignError, Signer,
};
use taskcluster_proxy_core::hawk::MAX_MATCH_LENGTH;
use taskcluster_proxy_core::proxy::RootUrl;

/// By the clock of the deployment, where `now` was learned there.
pub(super) fn check_credentials(credentials: &Credentials, now: Timestamp, report: &mut Report) {
    const WHAT: &str = "credentials";
    let client_id = &credentials.client_id;
    let findings = credentials.findings(now);
    if !findings.is_empty() {
        let fatal = |finding: &CredentialsFinding| match finding {
            CredentialsFinding::Expired { .. } | CredentialsFinding::NotYetValid { .. } => true,
            finding => finding.prevents_signing(),
        };
        let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
        let text = format!("client \"{client_id}\": {}", texts.join("; "));
        return match findings.iter().any(fatal) {
            true => report.fail(WHAT, text),
            false => report.warn(WHAT, text),
        };
    }
    let Some(expiry) = credentials.certificate.as_ref().and_then(GivenCertificate::expiry) else {
        return report.ok(WHAT, format!("client {client_id}, permanent: there is no certificate"));
    };
    let (until, left) = (log::date(expiry), rounded(expiry.distance(now)));
    let renew = "have new ones issued";
    if expiry <= now {
        report.fail(WHAT, format!("client {client_id}, expired on {until}, {left} ago: {renew}"));
    } else if expiry.distance(now) < SOON {
        let text = format!("client {client_id}, temporary, until {until}, {left} from now");
        report.warn(WHAT, format!("{text}: {renew}"));
    } else {
        report.ok(WHAT, format!("client {client_id}, temporary, until {until}, {left} from now"));
    }
}

/// Signs a call as a task's would be signed, and sends it, where `upstream` leads to somebody who
/// answers.
pub(super) async fn check_signature(
    credentials: &Credentials,
    root_url: &RootUrl,
    outbound: Option<&Outbound>,
    report: &mut Report,
) {
    const NOTHING: &str = "not known: nothing can be signed";
    let Ok(signer) = Signer::new(credentials) else {
        report.unknown("signature", NOTHING);
        return report.unknown("accepted", NOTHING);
    };
    match authorization(&signer, root_url) {
        Err(error) => {
            report.fail("signature", error);
            return report.unknown("accepted", NOTHING);
        }
        Ok(length) => {
            let text =
                format!("the Authorization header has {length} of {MAX_MATCH_LENGTH} characters");
            report.ok("signature", text);
        }
    }
    let Some(outbound) = outbound else {
        return report.unknown("accepted", NO_ANSWER);
    };
    let answer =
        match call::get(outbound, root_url, CURRENT_SCOPES, Some(&signer), MAX_SCOPES).await {
            Ok(answer) => answer,
            Err(error) => return report.fail("accepted", format!("{CURRENT_SCOPES}: {error}")),
        };
    let message = call::message(&answer.body);
    match (answer.status, serde_json::from_slice(&answer.body)) {
        (StatusCode::OK, Ok(CurrentScopes { scopes })) => {
            report.ok("accepted", format!("they may do: {}", in_short(&scopes)));
        }
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => report.fail(
            "accepted",
            format!(
                "refused with {}{message}: see the lines above, else have new ones issued",
                answer.status
            ),
        ),
        (status, _) => report.warn(
            "accepted",
            format!(
                "not known: {CURRENT_SCOPES} answered {status}{message}, expected 200 and scopes"
            ),
        ),
    }
}

/// The length of the header. It differs from call to call only where the clientId does.
fn authorization(signer: &Signer, root_url: &RootUrl) -> Result<usize, SignError> {
    let url = [root_url.as_str(), CURRENT_SCOPES].concat();
    let uri = url.parse().map_err(|_| SignError::NotAbsolute(url))?;
    // As long as those of requests.
    let nonce = "0123456789abcdef";
    let header = signer.authorization("GET", &uri, clock::now(), nonce)?;
    Ok(header.len())
}

/// What the auth service says of the scopes that are in force.
#[derive(Deserialize)]
struct CurrentScopes {
    scopes: Vec<String>,
}

fn in_short(scopes: &[String]) -> String {
    let shown: Vec<_> = scopes.iter().take(SHOWN).map(|scope| format!("{scope:?}")).collect();
    match scopes.len() {
        0 => "nothing, they have no scopes".to_owned(),
        count if count > SHOWN => format!("{}, and {} more", shown.join(", "), count - SHOWN),
        _ => shown.join(", "),
    }
}

/// In the largest unit of which there are at least two.
fn rounded(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

const CURRENT_SCOPES: &str = "/api/auth/v1/scopes/current";

/// The longest list of scopes that is read, in bytes.
const MAX_SCOPES: usize = 10 * 1024 * 1024;

/// How many scopes are shown.
const SHOWN: usize = 10;

/// Less than this is too little to begin anything with.
const SOON: Duration = Duration::from_secs(5 * 60);
