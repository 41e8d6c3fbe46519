//! Signing requests and URLs with credentials.

use super::ext::Ext;
use super::{AuthorizedScopes, ClientId, Credentials, CredentialsFinding};
use crate::Timestamp;
use crate::escaped::Escaped;
use crate::hawk::{
    Artifacts, AuthorizationHeader, Bewit, Key, Kind, UrlError, UrlParts, bewit_suffix,
    is_attribute_value,
};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Method, Request};
use url::Url;

/// Signs requests and URLs. Made once for a set of credentials: it holds the prepared key and the
/// encoded `ext`.
#[derive(Debug)]
pub struct Signer {
    client_id: ClientId,
    key: Key,
    ext: Ext,
}

/// Why a request or URL cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The signature is longer than the services accept. They would respond with a 401 that does not
    /// give the reason.
    #[error(
        "{what} would be {length} characters long, and Taskcluster's services read at most {limit}; {}",
        advice(what, *length, *limit, *ext)
    )]
    TooLong {
        /// `the Authorization header` or `the path and query of the signed URL`.
        what: &'static str,
        /// Its length in characters, without scopes that other scopes satisfy.
        length: usize,
        /// The maximum that the services read.
        limit: usize,
        /// How much of `length` is due to `ext`.
        ext: usize,
    },
    /// The URL cannot be signed.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The method is not a token.
    #[error("expected a method such as GET, found \"{}\"", Escaped(.0))]
    Method(String),
    /// The nonce has characters that a Hawk header cannot contain.
    #[error("expected a nonce of printable ASCII characters other than \" and \\")]
    Nonce,
}

const HEADER: &str = "the Authorization header";
/// A timestamp with as many digits as current ones have (until the year 2286).
const TEN_DIGITS: u64 = 1_000_000_000;
/// A nonce with as many characters as the proxy's nonces.
const SIXTEEN_CHARACTERS: &str = "0123456789abcdef";

/// The advice at the end of [`SignError::TooLong`].
fn advice(what: &str, length: usize, limit: usize, ext: usize) -> String {
    if length.saturating_sub(ext) <= limit {
        return format!(
            "{ext} of them are the certificate and the authorizedScopes: use fewer scopes, scopes that \
             end in *, or a role that stands for them (assume:<role>)"
        );
    }
    let excess = length - ext - limit;
    match what {
        HEADER => format!("it is too long by {excess} without any scopes: use a shorter clientId"),
        _ => format!(
            "the URL itself is too long, by {excess}, without any scopes: use a shorter one"
        ),
    }
}

impl SignError {
    /// The `code` that clients of Taskcluster's services would see.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "AuthorizationTooLong",
            Self::Url(_) | Self::Method(_) | Self::Nonce => "InputError",
        }
    }
}

impl Signer {
    /// Prepares `credentials`.
    ///
    /// # Errors
    ///
    /// Nothing can be signed with the credentials: the certificate is not a JSON object, or the clientId
    /// has characters that a Hawk header cannot contain.
    pub fn new(credentials: &Credentials) -> Result<Self, CredentialsFinding> {
        Self::restricted(credentials, &AuthorizedScopes::Unrestricted)
    }

    /// Prepares `credentials`; signed requests are restricted to `authorized_scopes`.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn restricted(
        credentials: &Credentials,
        authorized_scopes: &AuthorizedScopes,
    ) -> Result<Self, CredentialsFinding> {
        if let Some(finding) = credentials.preventing_finding() {
            return Err(finding);
        }
        Ok(Self {
            client_id: credentials.client_id.clone(),
            key: credentials.access_token.key(),
            ext: Ext::new(credentials, authorized_scopes)
                .map_err(CredentialsFinding::CertificateNotAnObject)?,
        })
    }

    /// The clientId of the credentials.
    pub fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// Whether `Authorization` header fields contain all authorizedScopes. If they are too long, scopes
    /// that other scopes satisfy are left out. Assumes nonces of 16 characters.
    pub fn sends_all_scopes(&self) -> bool {
        let fitting = self.ext.fitting(HEADER, |ext| {
            let id = self.client_id.as_str();
            AuthorizationHeader::written_length(id, TEN_DIGITS, SIXTEEN_CHARACTERS, ext)
        });
        fitting.is_ok_and(|ext| self.ext.is_full(ext))
    }

    /// Signs a request: sets its `Authorization` header field, marked as sensitive. The URI is signed
    /// without normalization.
    ///
    /// ```
    /// use taskcluster_proxy_core::{Timestamp, credentials::{Credentials, Signer}};
    ///
    /// let signer = Signer::new(&Credentials::permanent("tester", "no-secret")?)?;
    /// let request = http::Request::get("https://tc.example.com/api/queue/v1/ping").body(())?;
    /// let signed = signer.sign(request, Timestamp::from_secs(1_767_225_600), "j4h3g2")?;
    /// assert!(signed.headers().contains_key("authorization"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The URI is not absolute, the nonce has characters that a Hawk header cannot contain, or the field
    /// would be longer than the services read, even without scopes that other scopes satisfy.
    pub fn sign<B>(
        &self,
        mut request: Request<B>,
        now: Timestamp,
        nonce: &str,
    ) -> Result<Request<B>, SignError> {
        let url = UrlParts::try_from(request.uri())?;
        let value = self.authorization(request.method(), &url, now, nonce)?;
        request.headers_mut().insert(AUTHORIZATION, value);
        Ok(request)
    }

    /// The value of the `Authorization` header field of a request with this method to `url`, marked as
    /// sensitive.
    ///
    /// # Errors
    ///
    /// As [`sign`](Self::sign).
    pub fn authorization(
        &self,
        method: &Method,
        url: &UrlParts<'_>,
        now: Timestamp,
        nonce: &str,
    ) -> Result<HeaderValue, SignError> {
        let text = self.header(method.as_str(), url, now, nonce)?;
        // Every part is printable ASCII: the clientId and the nonce are checked, the rest is base64.
        let mut value = HeaderValue::try_from(text).map_err(|_| SignError::Nonce)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// The value of the `Authorization` header field as a string, for callers without the types of the
    /// `http` crate.
    ///
    /// # Errors
    ///
    /// As [`sign`](Self::sign), or the method is not a token (RFC 9110 section 9.1).
    pub fn authorization_text(
        &self,
        method: &str,
        url: &UrlParts<'_>,
        now: Timestamp,
        nonce: &str,
    ) -> Result<String, SignError> {
        if method.is_empty() || !method.bytes().all(is_token) {
            return Err(SignError::Method(method.chars().take(32).collect()));
        }
        self.header(method, url, now, nonce)
    }

    /// The value of the `Authorization` header field. `method` is known to be a token.
    fn header(
        &self,
        method: &str,
        url: &UrlParts<'_>,
        now: Timestamp,
        nonce: &str,
    ) -> Result<String, SignError> {
        if !is_attribute_value(nonce) {
            return Err(SignError::Nonce);
        }
        let id = self.client_id.as_str();
        let ts = now.secs();
        let ext = self
            .ext
            .fitting(HEADER, |ext| AuthorizationHeader::written_length(id, ts, nonce, ext))?;
        let (kind, hash) = (Kind::Header, None);
        let artifacts = Artifacts { kind, ts, nonce, method, url: *url, hash, ext };
        Ok(AuthorizationHeader::write(id, ts, nonce, ext, &self.key.mac(&artifacts)))
    }

    /// Signs a URL. Returns `url` without its fragment and with a bewit in its query, which is valid for
    /// GET and HEAD until `expires`.
    ///
    /// ```
    /// use taskcluster_proxy_core::{Timestamp, credentials::{Credentials, Signer}};
    ///
    /// let signer = Signer::new(&Credentials::permanent("tester", "no-secret")?)?;
    /// let url = url::Url::parse("https://tc.example.com/x?y=z")?;
    /// let signed = signer.bewit(&url, Timestamp::from_secs(1_767_229_200))?;
    /// assert!(signed.as_str().starts_with("https://tc.example.com/x?y=z&bewit=dGVz"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `url` is not an absolute http or https URL, contains a user name, or its path and query would be
    /// longer than the services read.
    pub fn bewit(&self, url: &Url, expires: Timestamp) -> Result<Url, SignError> {
        let suffix = self.bewit_suffix(&UrlParts::try_from(url)?, expires)?;
        let mut signed = url.clone();
        signed.set_fragment(None);
        signed.set_query(Some(
            &[url.query().unwrap_or_default(), suffix.trim_start_matches('?')].concat(),
        ));
        Ok(signed)
    }

    /// The text to append to a URL with these parts in order to sign it: the separator (`?` or `&`) and
    /// the bewit parameter.
    ///
    /// # Errors
    ///
    /// The path and query would be longer than the services read.
    pub fn bewit_suffix(
        &self,
        url: &UrlParts<'_>,
        expires: Timestamp,
    ) -> Result<String, SignError> {
        let exp = expires.secs();
        let id = self.client_id.as_str();
        let ext = self.ext.fitting("the path and query of the signed URL", |ext| {
            url.resource.len() + "?bewit=".len() + Bewit::encoded_length(id, exp, ext)
        })?;
        let mac = self.key.mac(&Artifacts {
            kind: Kind::Bewit,
            ts: exp,
            nonce: "",
            method: "GET",
            url: *url,
            hash: None,
            ext,
        });
        Ok(bewit_suffix(url.resource, &Bewit::encode(id, exp, ext, &mac)))
    }
}

/// Whether a byte is allowed in a token (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
