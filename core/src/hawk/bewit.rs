//! The bewit: encoding and decoding it, adding it to a URL and removing it.

use super::artifacts::{digits, push_number};
use super::mac::MAC_LENGTH;
use super::{HawkError, Mac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;

/// The four parts of a bewit, a signature in the query of a URL.
///
/// ```
/// use taskcluster_proxy_core::hawk::Bewit;
///
/// let bewit = Bewit::decode("dGVzdGVyXDE3NjcyMjkyMDBcTT1c")?;
/// assert_eq!((bewit.id.as_str(), bewit.exp, bewit.mac.as_str()), ("tester", 1_767_229_200, "M="));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Bewit {
    /// The clientId.
    pub id: String,
    /// The time at which it expires, in seconds since the epoch.
    pub exp: u64,
    /// The MAC in standard base64, not verified.
    pub mac: String,
    /// The application data; empty if there is none.
    pub ext: String,
}

/// Leaves out the MAC, with which anyone can use the bewit, and `ext`, which may contain a certificate.
impl fmt::Debug for Bewit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bewit")
            .field("id", &self.id)
            .field("exp", &self.exp)
            .finish_non_exhaustive()
    }
}

impl Bewit {
    /// Reads the value of a `bewit` parameter.
    ///
    /// # Errors
    ///
    /// As npm `hawk` 9: the value is not base64url, does not have four parts, or one of the first three
    /// is empty.
    pub fn decode(encoded: &str) -> Result<Self, HawkError> {
        let decoded = URL_SAFE_NO_PAD
            .decode(encoded)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| HawkError::bad_request("Invalid bewit encoding"))?;
        let mut parts = decoded.split('\\');
        let (Some(id), Some(exp), Some(mac), Some(ext), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(HawkError::bad_request("Invalid bewit structure"));
        };
        match exp.parse() {
            Ok(exp) if !id.is_empty() && !mac.is_empty() => {
                Ok(Self { id: id.into(), exp, mac: mac.into(), ext: ext.into() })
            }
            _ => Err(HawkError::bad_request("Missing bewit attributes")),
        }
    }

    /// The length in bytes of the result of [`encode`](Self::encode) for these parts.
    pub(crate) fn encoded_length(id: &str, exp: u64, ext: Option<&str>) -> usize {
        let decoded = id.len() + digits(exp) + MAC_LENGTH + ext.map_or(0, str::len) + 3;
        (decoded * 4).div_ceil(3)
    }

    /// The value of a `bewit` parameter with these parts.
    pub(crate) fn encode(id: &str, exp: u64, ext: Option<&str>, mac: &Mac) -> String {
        let ext = ext.unwrap_or_default();
        // There are always three backslashes, even if `ext` is empty (docs/protocol.md, "Bewit"). `format!`
        // is avoided because it takes as long as the MAC.
        let mut decoded = String::with_capacity(id.len() + 20 + MAC_LENGTH + ext.len() + 3);
        decoded.push_str(id);
        decoded.push('\\');
        push_number(&mut decoded, exp);
        decoded.push('\\');
        mac.push_to(&mut decoded);
        decoded.push('\\');
        decoded.push_str(ext);
        URL_SAFE_NO_PAD.encode(decoded)
    }
}

/// Appends the bewit to `resource` (path and query), which is not changed otherwise.
///
/// ```
/// use taskcluster_proxy_core::hawk::append_bewit;
///
/// assert_eq!(append_bewit("/x", "b"), "/x?bewit=b");
/// assert_eq!(append_bewit("/x?flag", "b"), "/x?flag&bewit=b");
/// ```
pub fn append_bewit(resource: &str, bewit: &str) -> String {
    let mut signed = resource.to_owned();
    signed.push_str(&bewit_suffix(resource, bewit));
    signed
}

/// The text that [`append_bewit`] appends.
pub(crate) fn bewit_suffix(resource: &str, bewit: &str) -> String {
    let first = if resource.contains('?') { "&bewit=" } else { "?bewit=" };
    let mut suffix = String::with_capacity(first.len() + bewit.len());
    suffix.push_str(first);
    suffix.push_str(bewit);
    suffix
}

/// Removes the bewit from a path and query. Returns the path and query that was signed and the encoded
/// bewit, or `None` if there is no bewit.
///
/// The last `bewit` parameter counts, as in npm `hawk` 9.
///
/// ```
/// use taskcluster_proxy_core::hawk::split_bewit;
///
/// assert_eq!(split_bewit("/x?a=1&bewit=b&c=2"), Some(("/x?a=1&c=2".into(), "b")));
/// assert_eq!(split_bewit("/x?bewit=b"), Some(("/x".into(), "b")));
/// assert_eq!(split_bewit("/x?a=1"), None);
/// ```
pub fn split_bewit(resource: &str) -> Option<(String, &str)> {
    let mut separators = resource.rmatch_indices(['?', '&']);
    let (before, parameter, value) = separators.find_map(|(at, _)| {
        let (before, parameter) = resource.split_at_checked(at)?;
        Some((before, parameter, parameter.get(1..)?.strip_prefix("bewit=")?))
    })?;
    let (bewit, after) = match value.split_once('&') {
        None => (value, None),
        Some((bewit, after)) => (bewit, Some(after)),
    };
    // npm hawk's regular expression matches neither a value with `$` nor a `&` at the end.
    if bewit.contains('$') || after == Some("") {
        return None;
    }
    let signed = match after {
        None => before.to_owned(),
        Some(after) => format!("{before}{}{after}", parameter.get(..1)?),
    };
    Some((signed, bewit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bewit_counts_and_odd_ones_do_not() {
        assert_eq!(split_bewit("/x?bewit=a&y=1&bewit=b&z"), Some(("/x?bewit=a&y=1&z".into(), "b")));
        assert_eq!(split_bewit("/x?bewit=&a"), Some(("/x?a".into(), "")));
        assert_eq!(split_bewit("/x?bewit=b&"), None);
        assert_eq!(split_bewit("/x?bewit=b$"), None);
        assert_eq!(split_bewit("/bewit=b"), None);
    }

    #[test]
    fn the_encoded_length_is_exact() {
        let mac = super::super::Key::new("k").mac_of(b"");
        for (id, exp, ext) in [("a", 0, None), ("ab", 10, Some("e")), ("abc", 99, Some("ext"))] {
            let encoded = Bewit::encode(id, exp, ext, &mac);
            assert_eq!(encoded.len(), Bewit::encoded_length(id, exp, ext));
        }
    }

    #[test]
    fn errors_give_the_reason() {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        for (encoded, expected) in [
            ("***".to_owned(), "Bad Request: Invalid bewit encoding"),
            (URL_SAFE_NO_PAD.encode([0xff]), "Bad Request: Invalid bewit encoding"),
            (encode("a\\1\\m"), "Bad Request: Invalid bewit structure"),
            (encode("a\\1\\m\\e\\f"), "Bad Request: Invalid bewit structure"),
            (encode("\\1\\m\\"), "Bad Request: Missing bewit attributes"),
            (encode("a\\\\m\\"), "Bad Request: Missing bewit attributes"),
            (encode("a\\x\\m\\"), "Bad Request: Missing bewit attributes"),
            (encode("a\\1\\\\"), "Bad Request: Missing bewit attributes"),
        ] {
            assert_eq!(Bewit::decode(&encoded).unwrap_err().to_string(), expected, "{encoded}");
        }
    }
}
