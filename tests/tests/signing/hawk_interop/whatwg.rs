//! Bewits for URLs of the kinds in the WHATWG URL test data are valid for the requests that clients send
//! after they have parsed the URL from `POST /bewit`.

use super::cases::NOW;
use super::{assert_accepts, mohawk, npm_hawk};
use serde_json::json;
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{Credentials, Signer};
use taskcluster_proxy_core::hawk::parse_url;
use url::Url;

/// Scheme and authority: case, ports, addresses in any spelling, names outside of ASCII, backslashes.
const AUTHORITIES: &[&str] = &[
    "https://tc.example.com",
    "HTTPS://TC.Example.COM:443",
    "http://tc.example.com:080",
    "https:\\\\tc.example.com:8443",
    "https:/tc.example.com",
    "http://0x7f.1:65535",
    "http://[2001:DB8::0:1]:1",
    "https://[::ffff:1.2.3.4]",
    "https://bücher.example",
    "https://日本語.example",
    "http://a_b.example.",
    "ht\ttps://tc.\nexample.com",
];

/// Path, query and fragment: dot segments, escapes, spaces, tabs, quotes, backslashes, doubled slashes.
const RESOURCES: &[&str] = &[
    "",
    "?",
    "#fragment",
    "/a/../b",
    "/a/./b/%2e%2E/c/..",
    "/../../x",
    "/a%2Fb%2fc%252F%zz%",
    "//a//b///",
    "/a b\tc\nd",
    "/é/日本?ü=ß&x=\u{1f600}",
    "/\\x\\..\\y",
    "/it's?quoted='\"<>`",
    "/{a}|b^c[d]",
    "/x;p=1/y;q=2?z;a",
    "/x?zeta=2&alpha=1&flag&=&&b=%20+?/",
    "/x?a=/../b&c=//d",
    "/x?#",
    "/x?y#z?w",
    "/!$&()*+,=:@~-._",
    "/x?a\\b|c{d}e^f",
    "/x?bewit",
    "/x?n=a%20b&N=%41",
    "/:80/@user",
    "/%00%7f?%0a",
    "/\u{a0}\u{2028}\u{feff}",
];

#[test]
fn bewits_are_valid_for_the_urls_that_clients_send() {
    let (mut node, mut python) = (npm_hawk(), mohawk());
    let credentials = Credentials::permanent("tester", "no-secret").unwrap();
    let signer = Signer::new(&credentials).unwrap();
    for (authority, resource) in
        AUTHORITIES.iter().flat_map(|authority| RESOURCES.iter().map(move |it| (authority, it)))
    {
        let url = parse_url(&format!("{authority}{resource}")).unwrap();
        let expires = Timestamp::from_secs(NOW.secs() + 3600);
        let signed = signer.bewit(&url, expires).unwrap();
        assert_eq!(Url::parse(signed.as_str()).unwrap().as_str(), signed.as_str());
        for client in [&mut node, &mut python] {
            let parsed = client.ask(&json!({ "parse": signed.as_str() }));
            assert_eq!(parsed["url"], signed.as_str(), "{authority}{resource}");
        }
        assert_accepts(
            &mut node,
            &json!({
                "check": "bewit",
                "id": "tester",
                "key": "no-secret",
                "now": NOW.secs(),
                "method": "GET",
                "url": signed.as_str(),
            }),
        );
    }
}
