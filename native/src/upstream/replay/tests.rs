use super::*;
use std::io;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What a client sends: pieces, then trailers, an end or an error.
type Piece = Result<Frame<Bytes>, io::Error>;

struct Client {
    pieces: UnboundedReceiver<Piece>,
    length: Option<u64>,
}

impl Body for Client {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.pieces.poll_recv(context)
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or(SizeHint::new(), SizeHint::with_exact)
    }
}

fn budget(each: usize, all: usize) -> Arc<ReplayBudget> {
    Arc::new(ReplayBudget::new(each, all))
}

fn left(budget: &ReplayBudget) -> usize {
    budget.left.load(Ordering::Relaxed)
}

/// A request that is still coming.
fn coming(
    length: Option<u64>,
    budget: &Arc<ReplayBudget>,
) -> (UnboundedSender<Piece>, Replay<Client>) {
    let (client, pieces) = unbounded_channel();
    (client, Replay::new(Client { pieces, length }, budget))
}

fn data(piece: &str) -> Piece {
    Ok(Frame::data(Bytes::copy_from_slice(piece.as_bytes())))
}

fn trailers() -> Piece {
    Ok(Frame::trailers(HeaderMap::from_iter([(http::header::ETAG, "x".parse().unwrap())])))
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Data(String),
    Trailers,
    End,
    Waits,
    Fails(&'static str),
}

use Step::{Data, End, Fails, Trailers, Waits};

/// What the attempt has to send now.
fn step(attempt: &mut Attempt<Client>) -> Step {
    let mut context = Context::from_waker(std::task::Waker::noop());
    match Pin::new(attempt).poll_frame(&mut context) {
        Poll::Pending => Waits,
        Poll::Ready(None) => End,
        Poll::Ready(Some(Err(ReplayError::Client(_)))) => Fails("client"),
        Poll::Ready(Some(Err(ReplayError::Abandoned))) => Fails("abandoned"),
        Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
            Ok(data) => Data(String::from_utf8(data.to_vec()).unwrap()),
            Err(_) => Trailers,
        },
    }
}

fn steps<const N: usize>(attempt: &mut Attempt<Client>) -> [Step; N] {
    [(); N].map(|()| step(attempt))
}

fn is(data: &str) -> Step {
    Data(data.to_owned())
}

#[test]
fn each_attempt_sends_the_whole() {
    let budget = budget(10, 10);
    let (client, replay) = coming(None, &budget);
    let (mut first, _upload) = replay.attempt(None);
    client.send(data("a")).unwrap();
    client.send(data("b")).unwrap();
    assert_eq!(steps(&mut first), [is("a"), is("b"), Waits]);
    assert!(replay.rewind());
    let (mut second, _upload) = replay.attempt(None);
    assert_eq!(steps(&mut second), [is("ab"), Waits]);
    client.send(data("c")).unwrap();
    client.send(trailers()).unwrap();
    drop(client);
    assert_eq!(steps(&mut second), [is("c"), Trailers, End]);
    assert!(replay.rewind());
    let (mut third, _upload) = replay.attempt(None);
    assert_eq!(steps(&mut third), [is("abc"), Trailers, End]);
    assert!(third.is_end_stream() && !second.is_end_stream());
}

#[test]
fn what_is_kept_is_sent_again_in_frames() {
    let budget = budget(FRAME + 1, FRAME + 1);
    let (client, replay) = coming(Some(FRAME as u64 + 1), &budget);
    client.send(data(&"x".repeat(FRAME + 1))).unwrap();
    let (mut first, _upload) = replay.attempt(None);
    assert_eq!(step(&mut first), is(&"x".repeat(FRAME + 1)));
    assert!(replay.rewind());
    let (mut second, _upload) = replay.attempt(None);
    assert_eq!(steps(&mut second), [is(&"x".repeat(FRAME)), is("x"), Waits]);
    assert_eq!(second.size_hint().exact(), Some(FRAME as u64 + 1));
}

#[test]
fn the_attempt_before_gets_neither_data_nor_an_end() {
    let (client, replay) = coming(None, &budget(10, 10));
    let (mut before, upload) = replay.attempt(None);
    client.send(data("a")).unwrap();
    assert_eq!(step(&mut before), is("a"));
    assert!(replay.rewind());
    drop(client);
    assert_eq!(step(&mut before), Waits);
    let (mut next, _upload) = replay.attempt(None);
    assert_eq!(steps(&mut next), [is("a"), End]);
    assert_eq!(step(&mut before), Waits);
    drop(upload);
    assert_eq!(step(&mut before), Fails("abandoned"));
}

#[test]
fn an_upload_may_go_on_without_anyone_waiting_for_the_answer() {
    let (client, replay) = coming(None, &budget(10, 10));
    let (mut attempt, upload) = replay.attempt(None);
    upload.go_on();
    client.send(data("a")).unwrap();
    drop(client);
    assert_eq!(steps(&mut attempt), [is("a"), End]);
}

#[test]
fn what_does_not_fit_is_sent_once() {
    let budget = budget(3, 10);
    let (client, replay) = coming(None, &budget);
    let (mut attempt, _upload) = replay.attempt(None);
    for piece in ["ab", "c"] {
        client.send(data(piece)).unwrap();
        assert_eq!(step(&mut attempt), is(piece));
    }
    assert!(replay.is_kept());
    assert_eq!(left(&budget), 7);
    client.send(data("d")).unwrap();
    client.send(data("e")).unwrap();
    assert_eq!(steps(&mut attempt), [is("d"), is("e"), Waits]);
    assert!(!replay.is_kept() && !replay.rewind());
    assert_eq!(left(&budget), 10);
    drop(client);
    assert_eq!(step(&mut attempt), End);
}

#[test]
fn what_does_not_fit_can_be_sent_again_if_nothing_of_it_was() {
    let budget = budget(3, 3);
    let (client, replay) = coming(Some(5), &budget);
    let (before, _upload) = replay.attempt(None);
    drop(before);
    assert!(!replay.will_fit() && replay.is_kept() && replay.rewind());
    let (mut attempt, _upload) = replay.attempt(None);
    client.send(data("abcde")).unwrap();
    assert_eq!(steps(&mut attempt), [is("abcde"), Waits]);
    assert!(!replay.rewind());
}

#[test]
fn requests_share_what_there_is() {
    let budget = budget(3, 5);
    let (_client, first) = coming(Some(3), &budget);
    assert!(first.will_fit());
    assert_eq!(left(&budget), 2);
    let (client, second) = coming(Some(3), &budget);
    assert!(!second.will_fit());
    let (mut attempt, _upload) = second.attempt(None);
    client.send(data("ab")).unwrap();
    assert_eq!(step(&mut attempt), is("ab"));
    assert!(second.is_kept());
    assert_eq!(left(&budget), 0);
    client.send(data("c")).unwrap();
    assert_eq!(step(&mut attempt), is("c"));
    assert!(!second.is_kept());
    assert_eq!(left(&budget), 2);
    drop(first);
    assert_eq!(left(&budget), 5);
}

#[test]
fn what_was_taken_is_given_back_once_nobody_sends() {
    let budget = budget(3, 5);
    for length in [None, Some(2), Some(3), Some(4)] {
        let (client, replay) = coming(length, &budget);
        let (mut attempt, upload) = replay.attempt(None);
        client.send(data("ab")).unwrap();
        assert_eq!(step(&mut attempt), is("ab"));
        assert!(left(&budget) < 5);
        drop((client, replay, upload));
        assert!(left(&budget) < 5);
        drop(attempt);
        assert_eq!(left(&budget), 5, "{length:?}");
    }
}

#[test]
fn every_attempt_is_told_that_the_client_failed() {
    let (client, replay) = coming(None, &budget(10, 10));
    client.send(data("a")).unwrap();
    client.send(Err(io::ErrorKind::ConnectionReset.into())).unwrap();
    drop(client);
    for _ in 0..2 {
        let (mut attempt, _upload) = replay.attempt(None);
        assert_eq!(steps(&mut attempt), [is("a"), Fails("client")]);
        assert!(replay.rewind());
    }
}

#[test]
fn after_the_last_attempt_nothing_more_is_kept() {
    let budget = budget(10, 10);
    let (client, replay) = coming(None, &budget);
    let (mut attempt, _upload) = replay.attempt(None);
    client.send(data("a")).unwrap();
    assert_eq!(step(&mut attempt), is("a"));
    assert_eq!(replay.finish(), Taken::Part);
    client.send(data("b")).unwrap();
    assert_eq!(step(&mut attempt), is("b"));
    assert_eq!(left(&budget), 10);
}

#[tokio::test(start_paused = true)]
async fn a_body_is_kept_back_until_it_is_asked_for() {
    let (client, replay) = coming(None, &budget(10, 10));
    client.send(data("a")).unwrap();
    let asked = Arc::new(Notify::new());
    let (mut attempt, _upload) = replay.attempt(Some(Hold::new(Arc::clone(&asked))));
    assert_eq!(step(&mut attempt), Waits);
    asked.notify_one();
    assert_eq!(step(&mut attempt), is("a"));
    assert_eq!(replay.finish(), Taken::Part);
}

#[tokio::test(start_paused = true)]
async fn a_body_is_not_kept_back_for_ever() {
    let (client, replay) = coming(None, &budget(10, 10));
    client.send(data("a")).unwrap();
    let (mut attempt, _upload) = replay.attempt(Some(Hold::new(Arc::new(Notify::new()))));
    assert_eq!(step(&mut attempt), Waits);
    tokio::time::sleep(CONTINUE_TIMEOUT).await;
    assert_eq!(step(&mut attempt), is("a"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_was_never_asked_for_stays_with_the_client() {
    let (client, replay) = coming(None, &budget(10, 10));
    client.send(data("a")).unwrap();
    let (mut attempt, _upload) = replay.attempt(Some(Hold::new(Arc::new(Notify::new()))));
    assert_eq!(step(&mut attempt), Waits);
    assert_eq!(replay.finish(), Taken::Nothing);
    tokio::time::sleep(2 * CONTINUE_TIMEOUT).await;
    assert_eq!(step(&mut attempt), Waits);
}

#[test]
fn a_request_without_a_body_can_always_be_sent_again() {
    let replay = Replay::<Client>::EMPTY;
    assert!(replay.will_fit() && replay.is_kept() && replay.rewind());
    assert_eq!(replay.finish(), Taken::All);
    let (mut attempt, _upload) = replay.attempt(None);
    assert!(attempt.is_end_stream());
    assert_eq!(step(&mut attempt), End);
}
