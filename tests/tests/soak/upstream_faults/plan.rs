//! The plan of each request of the storm test: its destination and its faults. The unique number in the
//! target determines the plan.

use support::Random;

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) id: u64,
    pub(crate) destination: Destination,
    /// The faults of the first attempts, before one that succeeds.
    pub(crate) faults: Vec<Fault>,
    /// Whether the response is chunked.
    pub(crate) chunked: bool,
    /// Whether it is a PUT with [`content`](Self::content) rather than a GET.
    pub(crate) put: bool,
    /// Whether the client disconnects, and the upstream sends no response.
    pub(crate) aborts: bool,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Destination {
    /// A service, at the root URL, which is plain http.
    Service,
    /// A host, over TLS.
    Tls,
    /// The same with HTTP/2.
    Http2,
    /// A host whose name has no address.
    Nameless,
    /// A host that refuses connections.
    Closed,
    /// A host whose certificate has expired.
    Expired,
    /// A host whose certificate is for another one.
    WrongName,
    /// A host whose certificate is not trusted.
    UnknownIssuer,
}

/// A fault of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It sends this many bytes of its response and resets the connection.
    Reset(usize),
    /// It sends this many bytes of its response and closes the connection.
    Close(usize),
    /// It responds with this status.
    Status(u16),
}

/// The destinations of requests, in this order, repeated, so that each one is used.
const DESTINATIONS: [Destination; 20] = [
    Destination::Service,
    Destination::Tls,
    Destination::Expired,
    Destination::Service,
    Destination::Http2,
    Destination::Service,
    Destination::Tls,
    Destination::WrongName,
    Destination::Service,
    Destination::Closed,
    Destination::Service,
    Destination::Http2,
    Destination::Service,
    Destination::UnknownIssuer,
    Destination::Tls,
    Destination::Service,
    Destination::Service,
    Destination::Nameless,
    Destination::Service,
    Destination::Tls,
];

impl Plan {
    /// The plan with this number, whose lowest bits select the destination.
    pub(crate) fn of(id: u64) -> Self {
        let random = &mut Random::new(id);
        let mut plan = Self {
            id,
            destination: DESTINATIONS[(id % DESTINATIONS.len() as u64) as usize],
            faults: Vec::new(),
            chunked: random.below(2) == 0,
            put: random.below(3) == 0,
            aborts: false,
        };
        if plan.destination.has_upstream() {
            // Mostly none; sometimes more than the proxy's retries.
            plan.faults = match random.below(20) {
                0..12 => Vec::new(),
                12..16 => vec![plan.fault(random)],
                16..18 => vec![plan.fault(random), plan.fault(random)],
                _ => vec![plan.fault(random); 9],
            };
            plan.aborts = random.below(16) == 0;
        }
        plan
    }

    /// A random fault. Truncation in the header section is as likely as anywhere in the response.
    fn fault(&self, random: &mut Random) -> Fault {
        let within = random.pick(&[self.head("").len(), self.response("").len()]) as u64;
        let at = random.below(within) as usize;
        match random.below(3) {
            0 => Fault::Reset(at),
            1 => Fault::Close(at),
            _ => Fault::Status(random.pick(&[500, 502, 503, 504])),
        }
    }

    /// A random number for a request to the destination at `place`.
    pub(crate) fn id(random: &mut Random, place: usize) -> u64 {
        let count = DESTINATIONS.len() as u64;
        random.next() / count / 2 * count + place as u64 % count
    }

    /// The body of the request and of the response.
    pub(crate) fn content(&self) -> String {
        format!("{:016x}.", self.id).repeat(1 + (self.id >> 8) as usize % 200)
    }

    /// The complete response, with these lines in its header section.
    pub(crate) fn response(&self, lines: &str) -> Vec<u8> {
        let content = self.content();
        let head = self.head(lines);
        match self.chunked {
            false => head + &content,
            true => {
                let (one, two) = content.split_at(content.len() / 3);
                let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
                head + &chunk(one) + &chunk(two) + "0\r\n\r\n"
            }
        }
        .into_bytes()
    }

    /// The header section of the response.
    pub(crate) fn head(&self, lines: &str) -> String {
        let framing = match self.chunked {
            false => format!("Content-Length: {}", self.content().len()),
            true => "Transfer-Encoding: chunked".to_owned(),
        };
        format!("HTTP/1.1 200 OK\r\n{lines}{framing}\r\n\r\n")
    }
}

impl Destination {
    /// Whether there is an upstream that responds.
    pub(crate) fn has_upstream(self) -> bool {
        matches!(self, Self::Service | Self::Tls | Self::Http2)
    }
}
