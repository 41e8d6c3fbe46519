//! The access policy (docs/compatibility.md, A1 to A3), with several users and network namespaces of
//! this machine; unit tests beside the code cover the rules themselves.

#![cfg(target_os = "linux")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;
use support::users::{self, DAEMON, NOBODY, can_switch_users, status_for};
use support::{ProcessOutput, Proxy};

#[test]
fn only_the_allowed_user_and_root_may_connect() {
    if !can_switch_users(&[]) {
        return;
    }
    let proxy = Proxy::sandbox().ip_address(None).args(["--allowed-user", "nobody"]).start();
    let port = proxy.address().port();
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into(), mapped.into()] {
        let address = (ip, port).into();
        assert!(is_served(&mut client(address)), "root at {address}");
        assert!(is_served(&mut as_user(NOBODY, address)), "nobody at {address}");
        assert_eq!(output(&mut as_user(DAEMON, address)), "", "daemon at {address}");
    }
    let line = proxy.wait_for_log("Rejected connection: ");
    assert!(line.contains("of uid 1, expected user nobody (uid 65534) or root (uid 0)"), "{line}");
}

/// Several users connect from the same port, one after the other.
#[test]
fn a_port_reused_by_another_user_is_looked_up_again() {
    if !can_switch_users(&[["/usr/bin/python3", "--version"]]) {
        return;
    }
    let proxy = Proxy::sandbox().args(["--allowed-user", "nobody"]).start();
    let port = unused_port();
    // Reads to the end, so that the proxy closes first and the TIME_WAIT state is on its side.
    let script = format!(
        "import socket\ns = socket.socket()\ns.bind(('127.0.0.1', {port}))\n\
         s.connect(('127.0.0.1', {}))\ns.sendall(b'GET /api/queue/v1/ping HTTP/1.0\\r\\n\\r\\n')\n\
         while data := s.recv(9999): print(data.decode())",
        proxy.address().port()
    );
    for (uid, served) in [(NOBODY, true), (DAEMON, false), (NOBODY, true)] {
        let mut client = users::as_user(uid, "/usr/bin/python3");
        assert_eq!(is_served(client.args(["-c", &script])), served, "uid {uid}");
    }
    assert!(proxy.wait_for_log("Rejected connection: ").contains("of uid 1, expected"));
}

/// sock_diag does not find such a socket when it is asked for one connection.
#[test]
fn the_owner_of_a_socket_that_is_bound_to_an_interface_is_found() {
    if !can_switch_users(&[["curl", "--version"]]) {
        return;
    }
    let proxy = Proxy::sandbox()
        .args(["--allowed-user", "nobody", "--allowed-network", "127.0.0.0/8"])
        .start();
    let url = format!("{}/api/queue/v1/ping", proxy.url());
    for (uid, status) in [(NOBODY, 200), (DAEMON, 0)] {
        assert_eq!(status_for(uid, &["--interface", "if!lo", &url]), status, "uid {uid}");
    }
    assert!(proxy.wait_for_log("Rejected connection: ").contains("of uid 1, expected"));
}

#[test]
fn an_allowed_network_may_connect_from_another_namespace() {
    let Some(container) = Container::new() else {
        return;
    };
    let proxy = start_with_allowed_network(
        &container,
        &container.gateway().to_string(),
        &container.network(),
    );
    let loopback = (Ipv4Addr::LOCALHOST, proxy.address().port()).into();
    assert!(is_served(&mut client(loopback)), "root at {loopback}");
    assert!(is_served(&mut as_user(NOBODY, loopback)), "nobody at {loopback}");
    assert_eq!(output(&mut as_user(DAEMON, loopback)), "", "daemon at {loopback}");
}

#[test]
fn an_allowed_ipv6_network_may_connect_from_another_namespace() {
    let Some(container) = Container::new() else {
        return;
    };
    start_with_allowed_network(
        &container,
        &container.gateway6().to_string(),
        &container.network6(),
    );
}

/// A proxy that listens at the gateway and allows only the user nobody and the network.
fn start_with_allowed_network(container: &Container, gateway: &str, network: &str) -> Proxy {
    let proxy = Proxy::sandbox()
        .ip_address(Some(gateway))
        .args(["--allowed-user", "nobody", "--allowed-network", network])
        .start();
    let address = proxy.address();
    assert!(is_served(&mut container.client(address)), "the container");
    assert!(is_served(&mut as_user(NOBODY, address)), "nobody");
    // It connects from the gateway's address, which is in the network, too.
    assert_eq!(output(&mut as_user(DAEMON, address)), "", "daemon");
    assert!(proxy.wait_for_log("Rejected connection: ").contains("of uid 1, expected"));
    proxy
}

#[test]
fn other_networks_and_namespaces_are_rejected() {
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
fn an_access_policy_that_allows_everyone_or_names_no_user_is_rejected() {
    for (args, expected) in [
        (["--allowed-network", "0.0.0.0/0"], "a prefix length of 0 would allow every peer"),
        (["--allowed-network", "::/0"], "a prefix length of 0 would allow every peer"),
        (["--allowed-user", "no-such-user"], "found none named \"no-such-user\""),
    ] {
        let ProcessOutput { status, stderr, .. } = Proxy::sandbox().args(args).run();
        assert!(!status.success() && stderr.lines().count() == 1, "{status} {stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    }
}

/// Another network namespace, with an address that this one can reach.
struct Container {
    number: u32,
}

impl Container {
    /// `None` if it cannot be created.
    fn new() -> Option<Self> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !can_switch_users(&[["ip", "netns"]]) {
            return None;
        }
        let number = std::process::id() * 4 + COUNT.fetch_add(1, Ordering::Relaxed) % 4;
        let container = Self { number };
        let (name, [outer, inner]) = (container.name(), container.interfaces());
        for line in [
            format!("netns add {name}"),
            format!("link add {outer} type veth peer name {inner} netns {name}"),
            format!("address add {}/30 dev {outer}", container.gateway()),
            // Without `nodad` it would be usable only a second later.
            format!("address add {}/64 dev {outer} nodad", container.gateway6()),
            format!("link set {outer} up"),
            format!("-n {name} address add {}/30 dev {inner}", container.address(2)),
            format!("-n {name} address add {}/64 dev {inner} nodad", container.address6(2)),
            format!("-n {name} link set {inner} up"),
        ] {
            let status = Command::new("ip").args(line.split(' ')).status();
            assert!(status.is_ok_and(|status| status.success()), "ip {line}");
        }
        Some(container)
    }

    /// The address of the outer interface.
    fn gateway(&self) -> Ipv4Addr {
        self.address(1)
    }

    fn network(&self) -> String {
        format!("{}/30", self.address(0))
    }

    fn gateway6(&self) -> Ipv6Addr {
        self.address6(1)
    }

    fn network6(&self) -> String {
        format!("{}/64", self.address6(0))
    }

    /// A client in the namespace.
    fn client(&self, address: SocketAddr) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(), "bash", "-c", &script(address)]);
        command
    }

    /// An address of its network of four, somewhere in 10.128.0.0/9.
    fn address(&self, last: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 128, 0, 0)) + self.number % (1 << 21) * 4 + last)
    }

    fn address6(&self, last: u16) -> Ipv6Addr {
        let [high, low] = [(self.number >> 16) as u16, self.number as u16];
        Ipv6Addr::new(0xfd00, 0x7463, high, low, 0, 0, 0, last)
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
        // This removes its interfaces, too.
        let _ = Command::new("ip").args(["netns", "delete", &self.name()]).status();
    }
}

fn client(address: SocketAddr) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", &script(address)]);
    command
}

fn as_user(uid: &str, address: SocketAddr) -> Command {
    let mut command = users::as_user(uid, "bash");
    command.args(["-c", &script(address)]);
    command
}

/// A port outside of the ephemeral range, so that no other connection uses it meanwhile.
fn unused_port() -> u32 {
    10_000 + std::process::id() % 20_000
}

/// Sends a request and prints all bytes of the response.
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
