//! Credentials of JavaScript callers, which are read strictly: they can correct them.

use crate::failure::{self, HawkError, input};
use crate::{scopes, timestamp};
use taskcluster_proxy_core::credentials::{
    self, AccessToken, ClientId, GivenCertificate, Signer, TemporaryCredentials, TemporaryError,
    scopes_to_json,
};
use taskcluster_proxy_core::hawk::UrlParts;
use wasm_bindgen::prelude::*;

/// Credentials made ready to sign with. JavaScript keeps them from call to call.
#[wasm_bindgen]
pub struct Credentials {
    credentials: credentials::Credentials,
    signer: Signer,
}

#[wasm_bindgen(raw_module = "../js/shapes.js")]
extern "C" {
    /// Temporary credentials as the package gives them out.
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
    /// `certificate` is JSON; an empty one is none.
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
            certificate: credentials::Credentials::parse_certificate(certificate)
                .map_err(|error| input("certificate", error))?,
            authorized_scopes: authorized_scopes
                .map(|json| scopes::parse("authorizedScopes", &json))
                .transpose()?,
        };
        // What was read strictly can sign; the text of why others cannot would make the module larger.
        let signer =
            Signer::new(&credentials).map_err(|_| input("certificate", "cannot be signed with"))?;
        Ok(Self { signer, credentials })
    }

    /// What has to be appended to a URL with these parts to sign it.
    pub fn bewit(
        &self,
        host: &str,
        port: u16,
        resource: &str,
        expires: f64,
    ) -> Result<String, HawkError> {
        let url = parts(host, port, resource);
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
        let url = parts(host, port, resource);
        self.signer.authorization_parts(method, &url, timestamp(now), nonce).map_err(failure::sign)
    }

    /// Temporary credentials that these issue.
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
            issued.certificate.as_ref().map(GivenCertificate::as_str).unwrap_or_default(),
            issued.authorized_scopes.as_deref().map(scopes_to_json),
        ))
    }
}

/// A URL as JavaScript's `URL` took it apart. Beside a port that is given, the scheme does not matter.
fn parts<'a>(host: &'a str, port: u16, resource: &'a str) -> UrlParts<'a> {
    UrlParts { secure: true, host, given_port: Some(port), resource }
}
