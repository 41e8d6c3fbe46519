use super::{SignError, Signer};
use crate::Timestamp;
use crate::hawk::{HttpUrl, append_bewit, default_port};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Uri};

/// With the types of the `http` crate.
impl Signer {
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
        let (Some(scheme), Some(host)) = (uri.scheme(), uri.host()) else {
            return Err(SignError::NotAbsolute(uri.to_string()));
        };
        let port = uri.port_u16().unwrap_or_else(|| default_port(scheme));
        let resource = uri.path_and_query().map_or("/", |resource| resource.as_str());
        let value = self.header(method, (host, port), resource, now, nonce)?;
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
    /// let signer = Signer::new(&Credentials::permanent("tester", "no-secret")?)?;
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
        let bewit = self.encoded_bewit((url.host(), url.port()), url.resource(), expires)?;
        Ok(append_bewit(&url.to_string(), &bewit))
    }
}
