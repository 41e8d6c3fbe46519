//! `temporary-credentials.json`: issuer, name, scopes, start, expiry, seed; the text that is
//! signed, the access token, the certificate.

use crate::Vector;
use crate::credentials::{granted, scopes};
use crate::deployment::check;
use libtest_mimic::Failed;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{
    AuthenticateError, AuthorizedScopes, Certificate, CertificateText, ClientId, Credentials,
    Signer, TemporaryCredentials, Verified,
};
use taskcluster_proxy_core::hawk::{ReceivedRequest, UrlParts};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TemporaryVector {
    description: String,
    issuer: Issuer,
    name: Option<String>,
    scopes: Vec<String>,
    start_ms: u64,
    expiry_ms: u64,
    seed: String,
    signature_text: String,
    expected: Expected,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Issuer {
    client_id: String,
    access_token: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Expected {
    client_id: String,
    access_token: String,
    certificate: Map<String, Value>,
}

impl Vector for TemporaryVector {
    fn description(&self) -> &str {
        &self.description
    }

    fn check(&self) -> Result<(), Failed> {
        let issuer = Credentials::permanent(&self.issuer.client_id, &self.issuer.access_token)?;
        let credentials = TemporaryCredentials {
            name: self.name.as_ref().map(ClientId::new).transpose()?,
            scopes: scopes(&self.scopes)?,
            start: Timestamp::from_millis(self.start_ms),
            expiry: Timestamp::from_millis(self.expiry_ms),
            seed: self.seed.clone(),
        }
        .issue(&issuer)?;
        let given = credentials.certificate.as_ref().ok_or("no certificate was issued")?;
        let certificate = Certificate::parse(given.as_str())?;

        assert_eq!(credentials.client_id.as_str(), self.expected.client_id, "clientId");
        let signature_text = certificate.signature_text(&self.expected.client_id);
        assert_eq!(signature_text, self.signature_text, "signature text");
        assert_eq!(credentials.access_token.expose(), self.expected.access_token, "access token");
        let json: Map<String, Value> = serde_json::from_str(given.as_str())?;
        assert_eq!(json, self.expected.certificate, "certificate");
        assert_eq!(certificate.to_json(), given.as_str(), "certificate written again");

        let start = Timestamp::from_millis(self.start_ms);
        let verified = use_them(&credentials, start)??.ok_or("the request makes no claim")?;
        assert_eq!(verified.client_id, self.expected.client_id, "authenticated clientId");
        assert_eq!(
            verified.scopes,
            granted(&credentials, &AuthorizedScopes::Unrestricted)?,
            "authenticated scopes"
        );
        self.refused_with_another_certificate(start)
    }
}

impl TemporaryVector {
    /// Every member that grants anything is signed.
    fn refused_with_another_certificate(&self, now: Timestamp) -> Result<(), Failed> {
        let seed: String = self.seed.chars().rev().collect();
        for (member, value) in [
            ("scopes", json!(["another"])),
            ("start", json!(self.start_ms + 1)),
            ("expiry", json!(self.expiry_ms - 1)),
            ("seed", json!(seed)),
            ("issuer", json!("tester")),
            ("signature", json!("AAAA")),
        ] {
            let mut certificate = self.expected.certificate.clone();
            certificate.insert(member.to_owned(), value);
            let mut credentials =
                Credentials::permanent(&self.expected.client_id, &self.expected.access_token)?;
            let certificate = CertificateText::parse_strict(&Value::from(certificate).to_string())?;
            credentials.certificate = Some(certificate);
            let refused = use_them(&credentials, now)?.map_err(|error| error.to_string());
            let expected = "ext.certificate.signature is not valid";
            assert!(
                refused.as_ref().is_err_and(|reason| reason.starts_with(expected)),
                "another {member}: {refused:?}"
            );
        }
        Ok(())
    }
}

/// What the services make of a request that is signed with `credentials`.
fn use_them(
    credentials: &Credentials,
    now: Timestamp,
) -> Result<Result<Option<Verified>, AuthenticateError>, Failed> {
    let request = http::Request::get("https://tc.example.com/api/queue/v1/ping").body(())?;
    let request = Signer::new(credentials)?.sign(request, now, "j4h3g2")?;
    let request = ReceivedRequest {
        method: "GET",
        url: UrlParts::try_from(request.uri())?,
        authorization: Some(request.headers()["authorization"].to_str()?),
    };
    Ok(check(request, now))
}
