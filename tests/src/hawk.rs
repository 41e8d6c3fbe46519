//! Verifies Hawk signatures as a service does. Written for the tests: it shares no code with the
//! proxy, so that the two cannot have the same bug.

use crate::Request;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

/// The Hawk attributes of a request or a signed URL, not verified before
/// [`assert_signed_with`](Self::assert_signed_with).
#[derive(Clone, Debug)]
pub struct Claim {
    /// The clientId.
    pub id: String,
    /// Seconds since 1970: when a request was signed, or when a signed URL expires.
    pub ts: u64,
    /// Unique for each request; empty for a signed URL.
    pub nonce: String,
    /// As received, in base64; empty if there is none.
    pub ext: String,
    mac: String,
    kind: &'static str,
    method: String,
    url: Url,
}

/// The maximum length that services accept of an Authorization header, and of a path and query.
pub const LIMIT: usize = 4096;

impl Claim {
    /// The attributes of a request that was received over plain HTTP.
    pub fn of(request: &Request) -> Self {
        Self::of_request(request, "http")
    }

    /// The attributes of a request that was received over TLS.
    pub fn of_tls(request: &Request) -> Self {
        Self::of_request(request, "https")
    }

    /// The attributes of a signed URL.
    pub fn of_url(url: &str) -> Self {
        let (url, bewit) = url
            .split_once("?bewit=")
            .or_else(|| url.split_once("&bewit="))
            .unwrap_or_else(|| panic!("no bewit in {url:?}"));
        let bewit = URL_SAFE_NO_PAD.decode(bewit).expect("a bewit is base64url without padding");
        let bewit = String::from_utf8(bewit).expect("a bewit is text");
        let parts: Vec<&str> = bewit.split('\\').collect();
        let [id, ts, mac, ext] = parts[..] else {
            panic!("a bewit has four parts: {bewit:?}");
        };
        Self {
            id: id.to_owned(),
            ts: seconds(ts),
            nonce: String::new(),
            ext: ext.to_owned(),
            mac: mac.to_owned(),
            kind: "bewit",
            method: "GET".to_owned(),
            url: Url::parse(url),
        }
    }

    fn of_request(request: &Request, scheme: &str) -> Self {
        let [header] = request.head.all("authorization")[..] else {
            panic!("not one Authorization header: {:?}", request.head);
        };
        assert!(header.len() <= LIMIT, "no service reads {} characters", header.len());
        let attributes: Vec<(&str, &str)> = header
            .strip_prefix("Hawk ")
            .and_then(|rest| rest.split(", ").map(attribute).collect())
            .unwrap_or_else(|| panic!("not a Hawk header: {header:?}"));
        let (id, ts, nonce, ext, mac) = match attributes[..] {
            [("id", id), ("ts", ts), ("nonce", nonce), ("mac", mac)] => (id, ts, nonce, "", mac),
            [("id", id), ("ts", ts), ("nonce", nonce), ("ext", ext), ("mac", mac)] => {
                (id, ts, nonce, ext, mac)
            }
            _ => panic!("not the attributes that services expect: {header:?}"),
        };
        let host = request.header("host").expect("a request has a Host");
        // A request to a forward proxy has an absolute URL as its target.
        let url = match request.target().starts_with('/') {
            true => Url::parse(&format!("{scheme}://{host}{}", request.target())),
            false => Url::parse(request.target()),
        };
        Self {
            id: id.to_owned(),
            ts: seconds(ts),
            nonce: nonce.to_owned(),
            ext: ext.to_owned(),
            mac: mac.to_owned(),
            kind: "header",
            method: request.method().to_ascii_uppercase(),
            url,
        }
    }

    /// Checks the MAC, with the accessToken of `id`; returns the claim for further checks.
    pub fn assert_signed_with(self, access_token: &str) -> Self {
        let Self { id: _, ts, nonce, ext, mac, kind, method, url } = &self;
        let Url { host, port, resource } = url;
        let text = format!(
            "hawk.1.{kind}\n{ts}\n{nonce}\n{method}\n{resource}\n{host}\n{port}\n\n{ext}\n"
        );
        let mut key = Hmac::<Sha256>::new_from_slice(access_token.as_bytes())
            .expect("HMAC accepts keys of any length");
        key.update(text.as_bytes());
        let expected = STANDARD.encode(key.finalize().into_bytes());
        assert_eq!(*mac, expected, "the MAC of {text:?}");
        self
    }

    /// The JSON in ext; null if there is none.
    pub fn ext(&self) -> Value {
        if self.ext.is_empty() {
            return Value::Null;
        }
        let json = STANDARD.decode(&self.ext).expect("ext is base64");
        serde_json::from_slice(&json).expect("ext is JSON")
    }

    /// The authorizedScopes in ext.
    pub fn authorized_scopes(&self) -> Value {
        self.ext()["authorizedScopes"].clone()
    }
}

/// The signed parts of a URL.
#[derive(Clone, Debug)]
struct Url {
    host: String,
    port: String,
    resource: String,
}

impl Url {
    fn parse(url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").expect("an absolute URL");
        let (authority, resource) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let implied = if scheme == "https" { "443" } else { "80" };
        let (host, port) = authority.rsplit_once(':').unwrap_or((authority, implied));
        Self { host: host.to_owned(), port: port.to_owned(), resource: resource.to_owned() }
    }
}

fn attribute(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once("=\"")?;
    Some((name, value.strip_suffix('"')?))
}

fn seconds(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("not a number of seconds: {text:?}"))
}
