//! The verifying side: the clients that the vectors' deployment knows, and requests with one bit
//! changed.

use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{
    AccessToken, AuthenticateError, Client, Scope, Verified, authenticate,
};
use taskcluster_proxy_core::hawk::{ReceivedRequest, UrlParts};

/// Every permanent client of the fixtures. Each of them holds `*`.
const CLIENTS: [(&str, &str); 3] = [
    ("tester", "no-secret"),
    ("project/harbour/issuer", "q5Yl0TzE2mBv8wXcJd1KfRn7sUgHtA-6"),
    ("mozilla-auth0/ad|Some-Domain|user.name/dev_1~@x+y", "pN3-_x9QwErTyUiOpAsDfGhJkLzXcVbNm12345"),
];

/// Authenticates as the auth service would.
pub(crate) fn check(
    request: ReceivedRequest<'_>,
    now: Timestamp,
) -> Result<Option<Verified>, AuthenticateError> {
    authenticate(request, now, |client_id| {
        let (_, access_token) = CLIENTS.iter().find(|(known, _)| *known == client_id)?;
        Some(Client {
            access_token: AccessToken::new(*access_token).ok()?,
            scopes: vec![Scope::new("*").ok()?],
            expires: None,
        })
    })
}

/// Why the request is turned away; the empty text if it is not.
pub(crate) fn refusal(request: ReceivedRequest<'_>, now: Timestamp) -> String {
    check(request, now).err().map(|error| error.to_string()).unwrap_or_default()
}

/// The same request with another path and query.
pub(crate) fn at<'a>(resource: &'a str, request: ReceivedRequest<'a>) -> ReceivedRequest<'a> {
    ReceivedRequest { url: UrlParts { resource, ..request.url }, ..request }
}

/// The request is turned away at every host and port that one bit makes another.
pub(crate) fn refused_elsewhere(request: ReceivedRequest<'_>, now: Timestamp) {
    for host in one_bit_off(request.url.host) {
        // Signed in lower case.
        if !host.eq_ignore_ascii_case(request.url.host) {
            let request =
                ReceivedRequest { url: UrlParts { host: &host, ..request.url }, ..request };
            assert_eq!(refusal(request, now), "Unauthorized: Bad mac", "{host}");
        }
    }
    for bit in 0..u16::BITS {
        let url = UrlParts { port: request.url.port ^ (1 << bit), ..request.url };
        let request = ReceivedRequest { url, ..request };
        assert_eq!(refusal(request, now), "Unauthorized: Bad mac", "{}", url.port);
    }
}

/// Every text that differs from `text` in one bit and is still ASCII.
pub(crate) fn one_bit_off(text: &str) -> impl Iterator<Item = String> {
    (0..text.len()).flat_map(move |at| {
        (0..7).filter_map(move |bit| {
            let mut bytes = text.as_bytes().to_vec();
            *bytes.get_mut(at)? ^= 1 << bit;
            String::from_utf8(bytes).ok()
        })
    })
}
