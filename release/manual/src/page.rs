//! The man page.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};
use std::io;

/// The man page of `command`, in roff.
///
/// # Errors
///
/// None, as the page is written to memory.
pub(crate) fn render(command: Command) -> io::Result<Vec<u8>> {
    let urls = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let man = Man::new(command.after_help(None::<&str>))
        // Instead of a date, which would differ between builds.
        .date(concat!("version ", env!("CARGO_PKG_VERSION")))
        .source("Taskcluster");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    prose().to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    environment().to_writer(&mut page)?;
    self::urls(&urls).to_writer(&mut page)?;
    ending().to_writer(&mut page)?;
    Ok(page)
}

/// The synopsis and the description, with the scopes, which are not arguments of `command`.
fn prose() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([
        bold("taskcluster-proxy"),
        roman(" ["),
        italic("options"),
        roman("] ["),
        italic("scope"),
        roman("...]"),
    ]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman(
        "Listens for the plain HTTP requests of a Taskcluster task, signs each with Hawk and the \
         credentials that it holds, and forwards it to the deployment's services or to another host. \
         Bodies are streamed both ways.",
    )]);
    roff.control("PP", []);
    roff.text([
        roman("Requests are restricted to the "),
        italic("scope"),
        roman("s given and to those of the task that "),
        bold("--task-id"),
        roman(" names. Without either, they have all scopes of the credentials."),
    ]);
    roff.control("PP", []);
    roff.text([roman(
        "Options and scopes may come in any order, values may start with a hyphen, and long options \
         may be shortened as long as they stay unambiguous.",
    )]);
    roff
}

fn environment() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["ENVIRONMENT"]);
    for (names, what) in ENVIRONMENT {
        roff.control("TP", []);
        roff.text([bold(*names)]);
        roff.text([roman(*what)]);
    }
    roff
}

const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "TASKCLUSTER_ROOT_URL, TASKCLUSTER_CLIENT_ID, TASKCLUSTER_ACCESS_TOKEN, \
         TASKCLUSTER_CERTIFICATE",
        "Can be used instead of the options of the same names. Other users cannot read them, unlike options.",
    ),
    (
        "SSL_CERT_FILE, SSL_CERT_DIR",
        "The root certificates to trust, instead of the system's. If there are none, built-in \
         ones are trusted.",
    ),
    (
        "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY",
        "The forward proxies to reach upstreams through, as URLs that begin with http, https, socks5 or \
         socks5h; and the upstreams that are reached without one.",
    ),
    (
        "NOTIFY_SOCKET",
        "The socket to notify the service manager by: that the proxy accepts connections, and that it \
         is stopping; see sd_notify(3).",
    ),
];

/// The table of URL forms, as in `--help`.
fn urls(table: &str) -> Roff {
    let mut lines = table.lines();
    let mut roff = Roff::new();
    roff.control("SH", ["URLS"]);
    roff.text([roman(lines.next().unwrap_or_default())]);
    roff.control("PP", []);
    roff.control("nf", []);
    for line in lines {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff
}

fn ending() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    roff.text([roman(
        "0 after a graceful shutdown, and after printing help or a version; 1 if the proxy cannot start, with \
         the reason in one line on stderr; 3 if requests were aborted at shutdown.",
    )]);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman("https://docs.taskcluster.net")]);
    roff
}
