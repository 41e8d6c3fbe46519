//! The graceful shutdown: after a signal, also during the start, the requests in flight are finished. The
//! exit status shows whether all were.

use crate::app::Sandbox;
use crate::inbound::Drain;
use crate::os::env::Process;
use crate::os::service_manager::{self, State};
use crate::telemetry::counted;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_local;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// The signals that stop the proxy. As the first process of a container it only receives signals for which
/// it has a handler.
#[cfg(unix)]
#[derive(Debug)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    /// Sent at the end of the terminal or session; `None` if the launcher set it to be ignored (`nohup`).
    hangup: Option<tokio::signal::unix::Signal>,
}

/// The events that stop the proxy: console events, which service wrappers use as well, and the shutdown of
/// the system.
#[cfg(windows)]
#[derive(Debug)]
struct Signals {
    ctrl_c: tokio::signal::windows::CtrlC,
    ctrl_break: tokio::signal::windows::CtrlBreak,
    ctrl_close: tokio::signal::windows::CtrlClose,
    ctrl_shutdown: tokio::signal::windows::CtrlShutdown,
}

/// The outcome of the shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All requests in flight were finished, or there were none.
    Drained,
    /// Requests were aborted after `--drain-timeout` or by a second signal.
    Aborted,
}

/// The minimum drain timeout, in which connections without a request are closed.
const MIN_DRAIN: Duration = Duration::from_millis(50);

#[cfg(unix)]
impl Signals {
    /// Installs the handlers. From then on these signals do not end the process by themselves.
    ///
    /// # Errors
    ///
    /// A handler cannot be installed.
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let hangup =
            (!crate::os::hangup::is_ignored()).then(|| signal(SignalKind::hangup())).transpose()?;
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())?, hangup })
    }

    /// Waits for the next signal and returns its name.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            () = next(self.hangup.as_mut()) => "SIGHUP",
        }
    }
}

/// Waits for the next signal; forever if it is ignored.
#[cfg(unix)]
async fn next(signal: Option<&mut tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

#[cfg(windows)]
impl Signals {
    /// Installs the handlers. From then on these signals do not end the process by themselves.
    ///
    /// # Errors
    ///
    /// A handler cannot be installed.
    fn new() -> io::Result<Self> {
        use tokio::signal::windows;
        Ok(Self {
            ctrl_c: windows::ctrl_c()?,
            ctrl_break: windows::ctrl_break()?,
            ctrl_close: windows::ctrl_close()?,
            ctrl_shutdown: windows::ctrl_shutdown()?,
        })
    }

    /// Waits for the next signal and returns its name.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.ctrl_c.recv() => "Ctrl-C",
            _ = self.ctrl_break.recv() => "Ctrl-Break",
            _ = self.ctrl_close.recv() => "the end of the console",
            _ = self.ctrl_shutdown.recv() => "the shutdown of the system",
        }
    }
}

/// A started proxy.
#[derive(Debug)]
pub struct Started<Serving> {
    /// Accepts connections until it is dropped.
    pub serving: Serving,
    /// Ends the open connections.
    pub drain: Arc<Drain>,
    /// How long the open connections may take to end.
    pub drain_timeout: Duration,
    /// The sandbox, which has to run until the open connections have ended.
    pub sandbox: Option<Sandbox>,
}

/// Starts a proxy, and serves until a signal.
///
/// # Errors
///
/// The proxy cannot start.
pub async fn run<Serving: Future<Output = ()> + 'static, Error: From<io::Error>>(
    start: impl Future<Output = Result<Started<Serving>, Error>>,
) -> Result<Outcome, Error> {
    // The handlers are installed first, because a start can take a minute, and a launcher may stop the
    // proxy as soon as it listens.
    let mut signals = Signals::new()?;
    let started = tokio::select! {
        biased;
        signal = signals.next() => {
            service_manager::notify(State::Stopping, &Process);
            tracing::info!("stopped by {signal} during the start");
            return Ok(Outcome::Drained);
        }
        started = start => started?,
    };
    let Started { serving, drain, drain_timeout, sandbox: _sandbox } = started;
    Ok(serve_until_signal(serving, signals, &drain, drain_timeout).await)
}

/// Runs `serving`, which owns the listening sockets, until a signal. Then it closes these sockets, and
/// waits until the requests in flight are finished: for `drain_timeout`, or until the next signal.
async fn serve_until_signal(
    serving: impl Future<Output = ()> + 'static,
    mut signals: Signals,
    drain: &Drain,
    drain_timeout: Duration,
) -> Outcome {
    // `serving` is spawned as a task, because each wake-up of the runtime's root future costs a system
    // call.
    let mut serving = AbortOnDropHandle::new(spawn_local(serving));
    let signal = tokio::select! {
        _ = &mut serving => "the end of listening",
        signal = signals.next() => signal,
    };
    drop(serving);
    service_manager::notify(State::Stopping, &Process);
    drain.begin();
    let seconds = drain_timeout.as_secs_f32();
    tracing::info!("stopped by {signal}: requests in flight have {seconds} s to finish");
    let reason = tokio::select! {
        drained = timeout(drain_timeout.max(MIN_DRAIN), drain.drained()) => match drained {
            Ok(()) => return Outcome::Drained,
            Err(_) => format!("after {seconds} s (--drain-timeout)"),
        },
        signal = signals.next() => format!("by a second signal, {signal}"),
    };
    let connections = counted(drain.connections(), "connection is", "connections are");
    tracing::warn!("{connections} aborted {reason}");
    drain.mark_aborted();
    Outcome::Aborted
}
