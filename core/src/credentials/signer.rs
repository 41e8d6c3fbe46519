use super::ext::Ext;
use super::{ClientId, Credentials};
use crate::Timestamp;
use crate::hawk::{
    Artifacts, AuthorizationHeader, Bewit, HttpUrl, Key, Kind, append_bewit, default_port,
    is_attribute_value,
};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Uri};

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
    #[error("expected a request with an absolute http or https URI, found {0:?}")]
    NotAbsolute(String),
    /// The nonce cannot stand in a header.
    #[error("expected a nonce of printable ASCII characters other than \" and \\")]
    Nonce,
}

impl Signer {
    /// Prepares `credentials`.
    pub fn new(credentials: &Credentials) -> Self {
        Self {
            client_id: credentials.client_id.clone(),
            key: credentials.access_token.key(),
            ext: Ext::new(credentials),
        }
    }

    /// Who signs.
    pub fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// Signs a request: sets its `Authorization` header, for its URI as it stands.
    ///
    /// # Errors
    ///
    /// The URI is not absolute, the nonce cannot stand in a header, or the header would be longer
    /// than the services read, even without the scopes that others satisfy.
    pub fn sign<B>(
        &self,
        request: &mut Request<B>,
        now: Timestamp,
        nonce: &str,
    ) -> Result<(), SignError> {
        let value = self.authorization(request.method().as_str(), request.uri(), now, nonce)?;
        request.headers_mut().insert(AUTHORIZATION, value);
        Ok(())
    }

    /// The `Authorization` header of a request with this method and absolute URI, marked as
    /// sensitive.
    ///
    /// # Errors
    ///
    /// As [`sign`](Self::sign).
    pub fn authorization(
        &self,
        method: &str,
        uri: &Uri,
        now: Timestamp,
        nonce: &str,
    ) -> Result<HeaderValue, SignError> {
        if !is_attribute_value(nonce) {
            return Err(SignError::Nonce);
        }
        let (Some(scheme), Some(host)) = (uri.scheme(), uri.host()) else {
            return Err(SignError::NotAbsolute(uri.to_string()));
        };
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
            resource: uri.path_and_query().map_or("/", |resource| resource.as_str()),
            host,
            port: uri.port_u16().unwrap_or_else(|| default_port(scheme)),
            hash: None,
            ext,
        });
        let value = AuthorizationHeader::write(id, ts, nonce, ext, &mac);
        // Every part is printable ASCII, as ClientId, base64 and the check of the nonce make sure.
        let mut value = HeaderValue::try_from(value).map_err(|_| SignError::Nonce)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Signs a URL: `url` with a bewit in its query, good for GET and HEAD until `expires`.
    ///
    /// ```
    /// use taskcluster_proxy_core::{Timestamp, credentials::{Credentials, Signer}, hawk::HttpUrl};
    ///
    /// let signer = Signer::new(&Credentials::permanent("tester", "no-secret")?);
    /// let url = HttpUrl::parse("https://tc.example.com/x?y=z")?;
    /// let signed = signer.bewit(&url, Timestamp::from_secs(1_767_229_200))?;
    /// assert!(signed.starts_with("https://tc.example.com/x?y=z&bewit=dGVz"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Its path and query would be longer than the services read.
    pub fn bewit(&self, url: &HttpUrl, expires: Timestamp) -> Result<String, SignError> {
        let exp = expires.secs();
        let id = self.client_id.as_str();
        let ext = self.ext.fitting("the path and query of the signed URL", |ext| {
            url.resource().len() + "?bewit=".len() + Bewit::encoded_length(id, exp, ext)
        })?;
        let mac = self.key.mac(&Artifacts {
            kind: Kind::Bewit,
            ts: exp,
            nonce: "",
            method: "GET",
            resource: url.resource(),
            host: url.host(),
            port: url.port(),
            hash: None,
            ext,
        });
        Ok(append_bewit(&url.to_string(), &Bewit::encode(id, exp, ext, &mac)))
    }
}
