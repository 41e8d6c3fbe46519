use taskcluster_proxy::http1::{Answer, Decoder, Framing, HeadError, MAX_FIELDS, Request, Step};
use taskcluster_proxy_core::proxy::HeaderRole;

/// A message is the same one however it comes in pieces; what goes on of its head is lines and
/// nothing for one hop alone; and the same parser takes what was made of it for the same message.
pub fn messages(data: &[u8]) {
    let request = read_request(data, data.len().max(1));
    assert_eq!(request, read_request(data, 1), "in pieces it is another request");
    if let Ok(Some((request, length))) = Request::parse(data) {
        assert!(length <= data.len());
        assert_lines(request.fields.as_bytes());
        for (name, _) in request.fields.iter() {
            let role = HeaderRole::of(name);
            let stays = matches!(
                role,
                HeaderRole::Authorization
                    | HeaderRole::Host
                    | HeaderRole::Connection
                    | HeaderRole::TransferEncoding
                    | HeaderRole::Te
                    | HeaderRole::HopByHop
            );
            assert!(!stays, "{name} goes on");
        }
        assert!(!request.target.bytes().any(|b| b <= b' ' || b == 0x7f), "{:?}", request.target);
        let coding = match request.framing {
            Framing::Chunked => "Transfer-Encoding: chunked\r\n",
            _ => "",
        };
        let start = format!("{} {} HTTP/1.1\r\nHost: x\r\n", request.method, request.target);
        let written =
            [start.as_bytes(), request.fields.as_bytes(), coding.as_bytes(), b"\r\n"].concat();
        let added = 1 + usize::from(!coding.is_empty());
        if request.fields.iter().count() + added > MAX_FIELDS {
            // With what is added here it has more fields than may be.
            assert_eq!(Request::parse(&written).unwrap_err(), HeadError::TooManyFields);
        } else {
            let again =
                Request::parse(&written).expect("it is a request").expect("it is a whole one");
            assert_eq!(again.1, written.len());
            assert!(again.0.fields == request.fields && again.0.framing == request.framing);
            assert_eq!((again.0.method, again.0.target), (request.method, request.target));
        }
    }
    for bodiless in [false, true] {
        if let Ok(Some((answer, _))) = Answer::parse(data, bodiless) {
            assert!((100..1000).contains(&answer.status));
            assert_lines(answer.fields.as_bytes());
            assert!(!answer.reason.contains(['\r', '\n', '\0']));
        }
    }
}

/// Of a request: whether it is one, what its body holds, what follows its body, and how much is left
/// of the input. `None`: it is cut short.
type Read = Result<Option<(String, Vec<u8>, Vec<u8>, usize)>, ()>;

fn read_request(data: &[u8], piece: usize) -> Read {
    let mut read = 0;
    let (request, mut used) = loop {
        // As a connection does it: line by line, and what there is at the end.
        read = data.len().min(read + piece);
        let line = data[..read].ends_with(b"\n") || read == data.len();
        if line && let Some(found) = Request::parse(&data[..read]).map_err(drop)? {
            break found;
        }
        if read == data.len() {
            return Ok(None);
        }
    };
    let head = format!("{} {} {:?}", request.method, request.target, request.framing);
    let (mut decoder, mut body) = (Decoder::new(request.framing), Vec::new());
    loop {
        match decoder.step(&data[used..read]).map_err(drop)? {
            Step::Skip(count) => used += count,
            Step::Data(count) => {
                body.extend_from_slice(&data[used..used + count]);
                used += count;
                decoder.used(count);
            }
            Step::More if read == data.len() => return Ok(None),
            Step::More => read = data.len().min(read + piece),
            Step::End => {
                let trailers = decoder.trailers().as_bytes();
                assert_lines(trailers);
                return Ok(Some((head, body, trailers.to_vec(), data.len() - used)));
            }
        }
    }
}

/// Each ends in CR LF and holds neither of them, nor NUL, before.
fn assert_lines(lines: &[u8]) {
    for line in lines.split_inclusive(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r\n").expect("a line ends in CR LF");
        assert!(!line.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)), "{line:?}");
        assert!(line.contains(&b':'), "{line:?}");
    }
}
