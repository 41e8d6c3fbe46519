//! What holds for every request, URL and set of credentials, not only for those of the vectors.

use proptest::prelude::*;
use std::time::Duration;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{
    AuthenticateError, AuthorizedScopes, CertificateText, Client, ClientId, Credentials, Scope,
    SignError, Signer, TemporaryCredentials, Verified, authenticate, satisfies,
};
use taskcluster_proxy_core::hawk::{
    AuthorizationHeader, MAX_MATCH_LENGTH, MAX_SKEW, ReceivedRequest, UrlError, UrlParts,
    parse_url, split_bewit,
};
use taskcluster_proxy_core::proxy::Destination;
use url::Url;

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

proptest! {
    #[test]
    fn what_is_signed_is_authenticated(
        (issuer, credentials) in credentials(),
        request in request(),
        nonce in "[ !#-\\[\\]-~]{1,12}",
        skew in 0..=2 * MAX_SKEW.as_secs(),
    ) {
        let header = request.sign(&credentials, &nonce)?;
        let now = NOW.minus(MAX_SKEW).plus(Duration::from_secs(skew));
        let expected = verified(&credentials, None)?;
        prop_assert_eq!(check(&issuer, request.received(&header), now), Ok(Some(expected)));
    }

    #[test]
    fn a_signed_url_is_authenticated_until_it_expires(
        (issuer, credentials) in credentials(),
        request in request(),
        // On either side of a certificate's expiry, within what clocks may differ by.
        seconds in 1..2_000_u64,
        method in prop::sample::select(vec!["GET", "HEAD"]),
    ) {
        let expires = NOW.plus(Duration::from_secs(seconds));
        let signed = Signer::restricted(&credentials.0, &credentials.1)?.bewit(&request.url, expires)?;
        let signed = Request { method: method.to_owned(), url: parse_url(signed.as_str())? };
        let received = ReceivedRequest { authorization: None, ..signed.received("") };
        let without = split_bewit(received.url.resource).map(|(resource, _)| resource);
        prop_assert_eq!(without.as_deref(), Some(request.parts()?.resource));
        let expected = verified(&credentials, Some(expires))?;
        prop_assert_eq!(check(&issuer, received, NOW), Ok(Some(expected)));
        prop_assert_eq!(reason(check(&issuer, received, expires)), "Unauthorized: Access expired");
    }

    #[test]
    fn a_signature_holds_for_one_request_only(
        (issuer, credentials) in credentials(),
        request in request(),
        other in request(),
    ) {
        let header = request.sign(&credentials, "nonce")?;
        let (received, other) = (request.received(&header), other.received(&header));
        let at = |url| ReceivedRequest { url, ..received };
        for (differs, changed) in [
            // Signed in upper case.
            (
                !other.method.eq_ignore_ascii_case(received.method),
                ReceivedRequest { method: other.method, ..received },
            ),
            (
                other.url.resource != received.url.resource,
                at(UrlParts { resource: other.url.resource, ..received.url }),
            ),
            (other.url.host != received.url.host, at(UrlParts { host: other.url.host, ..received.url })),
            (other.url.port != received.url.port, at(UrlParts { port: other.url.port, ..received.url })),
        ] {
            if differs {
                prop_assert_eq!(reason(check(&issuer, changed, NOW)), "Unauthorized: Bad mac");
            }
        }
    }

    #[test]
    fn a_signature_holds_for_one_ext_only(
        request in request(),
        [one, other] in [restriction(), restriction()],
    ) {
        prop_assume!(one != other);
        let issuer = Credentials::permanent("tester", "no-secret")?;
        let one = request.sign(&(issuer.clone(), one.into()), "nonce")?;
        let other = request.sign(&(issuer.clone(), other.into()), "nonce")?;
        let [one_mac, other_mac] =
            [AuthorizationHeader::parse(&one)?.mac, AuthorizationHeader::parse(&other)?.mac];
        let mixed = other.replace(other_mac, one_mac);
        let mixed = check(&issuer, request.received(&mixed), NOW);
        prop_assert_eq!(reason(mixed), "Unauthorized: Bad mac");
    }

    /// Up to a fragment, which is for the client itself.
    #[test]
    fn the_path_goes_on_byte_for_byte(
        service in "[a-z][a-z0-9-]{0,8}[a-z]",
        host in "[a-z0-9]{1,9}(\\.[a-z0-9]{1,9}){1,3}",
        rest in "/v1/[!-\"$-~é]{0,60}(\\?[!-\"$-~é]{0,40})?",
        form in prop::sample::select(vec!["", "http://taskcluster", "HTTP://x:80"]),
    ) {
        prop_assume!(service != "bewit" && service != "credentials");
        const ROOT_URL: &str = "https://tc.example.com";
        let service = if service == "api" { "queue".to_owned() } else { service };
        for (target, expected) in [
            (format!("/api/{service}{rest}"), format!("{ROOT_URL}/api/{service}{rest}")),
            (format!("/{service}{rest}"), format!("{ROOT_URL}/api/{service}{rest}")),
            (format!("/{host}{rest}"), format!("https://{host}{rest}")),
        ] {
            let target = format!("{form}{target}");
            let destination = Destination::of_target(&target)?;
            prop_assert_eq!(destination.url(ROOT_URL), Some(expected));
        }
    }

    /// Few letters and many stars, so that scopes often satisfy each other.
    #[test]
    fn within_the_limit_all_scopes_are_granted_and_beyond_it_nothing_is_signed(
        scopes in prop::collection::vec("[ab]{0,12}[*]?", 100..600).prop_map(valid),
        request in request(),
    ) {
        let issuer = Credentials::permanent("tester", "no-secret")?;
        let credentials = (issuer.clone(), AuthorizedScopes::Only(scopes));
        let url = request.parts()?;
        match Signer::restricted(&credentials.0, &credentials.1)?.authorization_text(&request.method, &url, NOW, "nonce") {
            Ok(header) => {
                prop_assert!(header.len() <= MAX_MATCH_LENGTH);
                let verified = check(&issuer, request.received(&header), NOW)?;
                let verified = verified.map(|verified| verified.scopes).unwrap_or_default();
                prop_assert!(satisfies(&verified, &granted(&credentials)?));
                prop_assert!(satisfies(&granted(&credentials)?, &verified));
            }
            Err(SignError::TooLong { length, limit, .. }) => prop_assert!(length > limit),
            Err(other) => return Err(other.into()),
        }
    }
}

type Restricted = (Credentials, AuthorizedScopes);

/// A client, and credentials that are its own or that it issued, restricted or not.
fn credentials() -> impl Strategy<Value = (Credentials, Restricted)> {
    let name = prop::option::of("[A-Za-z0-9!@/:.+|_-]{1,40}/temporary");
    let scopes = prop::option::of(scopes());
    (
        ("[A-Za-z0-9!@/:.+|_-]{1,40}", "[ -~]{1,66}"),
        name,
        scopes,
        restriction(),
        "[A-Za-z0-9_-]{44}",
    )
        .prop_filter_map("credentials", |(issuer, name, scopes, authorized_scopes, seed)| {
            let issuer = Credentials::permanent(issuer.0, issuer.1).ok()?;
            let restriction = authorized_scopes.iter().flatten().cloned();
            let credentials = match scopes {
                None => issuer.clone(),
                Some(scopes) => TemporaryCredentials {
                    name: name.map(ClientId::new).transpose().ok()?,
                    scopes: scopes.into_iter().chain(restriction).collect(),
                    start: NOW.minus(MAX_SKEW),
                    expiry: NOW.plus(2 * MAX_SKEW),
                    seed,
                }
                .issue(&issuer)
                .ok()?,
            };
            Some((issuer, (credentials, authorized_scopes.into())))
        })
}

fn restriction() -> impl Strategy<Value = Option<Vec<Scope>>> {
    prop::option::of(scopes())
}

fn scopes() -> impl Strategy<Value = Vec<Scope>> {
    prop::collection::vec("[ -~]{0,20}", 0..6).prop_map(valid)
}

fn valid(texts: Vec<String>) -> Vec<Scope> {
    texts.iter().flat_map(|text| text.parse()).collect()
}

#[derive(Debug)]
struct Request {
    method: String,
    url: Url,
}

/// Any method that is a token, any http or https URL: with dot segments, characters that have to be
/// encoded, backslashes, tabs, names outside of ASCII and addresses.
fn request() -> impl Strategy<Value = Request> {
    let host = prop_oneof![
        "[A-Za-z0-9]{1,12}(\\.[a-z0-9-]{1,12}){0,3}",
        prop::sample::select(vec![
            "[::1]",
            "127.0.0.1",
            "0x7f.1",
            "[2001:DB8::0:1]",
            "bücher.example",
            "日本.example",
            "xn--bcher-kva.example"
        ])
        .prop_map(str::to_owned),
    ];
    let port = prop_oneof![Just(String::new()), (1..=u16::MAX).prop_map(|port| format!(":{port}"))];
    let resource = "[/\\\\](\\.{1,2}/|%2[eEfF]|[!-~]|[ \t\nß漢]){0,40}(\\?([!-~]|[ \tß漢]){0,40})?";
    ("[!#$%&'*+.^_`|~0-9A-Za-z-]{1,10}", "https?", host, port, resource).prop_filter_map(
        "URL",
        |(method, scheme, host, port, resource)| {
            let url = parse_url(&format!("{scheme}://{host}{port}{resource}")).ok()?;
            Some(Request { method, url })
        },
    )
}

impl Request {
    fn sign(&self, credentials: &Restricted, nonce: &str) -> Result<String, TestCaseError> {
        let signer = Signer::restricted(&credentials.0, &credentials.1)?;
        Ok(signer.authorization_text(&self.method, &self.parts()?, NOW, nonce)?)
    }

    fn parts(&self) -> Result<UrlParts<'_>, UrlError> {
        UrlParts::try_from(&self.url)
    }

    #[expect(clippy::unwrap_used, reason = "request() makes only URLs that can be signed")]
    fn received<'a>(&'a self, authorization: &'a str) -> ReceivedRequest<'a> {
        let (url, authorization) = (self.parts().unwrap(), Some(authorization));
        ReceivedRequest { method: &self.method, url, authorization }
    }
}

/// Authenticates where `issuer` is the only client and holds `*`.
fn check(
    issuer: &Credentials,
    received: ReceivedRequest<'_>,
    now: Timestamp,
) -> Result<Option<Verified>, AuthenticateError> {
    authenticate(received, now, |client_id| {
        (client_id == issuer.client_id.as_str()).then(|| Client {
            access_token: issuer.access_token.clone(),
            scopes: valid(vec!["*".to_owned()]),
            expires: None,
        })
    })
}

/// Who such a request is from; `expires`: when its bewit does.
fn verified(
    credentials: &Restricted,
    expires: Option<Timestamp>,
) -> Result<Verified, TestCaseError> {
    let certificate = credentials.0.certificate.as_ref().and_then(CertificateText::expiry);
    Ok(Verified {
        client_id: credentials.0.client_id.to_string(),
        scopes: granted(credentials)?,
        expires: expires.into_iter().chain(certificate).min(),
        hash: None,
    })
}

/// What such credentials grant, where their issuer holds `*`.
fn granted((credentials, authorized): &Restricted) -> Result<Vec<Scope>, TestCaseError> {
    let certificate = credentials.certificate.as_ref().map(|it| it.scopes().to_vec());
    let authorized = authorized.scopes().map(<[Scope]>::to_vec);
    let mut granted = authorized.or(certificate).unwrap_or(vec![Scope::new("*")?]);
    granted.push(Scope::new("assume:anonymous")?);
    Ok(granted)
}

fn reason(refused: Result<Option<Verified>, AuthenticateError>) -> String {
    refused.err().map(|error| error.to_string()).unwrap_or_default()
}
