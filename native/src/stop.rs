//! The end of the program: it is told to stop, lets what is in flight finish, and says how that went.

use crate::env::Process;
use crate::notify::{self, State};
use crate::server::Drain;
#[cfg(windows)]
use crate::windows_service;
use std::io;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::timeout;

/// Ways to be told to stop. As the first process of a container, nobody else would listen to them.
#[cfg(unix)]
#[derive(Debug)]
pub struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

/// Ways to be told to stop: the console's, which service wrappers use as well, and the system's;
/// besides, there may be a service control manager.
#[cfg(windows)]
#[derive(Debug)]
pub struct Signals {
    ctrl_c: tokio::signal::windows::CtrlC,
    ctrl_break: tokio::signal::windows::CtrlBreak,
    ctrl_close: tokio::signal::windows::CtrlClose,
    ctrl_shutdown: tokio::signal::windows::CtrlShutdown,
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything that was in flight was finished.
    Drained,
    /// Something was cut off: the time for it ran out, or a second signal came.
    Cut,
}

/// The exit code for [`End::Cut`]. 0 is a clean end, 1 a start that failed.
const CUT: u8 = 3;

/// Connections without a request take this long to close, however little time others have.
const LEAST: Duration = Duration::from_millis(50);

#[cfg(unix)]
impl Signals {
    /// From now on signals do not end the process by themselves.
    ///
    /// # Errors
    ///
    /// The system has no handlers to give.
    pub fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The name of the next one.
    pub async fn next(&mut self) -> &'static str {
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
    pub fn new() -> io::Result<Self> {
        use tokio::signal::windows;
        Ok(Self {
            ctrl_c: windows::ctrl_c()?,
            ctrl_break: windows::ctrl_break()?,
            ctrl_close: windows::ctrl_close()?,
            ctrl_shutdown: windows::ctrl_shutdown()?,
        })
    }

    /// The name of the next one.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.ctrl_c.recv() => "Ctrl-C",
            _ = self.ctrl_break.recv() => "Ctrl-Break",
            _ = self.ctrl_close.recv() => "the end of its console",
            _ = self.ctrl_shutdown.recv() => "the system's shutdown",
            () = windows_service::told_to_stop() => "the service control manager",
        }
    }
}

/// Runs `serving`, which owns the listening sockets, until a signal comes. Then they are closed, and
/// connections end with the requests that they are at, within `patience` or until the next signal.
pub async fn serve_until_told(
    serving: impl Future<Output = ()>,
    mut signals: Signals,
    drain: &Drain,
    patience: Duration,
) -> End {
    let signal = tokio::select! {
        () = serving => "the end of listening",
        signal = signals.next() => signal,
    };
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
    tracing::warn!("{} connections are cut off {why}", drain.connections());
    End::Cut
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        match end {
            End::Drained => Self::SUCCESS,
            End::Cut => Self::from(CUT),
        }
    }
}
