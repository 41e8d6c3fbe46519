//! The plan of each request of the soak test: what the client sends and what the upstream does.

use std::sync::OnceLock;
use support::Random;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// A unique number, part of the target and of every block of a body.
    pub(crate) id: u64,
    pub(crate) kind: RequestKind,
    /// What the upstream does on each attempt; the last one applies to all further attempts.
    pub(crate) behaviours: Vec<Behaviour>,
    /// When the client disconnects, if it does.
    pub(crate) abort: Option<ClientAbort>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    Get,
    /// The response repeats the body of the request, which has this length.
    Echo(usize),
    /// [`UPLOAD`] bytes in chunks; the response is their digest.
    Upload,
    /// The response has [`DOWNLOAD`] bytes.
    Download,
    /// The response consists of [`EVENTS`], each sent when the client has received the previous one.
    Events,
}

/// What the upstream does on one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Serve,
    ServeInChunks,
    ServeUntilClose,
    ServeAfterInterim,
    ServeAfterStall,
    /// The connection is closed without notice, like one that was idle for too long.
    ServeThenClose,
    /// The same with a reset. Only for short responses, as it loses data that was not sent yet.
    ServeThenReset,
    /// 413 before the body is read.
    Reject,
    Truncate,
    TruncateChunks,
    ResetInBody,
    /// 503 after the body is read.
    Busy,
    /// 503 before the body is read, and the connection is closed.
    BusyAtOnce,
    ResetAtOnce,
    CloseWithoutResponse,
    Garbage,
    HalfHeaderSection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientAbort {
    DuringRequest,
    BeforeResponse,
    DuringResponse,
}

const KIB: usize = 1024;
pub(crate) const UPLOAD: usize = 2 * KIB * KIB;
pub(crate) const DOWNLOAD: usize = 4 * KIB * KIB;
pub(crate) const SMALL: usize = 200;
/// The number of events, and their length.
pub(crate) const EVENTS: usize = 5;
pub(crate) const EVENT_LENGTH: usize = 100;

const SERVING: [Behaviour; 6] = [
    Behaviour::Serve,
    Behaviour::ServeInChunks,
    Behaviour::ServeUntilClose,
    Behaviour::ServeAfterInterim,
    Behaviour::ServeAfterStall,
    Behaviour::ServeThenClose,
];
const TRUNCATING: [Behaviour; 3] =
    [Behaviour::Truncate, Behaviour::TruncateChunks, Behaviour::ResetInBody];
const FAILING: [Behaviour; 6] = [
    Behaviour::Busy,
    Behaviour::BusyAtOnce,
    Behaviour::ResetAtOnce,
    Behaviour::CloseWithoutResponse,
    Behaviour::Garbage,
    Behaviour::HalfHeaderSection,
];

impl Plan {
    /// A request of any kind, whose client may disconnect.
    pub(crate) fn any(random: &mut Random) -> Self {
        let kind = match random.below(20) {
            0..9 => RequestKind::Get,
            9..14 => RequestKind::Echo(KIB),
            14..16 => RequestKind::Echo(300 * KIB),
            16 => RequestKind::Upload,
            17 => RequestKind::Download,
            _ => RequestKind::Events,
        };
        let mut plan = Self::with_failures(random, kind);
        match random.below(40) {
            0..4 => plan.behaviours.push(random.pick(&TRUNCATING)),
            4 => plan.behaviours.push(Behaviour::Reject),
            5 if kind == RequestKind::Get => plan.behaviours = vec![random.pick(&FAILING)],
            _ => plan.behaviours.push(plan.serving(random)),
        }
        let aborts =
            [ClientAbort::DuringRequest, ClientAbort::BeforeResponse, ClientAbort::DuringResponse];
        plan.abort = (random.below(20) == 0).then(|| random.pick(&aborts));
        plan
    }

    /// A small request after which the connection can be reused.
    pub(crate) fn pipelined(random: &mut Random) -> Self {
        let kind = random.pick(&[RequestKind::Get, RequestKind::Echo(KIB)]);
        let mut plan = Self::with_failures(random, kind);
        plan.behaviours.push(plan.serving(random));
        plan
    }

    /// The body of the complete response.
    pub(crate) fn response(&self) -> Vec<u8> {
        match self.kind {
            RequestKind::Get => content(self.id, SMALL),
            RequestKind::Echo(length) => content(self.id, length),
            RequestKind::Upload => digest(&content(self.id, UPLOAD)),
            RequestKind::Download => content(self.id, DOWNLOAD),
            RequestKind::Events => content(self.id, EVENTS * EVENT_LENGTH),
        }
    }

    /// Whether the proxy can retry it at any point, as the body fits its replay buffer of 1 MiB.
    pub(crate) fn is_replayable(&self) -> bool {
        self.kind != RequestKind::Upload
    }

    /// Whether all attempts fail.
    pub(crate) fn never_succeeds(&self) -> bool {
        self.behaviours.iter().all(|behaviour| behaviour.fails())
    }

    /// A plan that begins with some failures, fewer than the proxy's retries.
    fn with_failures(random: &mut Random, kind: RequestKind) -> Self {
        let failures = random.below(12).saturating_sub(9);
        let behaviours = (0..failures).map(|_| random.pick(&FAILING)).collect();
        Self { id: random.next(), kind, behaviours, abort: None }
    }

    fn serving(&self, random: &mut Random) -> Behaviour {
        match self.kind {
            RequestKind::Get if random.below(10) == 0 => Behaviour::ServeThenReset,
            _ => random.pick(&SERVING),
        }
    }
}

impl Behaviour {
    /// Whether the proxy retries it.
    pub(crate) fn fails(self) -> bool {
        FAILING.contains(&self)
    }

    /// Whether the response is truncated.
    pub(crate) fn truncates(self) -> bool {
        TRUNCATING.contains(&self)
    }
}

/// A body of this length, unique for each request.
pub(crate) fn content(id: u64, length: usize) -> Vec<u8> {
    const BLOCK: usize = 64 * KIB;
    static NOISE: OnceLock<Vec<u8>> = OnceLock::new();
    let noise = NOISE.get_or_init(|| {
        let mut random = Random::new(0);
        (0..BLOCK / 8).flat_map(|_| random.next().to_le_bytes()).collect()
    });
    let mut content = Vec::with_capacity(length + BLOCK);
    for block in 0..length.div_ceil(BLOCK) {
        let start = content.len();
        content.extend_from_slice(noise);
        for (place, number) in [id, block as u64].into_iter().enumerate() {
            let at = start + 8 * place;
            content[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
    }
    content.truncate(length);
    content
}

/// The response to an upload.
pub(crate) fn digest(bytes: &[u8]) -> Vec<u8> {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(bytes).to_vec()
}
