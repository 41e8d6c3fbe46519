//! `hawk-headers.json`: method, URL, credentials, ext, ts, nonce; the normalized string, the MAC,
//! the header.

use crate::Vector;
use crate::credentials::{credentials, decoded, granted};
use crate::deployment::{at, check, one_bit_off, refusal, refused_elsewhere};
use libtest_mimic::Failed;
use serde::Deserialize;
use serde_json::Value;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::Signer;
use taskcluster_proxy_core::hawk::{
    Artifacts, AuthorizationHeader, Key, Kind, MAX_SKEW, ReceivedRequest, UrlParts, parse_url,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeaderVector {
    description: String,
    method: String,
    url: String,
    #[serde(rename = "clientId")]
    client_id: String,
    #[serde(rename = "accessToken")]
    access_token: String,
    ext_json: Option<Value>,
    ext: Option<String>,
    ts: u64,
    nonce: String,
    normalized_string: String,
    mac: String,
    header: String,
}

impl Vector for HeaderVector {
    fn description(&self) -> &str {
        &self.description
    }

    fn check(&self) -> Result<(), Failed> {
        let (credentials, authorized) =
            credentials(&self.client_id, &self.access_token, self.ext_json.as_ref())?;
        let url = parse_url(&self.url)?;
        let parts = UrlParts::try_from(&url)?;
        let now = Timestamp::from_secs(self.ts);
        let request = http::Request::builder().method(&*self.method).uri(url.as_str()).body(())?;
        let request =
            Signer::restricted(&credentials, &authorized)?.sign(request, now, &self.nonce)?;
        let header = request.headers()["authorization"].to_str()?;
        let parsed = AuthorizationHeader::parse(header)?;

        assert_eq!(decoded(parsed.ext)?, self.ext_json, "ext as JSON");
        assert_eq!(parsed.ext, self.ext.as_deref(), "ext in base64");

        let artifacts = Artifacts {
            kind: Kind::Header,
            ts: self.ts,
            nonce: &self.nonce,
            method: &self.method,
            url: parts,
            hash: None,
            ext: self.ext.as_deref(),
        };
        assert_eq!(artifacts.normalized_string(), self.normalized_string, "normalized string");
        assert_eq!(Key::new(&self.access_token).mac(&artifacts).to_string(), self.mac, "MAC");
        assert_eq!(header, self.header, "header");

        let expected = AuthorizationHeader {
            id: &self.client_id,
            ts: self.ts,
            nonce: &self.nonce,
            mac: &self.mac,
            hash: None,
            ext: self.ext.as_deref(),
        };
        assert_eq!(AuthorizationHeader::parse(&self.header)?, expected, "header parsed");

        let request =
            ReceivedRequest { method: &self.method, url: parts, authorization: Some(&self.header) };
        let verified = check(request, now)?.ok_or("the request makes no claim")?;
        assert_eq!(verified.client_id, self.client_id, "authenticated clientId");
        assert_eq!(verified.scopes, granted(&credentials, &authorized)?, "authenticated scopes");
        let expiry = credentials.certificate.as_ref().and_then(|it| it.expiry());
        assert_eq!(verified.expires, expiry, "authenticated until");
        self.refused_with_one_bit_changed(request, now);
        Ok(())
    }
}

impl HeaderVector {
    fn refused_with_one_bit_changed(&self, request: ReceivedRequest<'_>, now: Timestamp) {
        let bad_mac = |request: ReceivedRequest<'_>| {
            assert_eq!(refusal(request, now), "Unauthorized: Bad mac")
        };
        for method in one_bit_off(request.method) {
            // Signed in upper case.
            if !method.eq_ignore_ascii_case(request.method) {
                bad_mac(ReceivedRequest { method: &method, ..request });
            }
        }
        refused_elsewhere(request, now);
        for resource in one_bit_off(request.url.resource) {
            bad_mac(at(&resource, request));
        }
        for header in self.altered_headers() {
            let request = ReceivedRequest { authorization: Some(&header), ..request };
            // A changed bit can also make a header that cannot be read.
            assert_ne!(refusal(request, now), "", "{header}");
        }
        let stale = now.plus(MAX_SKEW).plus(std::time::Duration::from_secs(1));
        assert_ne!(refusal(request, stale), "", "15 minutes and a second later");
    }
    /// The header with one bit of its mac or its ext changed; with an ext added where it has none.
    fn altered_headers(&self) -> Vec<String> {
        let with = |name, value: &str, changed: String| {
            self.header.replace(&format!("{name}=\"{value}\""), &format!("{name}=\"{changed}\""))
        };
        let mut altered: Vec<String> =
            one_bit_off(&self.mac).map(|changed| with("mac", &self.mac, changed)).collect();
        match &self.ext {
            Some(ext) => altered.extend(one_bit_off(ext).map(|changed| with("ext", ext, changed))),
            None => altered.push(format!("{}, ext=\"e30=\"", self.header)),
        }
        altered
    }
}
