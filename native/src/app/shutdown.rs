//! The graceful shutdown: at a signal, at any time from the start on, requests in flight are finished, and
//! the exit status tells whether all were.

use crate::app::Sandbox;
use crate::inbound::Drain;
use crate::os::env::Process;
use crate::os::service_manager::{self, State};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_local;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// The signals that stop the proxy. The first process of a container gets none that it does not ask for.
#[cfg(unix)]
#[derive(Debug)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    /// The terminal or the session has ended; `None` where the launcher has it ignored (`nohup`).
    hangup: Option<tokio::signal::unix::Signal>,
}

/// The events that stop the proxy: the console's, which service wrappers use as well, and the system's.
#[cfg(windows)]
#[derive(Debug)]
struct Signals {
    ctrl_c: tokio::signal::windows::CtrlC,
    ctrl_break: tokio::signal::windows::CtrlBreak,
    ctrl_close: tokio::signal::windows::CtrlClose,
    ctrl_shutdown: tokio::signal::windows::CtrlShutdown,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All requests in flight were finished, or there were none.
    Drained,
    /// Requests were cut off by `--drain-timeout` or by a second signal.
    Cut,
}

/// The shortest drain: connections without a request take this long to close.
const LEAST: Duration = Duration::from_millis(50);

#[cfg(unix)]
impl Signals {
    /// Sets up handlers: from now on these signals do not end the process by themselves.
    ///
    /// # Errors
    ///
    /// The system refuses a handler.
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let hangup =
            (!crate::os::hangup::is_ignored()).then(|| signal(SignalKind::hangup())).transpose()?;
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())?, hangup })
    }

    /// Waits for the next one, and names it.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            () = next(self.hangup.as_mut()) => "SIGHUP",
        }
    }
}

/// The next signal; never one where it is ignored.
#[cfg(unix)]
async fn next(signal: Option<&mut tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

#[cfg(windows)]
impl Signals {
    /// Sets up handlers: from now on these signals do not end the process by themselves.
    ///
    /// # Errors
    ///
    /// The system refuses a handler.
    fn new() -> io::Result<Self> {
        use tokio::signal::windows;
        Ok(Self {
            ctrl_c: windows::ctrl_c()?,
            ctrl_break: windows::ctrl_break()?,
            ctrl_close: windows::ctrl_close()?,
            ctrl_shutdown: windows::ctrl_shutdown()?,
        })
    }

    /// Waits for the next one, and names it.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.ctrl_c.recv() => "Ctrl-C",
            _ = self.ctrl_break.recv() => "Ctrl-Break",
            _ = self.ctrl_close.recv() => "the end of its console",
            _ = self.ctrl_shutdown.recv() => "the system's shutdown",
        }
    }
}

/// A proxy that listens.
#[derive(Debug)]
pub struct Started<Serving> {
    /// Accepts connections until it is dropped.
    pub serving: Serving,
    /// Ends the open connections.
    pub drain: Arc<Drain>,
    /// How long they may take to end.
    pub drain_timeout: Duration,
    /// Serves until they have ended.
    pub sandbox: Option<Sandbox>,
}

/// Starts a proxy and serves until a signal.
///
/// # Errors
///
/// It does not start.
pub async fn run<Serving: Future<Output = ()> + 'static, Error: From<io::Error>>(
    start: impl Future<Output = Result<Started<Serving>, Error>>,
) -> Result<End, Error> {
    // Before all else: a start can take a minute, and a launcher may stop the proxy as soon as it listens.
    let mut signals = Signals::new()?;
    let started = tokio::select! {
        biased;
        signal = signals.next() => {
            service_manager::tell(State::Stopping, &Process);
            tracing::info!("stopped by {signal} during the start");
            return Ok(End::Drained);
        }
        started = start => started?,
    };
    let Started { serving, drain, drain_timeout, sandbox: _sandbox } = started;
    Ok(serve_until_signal(serving, signals, &drain, drain_timeout).await)
}

/// Runs `serving`, which owns the listening sockets, until a signal. Then these are closed, and
/// connections end with the requests that they are at, within `drain_timeout` or until the next signal.
async fn serve_until_signal(
    serving: impl Future<Output = ()> + 'static,
    mut signals: Signals,
    drain: &Drain,
    drain_timeout: Duration,
) -> End {
    // In a task of its own: what the runtime's root future waits for costs it a system call each time.
    let mut serving = AbortOnDropHandle::new(spawn_local(serving));
    let signal = tokio::select! {
        _ = &mut serving => "the end of listening",
        signal = signals.next() => signal,
    };
    drop(serving);
    service_manager::tell(State::Stopping, &Process);
    drain.begin();
    let seconds = drain_timeout.as_secs_f32();
    tracing::info!("stopped by {signal}: what is in flight has {seconds} s to finish");
    let why = tokio::select! {
        drained = timeout(drain_timeout.max(LEAST), drain.drained()) => match drained {
            Ok(()) => return End::Drained,
            Err(_) => format!("after {seconds} s (--drain-timeout)"),
        },
        signal = signals.next() => format!("by a second signal, {signal}"),
    };
    let count = drain.connections();
    let connections = if count == 1 { "connection is" } else { "connections are" };
    tracing::warn!("{count} {connections} aborted {why}");
    drain.cut_off();
    End::Cut
}
