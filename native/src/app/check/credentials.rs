//! Checks the credentials: their validity, the length of signatures, and whether the deployment accepts
//! them.

use super::deployment::NO_RESPONSE;
use super::{Report, with_timeout};
use crate::os::clock;
use crate::outbound::Outbound;
use crate::outbound::call;
use crate::telemetry::log;
use http::{Method, StatusCode};
use serde::Deserialize;
use std::time::Duration;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{
    CertificateText, Credentials, CredentialsFinding, SignError, Signer,
};
use taskcluster_proxy_core::hawk::{MAX_MATCH_LENGTH, UrlParts, parse_url};
use taskcluster_proxy_core::proxy::{
    CredentialsProfile, Finding, Restriction, RootUrl, ServiceError,
};

/// Checks the credentials at `now`: the time of the deployment's clock if it is known.
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
    let Some(expiry) = credentials.certificate.as_ref().and_then(CertificateText::expiry) else {
        return report.ok(WHAT, format!("client {client_id}, permanent: there is no certificate"));
    };
    let (until, left) = (log::date(expiry), rounded(expiry.distance(now)));
    let renew = "have new ones issued";
    if expiry <= now {
        // After the tolerance of the services it is a finding.
        let text = format!("client {client_id}, temporary, expired on {until}, {left} ago");
        report
            .warn(WHAT, format!("{text}; services accept them for 5 minutes after that: {renew}"));
    } else if expiry.distance(now) < SOON {
        let text = format!("client {client_id}, temporary, until {until}, {left} from now");
        report.warn(WHAT, format!("{text}: {renew}"));
    } else {
        report.ok(WHAT, format!("client {client_id}, temporary, until {until}, {left} from now"));
    }
}

/// Signs a request in the same way as requests of tasks. Sends it with `outbound`, which is `None` if the
/// deployment does not respond.
pub(super) async fn check_signature(
    credentials: &Credentials,
    restriction: &Restriction,
    root_url: &RootUrl,
    outbound: Option<&Outbound>,
    report: &mut Report,
) {
    const NOTHING: &str = "not known: nothing can be signed";
    let Ok(signer) = Signer::restricted(credentials, &restriction.scopes) else {
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
        return report.unknown("accepted", NO_RESPONSE);
    };
    let asked = call::get(outbound, root_url, CURRENT_SCOPES, Some(&signer), MAX_SCOPES);
    let response = match with_timeout(CURRENT_SCOPES, asked).await {
        Ok(response) => response,
        Err(error) => return report.fail("accepted", format!("{CURRENT_SCOPES}: {error}")),
    };
    let message = call::message(&response.body);
    let profile = CredentialsProfile::new(credentials, restriction);
    let diagnosis = call::diagnose(&response, &profile, CURRENT_SCOPES);
    let insufficient = ServiceError::parse(&response.body)
        .is_some_and(|error| error.code() == "InsufficientScopes")
        && diagnosis.0 != [Finding::NoSignature];
    match (response.status, serde_json::from_slice(&response.body)) {
        (StatusCode::OK, Ok(CurrentScopes { scopes })) => {
            report.ok("accepted", format!("with {}", shorten(&scopes)));
        }
        // A signed request whose scopes are insufficient was authenticated.
        (StatusCode::FORBIDDEN, _) if insufficient => report.ok(
            "accepted",
            "the signature was accepted; with the scope \"auth:current-scopes\" this line would list \
             the scopes",
        ),
        (status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN), _) => {
            let why = call::advice(&diagnosis);
            report.fail("accepted", format!("refused with {status}{message}: {why}"));
        }
        (status, _) => report.warn(
            "accepted",
            format!(
                "not known: {CURRENT_SCOPES} responded with {status}{message}, expected 200 and scopes"
            ),
        ),
    }
}

/// The length of the `Authorization` header, which is the same for all requests.
fn authorization(signer: &Signer, root_url: &RootUrl) -> Result<usize, SignError> {
    let url = [root_url.as_str(), CURRENT_SCOPES].concat();
    let url = parse_url(&url)?;
    // A nonce with as many characters as those of requests.
    let nonce = "0123456789abcdef";
    let header =
        signer.authorization(&Method::GET, &UrlParts::try_from(&url)?, clock::now(), nonce)?;
    Ok(header.len())
}

/// The response of `auth.currentScopes`.
#[derive(Deserialize)]
struct CurrentScopes {
    scopes: Vec<String>,
}

/// Lists at most [`MAX_SHOWN`] scopes.
fn shorten(scopes: &[String]) -> String {
    let shown: Vec<_> = scopes.iter().take(MAX_SHOWN).map(|scope| format!("{scope:?}")).collect();
    match scopes.len() {
        0 => "no scopes".to_owned(),
        count if count > MAX_SHOWN => {
            format!("the scopes {}, and {} more", shown.join(", "), count - MAX_SHOWN)
        }
        _ => format!("the scopes {}", shown.join(", ")),
    }
}

/// A duration in the largest unit of which there are at least two.
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

/// The maximum size of the response with the scopes, in bytes.
const MAX_SCOPES: usize = 10 * 1024 * 1024;

/// The maximum number of scopes that are shown.
const MAX_SHOWN: usize = 10;

/// Credentials that expire within this time are reported as a warning.
const SOON: Duration = Duration::from_secs(5 * 60);
