use serde_json::{Map, Value};
use taskcluster_proxy_core::Timestamp;
use taskcluster_proxy_core::credentials::{
    Certificate, Credentials, CredentialsFinding, Signer, scopes_from_json,
};

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

/// Credentials, certificates and scopes are read where serde_json reads them, and mean the same.
pub fn credentials(data: &[u8]) {
    let expected = match serde_json::from_slice::<Value>(data) {
        // Beyond what a double holds; RFC 8259 section 6 sets no limit, and nobody reads that number.
        Err(error) if error.to_string().starts_with("number out of range") => return,
        expected => expected.ok(),
    };
    let object = expected.as_ref().and_then(Value::as_object);
    match (Credentials::from_json_strict(data), object.and_then(members)) {
        (Ok(found), Some((client_id, access_token))) => {
            assert_eq!(found.client_id.as_str(), client_id);
            assert_eq!(found.access_token.expose(), access_token);
            let certificate = object.and_then(|object| object.get("certificate"));
            let text = certificate.and_then(Value::as_str).filter(|text| !text.is_empty());
            assert_eq!(found.certificate.is_some(), text.is_some());
            assert!(Credentials::from_json(data).is_ok_and(|given| given == found), "two readings");
        }
        (Ok(_), None) => panic!("credentials where serde_json finds none"),
        (Err(_), _) => {}
    }
    if let Ok(given) = Credentials::from_json(data) {
        assert!(object.is_some(), "credentials where serde_json finds no object");
        // Whatever they look like, they sign or say why not.
        let unusable = given.findings(NOW).iter().any(CredentialsFinding::prevents_signing);
        assert_eq!(Signer::new(&given).is_err(), unusable);
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(certificate) = Certificate::parse(text) {
        assert_eq!(object.and_then(|object| object["seed"].as_str()).map(str::len), Some(44));
        let again = Certificate::parse(&certificate.to_json()).expect("it stays one");
        assert!(again == certificate, "a certificate changes");
    }
    let strings: Option<Vec<&str>> = expected
        .as_ref()
        .and_then(Value::as_array)
        .and_then(|items| items.iter().map(Value::as_str).collect());
    match (scopes_from_json(text), strings) {
        (Ok(found), Some(strings)) => {
            assert!(found.iter().map(|scope| scope.as_str()).eq(strings));
        }
        (Ok(_), None) => panic!("scopes where serde_json finds none"),
        (Err(_), Some(strings)) => {
            let printable = |text: &&str| text.bytes().all(|b| matches!(b, b' '..=b'~'));
            assert!(!strings.iter().all(printable), "{strings:?} are refused");
        }
        (Err(_), None) => {}
    }
}

fn members(object: &Map<String, Value>) -> Option<(&str, &str)> {
    Some((object.get("clientId")?.as_str()?, object.get("accessToken")?.as_str()?))
}
