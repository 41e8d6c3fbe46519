//! Parsers for the values of options. Their errors quote invalid values, so there is none for credentials.

use super::CliError;
use crate::admin::Address;
use crate::proxy::CredentialsFrom;
use crate::telemetry::log::LogFormat;
use crate::telemetry::printable;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use ipnet::{IpNet, Ipv4Net};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;
use tracing::Level;

/// The maximum of all timeouts, in seconds.
const MAX_SECONDS: f64 = 3600.0;

/// The maximum of sizes: 1 GiB. A larger value is probably a mistake.
const MAX_KIB: usize = 1024 * 1024;

/// The maximum of the system's type for descriptors.
const MAX_DESCRIPTOR: u32 = i32::MAX as u32;

/// The maximum of `--max-connections`: more connections, each with two descriptors, than any limit of open
/// files allows.
const MAX_CONNECTIONS: usize = 1_000_000;

/// An address to listen on. IPv4-mapped IPv6 addresses become IPv4.
pub(super) fn address(text: &str) -> Result<IpAddr, CliError> {
    let address = text.parse().map_err(|_| CliError::Address(printable(text)));
    address.map(|address: IpAddr| address.to_canonical())
}

/// A TCP port.
pub(super) fn port(text: &str) -> Result<u16, CliError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    text.parse().map_err(|_| match is_digits(digits) {
        true => CliError::PortRange(text.to_owned()),
        false => CliError::PortNumber(printable(text)),
    })
}

/// Permissions of a file, in octal.
pub(super) fn mode(text: &str) -> Result<u16, String> {
    let mode = u16::from_str_radix(text, 8).ok().filter(|mode| is_digits(text) && *mode <= 0o777);
    mode.ok_or_else(|| invalid("expected permissions in octal, from 0 to 777, such as 660", text))
}

/// Who may change the credentials.
pub(super) fn credentials_from() -> impl TypedValueParser<Value = CredentialsFrom> {
    one_of(&[
        ("root", CredentialsFrom::Root),
        ("same-user", CredentialsFrom::SameUser),
        ("any", CredentialsFrom::Any),
    ])
}

/// The least severe level that is logged.
pub(super) fn log_level() -> impl TypedValueParser<Value = Level> {
    one_of(&[
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ])
}

/// The format of the log.
pub(super) fn log_format() -> impl TypedValueParser<Value = LogFormat> {
    one_of(&[("text", LogFormat::Text), ("json", LogFormat::Json)])
}

fn one_of<T: Copy + Send + Sync>(
    values: &'static [(&'static str, T)],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(values.iter().map(|(name, _)| *name)).try_map(|given| {
        let value = values.iter().find(|(name, _)| *name == given);
        value.map(|(_, value)| *value).ok_or("expected another value")
    })
}

/// A network, or a single address. Bits after the prefix are ignored.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse().or_else(|_| text.parse().map(IpAddr::into)).map_err(|_| {
        invalid("expected a network such as 172.17.0.0/16 or fd00::/64, or an address", text)
    })?;
    let network = canonical(network);
    if network.prefix_len() == 0 {
        let reason =
            "a prefix length of 0 would allow every peer: give the network of the containers";
        return Err(invalid(reason, text));
    }
    Ok(network.trunc())
}

/// Converts an IPv4-mapped network to IPv4, because peers' addresses are never IPv4-mapped.
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

/// A number of seconds, which may have fractions. `meaning` explains the value 0, if it is allowed.
pub(super) fn seconds(
    min: f64,
    meaning: &'static str,
) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    move |text| {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let seconds = text.parse().ok().filter(|seconds| (min..=MAX_SECONDS).contains(seconds));
        seconds.filter(|_| plain).map(Duration::from_secs_f64).ok_or_else(|| {
            let expected = "expected a number of seconds from";
            invalid(&format!("{expected} {min}{meaning} to {MAX_SECONDS}"), text)
        })
    }
}

/// A number of KiB, in bytes.
pub(super) fn kib(text: &str) -> Result<usize, String> {
    whole(text, 0..=MAX_KIB).map(|kib| kib * 1024).ok_or_else(|| {
        let expected = "expected a whole number of KiB from 0 (keep nothing) to";
        invalid(&format!("{expected} {MAX_KIB}"), text)
    })
}

/// A maximum of connections.
pub(super) fn connections(text: &str) -> Result<usize, String> {
    whole(text, 1..=MAX_CONNECTIONS).ok_or_else(|| {
        invalid(&format!("expected a number of connections from 1 to {MAX_CONNECTIONS}"), text)
    })
}

/// A file descriptor. The error does not quote the value, which may be credentials by mistake.
pub(super) fn descriptor(text: &str) -> Result<u32, &'static str> {
    let number = whole(text, 0..=MAX_DESCRIPTOR);
    number.ok_or("expected the number of an open file descriptor, such as 3, found something else")
}

/// The address of the admin listener.
pub(super) fn admin(text: &str) -> Result<Address, String> {
    #[cfg(unix)]
    if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        return Ok(Address::Unix(path.into()));
    }
    let or_path = if cfg!(unix) { ", or unix:<path>" } else { "" };
    let expected = "expected an address and a port, such as 127.0.0.1:9090 or [::1]:9090";
    text.parse().map(Address::Tcp).map_err(|_| invalid(&format!("{expected}{or_path}"), text))
}

fn whole<T: FromStr + PartialOrd>(text: &str, range: RangeInclusive<T>) -> Option<T> {
    text.parse().ok().filter(|number| is_digits(text) && range.contains(number))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The error for a value that is not the expected one.
fn invalid(expected: &str, found: &str) -> String {
    format!("{expected}, found \"{found}\"")
}
