//! Requests that are not authenticated. A response, credentials and a restriction in, the whole diagnosis out. The numbers are
//! those of the rows of issue 17.

use crate::case::{Case, HOUR, MINUTE, NOW, SECOND, refused, unauthenticated};
use crate::service::beyond_credentials;
use serde_json::json;
use std::time::Duration;
use taskcluster_proxy_core::proxy::RestrictionOrigin;

#[test]
fn row_8_a_restriction_beyond_the_credentials() {
    let task_id = Some("fN1SbArXTPSVFNUvaOlinQ".to_owned());
    let body = beyond_credentials(&["queue:*", "assume:anonymous"], &["queue:x", "secrets:get:a"]);
    refused(401, body)
        .restricted(
            &["queue:x", "secrets:get:a"],
            RestrictionOrigin { command_line: false, task_id },
        )
        .certificate(&["queue:*"])
        .gives(
            "requests are restricted to scopes (those of task fN1SbArXTPSVFNUvaOlinQ (--task-id)) \
             that the credentials do not have: \"secrets:get:a\"; services refuse every request \
             that needs a scope until these are removed from the restriction or granted to the \
             credentials",
        );
    unauthenticated(
        "Supplied credentials do not satisfy authorizedScopes; credentials have scopes [a]; \
         authorizedScopes are [b]",
    )
    .command_line(&["b"])
    .gives(
        "requests are restricted to scopes (those of the command line) that the credentials do not \
         have; services refuse every request that needs a scope until these are removed from the \
         restriction or granted to the credentials",
    );
}

const WRONG_KEY: &str = "the signature does not match (Bad mac): the accessToken is not that of client \
                         \"c/1\", or it belongs to temporary credentials, which also need their \
                         certificate; if the accessToken is right, something between the proxy and the service \
                         changes the host, the port, the path or the query";
const WRONG_TEMPORARY_KEY: &str = "the signature does not match (Bad mac): the accessToken is not that \
                                   of the certificate of client \"c/1\"; if the accessToken is right, \
                                   something between the proxy and the service changes the host, the \
                                   port, the path or the query";

#[test]
fn row_8_a_wrong_access_token() {
    unauthenticated("Unauthorized: Bad mac").gives(WRONG_KEY);
    unauthenticated("Unauthorized: Bad mac").certificate(&["*"]).gives(WRONG_TEMPORARY_KEY);
    let mut case = unauthenticated("Unauthorized: Bad mac");
    case.profile.access_token = Some("no-secret\n");
    case.gives(&format!(
        "the accessToken has white space or characters other than printable ASCII: requests are signed \
         with it as it is, and the services are likely to refuse them until it is replaced; \
         {WRONG_KEY}"
    ));
}

#[test]
fn row_8_clients_that_are_not_there() {
    unauthenticated("Client with clientId 'c/1' not found").gives(
        "the deployment has no client \"c/1\": if these are temporary credentials, pass their \
         certificate as well (TASKCLUSTER_CERTIFICATE, --certificate, or `certificate` in PUT \
         /credentials); otherwise they are of another deployment, or the client was deleted",
    );
    unauthenticated("Client with clientId 'issuer' not found").certificate(&["*"]).gives(
        "the deployment has no client \"issuer\", which issued the certificate: the credentials are of \
         another deployment, or the client was deleted",
    );
    unauthenticated("Client with clientId 'c/1' is disabled")
        .gives("client \"c/1\" is disabled: enable it, or use another one");
    unauthenticated("Client with clientId: 'c/1' has expired")
        .gives("client \"c/1\" has expired: extend it, or use another one");
}

#[test]
fn row_9_the_length_of_the_url_is_no_reason() {
    let mut case = unauthenticated("Unauthorized: Bad mac");
    case.resource = format!("/api/queue/v1/{}", "x".repeat(6000));
    case.gives(WRONG_KEY);
    case.body = b"<html>".to_vec();
    case.gives("");
}

#[test]
fn row_10_the_final_response_decides() {
    let ahead = NOW.plus(2 * HOUR);
    // Signed again with the service's time.
    unauthenticated("Unauthorized: Bad mac").clocks(ahead, NOW).gives(WRONG_KEY);
    refused(401, b"no".to_vec()).clocks(ahead, NOW).gives("");
    let clock = "this machine's clock is 2h ahead of the service's: set it";
    unauthenticated("Unauthorized: Stale timestamp").clocks(ahead, ahead).gives(clock);
    refused(401, b"no".to_vec()).clocks(ahead, ahead).gives(clock);
    let behind = NOW.minus(20 * MINUTE);
    unauthenticated("Unauthorized: Stale timestamp")
        .clocks(behind, behind)
        .gives("this machine's clock is 20min behind the service's: set it");
    unauthenticated("Unauthorized: Stale timestamp").clocks(NOW, behind).gives(
        "the time in the signature differs by more than 15 minutes from the service's: was this \
         machine's clock changed, or the request delayed?",
    );
    // The Date is not that of the service's clock.
    for now in [NOW, ahead] {
        unauthenticated("Unauthorized: Stale timestamp").clocks(now, NOW).gives(
            "the service refuses the time in the signature, which agrees with the Date of its response: \
             the Date is not the service's (a gateway may set it), or the clocks of the deployment \
             differ",
        );
    }
    // Without a Date it is not known whose clock is wrong, or whether the certificate has expired.
    for now in [ahead, NOW.plus(24 * HOUR)] {
        let mut case = refused(401, b"no".to_vec()).certificate(&["*"]).clocks(now, NOW);
        case.date = None;
        case.gives("");
    }
    // Within what the services tolerate.
    let tolerated = NOW.plus(15 * MINUTE);
    refused(401, b"no".to_vec()).clocks(tolerated, tolerated).gives("");
}

#[test]
fn row_11_the_dates_of_the_certificate() {
    let fresh = |case: Case| {
        let start = NOW.plus(Duration::from_millis(400));
        case.certificate_of(&["*"], start, NOW.plus(HOUR), json!({}))
    };
    fresh(unauthenticated("Unauthorized: Bad mac")).gives(WRONG_TEMPORARY_KEY);
    fresh(refused(401, Vec::new())).gives("");
    fresh(refused(401, beyond_credentials(&["*"], &["*", "a"]))).command_line(&["*"]).gives(
        "requests are restricted to scopes (those of the command line) that the credentials do not \
         have; services refuse every request that needs a scope until these are removed from the \
         restriction or granted to the credentials",
    );
    let expired = |case: Case, ago: Duration| {
        case.certificate_of(&["*"], NOW.minus(9 * HOUR), NOW.minus(ago), json!({}))
    };
    for ago in [2 * MINUTE, 5 * MINUTE, HOUR] {
        expired(unauthenticated("Unauthorized: Bad mac"), ago).gives(WRONG_TEMPORARY_KEY);
    }
    expired(refused(401, Vec::new()), 5 * MINUTE).gives("");
    let over = "the certificate expired 5min 1s ago, at 2025-12-31T23:54:59.000Z: requests are signed \
                with it as it is, and the services are likely to refuse them until it is replaced";
    for case in [unauthenticated("ext.certificate.expiry < now"), refused(401, Vec::new())] {
        expired(case, 5 * MINUTE + SECOND).gives(over);
    }
    // The clock of the service counts, and it is the service that says so.
    let dates = "the service says that the certificate is not valid at this time: get new credentials, \
                 and check the clocks of this machine and of the issuer";
    expired(unauthenticated("ext.certificate.expiry < now"), 5 * MINUTE).gives(dates);
    expired(unauthenticated("ext.certificate.start > now"), HOUR).gives(dates);
    unauthenticated("ext.certificate.start > now")
        .certificate_of(&["*"], NOW.plus(HOUR), NOW.plus(2 * HOUR), json!({}))
        .clocks(NOW.plus(HOUR), NOW)
        .gives(
            "the certificate is not valid before 2026-01-01T01:00:00.000Z, in 1h: requests are signed \
             with it, and the services refuse them until then",
        );
}

#[test]
fn what_the_services_say_of_certificates() {
    let certificate = |message: &str| unauthenticated(message).certificate(&["*"]);
    for signature in [
        "ext.certificate.signature is not valid",
        "ext.certificate.signature is not valid, or wrong clientId provided",
        "Input buffers must have the same byte length",
    ] {
        certificate(signature).gives(
            "the signature of the certificate is not valid: the certificate and the clientId do not \
             belong to the same credentials, or the issuer's accessToken was reset",
        );
    }
    certificate(
        "ext.certificate issuer `i` doesn't have `auth:create-client:c/1` for supplied clientId.",
    )
    .gives(
        "the issuer of the certificate may not issue credentials for client \"c/1\": pass the clientId, \
         accessToken and certificate of the same credentials (permanent credentials have no \
         certificate), or grant the issuer the scope that the response names",
    );
    certificate(
        "ext.certificate issuer `c/1` doesn't satisfy all certificate scopes a, b.  The temporary \
         credentials were not generated correctly.",
    )
    .gives(
        "the issuer of the certificate does not have all of its scopes: pass the clientId, accessToken \
         and certificate of the same credentials (permanent credentials have no certificate), or grant \
         the issuer the scopes",
    );
    for other in [
        "ext.certificate cannot last longer than 31 days!",
        "ext.certificate.issuer must differ from the supplied clientId",
        "ext.certificate.clientId must only be used with ext.certificate.issuer",
    ] {
        certificate(other).gives(&format!("the service does not accept the certificate: {other}"));
    }
    unauthenticated("ext.certificate.seed must be 44 characters")
        .certificate_of(&["*"], NOW, NOW.plus(HOUR), json!({ "seed": "canary" }))
        .gives(
            "the certificate is not as the services expect it (`seed`: expected a string of 44 \
             characters, found another string): requests are signed with it as it is, and the services \
             are likely to refuse them until it is replaced; the service does not accept the \
             certificate: ext.certificate.seed must be 44 characters",
        );
}

#[test]
fn a_bewit_besides() {
    let mut case = unauthenticated(
        "Cannot use two authentication schemes at once this request has both bewit in querystring and \
         and 'authorization' header",
    );
    let expected = "the URL has a bewit, and services refuse requests that also have the proxy's \
                    signature: request it without the proxy, or without the bewit";
    case.gives(expected);
    case.body = Vec::new();
    case.gives("");
    for (resource, expected) in
        [("/x?a&bewit=b", expected), ("/x?notbewit=b", ""), ("/x?bewit=&b", "")]
    {
        case.resource = resource.to_owned();
        case.gives(expected);
    }
}
