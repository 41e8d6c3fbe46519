//! Fuzz target: verification of Hawk headers and bewits.

use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{AccessToken, Client, Scope, authenticate};
use taskcluster_proxy_core::hawk::{
    AuthorizationHeader, Bewit, ReceivedRequest, UrlParts, parse_url, split_bewit,
};

/// No header or bewit that was made without the key is accepted.
pub fn authorization(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = (AuthorizationHeader::parse(text), Bewit::decode(text), split_bewit(text));
    if let Ok(url) = parse_url(text) {
        let again = parse_url(url.as_str()).expect("a parsed URL can be parsed again");
        assert_eq!(UrlParts::try_from(&again), UrlParts::try_from(&url));
    }
    let bewit = format!("/x?bewit={text}");
    for (resource, authorization) in [("/x", Some(text)), (text, None), (&bewit, None)] {
        let url = UrlParts { host: "tc.example.com", port: 443, resource };
        let request = ReceivedRequest { method: "GET", url, authorization };
        let found = authenticate(request, Timestamp::from_secs(1_767_225_600), |_| {
            Some(Client {
                access_token: AccessToken::new("nobody-knows-this-one")
                    .expect("the token is not empty"),
                scopes: Scope::new("*").into_iter().collect(),
                expires: None,
            })
        });
        assert!(!matches!(found, Ok(Some(_))), "{text:?} authenticates");
    }
}
