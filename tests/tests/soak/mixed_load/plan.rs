//! What each request of the soak is, and what its upstream does on it.

use std::sync::OnceLock;
use support::Random;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// No other request has it: it stands in the target, and in every block of a body.
    pub(crate) id: u64,
    pub(crate) load: Load,
    /// What the upstream does on one attempt after the other; the last one on all further ones.
    pub(crate) deeds: Vec<Deed>,
    /// Where the client goes away, if it does not wait for the end.
    pub(crate) leaving: Option<Leaving>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    Get,
    /// The answer is the body, of this length.
    Echo(usize),
    /// [`UPLOAD`] bytes in chunks; the answer is their digest.
    Upload,
    /// The answer has [`DOWNLOAD`] bytes.
    Download,
    /// The answer comes in [`PIECES`], each when the client has got the one before.
    Events,
}

/// What an upstream does on one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Serve,
    ServeInChunks,
    ServeUntilClose,
    ServeAfterInterim,
    ServeAfterStall,
    /// The connection is closed without a word of it, as one that was idle for too long.
    ServeThenClose,
    /// The same with a reset. What was not on its way is lost: for short answers only.
    ServeThenReset,
    /// 413 before the body is read.
    Refuse,
    CutShort,
    CutChunks,
    ResetInBody,
    /// 503 when the body is read.
    Busy,
    /// 503 before that, and no word more.
    BusyAtOnce,
    ResetAtOnce,
    CloseWithoutAnswer,
    Garbage,
    HalfHead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    InRequest,
    BeforeAnswer,
    InAnswer,
}

const KIB: usize = 1024;
pub(crate) const UPLOAD: usize = 2 * KIB * KIB;
pub(crate) const DOWNLOAD: usize = 4 * KIB * KIB;
pub(crate) const SMALL: usize = 200;
/// So many pieces of this length are sent one by one.
pub(crate) const PIECES: usize = 5;
pub(crate) const PIECE: usize = 100;

const SERVING: [Deed; 6] = [
    Deed::Serve,
    Deed::ServeInChunks,
    Deed::ServeUntilClose,
    Deed::ServeAfterInterim,
    Deed::ServeAfterStall,
    Deed::ServeThenClose,
];
const CUTTING: [Deed; 3] = [Deed::CutShort, Deed::CutChunks, Deed::ResetInBody];
const FAILING: [Deed; 6] = [
    Deed::Busy,
    Deed::BusyAtOnce,
    Deed::ResetAtOnce,
    Deed::CloseWithoutAnswer,
    Deed::Garbage,
    Deed::HalfHead,
];

impl Plan {
    /// Any request, with a client that may go away.
    pub(crate) fn any(random: &mut Random) -> Self {
        let load = match random.below(20) {
            0..9 => Load::Get,
            9..14 => Load::Echo(KIB),
            14..16 => Load::Echo(300 * KIB),
            16 => Load::Upload,
            17 => Load::Download,
            _ => Load::Events,
        };
        let mut plan = Self::lasting(random, load);
        match random.below(40) {
            0..4 => plan.deeds.push(random.pick(&CUTTING)),
            4 => plan.deeds.push(Deed::Refuse),
            5 if load == Load::Get => plan.deeds = vec![random.pick(&FAILING)],
            _ => plan.deeds.push(plan.serving(random)),
        }
        let ways = [Leaving::InRequest, Leaving::BeforeAnswer, Leaving::InAnswer];
        plan.leaving = (random.below(20) == 0).then(|| random.pick(&ways));
        plan
    }

    /// A small request whose answer leaves its connection to the next one.
    pub(crate) fn pipelined(random: &mut Random) -> Self {
        let load = random.pick(&[Load::Get, Load::Echo(KIB)]);
        let mut plan = Self::lasting(random, load);
        plan.deeds.push(plan.serving(random));
        plan
    }

    /// What of the body an answer to it has when nothing is amiss.
    pub(crate) fn answer(&self) -> Vec<u8> {
        match self.load {
            Load::Get => content(self.id, SMALL),
            Load::Echo(length) => content(self.id, length),
            Load::Upload => digest(&content(self.id, UPLOAD)),
            Load::Download => content(self.id, DOWNLOAD),
            Load::Events => content(self.id, PIECES * PIECE),
        }
    }

    /// Whether the proxy can send it again, whatever it has sent: it keeps 1 MiB of a body.
    pub(crate) fn is_kept(&self) -> bool {
        self.load != Load::Upload
    }

    /// Whether no attempt will be served.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.deeds.iter().all(|deed| deed.fails())
    }

    /// Some failures at first, fewer than the proxy puts up with.
    fn lasting(random: &mut Random, load: Load) -> Self {
        let failures = random.below(12).saturating_sub(9);
        let deeds = (0..failures).map(|_| random.pick(&FAILING)).collect();
        Self { id: random.next(), load, deeds, leaving: None }
    }

    fn serving(&self, random: &mut Random) -> Deed {
        match self.load {
            Load::Get if random.below(10) == 0 => Deed::ServeThenReset,
            _ => random.pick(&SERVING),
        }
    }
}

impl Deed {
    /// Whether the proxy is to try again.
    pub(crate) fn fails(self) -> bool {
        FAILING.contains(&self)
    }

    /// Whether the answer is not whole.
    pub(crate) fn cuts(self) -> bool {
        CUTTING.contains(&self)
    }
}

/// So many bytes that no other request has.
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

/// What the answer to an upload says of it.
pub(crate) fn digest(bytes: &[u8]) -> Vec<u8> {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(bytes).to_vec()
}
