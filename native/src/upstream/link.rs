//! A connection to an upstream while it carries one request.

use super::error::SendError;
use super::http2::Stream2;
use super::origin::Origin;
use crate::http1::{Answer, BodyError, Buffer, Fields, Framing, Piece, Wire};
use http::{HeaderValue, Method};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// One request on its way, and its answer.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) carrier: Carrier,
    pub(super) origin: Arc<Origin>,
    /// Requests go to an HTTP proxy, which wants to see the whole URI and, maybe, this.
    pub(super) via: Option<Via>,
    /// Whether it carried another request before.
    pub(super) reused: bool,
    /// Whether anything of an answer came.
    pub(super) answered: bool,
    /// Whether the upstream has asked for the body (100 Continue).
    asked: bool,
    /// How many interim answers came to this request.
    interim: u32,
}

/// More interim answers than this to one request are an attack: the wait would have no end, and
/// meanwhile the proxy has no rest. Services send none but 100 (Continue).
const MAX_INTERIM: u32 = 100;

/// What a plain HTTP proxy on the way needs with each request.
#[derive(Clone, Debug)]
pub(super) struct Via {
    pub(super) authorization: Option<HeaderValue>,
}

/// HTTP/1.1, of which the whole connection is the request's, or a stream of HTTP/2.
#[derive(Debug)]
pub(super) enum Carrier {
    Http1(Wire),
    Http2(Stream2),
}

/// The head of a request as it goes to an upstream.
pub(super) struct Head<'a> {
    pub(super) method: &'a Method,
    pub(super) resource: &'a str,
    pub(super) fields: &'a Fields,
    /// Signed for this one attempt.
    pub(super) authorization: Option<&'a str>,
    pub(super) accepts_trailers: bool,
    pub(super) framing: Framing,
}

impl Link {
    pub(super) fn new(carrier: Carrier, origin: Arc<Origin>, via: Option<Via>) -> Self {
        Self { carrier, origin, via, reused: false, answered: false, asked: false, interim: 0 }
    }

    /// Begins a request.
    pub(super) fn begin(&mut self, head: &Head<'_>) -> Result<(), SendError> {
        let via = self.via.as_ref();
        match &mut self.carrier {
            Carrier::Http2(stream) => {
                // hyper does not tell of 100 (Continue) there.
                self.asked = true;
                stream.begin(head, &self.origin)
            }
            Carrier::Http1(wire) => {
                let into = wire.begin(head.framing);
                push(into, &[head.method.as_str(), " "]);
                if via.is_some() {
                    push(into, &[self.origin.as_str()]);
                }
                push(into, &[head.resource, " HTTP/1.1\r\nHost: ", self.origin.authority()]);
                push(into, &["\r\n"]);
                into.extend_from_slice(head.fields.as_bytes());
                if let Some(authorization) = head.authorization {
                    push(into, &["Authorization: ", authorization, "\r\n"]);
                }
                if head.accepts_trailers {
                    // RFC 9110 section 10.1.4: named, so that nobody passes it on unread.
                    push(into, &["TE: trailers\r\nConnection: TE\r\n"]);
                }
                if head.framing == Framing::Chunked {
                    push(into, &["Transfer-Encoding: chunked\r\n"]);
                }
                if let Some(authorization) = via.and_then(|via| via.authorization.as_ref()) {
                    push(into, &["Proxy-Authorization: "]);
                    into.extend_from_slice(authorization.as_bytes());
                    push(into, &["\r\n"]);
                }
                push(into, &["\r\n"]);
                Ok(())
            }
        }
    }

    /// Writes some of the body; how much.
    pub(super) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.carrier {
            Carrier::Http1(wire) => wire.poll_write(context, data),
            Carrier::Http2(stream) => stream.poll_write(context, data),
        }
    }

    /// Writes what was begun and has no body yet.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.carrier {
            Carrier::Http1(wire) => wire.poll_flush(context),
            Carrier::Http2(_) => Poll::Ready(Ok(())),
        }
    }

    /// Writes what is left, and the end of the body.
    pub(super) fn poll_finish(
        &mut self,
        context: &mut Context<'_>,
        trailers: &Fields,
    ) -> Poll<io::Result<()>> {
        match &mut self.carrier {
            Carrier::Http1(wire) => wire.poll_finish(context, trailers),
            Carrier::Http2(stream) => stream.poll_finish(context, trailers),
        }
    }

    /// The head of the answer. Ready without one when the upstream asks for the body.
    pub(super) fn poll_answer(
        &mut self,
        context: &mut Context<'_>,
        bodiless: bool,
    ) -> Poll<Result<Option<Answer>, SendError>> {
        loop {
            let answer = match &mut self.carrier {
                Carrier::Http1(wire) => match ready!(wire.poll_answer(context, bodiless)) {
                    Ok(answer) => answer,
                    Err(error) => {
                        self.answered |= !wire.has_nothing_unused();
                        return Poll::Ready(Err(error.into()));
                    }
                },
                Carrier::Http2(stream) => ready!(stream.poll_answer(context, bodiless))?,
            };
            self.answered = true;
            match answer.status {
                101 => {
                    let reason = "101 (Switching Protocols), which nobody asked for".to_owned();
                    return Poll::Ready(Err(SendError::Unusable(reason)));
                }
                100..=199 => {}
                _ => return Poll::Ready(Ok(Some(answer))),
            }
            self.interim += 1;
            if self.interim > MAX_INTERIM {
                let reason = format!("more than {MAX_INTERIM} interim answers (1xx)");
                return Poll::Ready(Err(SendError::Unusable(reason)));
            }
            if answer.status == 100 && !std::mem::replace(&mut self.asked, true) {
                return Poll::Ready(Ok(None));
            }
        }
    }

    /// What comes next of the answer's body.
    pub(super) fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Piece, BodyError>> {
        match &mut self.carrier {
            Carrier::Http1(wire) => wire.poll_piece(context),
            Carrier::Http2(stream) => stream.poll_piece(context),
        }
    }

    /// All of the answer's body, framed like this, if it is short; it stays to be read.
    pub(super) fn poll_whole(
        &mut self,
        context: &mut Context<'_>,
        framing: Framing,
    ) -> Poll<Option<Vec<u8>>> {
        match &mut self.carrier {
            Carrier::Http1(wire) => wire.poll_whole(context, framing),
            Carrier::Http2(stream) => stream.poll_whole(context, Buffer::SIZE),
        }
    }

    pub(super) fn piece(&mut self) -> &[u8] {
        match &mut self.carrier {
            Carrier::Http1(wire) => wire.piece(),
            Carrier::Http2(stream) => stream.piece(),
        }
    }

    pub(super) fn consume(&mut self, count: usize) {
        match &mut self.carrier {
            Carrier::Http1(wire) => wire.consume(count),
            Carrier::Http2(stream) => stream.consume(count),
        }
    }

    /// What came after the answer's body.
    pub(super) fn trailers(&self) -> &Fields {
        match &self.carrier {
            Carrier::Http1(wire) => wire.trailers(),
            Carrier::Http2(stream) => stream.trailers(),
        }
    }

    /// Whether the upstream has asked for the body, or cannot.
    pub(super) fn has_asked(&self) -> bool {
        self.asked
    }

    /// Whether the request, should it have got nowhere, can be sent on another connection as if it
    /// had not been sent on this one: an upstream may close one that was idle at any time.
    pub(super) fn was_stale(&self) -> bool {
        self.reused && !self.answered
    }

    /// Whether nothing of the request was sent.
    pub(super) fn is_unused(&self) -> bool {
        match &self.carrier {
            Carrier::Http1(wire) => !wire.has_sent(),
            // What hyper could not send it gives back.
            Carrier::Http2(_) => false,
        }
    }
}

fn push(into: &mut Vec<u8>, parts: &[&str]) {
    parts.iter().for_each(|part| into.extend_from_slice(part.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{Request, Stream};
    use proptest::prelude::*;
    use std::cell::RefCell;
    use taskcluster_proxy_core::proxy::RootUrl;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::runtime::{Builder, Runtime};

    /// A link on which nothing is ever sent.
    fn link(runtime: &Runtime) -> Link {
        let stream = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            TcpStream::connect(listener.local_addr().unwrap()).await.unwrap()
        });
        let origin = Origin::of_root_url(&RootUrl::parse("http://tc.example.com").unwrap());
        Link::new(Carrier::Http1(Wire::new(Stream::Tcp(stream))), Arc::new(origin), None)
    }

    /// The lines of the head that `link` makes of a request with these fields.
    fn lines(link: &mut Link, fields: &str) -> Vec<String> {
        let head = format!("PUT /x HTTP/1.1\r\n{fields}\r\n");
        let (request, _) = Request::parse(head.as_bytes()).unwrap().unwrap();
        let begun = link.begin(&Head {
            method: &request.method,
            resource: "/x",
            fields: &request.fields,
            authorization: Some("Hawk id=\"the-proxy\""),
            accepts_trailers: request.accepts_trailers,
            framing: request.framing,
        });
        begun.unwrap();
        let Carrier::Http1(wire) = &mut link.carrier else { unreachable!() };
        let written = std::mem::take(wire.begin(Framing::Empty));
        String::from_utf8(written).unwrap().split("\r\n").map(str::to_owned).collect()
    }

    proptest! {
        /// What is for one hop stays here, the signature never does, and all else goes on in order.
        #[test]
        fn hop_by_hop_removal_leaves_the_signature(fields in prop::collection::vec(field(), 0..12)) {
            thread_local! {
                static STORY: RefCell<(Runtime, Option<Link>)> =
                    RefCell::new((Builder::new_current_thread().enable_all().build().unwrap(), None));
            }
            let text: String = fields.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
            let lines = STORY.with_borrow_mut(|(runtime, made)| {
                let _entered = runtime.enter();
                lines(made.get_or_insert_with(|| link(runtime)), &text)
            });
            let named: Vec<String> = fields
                .iter()
                .filter(|(name, _)| name.eq_ignore_ascii_case("connection"))
                .flat_map(|(_, value)| value.split(',').map(|it| it.trim().to_ascii_lowercase()))
                .collect();
            let stays = |name: &str| {
                let name = name.to_ascii_lowercase();
                HOP.contains(&name.as_str()) || (named.contains(&name) && name != "expect")
            };
            let expected: Vec<String> = fields
                .iter()
                .filter(|(name, _)| !stays(name))
                .map(|(name, value)| format!("{name}: {value}").trim_end().to_owned())
                .collect();
            let got: Vec<&str> = lines[1..].iter().map(|line| line.trim_end()).collect();
            prop_assert_eq!(got[0], "Host: tc.example.com");
            prop_assert_eq!(&got[1..=expected.len()], &expected);
            let rest = &got[1 + expected.len()..];
            prop_assert_eq!(rest[0], "Authorization: Hawk id=\"the-proxy\"");
            let te = ["TE: trailers", "Connection: TE"];
            prop_assert!(rest[1..] == ["", ""] || (rest[1..3] == te && rest[3..] == ["", ""]));
        }
    }

    /// What never goes on, apart from what `Connection` names.
    const HOP: [&str; 9] = [
        "authorization",
        "host",
        "connection",
        "te",
        "keep-alive",
        "upgrade",
        "proxy-authorization",
        "proxy-connection",
        "proxy-authenticate",
    ];

    fn field() -> impl Strategy<Value = (String, String)> {
        let names = HOP.into_iter().chain(["X-One", "x-two", "Expect", "Accept"]);
        let name = prop::sample::select(names.map(str::to_owned).collect::<Vec<_>>());
        let cased = (name, any::<bool>());
        let cased = cased.prop_map(|(name, upper)| if upper { name.to_uppercase() } else { name });
        let member = prop::sample::select(vec![
            "Authorization",
            "authorization",
            "X-One",
            "x-TWO",
            "close",
            "host",
            "TE",
            "trailers",
            "",
            "accept",
        ]);
        let list = prop::collection::vec(member, 0..4).prop_map(|members| members.join(", "));
        (cased, prop_oneof![list, "[!-~]{0,8}"])
    }
}
