//! The end of the program: it is told to stop, at any time from its start on, lets what is in flight
//! finish, and says how that went.

use crate::env::Process;
use crate::inbound::Drain;
use crate::notify::{self, State};
use crate::sandbox::Sandbox;
#[cfg(windows)]
use crate::windows_service;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_local;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// Ways to be told to stop. As the first process of a container, nobody else would listen to them.
#[cfg(unix)]
#[derive(Debug)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

/// Ways to be told to stop: the console's, which service wrappers use as well, and the system's;
/// besides, there may be a service control manager.
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
    /// Everything that was in flight was finished, or nothing ever was.
    Drained,
    /// Something was cut off: the time for it ran out, or a second signal came.
    Cut,
}

/// Connections without a request take this long to close, however little time others have.
const LEAST: Duration = Duration::from_millis(50);

#[cfg(unix)]
impl Signals {
    /// From now on signals do not end the process by themselves.
    ///
    /// # Errors
    ///
    /// The system has no handlers to give.
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(windows)]
impl Signals {
    /// From now on signals do not end the process by themselves.
    ///
    /// # Errors
    ///
    /// The system has no handlers to give.
    fn new() -> io::Result<Self> {
        use tokio::signal::windows;
        Ok(Self {
            ctrl_c: windows::ctrl_c()?,
            ctrl_break: windows::ctrl_break()?,
            ctrl_close: windows::ctrl_close()?,
            ctrl_shutdown: windows::ctrl_shutdown()?,
        })
    }

    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.ctrl_c.recv() => "Ctrl-C",
            _ = self.ctrl_break.recv() => "Ctrl-Break",
            _ = self.ctrl_close.recv() => "the end of its console",
            _ = self.ctrl_shutdown.recv() => "the system's shutdown",
            () = windows_service::told_to_stop() => "the service control manager",
        }
    }
}

/// A proxy that listens.
#[derive(Debug)]
pub struct Started<Serving> {
    /// Accepts connections; nobody gets in any more when it is dropped.
    pub serving: Serving,
    /// Tells those that there are to end.
    pub drain: Arc<Drain>,
    /// How long they have for that.
    pub patience: Duration,
    /// Answers until they have ended.
    pub sandbox: Option<Sandbox>,
}

/// Lets a proxy start and serve until a signal comes.
///
/// # Errors
///
/// It does not start.
pub async fn run<Serving: Future<Output = ()> + 'static, Error: From<io::Error>>(
    start: impl Future<Output = Result<Started<Serving>, Error>>,
) -> Result<End, Error> {
    // First of all: a start can take a minute, and whoever hears that it listens may want it to stop
    // at once.
    let mut signals = Signals::new()?;
    let started = tokio::select! {
        biased;
        signal = signals.next() => {
            notify::tell(State::Stopping, &Process);
            tracing::info!("stopped by {signal} during the start");
            return Ok(End::Drained);
        }
        started = start => started?,
    };
    let Started { serving, drain, patience, sandbox: _sandbox } = started;
    Ok(serve_until_told(serving, signals, &drain, patience).await)
}

/// Runs `serving`, which owns the listening sockets, until a signal comes. Then they are closed, and
/// connections end with the requests that they are at, within `patience` or until the next signal.
async fn serve_until_told(
    serving: impl Future<Output = ()> + 'static,
    mut signals: Signals,
    drain: &Drain,
    patience: Duration,
) -> End {
    // In a task of its own: what the runtime's root future waits for costs it a system call each time.
    let mut serving = AbortOnDropHandle::new(spawn_local(serving));
    let signal = tokio::select! {
        _ = &mut serving => "the end of listening",
        signal = signals.next() => signal,
    };
    drop(serving);
    notify::tell(State::Stopping, &Process);
    drain.begin();
    let seconds = patience.as_secs_f32();
    tracing::info!("stopped by {signal}: what is in flight has {seconds} s to finish");
    let why = tokio::select! {
        drained = timeout(patience.max(LEAST), drain.drained()) => match drained {
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
