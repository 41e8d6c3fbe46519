//! The values of single options.

use super::CliError;
use crate::config::{AdminAddress, CredentialsFrom};
use crate::telemetry::log::LogFormat;
use ipnet::{IpNet, Ipv4Net};
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use tracing::Level;

/// Whoever runs the proxy, and root.
pub(super) const DEFAULT_SOCKET_MODE: u16 = 0o600;

/// Longer than nearly every API call takes, shorter than a worker's patience with the update.
pub(super) const DEFAULT_DRAIN: Duration = Duration::from_secs(5);

/// Says what was done for whom, not how.
pub(super) const DEFAULT_LOG_LEVEL: Level = Level::INFO;

/// Beyond this, waiting for anything is no better than doing without.
const MOST_SECONDS: Duration = Duration::from_secs(3600);

/// What must not be 0 is at least this.
const LEAST_SECONDS: Duration = Duration::from_millis(1);

/// 1 GiB: a size beyond it is a mistake, or a machine that needs no limit.
const MOST_KIB: usize = 1024 * 1024;

/// What fits the system's type.
const MOST_DESCRIPTOR: u32 = i32::MAX as u32;

/// Each has two descriptors: more than any limit of open files allows is a mistake.
const MOST_CONNECTIONS: usize = 1_000_000;

/// What `parse` makes of the value of `option`, where there is one.
pub(super) fn read<T>(
    option: &'static str,
    value: &Option<OsString>,
    parse: impl FnOnce(&'static str, &str) -> Result<T, CliError>,
) -> Result<Option<T>, CliError> {
    match value {
        None => Ok(None),
        Some(value) => {
            let text = value.to_str().ok_or(CliError::NotUtf8(option))?;
            parse(option, text).map(Some)
        }
    }
}

/// An address to listen on. IPv4 in IPv6's clothes is IPv4.
pub(super) fn address(_: &'static str, text: &str) -> Result<IpAddr, CliError> {
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(address.to_canonical()),
        Err(_) => Err(CliError::Address(printable(text))),
    }
}

/// A TCP port.
pub(super) fn port(_: &'static str, text: &str) -> Result<u16, CliError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    match text.parse() {
        Ok(port) => Ok(port),
        Err(_) if is_digits(digits) => Err(CliError::PortRange(text.to_owned())),
        Err(_) => Err(CliError::PortNumber(printable(text))),
    }
}

/// A name.
pub(super) fn not_empty(option: &'static str, text: &str) -> Result<String, CliError> {
    if text.is_empty() {
        return Err(CliError::invalid(
            option,
            "expected a value, found an empty one: give one, or leave the option out",
        ));
    }
    Ok(text.to_owned())
}

/// The permissions of a file, in octal.
pub(super) fn mode(option: &'static str, text: &str) -> Result<u16, CliError> {
    let octal = text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = u16::from_str_radix(text, 8).ok().filter(|mode| octal && *mode <= 0o777);
    mode.ok_or_else(|| {
        let expected = "expected permissions in octal, from 0 to 777, such as 660";
        CliError::invalid(option, format!("{expected}, found \"{}\"", printable(text)))
    })
}

/// Who may change the credentials.
pub(super) fn credentials_from(
    option: &'static str,
    text: &str,
) -> Result<CredentialsFrom, CliError> {
    match text {
        "any" => Ok(CredentialsFrom::Any),
        "same-user" => Ok(CredentialsFrom::SameUser),
        "root" => Ok(CredentialsFrom::Root),
        _ => {
            let expected = "expected root, same-user or any";
            Err(CliError::invalid(option, format!("{expected}, found \"{}\"", printable(text))))
        }
    }
}

/// A network, or an address, which is a network of one. Bits after the prefix do not count.
pub(super) fn network(option: &'static str, text: &str) -> Result<IpNet, CliError> {
    let network =
        text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
            let expected = "expected a network such as 172.17.0.0/16 or fd00::/64, or an address";
            CliError::invalid(option, format!("{expected}, found \"{}\"", printable(text)))
        })?;
    let network = canonical(network);
    if network.prefix_len() == 0 {
        let why = "a prefix length of 0 would admit everyone: name the network of the containers";
        return Err(CliError::invalid(option, format!("{why}, found \"{}\"", printable(text))));
    }
    Ok(network.trunc())
}

/// Peers are looked up by their canonical address, in which nothing is IPv4-mapped.
fn canonical(network: IpNet) -> IpNet {
    let mapped = match network {
        IpNet::V4(_) => None,
        IpNet::V6(network) => network
            .addr()
            .to_ipv4_mapped()
            .and_then(|address| Ipv4Net::new(address, network.prefix_len().checked_sub(96)?).ok()),
    };
    mapped.map_or(network, IpNet::V4)
}

/// How long to wait for requests in flight.
pub(super) fn drain(option: &'static str, text: &str) -> Result<Duration, CliError> {
    seconds(option, text, Duration::ZERO, "0 (do not wait)")
}

/// How long to wait for what has to come.
pub(super) fn timeout(option: &'static str, text: &str) -> Result<Duration, CliError> {
    seconds(option, text, LEAST_SECONDS, "0.001")
}

/// How long to keep what nobody uses.
pub(super) fn idle_timeout(option: &'static str, text: &str) -> Result<Duration, CliError> {
    seconds(option, text, Duration::ZERO, "0 (keep none)")
}

/// How long to try again.
pub(super) fn retry_budget(option: &'static str, text: &str) -> Result<Duration, CliError> {
    seconds(option, text, Duration::ZERO, "0 (never try again)")
}

/// A number of seconds, fractions allowed.
fn seconds(
    option: &'static str,
    text: &str,
    least: Duration,
    least_in_words: &str,
) -> Result<Duration, CliError> {
    let seconds = text.parse().ok().filter(|_| text.bytes().all(|b| is_digit(b) || b == b'.'));
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| (least..=MOST_SECONDS).contains(duration))
        .ok_or_else(|| {
            let expected = format!("expected a number of seconds from {least_in_words} to 3600");
            CliError::invalid(option, format!("{expected}, found \"{}\"", printable(text)))
        })
}

/// A number of KiB, in bytes.
pub(super) fn kib(option: &'static str, text: &str) -> Result<usize, CliError> {
    let number = text.parse().ok().filter(|_| is_digits(text));
    number.filter(|kib| *kib <= MOST_KIB).map(|kib: usize| kib * 1024).ok_or_else(|| {
        let expected =
            format!("expected a whole number of KiB from 0 (keep nothing) to {MOST_KIB}");
        CliError::invalid(option, format!("{expected}, found \"{}\"", printable(text)))
    })
}

/// A file. Its name may be any that the system allows.
pub(super) fn path(
    option: &'static str,
    value: Option<OsString>,
) -> Result<Option<PathBuf>, CliError> {
    if value.as_ref().is_some_and(|value| value.is_empty()) {
        not_empty(option, "")?;
    }
    Ok(value.map(PathBuf::from))
}

/// An open file of this process.
pub(super) fn descriptor(option: &'static str, text: &str) -> Result<u32, CliError> {
    let number = text.parse().ok().filter(|number| *number <= MOST_DESCRIPTOR && is_digits(text));
    number.ok_or_else(|| {
        let expected = "expected the number of an open file descriptor, such as 3";
        CliError::invalid(option, format!("{expected}, found \"{}\"", printable(text)))
    })
}

/// How many connections to serve at once.
pub(super) fn connections(option: &'static str, text: &str) -> Result<usize, CliError> {
    let number = text.parse().ok().filter(|_| is_digits(text));
    number.filter(|number| (1..=MOST_CONNECTIONS).contains(number)).ok_or_else(|| {
        let expected = format!("expected a number of connections from 1 to {MOST_CONNECTIONS}");
        CliError::invalid(option, format!("{expected}, found \"{}\"", printable(text)))
    })
}

/// How much to log.
pub(super) fn log_level(option: &'static str, text: &str) -> Result<Level, CliError> {
    match text {
        "error" => Ok(Level::ERROR),
        "warn" => Ok(Level::WARN),
        "info" => Ok(Level::INFO),
        "debug" => Ok(Level::DEBUG),
        "trace" => Ok(Level::TRACE),
        _ => {
            let expected = "expected error, warn, info, debug or trace";
            Err(CliError::invalid(option, format!("{expected}, found \"{}\"", printable(text))))
        }
    }
}

/// How lines of the log look.
pub(super) fn log_format(option: &'static str, text: &str) -> Result<LogFormat, CliError> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => {
            let expected = "expected text or json";
            Err(CliError::invalid(option, format!("{expected}, found \"{}\"", printable(text))))
        }
    }
}

/// Where to listen for whoever operates the proxy.
pub(super) fn admin(option: &'static str, text: &str) -> Result<AdminAddress, CliError> {
    #[cfg(unix)]
    if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        return Ok(AdminAddress::Unix(path.into()));
    }
    text.parse().map(AdminAddress::Tcp).map_err(|_| {
        let expected = "expected an address and a port, such as 127.0.0.1:9090 or [::1]:9090";
        let expected = match cfg!(unix) {
            true => format!("{expected}, or unix:<path>"),
            false => expected.to_owned(),
        };
        CliError::invalid(option, format!("{expected}, found \"{}\"", printable(text)))
    })
}

/// `text` without what would break the line, or the terminal, that an error is shown on.
pub(crate) fn printable(text: &str) -> String {
    let escape = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(escape).collect()
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_digit)
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}
