//! The artifacts that a MAC covers, and their normalized string.

use super::UrlParts;

/// The two kinds of Hawk MACs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The MAC of an `Authorization` header.
    Header,
    /// The MAC of a bewit.
    Bewit,
}

/// The values that a Hawk MAC covers.
///
/// ```
/// use taskcluster_proxy_core::hawk::{Artifacts, Kind, UrlParts};
///
/// let artifacts = Artifacts {
///     kind: Kind::Header,
///     ts: 1_767_225_600,
///     nonce: "j4h3g2",
///     method: "GET",
///     url: UrlParts { host: "tc.example.com", port: 443, resource: "/api/queue/v1/ping" },
///     hash: None,
///     ext: None,
/// };
/// assert_eq!(
///     artifacts.normalized_string(),
///     "hawk.1.header\n1767225600\nj4h3g2\nGET\n/api/queue/v1/ping\ntc.example.com\n443\n\n\n",
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Artifacts<'a> {
    /// Whether the MAC is for a header or a bewit.
    pub kind: Kind,
    /// The time of the request, or the expiry of a bewit, in seconds since the epoch.
    pub ts: u64,
    /// The nonce; empty in a bewit.
    pub nonce: &'a str,
    /// The method, which is signed in upper case; GET in a bewit.
    pub method: &'a str,
    /// The URL of the request. Its host is signed in lower case.
    pub url: UrlParts<'a>,
    /// The payload hash, if there is one. Taskcluster does not use it.
    pub hash: Option<&'a str>,
    /// The application data; with Taskcluster base64 of JSON.
    pub ext: Option<&'a str>,
}

impl Artifacts<'_> {
    /// The text from which the MAC is computed.
    pub fn normalized_string(&self) -> String {
        let ext = self.ext.unwrap_or_default();
        let UrlParts { host, port, resource } = self.url;
        let length = 80 + self.nonce.len() + resource.len() + host.len() + ext.len();
        let mut text = String::with_capacity(length);
        text.push_str(match self.kind {
            Kind::Header => "hawk.1.header\n",
            Kind::Bewit => "hawk.1.bewit\n",
        });
        push_number(&mut text, self.ts);
        text.push('\n');
        text.push_str(self.nonce);
        text.push('\n');
        push_mapped(&mut text, self.method, str::make_ascii_uppercase);
        text.push('\n');
        text.push_str(resource);
        text.push('\n');
        push_mapped(&mut text, host, str::make_ascii_lowercase);
        text.push('\n');
        push_number(&mut text, port.into());
        text.push('\n');
        text.push_str(self.hash.unwrap_or_default());
        text.push('\n');
        push_escaped(&mut text, ext);
        text.push('\n');
        text
    }
}

/// Appends a number in decimal digits. `write!` would be slower, and this runs for every request.
pub(super) fn push_number(text: &mut String, number: u64) {
    text.push_str(itoa::Buffer::new().format(number));
}

/// The number of digits that [`push_number`] appends.
pub(super) fn digits(number: u64) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

fn push_mapped(text: &mut String, part: &str, map: fn(&mut str)) {
    let start = text.len();
    text.push_str(part);
    if let Some(pushed) = text.get_mut(start..) {
        map(pushed);
    }
}

/// Appends `ext` with `\` escaped as `\\` and line feeds as `\n` (Hawk, normalized string).
fn push_escaped(text: &mut String, ext: &str) {
    // With Taskcluster `ext` is base64, which has neither.
    if !ext.bytes().any(|b| b == b'\\' || b == b'\n') {
        return text.push_str(ext);
    }
    for piece in ext.split_inclusive(['\\', '\n']) {
        if let Some(plain) = piece.strip_suffix('\\') {
            text.push_str(plain);
            text.push_str("\\\\");
        } else if let Some(plain) = piece.strip_suffix('\n') {
            text.push_str(plain);
            text.push_str("\\n");
        } else {
            text.push_str(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ext_is_escaped() {
        let artifacts = Artifacts {
            kind: Kind::Bewit,
            ts: u64::MAX,
            nonce: "",
            method: "get",
            url: UrlParts { host: "A", port: 80, resource: "/" },
            hash: Some("h"),
            ext: Some("a\\b\nc\\"),
        };
        assert_eq!(
            artifacts.normalized_string(),
            "hawk.1.bewit\n18446744073709551615\n\nGET\n/\na\n80\nh\na\\\\b\\nc\\\\\n"
        );
    }
}
