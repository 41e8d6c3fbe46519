//! Header fields: which are forwarded, how their values are parsed, and which the proxy adds.

use crate::credentials::{AuthorizedScopes, Credentials, Scope, scopes_to_json};
use http::header::TRANSFER_ENCODING;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue};

/// How a proxy treats a header field, by its name.
///
/// ```
/// use taskcluster_proxy_core::proxy::HeaderRole;
///
/// assert_eq!(HeaderRole::of("keep-alive"), HeaderRole::HopByHop);
/// assert_eq!(HeaderRole::of("Accept"), HeaderRole::EndToEnd);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderRole {
    /// Forwarded unchanged.
    EndToEnd,
    /// `Authorization`: in requests replaced by the proxy's own.
    Authorization,
    /// `Host`: in requests replaced by the upstream's.
    Host,
    /// `Expect`: forwarded, and also obeyed by a proxy (RFC 9110 section 10.1.1).
    Expect,
    /// `Content-Length`: forwarded if it frames the message.
    ContentLength,
    /// `Transfer-Encoding`: hop-by-hop.
    TransferEncoding,
    /// `Connection`: hop-by-hop, as is each field that it names.
    Connection,
    /// `TE`: hop-by-hop.
    Te,
    /// Any other hop-by-hop field (RFC 9110 section 7.6.1), including those for authentication to a proxy
    /// (section 11.7).
    HopByHop,
    /// `X-Forwarded-Host`, `-Port` and `-Proto`: removed from requests, because services verify a
    /// signature for the scheme and port in these fields.
    Forwarded,
    /// A response field that only this proxy sets.
    Own,
}

const VERSION: &str = "x-taskcluster-proxy-version";
const REVISION: &str = "x-taskcluster-proxy-revision";
const PERM_CLIENT_ID: &str = "x-taskcluster-proxy-perm-clientid";
const TEMP_CLIENT_ID: &str = "x-taskcluster-proxy-temp-clientid";
const TEMP_SCOPES: &str = "x-taskcluster-proxy-temp-scopes";
const AUTHORIZED_SCOPES: &str = "x-taskcluster-authorized-scopes";
const TEMP_SCOPES_COUNT: &str = "x-taskcluster-proxy-temp-scopes-count";
const AUTHORIZED_SCOPES_COUNT: &str = "x-taskcluster-authorized-scopes-count";
const ENDPOINT: &str = "x-taskcluster-endpoint";
const DIAGNOSIS: &str = "x-taskcluster-proxy-diagnosis";
const REQUEST_ID: &str = "x-taskcluster-proxy-request-id";

impl HeaderRole {
    /// The role of the field with this name, which is not case-sensitive.
    pub fn of(name: &str) -> Self {
        // This runs for every field of every message. Most names are decided by their length.
        let candidates: &[(&str, Self)] = match name.len() {
            2 => &[("te", Self::Te)],
            4 => &[("host", Self::Host)],
            6 => &[("expect", Self::Expect)],
            7 => &[("upgrade", Self::HopByHop)],
            10 => &[("connection", Self::Connection), ("keep-alive", Self::HopByHop)],
            13 => &[("authorization", Self::Authorization)],
            14 => &[("content-length", Self::ContentLength)],
            16 => &[
                ("proxy-connection", Self::HopByHop),
                ("x-forwarded-host", Self::Forwarded),
                ("x-forwarded-port", Self::Forwarded),
            ],
            17 => &[
                ("transfer-encoding", Self::TransferEncoding),
                ("x-forwarded-proto", Self::Forwarded),
            ],
            18 => &[("proxy-authenticate", Self::HopByHop)],
            19 => &[("proxy-authorization", Self::HopByHop)],
            22 => &[(ENDPOINT, Self::Own)],
            25 => &[("proxy-authentication-info", Self::HopByHop)],
            27 => &[(VERSION, Self::Own)],
            28 => &[(REVISION, Self::Own)],
            29 => &[(DIAGNOSIS, Self::Own)],
            30 => &[(REQUEST_ID, Self::Own)],
            31 => &[(TEMP_SCOPES, Self::Own), (AUTHORIZED_SCOPES, Self::Own)],
            33 => &[(PERM_CLIENT_ID, Self::Own), (TEMP_CLIENT_ID, Self::Own)],
            37 => &[(TEMP_SCOPES_COUNT, Self::Own), (AUTHORIZED_SCOPES_COUNT, Self::Own)],
            _ => &[],
        };
        let found = candidates.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or(Self::EndToEnd, |(_, role)| *role)
    }

    /// Whether fields of this role in requests are forwarded unchanged. `Content-Length` is handled with
    /// the framing of the message.
    pub fn is_forwarded_in_requests(self) -> bool {
        matches!(self, Self::EndToEnd | Self::Expect | Self::Own)
    }

    /// Whether fields of this role in responses are forwarded unchanged. The fields that the proxy
    /// replaces only in requests are.
    pub fn is_forwarded_in_responses(self) -> bool {
        matches!(self, Self::EndToEnd | Self::Expect | Self::Authorization | Self::Forwarded)
    }
}

/// The members of a field value that is a list, such as that of `Connection` or `TE` (RFC 9110 section
/// 5.6.1).
///
/// ```
/// use taskcluster_proxy_core::proxy::list_members;
///
/// let members: Vec<_> = list_members(b" close, ,X-Hop").collect();
/// assert_eq!(members, [&b"close"[..], b"X-Hop"]);
/// ```
pub fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// Whether a list field, such as `Connection` or `TE`, has this member, which is not case-sensitive.
///
/// ```
/// use http::{HeaderMap, HeaderValue, header::CONNECTION};
/// use taskcluster_proxy_core::proxy::names_option;
///
/// let headers = HeaderMap::from_iter([(CONNECTION, HeaderValue::from_static("X-Hop, Close"))]);
/// assert!(names_option(&headers, &CONNECTION, "close"));
/// ```
pub fn names_option(headers: &HeaderMap, field: &HeaderName, option: &str) -> bool {
    let values = headers.get_all(field).iter();
    let mut members = values.flat_map(|value| list_members(value.as_bytes()));
    members.any(|member| member.eq_ignore_ascii_case(option.as_bytes()))
}

/// Parses the value of a `Host` header field, `host[:port]` (RFC 9110 section 7.2). Returns `None` if it
/// is invalid.
///
/// ```
/// use taskcluster_proxy_core::proxy::parse_host_field;
///
/// assert_eq!(parse_host_field(b"[::1]:80").unwrap().port_u16(), Some(80));
/// assert_eq!(parse_host_field(b"user@localhost"), None);
/// ```
pub fn parse_host_field(value: &[u8]) -> Option<Authority> {
    let authority = Authority::try_from(value).ok()?;
    let has_user = authority.as_str().contains('@');
    let port = authority.as_str().get(authority.host().len()..)?;
    let has_valid_port = matches!(port, "" | ":") || authority.port_u16().is_some();
    (!has_user && has_valid_port).then_some(authority)
}

/// Whether a message has no transfer coding, or only chunked. With other codings two recipients may
/// find the end of the body in different places (RFC 9112 section 6.1).
///
/// ```
/// use http::{HeaderMap, HeaderValue, header::TRANSFER_ENCODING};
/// use taskcluster_proxy_core::proxy::is_chunked_at_most;
///
/// let coded = |with| HeaderMap::from_iter([(TRANSFER_ENCODING, HeaderValue::from_static(with))]);
/// assert!(is_chunked_at_most(&HeaderMap::new()) && is_chunked_at_most(&coded("Chunked ")));
/// assert!(!is_chunked_at_most(&coded("gzip, chunked")));
/// ```
pub fn is_chunked_at_most(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked =
        |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    codings.next().is_none_or(is_chunked) && codings.next().is_none()
}

/// The header fields that the proxy adds to each response, prepared once for a set of credentials.
///
/// ```
/// use taskcluster_proxy_core::credentials::{AuthorizedScopes, Credentials};
/// use taskcluster_proxy_core::proxy::ResponseFields;
///
/// let credentials = Credentials::permanent("tester", "no-secret")?;
/// let fields =
///     ResponseFields::new("1.0.0", "unknown", &credentials, &AuthorizedScopes::Unrestricted);
/// assert!(fields.fields().any(|field| field == ("x-taskcluster-proxy-perm-clientid", "tester")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ResponseFields(Vec<(&'static str, String)>);

impl ResponseFields {
    /// The name of the field with the upstream URL of a response.
    pub const ENDPOINT: &str = ENDPOINT;
    /// The name of the field with the request id, which is also in the access log.
    pub const REQUEST_ID: &str = REQUEST_ID;

    /// The name of the field with the diagnosis of a refused request.
    pub const DIAGNOSIS: &str = DIAGNOSIS;

    /// Whether `name` is the name of the field that lists the authorizedScopes, or of the field that
    /// gives their number.
    pub fn is_authorized_scopes(name: &str) -> bool {
        [AUTHORIZED_SCOPES, AUTHORIZED_SCOPES_COUNT].contains(&name)
    }

    /// Prepares the fields for `credentials`, and for the version and git revision of the program. Lists
    /// of scopes that are too long for the header section limits of clients are replaced by the number of
    /// scopes, and a clientId that is too long is left out.
    pub fn new(
        version: &str,
        revision: &str,
        credentials: &Credentials,
        authorized_scopes: &AuthorizedScopes,
    ) -> Self {
        let client_id = credentials.client_id.as_str();
        let temporary = credentials.certificate.as_ref().map(|it| it.scopes());
        let authorized = authorized_scopes.scopes();
        let lists = [temporary, authorized].map(|scopes| scopes.map(json));
        let length: usize = lists.iter().flatten().map(String::len).sum();
        let list = |scopes: &[Scope], [name, count_name]: [&'static str; 2]| {
            if length <= MAX_LISTS_LENGTH {
                return (name, json(scopes));
            }
            let count = scopes.len();
            (count_name, format!("{count}; listed by /status of the admin listener (--admin)"))
        };
        let mut fields = vec![(VERSION, text(version)), (REVISION, text(revision))];
        let certificate = credentials.certificate.as_ref();
        if client_id.len() <= MAX_CLIENT_ID {
            let name = if certificate.is_some() { TEMP_CLIENT_ID } else { PERM_CLIENT_ID };
            fields.push((name, text(client_id)));
        }
        if let Some(certificate) = certificate {
            fields.push(list(certificate.scopes(), [TEMP_SCOPES, TEMP_SCOPES_COUNT]));
        }
        if let Some(scopes) = authorized_scopes.scopes() {
            fields.push(list(scopes, [AUTHORIZED_SCOPES, AUTHORIZED_SCOPES_COUNT]));
        }
        Self(fields)
    }

    /// The names and values of the fields.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

/// The maximum length of the lists of scopes together, in bytes. A longer list does not fit the
/// `Authorization` header that the services read, so that a request with it is never forwarded. Node
/// limits header sections to 16 KiB, of which this is a small part.
const MAX_LISTS_LENGTH: usize = 3 * 1024;

/// The maximum length of the clientId, in bytes: far beyond those in use, and together with the lists of
/// scopes the fields have less than 4 KiB.
const MAX_CLIENT_ID: usize = 512;

/// Versions, clientIds and JSON of scopes have only characters that are allowed in a header field. If one
/// ever has another character, the value becomes empty, because a control character could end the field.
fn text(text: &str) -> String {
    if text.chars().any(|c| c.is_ascii_control()) { String::new() } else { text.to_owned() }
}

fn json(scopes: &[Scope]) -> String {
    text(&scopes_to_json(scopes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hop_by_hop_header_is_known_and_no_other() {
        for (name, role) in [
            ("Keep-Alive", HeaderRole::HopByHop),
            ("tE", HeaderRole::Te),
            ("upgrade", HeaderRole::HopByHop),
            ("proxy-authorization", HeaderRole::HopByHop),
            ("proxy-authentication-info", HeaderRole::HopByHop),
            ("proxy-connection", HeaderRole::HopByHop),
            ("proxy-authenticate", HeaderRole::HopByHop),
            ("transfer-encoding", HeaderRole::TransferEncoding),
            ("CONNECTION", HeaderRole::Connection),
            ("content-length", HeaderRole::ContentLength),
            ("authorization", HeaderRole::Authorization),
            ("host", HeaderRole::Host),
            ("expect", HeaderRole::Expect),
            ("x-taskcluster-proxy-revision", HeaderRole::Own),
            ("X-Taskcluster-Skip-Cache", HeaderRole::EndToEnd),
            ("X-Forwarded-Port", HeaderRole::Forwarded),
            ("x-forwarded-proto", HeaderRole::Forwarded),
            ("X-FORWARDED-HOST", HeaderRole::Forwarded),
            ("X-Forwarded-For", HeaderRole::EndToEnd),
            ("trailer", HeaderRole::EndToEnd),
            ("via", HeaderRole::EndToEnd),
            ("x-authorizatio", HeaderRole::EndToEnd),
            ("", HeaderRole::EndToEnd),
        ] {
            assert_eq!(HeaderRole::of(name), role, "{name}");
        }
        for name in [
            VERSION,
            REVISION,
            PERM_CLIENT_ID,
            TEMP_CLIENT_ID,
            TEMP_SCOPES,
            AUTHORIZED_SCOPES,
            ENDPOINT,
            DIAGNOSIS,
            REQUEST_ID,
            TEMP_SCOPES_COUNT,
            AUTHORIZED_SCOPES_COUNT,
        ] {
            assert_eq!(HeaderRole::of(&name.to_lowercase()), HeaderRole::Own, "{name}");
        }
    }

    #[test]
    fn clients_cannot_set_authorization_and_upstreams_cannot_set_the_proxy_fields() {
        for (name, with_requests, with_responses) in [
            ("Accept", true, true),
            ("Expect", true, true),
            ("Authorization", false, true),
            ("Content-Length", false, false),
            ("Host", false, false),
            ("TE", false, false),
            ("Connection", false, false),
            ("Transfer-Encoding", false, false),
            ("Proxy-Authorization", false, false),
            (REQUEST_ID, true, false),
        ] {
            let role = HeaderRole::of(name);
            assert_eq!(role.is_forwarded_in_requests(), with_requests, "{name}");
            assert_eq!(role.is_forwarded_in_responses(), with_responses, "{name}");
        }
    }

    #[test]
    fn long_lists_are_replaced_by_their_length() {
        let credentials = Credentials::permanent("tester", "no-secret").unwrap();
        let scope = |number| Scope::new(format!("a:{number:098}")).unwrap();
        for (count, name, value) in [
            (29, AUTHORIZED_SCOPES, None),
            (
                1000,
                AUTHORIZED_SCOPES_COUNT,
                Some("1000; listed by /status of the admin listener (--admin)"),
            ),
        ] {
            let scopes = AuthorizedScopes::Only((0..count).map(scope).collect());
            let headers = ResponseFields::new("1.2.3", "abc", &credentials, &scopes);
            let (found, shown) = headers.fields().last().unwrap();
            assert_eq!(found, name);
            assert!(ResponseFields::is_authorized_scopes(found));
            assert!(value.is_none_or(|value| value == shown), "{shown}");
            let length: usize =
                headers.fields().map(|(name, value)| name.len() + value.len()).sum();
            assert!(length < 4 * 1024, "{length}");
        }
    }

    #[test]
    fn a_long_client_id_is_left_out() {
        let scopes =
            AuthorizedScopes::Only(vec![Scope::new("a".repeat(MAX_LISTS_LENGTH - 4)).unwrap()]);
        for (length, is_shown) in
            [(MAX_CLIENT_ID, true), (MAX_CLIENT_ID + 1, false), (1 << 20, false)]
        {
            for certificate in ["", "{}"] {
                let client_id = "c".repeat(length);
                let credentials = Credentials::unchecked(client_id, "no-secret", certificate);
                let headers = ResponseFields::new("1.2.3", &"a".repeat(40), &credentials, &scopes);
                let names = [PERM_CLIENT_ID, TEMP_CLIENT_ID];
                let shown = headers.fields().any(|(name, _)| names.contains(&name));
                assert_eq!(shown, is_shown, "{length}");
                let total: usize =
                    headers.fields().map(|(name, value)| name.len() + value.len() + 4).sum();
                assert!(total < 4 * 1024 - 100, "{total}");
            }
        }
    }

    #[test]
    fn response_fields_name_the_version_the_client_and_the_scopes() {
        let credentials = Credentials::permanent("tester", "no-secret").unwrap();
        let scopes = AuthorizedScopes::Only(vec![Scope::new("a:\"b\"").unwrap()]);
        let headers = ResponseFields::new("1.2.3", "a\nb", &credentials, &scopes);
        let expected = [
            ("x-taskcluster-proxy-version", "1.2.3"),
            ("x-taskcluster-proxy-revision", ""),
            ("x-taskcluster-proxy-perm-clientid", "tester"),
            ("x-taskcluster-authorized-scopes", r#"["a:\"b\""]"#),
        ];
        assert!(headers.fields().eq(expected), "{headers:?}");
    }
}
