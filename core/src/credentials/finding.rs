//! What looks wrong about credentials that a launcher passed and that are used unchecked.

use super::{CERTIFICATE_SKEW, JsonError};
use crate::Timestamp;
use std::fmt;
use std::time::Duration;

/// Something that looks wrong about credentials.
///
/// Its text names the part of the credentials, the problem and the consequence. The log, `--check`,
/// `/status` and the diagnosis of a refused request contain the same text. It never repeats a value.
///
/// ```
/// use taskcluster_proxy_core::{Timestamp, credentials::Credentials};
///
/// let credentials = Credentials::unchecked("tester", "no-secret", "nonsense");
/// let [finding] = &credentials.findings(Timestamp::from_secs(1_767_225_600))[..] else { panic!() };
/// assert!(finding.to_string().starts_with("the certificate is not a JSON object"));
/// assert!(finding.prevents_signing());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialsFinding {
    /// The clientId is empty.
    EmptyClientId,
    /// The clientId has characters that a Hawk header cannot hold.
    ClientIdCharacters,
    /// The clientId alone makes the `Authorization` header longer than the services read.
    ClientIdLength,
    /// The accessToken is empty.
    EmptyAccessToken,
    /// The accessToken has characters that no service issues, such as a line feed at its end.
    AccessTokenCharacters,
    /// The certificate is not a JSON object.
    CertificateNotAnObject(JsonError),
    /// Members of the certificate are not what the services expect.
    CertificateMembers(Vec<JsonError>),
    /// The certificate has expired.
    Expired {
        /// The time at which it expired.
        expiry: Timestamp,
        /// The time since then.
        ago: Duration,
    },
    /// The certificate is not valid yet.
    NotYetValid {
        /// The time from which it is valid.
        start: Timestamp,
        /// The time until then.
        ahead: Duration,
    },
}

impl CredentialsFinding {
    /// The finding for a certificate with these dates at `now`. It tolerates the same
    /// [clock skew](CERTIFICATE_SKEW) at both ends as the services.
    pub(crate) fn from_dates(
        start: Option<Timestamp>,
        expiry: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Self> {
        match (start, expiry) {
            (_, Some(expiry)) if expiry < now.minus(CERTIFICATE_SKEW) => {
                Some(Self::Expired { expiry, ago: now.distance(expiry) })
            }
            (Some(start), _) if start > now.plus(CERTIFICATE_SKEW) => {
                Some(Self::NotYetValid { start, ahead: start.distance(now) })
            }
            _ => None,
        }
    }

    /// Whether requests cannot be signed, so that each gets 500 until the credentials are replaced.
    /// With any other finding requests are signed, and the services decide.
    pub fn prevents_signing(&self) -> bool {
        matches!(
            self,
            Self::ClientIdCharacters | Self::ClientIdLength | Self::CertificateNotAnObject(_)
        )
    }

    /// The part of the credentials that it is about, by its name in `PUT /credentials`.
    pub fn credential(&self) -> &'static str {
        match self {
            Self::EmptyClientId | Self::ClientIdCharacters | Self::ClientIdLength => "clientId",
            Self::EmptyAccessToken | Self::AccessTokenCharacters => "accessToken",
            Self::CertificateNotAnObject(_)
            | Self::CertificateMembers(_)
            | Self::Expired { .. }
            | Self::NotYetValid { .. } => "certificate",
        }
    }
}

impl fmt::Display for CredentialsFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} ", self.credential())?;
        match self {
            Self::EmptyClientId | Self::EmptyAccessToken => f.write_str("is empty")?,
            Self::ClientIdCharacters => f.write_str(
                "has characters that a Hawk header cannot hold (\", \\, or other than printable ASCII)",
            )?,
            Self::ClientIdLength => {
                f.write_str("is longer than the services read (an Authorization header of 4096)")?;
            }
            Self::AccessTokenCharacters => {
                f.write_str("has white space or characters other than printable ASCII")?;
            }
            Self::CertificateNotAnObject(error) => write!(f, "is not a JSON object ({error})")?,
            Self::CertificateMembers(errors) => {
                f.write_str("is not as the services expect it (")?;
                for (index, error) in errors.iter().enumerate() {
                    write!(f, "{}{error}", if index > 0 { "; " } else { "" })?;
                }
                f.write_str(")")?;
            }
            Self::Expired { expiry, ago } => {
                write!(f, "expired {} ago, at {}", HumanDuration(*ago), expiry.to_rfc3339())?;
            }
            Self::NotYetValid { start, ahead } => {
                let start = start.to_rfc3339();
                write!(f, "is not valid before {start}, in {}", HumanDuration(*ahead))?;
            }
        }
        f.write_str(match self {
            _ if self.prevents_signing() => {
                ": nothing can be signed with it, and each request gets 500 until it is replaced"
            }
            Self::NotYetValid { .. } => {
                ": requests are signed with it, and the services refuse them until then"
            }
            _ => {
                ": requests are signed with it as it is, and the services are likely to refuse them \
                 until it is replaced"
            }
        })
    }
}

/// A finding that prevents signing is the error of [`Signer::new`](super::Signer::new).
impl std::error::Error for CredentialsFinding {}

/// Displays a duration in its two largest units, such as `1h 5min`.
pub(crate) struct HumanDuration(pub(crate) Duration);

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs();
        let [days, hours, minutes] = [secs / 86_400, secs / 3600 % 24, secs / 60 % 60];
        let (first, second) = match (days, hours, minutes) {
            (1.., _, _) => ((days, "d"), (hours, "h")),
            (0, 1.., _) => ((hours, "h"), (minutes, "min")),
            (0, 0, 1..) => ((minutes, "min"), (secs % 60, "s")),
            (0, 0, 0) => ((secs, "s"), (0, "")),
        };
        write!(f, "{}{}", first.0, first.1)?;
        match second {
            (0, _) => Ok(()),
            (count, unit) => write!(f, " {count}{unit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_skew_is_tolerated_as_by_the_services() {
        let now = Timestamp::from_secs(1_767_225_600);
        let second = Duration::from_secs(1);
        let ended = now.minus(CERTIFICATE_SKEW);
        let begins = now.plus(CERTIFICATE_SKEW);
        let dates = CredentialsFinding::from_dates;
        assert_eq!(dates(None, None, now), None);
        assert_eq!(dates(Some(begins), Some(ended), now), None);
        let expired = dates(Some(ended), Some(ended.minus(second)), now).unwrap().to_string();
        let expected = "the certificate expired 5min 1s ago, at 2025-12-31T23:54:59.000Z: requests";
        assert!(expired.starts_with(expected), "{expired}");
        let early = dates(Some(begins.plus(second)), None, now).unwrap().to_string();
        let expected =
            "the certificate is not valid before 2026-01-01T00:05:01.000Z, in 5min 1s: requests";
        assert!(early.starts_with(expected), "{early}");
    }
}
