use crate::credentials::{Credentials, Scope, scopes_to_json};
use http::Uri;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};

/// Headers that are meant for the next hop alone (RFC 9110 section 7.6.1, and section 11.7 for
/// those that authenticate to a proxy).
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("keep-alive"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes what is meant for this hop alone: the fixed list, `Connection`, and all that
/// `Connection` names; and a `Content-Length` beside `Transfer-Encoding`, which counts for nothing
/// (RFC 9112 section 6.3). Done before signing, so that `Connection: Authorization` strips nothing
/// of ours.
///
/// ```
/// use http::{HeaderMap, HeaderValue};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("connection", HeaderValue::from_static("close, X-Hop"));
/// headers.insert("x-hop", HeaderValue::from_static("1"));
/// headers.insert("accept", HeaderValue::from_static("*/*"));
/// taskcluster_proxy_core::proxy::strip_hop_by_hop(&mut headers);
/// assert_eq!(headers.keys().collect::<Vec<_>>(), ["accept"]);
/// ```
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // Most messages have none, and comparing names is cheaper than looking up each.
    if !headers.keys().any(|name| HOP_BY_HOP.contains(name)) {
        return;
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Whether whoever sent these headers can make use of trailers. `TE` is for one hop alone: who passes
/// such a request on says so for itself (RFC 9110 section 10.1.4).
pub fn accepts_trailers(headers: &HeaderMap) -> bool {
    headers
        .get_all(TE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// Whether anything but chunks was made of the body for this hop (RFC 9112 section 7). Nobody here
/// undoes that, and `Transfer-Encoding` does not go on: it would be another body that does.
pub fn has_transfer_coding(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(TRANSFER_ENCODING).iter();
    match (values.next(), values.next()) {
        (None, _) => false,
        (Some(value), None) => !value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => true,
    }
}

/// The headers that each answer of the proxy carries, made ready once for a set of credentials.
#[derive(Clone, Debug)]
pub struct ReplyHeaders {
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Those that say something of other credentials than these: an upstream must not either.
    absent: Vec<HeaderName>,
}

const VERSION: HeaderName = HeaderName::from_static("x-taskcluster-proxy-version");
const REVISION: HeaderName = HeaderName::from_static("x-taskcluster-proxy-revision");
const PERM_CLIENT_ID: HeaderName = HeaderName::from_static("x-taskcluster-proxy-perm-clientid");
const TEMP_CLIENT_ID: HeaderName = HeaderName::from_static("x-taskcluster-proxy-temp-clientid");
const TEMP_SCOPES: HeaderName = HeaderName::from_static("x-taskcluster-proxy-temp-scopes");
const AUTHORIZED_SCOPES: HeaderName = HeaderName::from_static("x-taskcluster-authorized-scopes");
const ENDPOINT: HeaderName = HeaderName::from_static("x-taskcluster-endpoint");

impl ReplyHeaders {
    /// Prepares them for `credentials`, and for the version and git revision of the program.
    pub fn new(version: &str, revision: &str, credentials: &Credentials) -> Self {
        let client_id = credentials.client_id.as_str();
        let mut headers = vec![(VERSION, text(version)), (REVISION, text(revision))];
        match &credentials.certificate {
            None => headers.push((PERM_CLIENT_ID, text(client_id))),
            Some(certificate) => {
                headers.push((TEMP_CLIENT_ID, text(client_id)));
                headers.push((TEMP_SCOPES, json(certificate.scopes())));
            }
        }
        if let Some(scopes) = &credentials.authorized_scopes {
            headers.push((AUTHORIZED_SCOPES, json(scopes)));
        }
        let mut absent = vec![PERM_CLIENT_ID, TEMP_CLIENT_ID, TEMP_SCOPES, AUTHORIZED_SCOPES];
        absent.retain(|name| headers.iter().all(|(set, _)| set != name));
        Self { headers, absent }
    }

    /// Puts them on an answer, in the place of any that came from upstream.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.absent {
            headers.remove(name);
        }
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
    }

    /// Says where an answer came from: the URL that was asked for there.
    pub fn endpoint(upstream: &Uri, headers: &mut HeaderMap) {
        let [scheme, authority] =
            [upstream.scheme_str(), upstream.authority().map(|authority| authority.as_str())]
                .map(Option::unwrap_or_default);
        let resource = upstream.path_and_query().map_or("/", |resource| resource.as_str());
        let url = [scheme, "://", authority, resource].concat();
        headers
            .insert(ENDPOINT, HeaderValue::try_from(url).unwrap_or(HeaderValue::from_static("")));
    }
}

/// Versions, clientIds, URIs and JSON of scopes are made of characters that may stand in a header.
/// Were one not, an empty value is better than no answer.
fn text(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

fn json(scopes: &[Scope]) -> HeaderValue {
    text(&scopes_to_json(scopes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hop_by_hop_header_goes_and_no_other() {
        let mut headers = HeaderMap::new();
        for name in [
            "keep-alive",
            "te",
            "upgrade",
            "proxy-authorization",
            "proxy-connection",
            "transfer-encoding",
            "proxy-authenticate",
            "x-one",
            "x-two",
            "authorization",
        ] {
            headers.insert(name, HeaderValue::from_static("v"));
        }
        headers.append("connection", HeaderValue::from_static("X-One,,close"));
        headers.append("connection", HeaderValue::from_static(" x-two ,Authorization, not a name"));
        headers.append("trailer", HeaderValue::from_static("x-sum"));
        headers.append("x-kept", HeaderValue::from_static("1"));
        headers.append("x-kept", HeaderValue::from_static("2"));
        strip_hop_by_hop(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["trailer", "x-kept"]);
        assert_eq!(headers.get_all("x-kept").iter().count(), 2);
    }

    #[test]
    fn chunks_are_no_coding() {
        for (values, expected) in [
            (&[][..], false),
            (&["chunked"], false),
            (&["Chunked "], false),
            (&["gzip"], true),
            (&["gzip, chunked"], true),
            (&["gzip", "chunked"], true),
            (&["chunked", "chunked"], true),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(TRANSFER_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(has_transfer_coding(&headers), expected, "{values:?}");
        }
    }

    #[test]
    fn trailers_are_accepted_by_name_alone() {
        for (values, expected) in [
            (&[][..], false),
            (&["trailers"], true),
            (&["gzip;q=0.5 , Trailers"], true),
            (&["gzip", "trailers"], true),
            (&["x-trailers", ""], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(TE, HeaderValue::from_static(value));
            }
            assert_eq!(accepts_trailers(&headers), expected, "{values:?}");
        }
    }

    #[test]
    fn a_length_goes_if_the_message_is_framed_in_another_way() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("3"));
        strip_hop_by_hop(&mut headers);
        assert!(headers.contains_key(CONTENT_LENGTH));
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        strip_hop_by_hop(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn ours_take_the_place_of_the_upstreams() {
        let mut credentials = Credentials::permanent("tester", "no-secret").unwrap();
        credentials.authorized_scopes = Some(vec![Scope::new("a:\"b\"").unwrap()]);
        let mut headers = HeaderMap::new();
        headers.append(VERSION, HeaderValue::from_static("forged"));
        headers.append(VERSION, HeaderValue::from_static("forged"));
        headers.append(TEMP_CLIENT_ID, HeaderValue::from_static("forged"));
        let uri = Uri::from_static("https://tc.example.com/x?");
        ReplyHeaders::new("1.2.3", "abc", &credentials).apply(&mut headers);
        ReplyHeaders::endpoint(&uri, &mut headers);
        let expected = [
            ("x-taskcluster-proxy-version", "1.2.3"),
            ("x-taskcluster-proxy-revision", "abc"),
            ("x-taskcluster-proxy-perm-clientid", "tester"),
            ("x-taskcluster-authorized-scopes", r#"["a:\"b\""]"#),
            ("x-taskcluster-endpoint", "https://tc.example.com/x?"),
        ];
        assert_eq!(headers.len(), expected.len());
        for (name, value) in expected {
            assert_eq!(headers[name], value);
        }
    }
}
