//! Who may connect (requirements.md, A1 to A3), as far as it takes more than one user or network
//! namespace of this machine; the rules themselves are tested beside them.

#![cfg(target_os = "linux")]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;
use stories::{Finished, Proxy, skip};

/// Two users that every Linux has.
const NOBODY: &str = "65534";
const DAEMON: &str = "1";

#[test]
fn a_user_and_root_get_in_and_others_do_not() {
    if !can_run("setpriv", "--version") {
        return;
    }
    let proxy = Proxy::sandbox().ip_address(None).args(["--allowed-user", "nobody"]).start();
    let port = proxy.address().port();
    for address in [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()] {
        assert!(is_served(&mut client(address)), "root at {address}");
        assert!(is_served(&mut as_user(NOBODY, address)), "nobody at {address}");
        assert_eq!(output(&mut as_user(DAEMON, address)), "", "daemon at {address}");
    }
    let line = proxy.wait_for_log("Rejected connection: ");
    assert!(line.contains("of uid 1, expected user nobody (uid 65534) or root (uid 0)"), "{line}");
}

#[test]
fn a_network_gets_in_where_its_sockets_are_not_visible() {
    let Some(container) = Container::new() else {
        return;
    };
    let proxy = Proxy::sandbox()
        .ip_address(Some(&container.gateway().to_string()))
        .args(["--allowed-user", "nobody", "--allowed-network", &container.network()])
        .start();
    let address = proxy.address();
    assert!(is_served(&mut container.client(address)), "the container");
    assert!(is_served(&mut as_user(NOBODY, address)), "nobody");
    // Its address is the gateway's, which is in the network, too.
    assert_eq!(output(&mut as_user(DAEMON, address)), "", "daemon");
    assert!(proxy.wait_for_log("Rejected connection: ").contains("of uid 1, expected"));

    let loopback = (Ipv4Addr::LOCALHOST, address.port()).into();
    assert!(is_served(&mut client(loopback)), "root at {loopback}");
    assert!(is_served(&mut as_user(NOBODY, loopback)), "nobody at {loopback}");
    assert_eq!(output(&mut as_user(DAEMON, loopback)), "", "daemon at {loopback}");
}

#[test]
fn other_networks_and_other_namespaces_do_not() {
    let Some(container) = Container::new() else {
        return;
    };
    for args in [["--allowed-network", "192.0.2.0/24"], ["--allowed-user", "nobody"]] {
        let gateway = container.gateway().to_string();
        let proxy = Proxy::sandbox().ip_address(Some(&gateway)).args(args).start();
        assert_eq!(output(&mut container.client(proxy.address())), "", "{args:?}");
        let line = proxy.wait_for_log("Rejected connection: ");
        assert!(line.contains("not of this machine or network namespace"), "{line}");
    }
    let everyone = Proxy::sandbox().ip_address(Some(&container.gateway().to_string())).start();
    assert!(is_served(&mut container.client(everyone.address())), "no restriction");
}

#[test]
fn what_would_admit_everyone_or_nobody_ends_the_start() {
    for (args, expected) in [
        (["--allowed-network", "0.0.0.0/0"], "a prefix length of 0 would admit everyone"),
        (["--allowed-network", "::/0"], "a prefix length of 0 would admit everyone"),
        (["--allowed-user", "no-such-user"], "found none named \"no-such-user\""),
    ] {
        let Finished { status, stderr, .. } = Proxy::sandbox().args(args).run();
        assert!(!status.success() && stderr.lines().count() == 1, "{status} {stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    }
}

/// Another network namespace, with an address that this one can reach.
struct Container {
    number: u32,
}

impl Container {
    /// `None` where there cannot be one.
    fn new() -> Option<Self> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !can_run("setpriv", "--version") || !can_run("ip", "netns") {
            return None;
        }
        let number = std::process::id() * 4 + COUNT.fetch_add(1, Ordering::Relaxed) % 4;
        let container = Self { number };
        let (name, [outer, inner]) = (container.name(), container.interfaces());
        for line in [
            format!("netns add {name}"),
            format!("link add {outer} type veth peer name {inner} netns {name}"),
            format!("address add {}/30 dev {outer}", container.gateway()),
            format!("link set {outer} up"),
            format!("-n {name} address add {}/30 dev {inner}", container.address(2)),
            format!("-n {name} link set {inner} up"),
        ] {
            let status = Command::new("ip").args(line.split(' ')).status();
            assert!(status.is_ok_and(|status| status.success()), "ip {line}");
        }
        Some(container)
    }

    /// This side's address.
    fn gateway(&self) -> Ipv4Addr {
        self.address(1)
    }

    fn network(&self) -> String {
        format!("{}/30", self.address(0))
    }

    /// A client that runs in it.
    fn client(&self, address: SocketAddr) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(), "bash", "-c", &script(address)]);
        command
    }

    /// One of the four of its network, somewhere in 10.128.0.0/9.
    fn address(&self, last: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 128, 0, 0)) + self.number % (1 << 21) * 4 + last)
    }

    fn name(&self) -> String {
        format!("tcproxy-{}", self.number)
    }

    fn interfaces(&self) -> [String; 2] {
        ["o", "i"].map(|end| format!("tcp{end}{}", self.number))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Its interfaces go with it.
        let _ = Command::new("ip").args(["netns", "delete", &self.name()]).status();
    }
}

/// Whether this tool is there and the stories run as root; says so if not.
fn can_run(tool: &str, args: &str) -> bool {
    let user = Command::new("id").arg("-u").output().expect("every Linux has id");
    if user.stdout != b"0\n" {
        skip("only root can be another user, or make a network namespace");
        return false;
    }
    let runs = Command::new(tool).arg(args).output().is_ok_and(|output| output.status.success());
    if !runs {
        skip(&format!("{tool} is not installed, or cannot do its work here"));
    }
    runs
}

fn client(address: SocketAddr) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", &script(address)]);
    command
}

fn as_user(uid: &str, address: SocketAddr) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", uid, "--clear-groups", "bash", "-c", &script(address)]);
    command
}

/// Sends a request, and prints all that comes back.
fn script(address: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!(
        "exec 3<>/dev/tcp/{ip}/{port} || {{ echo no connection; exit; }}; \
         printf 'GET /api/queue/v1/ping HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
    )
}

fn is_served(client: &mut Command) -> bool {
    output(client).starts_with("HTTP/1.0 200 ")
}

fn output(client: &mut Command) -> String {
    let output = client.output().unwrap_or_else(|error| panic!("{client:?}: {error}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
