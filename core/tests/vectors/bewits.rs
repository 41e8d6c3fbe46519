//! `bewits.json`: URL, credentials, ext, expiry; the bewit decoded and encoded, the signed URL.

use crate::Vector;
use crate::credentials::{credentials, decoded, granted};
use crate::deployment::{at, check, one_bit_off, refusal, refused_elsewhere};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libtest_mimic::Failed;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::Signer;
use taskcluster_proxy_core::hawk::{
    Artifacts, Bewit, Key, Kind, ReceivedRequest, UrlParts, append_bewit, parse_url, split_bewit,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BewitVector {
    description: String,
    url: String,
    #[serde(rename = "clientId")]
    client_id: String,
    #[serde(rename = "accessToken")]
    access_token: String,
    ext_json: Option<Value>,
    /// Empty where there is none.
    ext: String,
    expiry: u64,
    decoded: String,
    bewit: String,
    signed_url: String,
}

impl Vector for BewitVector {
    fn description(&self) -> &str {
        &self.description
    }

    fn check(&self) -> Result<(), Failed> {
        let (credentials, authorized) =
            credentials(&self.client_id, &self.access_token, self.ext_json.as_ref())?;
        let url = parse_url(&self.url)?;
        let parts = UrlParts::try_from(&url)?;
        let expiry = Timestamp::from_secs(self.expiry);
        let signed_url = Signer::restricted(&credentials, &authorized)?.bewit(&url, expiry)?;
        let (resource, encoded) =
            split_bewit(signed_url.as_str()).ok_or("the signed URL has no bewit")?;
        let bewit = Bewit::decode(encoded)?;

        let ext = Some(bewit.ext.as_str()).filter(|ext| !ext.is_empty());
        assert_eq!(decoded(ext)?, self.ext_json, "ext as JSON");
        assert_eq!(bewit.ext, self.ext, "ext in base64");

        let artifacts = Artifacts {
            kind: Kind::Bewit,
            ts: self.expiry,
            nonce: "",
            method: "GET",
            url: parts,
            hash: None,
            ext: Some(&self.ext),
        };
        let mac = Key::new(&self.access_token).mac(&artifacts).to_string();
        let expected = format!("{}\\{}\\{mac}\\{}", self.client_id, self.expiry, self.ext);
        assert_eq!(expected, self.decoded, "MAC of the normalized string");
        assert_eq!(String::from_utf8(URL_SAFE_NO_PAD.decode(encoded)?)?, self.decoded, "decoded");
        assert_eq!(encoded, self.bewit, "encoded");
        assert_eq!(resource, self.url, "the URL that was signed");
        assert_eq!(signed_url.as_str(), self.signed_url, "signed URL");
        assert_eq!(append_bewit(&self.url, &self.bewit), self.signed_url, "bewit appended");
        let expected =
            Bewit { id: self.client_id.clone(), exp: self.expiry, mac, ext: self.ext.clone() };
        assert_eq!(Bewit::decode(&self.bewit)?, expected, "decoded into its parts");

        let signed = UrlParts::try_from(&signed_url)?;
        let request = ReceivedRequest { method: "GET", url: signed, authorization: None };
        let now = expiry.minus(Duration::from_secs(60));
        for method in ["GET", "HEAD"] {
            let verified = check(ReceivedRequest { method, ..request }, now)?
                .ok_or("the URL makes no claim")?;
            assert_eq!(verified.client_id, self.client_id, "authenticated clientId");
            assert_eq!(
                verified.scopes,
                granted(&credentials, &authorized)?,
                "authenticated scopes"
            );
            assert_eq!(verified.expires, Some(expiry), "authenticated until");
        }
        self.refused_with_one_bit_changed(parts.resource, request, now);
        assert_eq!(refusal(request, expiry), "Unauthorized: Access expired");
        Ok(())
    }
}

impl BewitVector {
    fn refused_with_one_bit_changed(
        &self,
        unsigned: &str,
        request: ReceivedRequest<'_>,
        now: Timestamp,
    ) {
        refused_elsewhere(request, now);
        for resource in one_bit_off(unsigned) {
            let resource = append_bewit(&resource, &self.bewit);
            let request = at(&resource, request);
            assert_eq!(refusal(request, now), "Unauthorized: Bad mac", "{resource}");
        }
        for method in one_bit_off(request.method) {
            assert_eq!(
                refusal(ReceivedRequest { method: &method, ..request }, now),
                "Unauthorized: Invalid method"
            );
        }
        for decoded in one_bit_off(&self.decoded) {
            let resource = append_bewit(unsigned, &URL_SAFE_NO_PAD.encode(&decoded));
            // A changed bit can also make another clientId, a bewit that expired, or none.
            assert_ne!(refusal(at(&resource, request), now), "", "{decoded}");
        }
    }
}
