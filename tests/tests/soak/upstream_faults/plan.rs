//! What each request of the storm is, and what becomes of it on its way. All of it follows from the
//! number that stands in its target, which no other request has.

use support::Random;

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) id: u64,
    pub(crate) destination: Destination,
    /// What goes wrong at one attempt after the other, before one that succeeds.
    pub(crate) faults: Vec<Fault>,
    /// Whether the response comes in chunks.
    pub(crate) chunked: bool,
    /// A PUT with [`content`](Self::content) rather than a GET.
    pub(crate) put: bool,
    /// The client does not wait for a response, and there is none.
    pub(crate) aborts: bool,
}

/// Whom a request goes to.
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
    /// A host whose certificate is from someone whom nobody trusts.
    UnknownIssuer,
}

/// What an upstream does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Sends so many bytes of its response and resets the connection.
    Reset(usize),
    /// Sends so many bytes of its response and closes the connection.
    Close(usize),
    Status(u16),
}

/// In this order, again and again, so that none is left out.
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
    /// The one with this number, whose lowest bits say where in the order of destinations it stands.
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
        if plan.destination.leads_somewhere() {
            // Mostly none. One that stays is more than the proxy puts up with.
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

    /// Any byte may be the first that does not come, of the head as often as of all.
    fn fault(&self, random: &mut Random) -> Fault {
        let within = random.pick(&[self.head("").len(), self.response("").len()]) as u64;
        let at = random.below(within) as usize;
        match random.below(3) {
            0 => Fault::Reset(at),
            1 => Fault::Close(at),
            _ => Fault::Status(random.pick(&[500, 502, 503, 504])),
        }
    }

    /// The next number of a request, for the place in the order of destinations.
    pub(crate) fn id(random: &mut Random, place: usize) -> u64 {
        let count = DESTINATIONS.len() as u64;
        random.next() / count / 2 * count + place as u64 % count
    }

    /// What goes both ways.
    pub(crate) fn content(&self) -> String {
        format!("{:016x}.", self.id).repeat(1 + (self.id >> 8) as usize % 200)
    }

    /// All of a response as it should be, with these lines in its head.
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

    /// The head of it.
    pub(crate) fn head(&self, lines: &str) -> String {
        let framing = match self.chunked {
            false => format!("Content-Length: {}", self.content().len()),
            true => "Transfer-Encoding: chunked".to_owned(),
        };
        format!("HTTP/1.1 200 OK\r\n{lines}{framing}\r\n\r\n")
    }
}

impl Destination {
    /// Whether there are answers at its end.
    pub(crate) fn leads_somewhere(self) -> bool {
        matches!(self, Self::Service | Self::Tls | Self::Http2)
    }
}
