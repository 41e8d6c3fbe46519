//! Fuzz target: parsers of credentials, certificates and scopes.

use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{
    Certificate, Credentials, CredentialsFinding, Signer, scopes_from_json, scopes_to_json,
};

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

/// Lenient parsing returns the same credentials as strict parsing, if that accepts them; parsed values
/// stay the same when they are written and parsed again.
pub fn credentials(data: &[u8]) {
    if let Ok(found) = Credentials::from_json_strict(data) {
        assert!(
            Credentials::from_json(data).is_ok_and(|given| given == found),
            "lenient parsing returns other credentials than strict parsing"
        );
        assert!(!found.client_id.as_str().is_empty() && !found.access_token.expose().is_empty());
    }
    if let Ok(given) = Credentials::from_json(data) {
        // Credentials can sign unless a finding says that they cannot.
        let unusable = given.findings(NOW).iter().any(CredentialsFinding::prevents_signing);
        assert_eq!(Signer::new(&given).is_err(), unusable);
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(certificate) = Certificate::parse(text) {
        let again = Certificate::parse(&certificate.to_json())
            .expect("a written certificate can be parsed");
        assert!(again == certificate, "the certificate has changed");
    }
    if let Ok(scopes) = scopes_from_json(text) {
        assert_eq!(scopes_from_json(&scopes_to_json(&scopes)).ok(), Some(scopes));
    }
}
