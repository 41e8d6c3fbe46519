//! The `Authorization` header field: writing and parsing it.

use super::artifacts::{digits, push_number};
use super::mac::MAC_LENGTH;
use super::{HawkError, Mac, is_attribute_value};
use std::fmt;

/// The attributes of a received Hawk `Authorization` header.
///
/// ```
/// use taskcluster_proxy_core::hawk::AuthorizationHeader;
///
/// let header = AuthorizationHeader::parse(r#"Hawk id="tester", ts="1", nonce="n", mac="m=""#)?;
/// assert_eq!((header.id, header.ts, header.ext), ("tester", 1, None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AuthorizationHeader<'a> {
    /// The clientId.
    pub id: &'a str,
    /// The time of the request, in seconds since the epoch.
    pub ts: u64,
    /// The nonce, which makes the signatures of two requests in the same second differ.
    pub nonce: &'a str,
    /// The MAC in base64, not verified.
    pub mac: &'a str,
    /// The payload hash, if any.
    pub hash: Option<&'a str>,
    /// The application data, if any.
    pub ext: Option<&'a str>,
}

/// Leaves out the MAC, with which anyone can send the request again, and `ext`, which may contain a
/// certificate.
impl fmt::Debug for AuthorizationHeader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationHeader")
            .field("id", &self.id)
            .field("ts", &self.ts)
            .field("nonce", &self.nonce)
            .finish_non_exhaustive()
    }
}

const ATTRIBUTES: [&str; 8] = ["id", "ts", "nonce", "hash", "ext", "mac", "app", "dlg"];

impl<'a> AuthorizationHeader<'a> {
    /// Reads the value of an `Authorization` header.
    ///
    /// # Errors
    ///
    /// As npm `hawk` 9: the value is longer than [`MAX_MATCH_LENGTH`](super::MAX_MATCH_LENGTH) or has
    /// another scheme, an attribute is unknown, repeated or has characters that are not allowed, or
    /// `id`, `ts`, `nonce` or `mac` is missing.
    pub fn parse(value: &'a str) -> Result<Self, HawkError> {
        if value.len() > super::MAX_MATCH_LENGTH {
            return Err(HawkError::bad_request("Header length too long"));
        }
        let (scheme, attributes) = split_scheme(value)?;
        if !scheme.eq_ignore_ascii_case("hawk") {
            return Err(HawkError::unauthorized(""));
        }
        if attributes.is_empty() {
            return Err(HawkError::bad_request("Invalid header syntax"));
        }
        let mut found: [Option<&'a str>; 8] = [None; 8];
        let mut rest = attributes;
        while !rest.is_empty() {
            let (name, value, after) =
                next_attribute(rest).ok_or_else(|| HawkError::bad_request("Bad header format"))?;
            let slot = ATTRIBUTES
                .iter()
                .position(|known| *known == name)
                .and_then(|index| found.get_mut(index))
                .ok_or_else(|| HawkError::bad_request(format!("Unknown attribute: {name}")))?;
            if !is_attribute_value(value) {
                return Err(HawkError::bad_request(format!("Bad attribute value: {name}")));
            }
            if slot.replace(value).is_some() {
                return Err(HawkError::bad_request(format!("Duplicate attribute: {name}")));
            }
            rest = after;
        }
        match found {
            [Some(id), Some(ts), Some(nonce), hash, ext, Some(mac), ..] => {
                Ok(Self { id, ts: parse_seconds(ts)?, nonce, mac, hash, ext })
            }
            _ => Err(HawkError::bad_request("Missing attributes")),
        }
    }

    /// The length in bytes of the header value with these attributes.
    pub(crate) fn written_length(id: &str, ts: u64, nonce: &str, ext: Option<&str>) -> usize {
        let frame = r#"Hawk id="", ts="", nonce="", mac="""#.len();
        let ext = ext.map_or(0, |ext| r#", ext="""#.len() + ext.len());
        frame + id.len() + digits(ts) + nonce.len() + ext + MAC_LENGTH
    }

    /// The header value with these attributes, whose characters are known to be valid.
    pub(crate) fn write(id: &str, ts: u64, nonce: &str, ext: Option<&str>, mac: &Mac) -> String {
        let mut value = String::with_capacity(Self::written_length(id, ts, nonce, ext));
        value.push_str("Hawk id=\"");
        value.push_str(id);
        value.push_str("\", ts=\"");
        push_number(&mut value, ts);
        value.push_str("\", nonce=\"");
        value.push_str(nonce);
        if let Some(ext) = ext {
            value.push_str("\", ext=\"");
            value.push_str(ext);
        }
        value.push_str("\", mac=\"");
        mac.push_to(&mut value);
        value.push('"');
        value
    }
}

/// Splits a header value into scheme and attributes, as `^(\w+)(?:\s+(.*))?$`. The value may be empty.
fn split_scheme(value: &str) -> Result<(&str, &str), HawkError> {
    let (scheme, attributes) = value.split_once([' ', '\t']).unwrap_or((value, ""));
    if !value.is_empty() && (scheme.is_empty() || !scheme.bytes().all(is_word)) {
        return Err(HawkError::bad_request("Invalid header syntax"));
    }
    Ok((scheme, attributes.trim_start_matches([' ', '\t'])))
}

/// Splits off the first attribute, as `(\w+)="([^"\\]*)"\s*(?:,\s*|$)`: its name, its value and the rest.
fn next_attribute(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once('=')?;
    let (value, rest) = rest.strip_prefix('"')?.split_once('"')?;
    if name.is_empty() || !name.bytes().all(is_word) || value.contains('\\') {
        return None;
    }
    let rest = rest.trim_start_matches([' ', '\t']);
    let rest = match rest.strip_prefix(',') {
        Some(rest) => rest.trim_start_matches([' ', '\t']),
        None if rest.is_empty() => rest,
        None => return None,
    };
    Some((name, value, rest))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Parses `ts`. Only the plain decimal form is accepted: the MAC covers the text of `ts`, which is
/// written from the number again.
fn parse_seconds(ts: &str) -> Result<u64, HawkError> {
    let plain = ts.bytes().all(|b| b.is_ascii_digit()) && (ts == "0" || !ts.starts_with('0'));
    ts.parse()
        .ok()
        .filter(|_| plain)
        .ok_or_else(|| HawkError::bad_request("Bad attribute value: ts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(value: &str) -> String {
        AuthorizationHeader::parse(value).unwrap_err().to_string()
    }

    #[test]
    fn reads_every_attribute_in_any_order_and_spacing() {
        let value = "hawk  mac=\"m\" ,\text=\"e\",hash=\"h\", app=\"a\", dlg=\"d\", nonce=\"n\",ts=\"12\", id=\"i d\" ,";
        let header = AuthorizationHeader::parse(value).unwrap();
        let expected = AuthorizationHeader {
            id: "i d",
            ts: 12,
            nonce: "n",
            mac: "m",
            hash: Some("h"),
            ext: Some("e"),
        };
        assert_eq!(header, expected);
    }

    #[test]
    fn errors_give_the_reason() {
        let long = format!("Hawk id=\"{}\"", "x".repeat(4096));
        for (value, expected) in [
            ("", "Unauthorized"),
            (" ", "Bad Request: Invalid header syntax"),
            ("Basic", "Unauthorized"),
            ("Hawk", "Bad Request: Invalid header syntax"),
            ("Hawk ", "Bad Request: Invalid header syntax"),
            ("Ha-wk id=\"1\"", "Bad Request: Invalid header syntax"),
            ("Basic abc", "Unauthorized"),
            ("Hawk abc", "Bad Request: Bad header format"),
            ("Hawk id=\"1\" ts=\"1\"", "Bad Request: Bad header format"),
            ("Hawk id=\"1", "Bad Request: Bad header format"),
            ("Hawk id=\"a\\b\"", "Bad Request: Bad header format"),
            ("Hawk who=\"1\"", "Bad Request: Unknown attribute: who"),
            ("Hawk id=\"\"", "Bad Request: Bad attribute value: id"),
            ("Hawk id=\"é\"", "Bad Request: Bad attribute value: id"),
            ("Hawk id=\"1\", id=\"1\"", "Bad Request: Duplicate attribute: id"),
            ("Hawk id=\"1\", ts=\"1\", nonce=\"n\"", "Bad Request: Missing attributes"),
            (&long, "Bad Request: Header length too long"),
        ] {
            assert_eq!(reason(value), expected, "{value}");
        }
        for ts in ["-1", "+1", "01", "1.0", "x", "18446744073709551616"] {
            let value = format!("Hawk id=\"1\", ts=\"{ts}\", nonce=\"n\", mac=\"m\"");
            assert_eq!(reason(&value), "Bad Request: Bad attribute value: ts", "{ts}");
        }
    }

    #[test]
    fn the_written_length_is_exact() {
        let mac = super::super::Key::new("k").mac_of(b"");
        for ext in [None, Some("ZXh0")] {
            for ts in [0, 9, 10, 1_767_225_600] {
                let value = AuthorizationHeader::write("id", ts, "nonce", ext, &mac);
                assert_eq!(
                    value.len(),
                    AuthorizationHeader::written_length("id", ts, "nonce", ext)
                );
                assert_eq!(AuthorizationHeader::parse(&value).unwrap().ext, ext);
            }
        }
    }
}
