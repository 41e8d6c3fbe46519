//! Credentials of JavaScript callers. They are parsed strictly, as the caller can correct them.

use crate::failure::{self, HawkError, input};
use crate::{json, scopes, timestamp};
use taskcluster_proxy_core::credentials::{
    self, AccessToken, AuthorizedScopes, Certificate, CertificateText, ClientId, Signer,
    TemporaryCredentials, TemporaryError, scopes_to_json,
};
use taskcluster_proxy_core::hawk::UrlParts;
use wasm_bindgen::prelude::*;

/// Credentials with their signer. JavaScript keeps them from call to call.
#[wasm_bindgen]
pub struct Credentials {
    credentials: credentials::Credentials,
    authorized_scopes: AuthorizedScopes,
    signer: Signer,
}

#[wasm_bindgen(raw_module = "../js/shapes.js")]
extern "C" {
    /// Makes the JavaScript object with temporary credentials.
    #[wasm_bindgen(js_name = temporaryCredentials)]
    fn shape(
        client_id: &str,
        access_token: &str,
        certificate: &str,
        authorized_scopes: Option<String>,
    ) -> JsValue;
}

#[wasm_bindgen]
impl Credentials {
    /// `certificate` is JSON; an empty text means none.
    #[wasm_bindgen(constructor)]
    pub fn new(
        client_id: String,
        access_token: String,
        certificate: &str,
        authorized_scopes: Option<String>,
    ) -> Result<Self, HawkError> {
        let credentials = credentials::Credentials {
            client_id: ClientId::new(client_id).map_err(|error| input("clientId", error))?,
            access_token: AccessToken::new(access_token)
                .map_err(|error| input("accessToken", error))?,
            certificate: read_certificate(certificate)?,
        };
        let authorized_scopes = authorized_scopes
            .map(|json| scopes::parse("authorizedScopes", &json))
            .transpose()?
            .into();
        // Credentials that were parsed strictly can sign. The full error would make the module larger.
        let signer = Signer::restricted(&credentials, &authorized_scopes)
            .map_err(|_| input("certificate", "cannot be signed with"))?;
        Ok(Self { signer, credentials, authorized_scopes })
    }

    /// The query parameter that signs a URL with these parts when it is appended.
    pub fn bewit(
        &self,
        host: &str,
        port: u16,
        resource: &str,
        expires: f64,
    ) -> Result<String, HawkError> {
        let url = UrlParts { host, port, resource };
        self.signer.bewit_suffix(&url, timestamp(expires)).map_err(failure::sign)
    }

    /// The value of the `Authorization` header.
    pub fn authorization(
        &self,
        method: &str,
        host: &str,
        port: u16,
        resource: &str,
        now: f64,
        nonce: &str,
    ) -> Result<String, HawkError> {
        let url = UrlParts { host, port, resource };
        self.signer.authorization_text(method, &url, timestamp(now), nonce).map_err(failure::sign)
    }

    /// Issues temporary credentials, which are restricted to the same authorizedScopes.
    pub fn issue(
        &self,
        name: Option<String>,
        scopes: &str,
        start: f64,
        expiry: f64,
        seed: String,
    ) -> Result<JsValue, HawkError> {
        let order = TemporaryCredentials {
            name: name
                .map(ClientId::new)
                .transpose()
                .map_err(|error| input("options.name", error))?,
            scopes: scopes::parse("options.scopes", scopes)?,
            start: timestamp(start),
            expiry: timestamp(expiry),
            seed,
        };
        let issued = order.issue(&self.credentials).map_err(|error| {
            let argument = match error {
                TemporaryError::TemporaryIssuer => "issuer",
                TemporaryError::Seed => "options.seed",
                TemporaryError::Name => "options.name",
                _ => "options.expires",
            };
            input(argument, error)
        })?;
        Ok(shape(
            issued.client_id.as_str(),
            issued.access_token.expose(),
            issued.certificate.as_ref().map(CertificateText::as_str).unwrap_or_default(),
            self.authorized_scopes.scopes().map(scopes_to_json),
        ))
    }
}

/// An empty text means no certificate.
fn read_certificate(text: &str) -> Result<Option<CertificateText>, HawkError> {
    if text.is_empty() {
        return Ok(None);
    }
    let json = json::parse(text).ok_or_else(|| input("certificate", json::EXPECTED))?;
    let certificate =
        Certificate::from_value(&json).map_err(|error| input("certificate", error))?;
    Ok(Some(CertificateText::from_parsed(certificate, text.to_owned())))
}
