//! Signing with credentials.

use super::ext::Ext;
use super::{ClientId, Credentials, CredentialsFinding};
use crate::Timestamp;
use crate::escaped::Escaped;
use crate::hawk::{
    Artifacts, AuthorizationHeader, Bewit, Key, Kind, UrlParts, bewit_suffix, is_attribute_value,
};

/// Credentials made ready to sign with: the key prepared, `ext` encoded.
#[derive(Debug)]
pub struct Signer {
    client_id: ClientId,
    key: Key,
    ext: Ext,
}

/// Why something cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The services would refuse it for its length, with a 401 that does not say why.
    #[error(
        "{what} would be {length} characters long, and Taskcluster's services read at most {limit}; \
         {ext} of them are the certificate and the authorizedScopes: use fewer scopes, scopes that \
         end in *, or a role that stands for them (assume:<role>)"
    )]
    TooLong {
        /// `the Authorization header` or `the path and query of the signed URL`.
        what: &'static str,
        /// Its length in characters, with every scope left out that others satisfy.
        length: usize,
        /// The most that the services read.
        limit: usize,
        /// How much of it is `ext`.
        ext: usize,
    },
    /// The request's URI is not absolute.
    #[error("expected a request with an absolute http or https URI, found \"{}\"", Escaped(.0))]
    NotAbsolute(String),
    /// The method is not one.
    #[error("expected a method such as GET, found \"{}\"", Escaped(.0))]
    Method(String),
    /// The nonce cannot stand in a header.
    #[error("expected a nonce of printable ASCII characters other than \" and \\")]
    Nonce,
}

/// A timestamp as long as those of these centuries.
const TEN_DIGITS: u64 = 1_000_000_000;
/// A nonce as long as the proxy's.
const SIXTEEN_CHARACTERS: &str = "0123456789abcdef";

impl SignError {
    /// The `code` that callers of Taskcluster's services would see.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "AuthorizationTooLong",
            Self::NotAbsolute(_) | Self::Method(_) | Self::Nonce => "InputError",
        }
    }
}

impl Signer {
    /// Prepares `credentials`.
    ///
    /// # Errors
    ///
    /// Nothing can be signed with them: the certificate is not a JSON object, or the clientId cannot
    /// stand in a header.
    pub fn new(credentials: &Credentials) -> Result<Self, CredentialsFinding> {
        if let Some(finding) = credentials.obstacle() {
            return Err(finding);
        }
        Ok(Self {
            client_id: credentials.client_id.clone(),
            key: credentials.access_token.key(),
            ext: Ext::new(credentials),
        })
    }

    /// Who signs.
    pub fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// Whether `Authorization` headers carry all authorizedScopes, and not only those that no other one of
    /// them satisfies, which is how more of them fit. Nonces are taken to have 16 characters.
    pub fn sends_all_scopes(&self) -> bool {
        let fitting = self.ext.fitting("the Authorization header", |ext| {
            let id = self.client_id.as_str();
            AuthorizationHeader::written_length(id, TEN_DIGITS, SIXTEEN_CHARACTERS, ext)
        });
        fitting.is_ok_and(|ext| self.ext.is_full(ext))
    }

    /// The `Authorization` header of a request with this method to `url`.
    ///
    /// ```
    /// use taskcluster_proxy_core::{Timestamp, credentials::{Credentials, Signer}, hawk::UrlParts};
    ///
    /// let signer = Signer::new(&Credentials::permanent("tester", "no-secret")?)?;
    /// let url = UrlParts::as_sent("https://tc.example.com/api/queue/v1/ping")?;
    /// let now = Timestamp::from_secs(1_767_225_600);
    /// let header = signer.authorization_parts("GET", &url, now, "j4h3g2")?;
    /// assert!(header.ends_with(r#"mac="0hOgWf+NRdfYUYI/LS2mwQmwn2mTR38sOOlzIBWpXts=""#));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The method is not a token (RFC 9110 section 9.1), the nonce cannot stand in a header, or the
    /// header would be longer than the services read, even without the scopes that others satisfy.
    pub fn authorization_parts(
        &self,
        method: &str,
        url: &UrlParts<'_>,
        now: Timestamp,
        nonce: &str,
    ) -> Result<String, SignError> {
        if method.is_empty() || !method.bytes().all(is_token) {
            return Err(SignError::Method(method.chars().take(32).collect()));
        }
        let UrlParts { host, resource, .. } = *url;
        self.header(method, (host, url.port()), resource, now, nonce)
    }

    /// Signs a URL: what makes it good for GET and HEAD until `expires` when it is appended to `url`.
    ///
    /// # Errors
    ///
    /// Its path and query would be longer than the services read.
    pub fn bewit_suffix(
        &self,
        url: &UrlParts<'_>,
        expires: Timestamp,
    ) -> Result<String, SignError> {
        let bewit = self.encoded_bewit((url.host, url.port()), url.resource, expires)?;
        Ok(bewit_suffix(url.resource, &bewit))
    }

    pub(super) fn header(
        &self,
        method: &str,
        (host, port): (&str, u16),
        resource: &str,
        now: Timestamp,
        nonce: &str,
    ) -> Result<String, SignError> {
        if !is_attribute_value(nonce) {
            return Err(SignError::Nonce);
        }
        let id = self.client_id.as_str();
        let ts = now.secs();
        let ext = self.ext.fitting("the Authorization header", |ext| {
            AuthorizationHeader::written_length(id, ts, nonce, ext)
        })?;
        let mac = self.key.mac(&Artifacts {
            kind: Kind::Header,
            ts,
            nonce,
            method,
            resource,
            host,
            port,
            hash: None,
            ext,
        });
        Ok(AuthorizationHeader::write(id, ts, nonce, ext, &mac))
    }

    pub(super) fn encoded_bewit(
        &self,
        (host, port): (&str, u16),
        resource: &str,
        expires: Timestamp,
    ) -> Result<String, SignError> {
        let exp = expires.secs();
        let id = self.client_id.as_str();
        let ext = self.ext.fitting("the path and query of the signed URL", |ext| {
            resource.len() + "?bewit=".len() + Bewit::encoded_length(id, exp, ext)
        })?;
        let mac = self.key.mac(&Artifacts {
            kind: Kind::Bewit,
            ts: exp,
            nonce: "",
            method: "GET",
            resource,
            host,
            port,
            hash: None,
            ext,
        });
        Ok(Bewit::encode(id, exp, ext, &mac))
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
