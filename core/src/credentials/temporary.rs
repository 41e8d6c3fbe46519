//! Issuing temporary credentials.

use super::{Certificate, CertificateText, ClientId, Credentials, Scope};
use crate::Timestamp;
use std::time::Duration;

/// The longest lifetime of temporary credentials.
pub(super) const MAX_DURATION: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// The parameters of temporary credentials to issue.
///
/// ```
/// use taskcluster_proxy_core::Timestamp;
/// use taskcluster_proxy_core::credentials::{Credentials, Scope, TemporaryCredentials};
///
/// let issuer = Credentials::permanent("tester", "no-secret")?;
/// let temporary = TemporaryCredentials {
///     name: None,
///     scopes: vec![Scope::new("test:*")?],
///     start: Timestamp::from_secs(1_767_225_600),
///     expiry: Timestamp::from_secs(1_767_229_200),
///     seed: "Zk3Qw8VbT5ShR1Lx0YcNdAeJ7mUo2PfGi9HtXyBw4KsE".into(), // two v4 slugids, random
/// }
/// .issue(&issuer)?;
/// assert_eq!(temporary.client_id.as_str(), "tester");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TemporaryCredentials {
    /// The clientId of named credentials; the issuer needs `auth:create-client:<name>`. `None` for
    /// unnamed credentials, which have the issuer's clientId.
    pub name: Option<ClientId>,
    /// The scopes of the credentials.
    pub scopes: Vec<Scope>,
    /// The start of the validity. The services tolerate 5 minutes of clock skew.
    pub start: Timestamp,
    /// The end of the validity, at most 31 days after `start`.
    pub expiry: Timestamp,
    /// 44 random characters: two v4 slugids.
    pub seed: String,
}

/// Why temporary credentials cannot be issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemporaryError {
    /// The issuer's credentials are temporary themselves.
    #[error("temporary credentials cannot issue temporary credentials: permanent ones are needed")]
    TemporaryIssuer,
    /// The expiry is not after the start.
    #[error("expected an expiry after the start, found one at or before it")]
    Backwards,
    /// The lifetime is too long.
    #[error("expected an expiry at most 31 days after the start, found one {0} seconds after it")]
    TooLong(u64),
    /// The seed is invalid.
    #[error("expected a seed of 44 URL-safe base64 characters (two slugids)")]
    Seed,
    /// The name is the issuer's clientId.
    #[error(
        "expected a name that differs from the issuer's clientId; leave it out for unnamed ones"
    )]
    Name,
}

impl TemporaryCredentials {
    /// Issues temporary credentials with the accessToken of `issuer`.
    ///
    /// # Errors
    ///
    /// The issuer's credentials are temporary, the lifetime is empty or longer than 31 days, the seed
    /// is invalid, or the name is the issuer's clientId.
    pub fn issue(self, issuer: &Credentials) -> Result<Credentials, TemporaryError> {
        if issuer.certificate.is_some() {
            return Err(TemporaryError::TemporaryIssuer);
        }
        if self.expiry <= self.start {
            return Err(TemporaryError::Backwards);
        }
        let lifetime = self.expiry.distance(self.start);
        if lifetime > MAX_DURATION {
            let rounded_up = lifetime + Duration::from_millis(999);
            return Err(TemporaryError::TooLong(rounded_up.as_secs()));
        }
        if self.seed.len() != 44 || !self.seed.bytes().all(is_url_safe) {
            return Err(TemporaryError::Seed);
        }
        if self.name.as_ref() == Some(&issuer.client_id) {
            return Err(TemporaryError::Name);
        }
        let key = issuer.access_token.key();
        let named_by = self.name.as_ref().map(|_| issuer.client_id.clone());
        let client_id = self.name.unwrap_or_else(|| issuer.client_id.clone());
        let lifetime = [self.start, self.expiry];
        let certificate =
            Certificate::issue(&key, &client_id, named_by, self.scopes, lifetime, self.seed);
        Ok(Credentials {
            client_id,
            access_token: certificate.access_token(&key),
            certificate: Some(CertificateText::from_issued(certificate)),
        })
    }
}

fn is_url_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> TemporaryCredentials {
        TemporaryCredentials {
            name: None,
            scopes: Vec::new(),
            start: Timestamp::from_secs(1_000),
            expiry: Timestamp::from_secs(1_000).plus(MAX_DURATION),
            seed: "s".repeat(44),
        }
    }

    #[test]
    fn rejects_what_the_services_would_reject() {
        let issuer = Credentials::permanent("issuer", "no-secret").unwrap();
        let temporary = parameters().issue(&issuer).unwrap();
        let start = parameters().start;
        for (parameters, issuer, expected) in [
            (parameters(), &temporary, TemporaryError::TemporaryIssuer),
            (
                TemporaryCredentials { expiry: start, ..parameters() },
                &issuer,
                TemporaryError::Backwards,
            ),
            (
                TemporaryCredentials { start: Timestamp::from_secs(999), ..parameters() },
                &issuer,
                TemporaryError::TooLong(2_678_401),
            ),
            (
                TemporaryCredentials { start: Timestamp::from_millis(999_999), ..parameters() },
                &issuer,
                TemporaryError::TooLong(2_678_401),
            ),
            (
                TemporaryCredentials { seed: "s".into(), ..parameters() },
                &issuer,
                TemporaryError::Seed,
            ),
            (
                TemporaryCredentials { seed: "\n".repeat(44), ..parameters() },
                &issuer,
                TemporaryError::Seed,
            ),
            (
                TemporaryCredentials { name: Some(issuer.client_id.clone()), ..parameters() },
                &issuer,
                TemporaryError::Name,
            ),
        ] {
            assert_eq!(parameters.issue(issuer).unwrap_err(), expected);
        }
    }
}
