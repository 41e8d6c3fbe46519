//! The proxy as a child process.

use crate::output::Output;
use crate::{Connection, ProcessOutput, Response, binary, environment};
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::thread;

/// The proxy as a child process, killed when this is dropped.
///
/// If the test fails, the output of the proxy is printed; it fails if something there is Rust's debug output.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    output: Output,
    address: Option<SocketAddr>,
    sandbox: Option<String>,
}

/// Options and environment variables of a proxy to start. By default it listens on a free port of 127.0.0.1.
#[derive(Clone, Debug)]
pub struct ProxyBuilder {
    /// The command that starts the proxy; empty if it is started directly.
    under: Vec<OsString>,
    tcp: bool,
    ip_address: Option<String>,
    port: u16,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    sandbox: bool,
}

impl Proxy {
    /// A proxy in front of the sandbox, the embedded deployment.
    pub fn sandbox() -> ProxyBuilder {
        ProxyBuilder { sandbox: true, ..ProxyBuilder::new() }.args(["--sandbox"])
    }

    /// A proxy in front of a deployment at `root_url`, as the client `tester` with the accessToken
    /// `no-secret`.
    pub fn in_front_of(root_url: impl AsRef<OsStr>) -> ProxyBuilder {
        ProxyBuilder::new()
            .env("TASKCLUSTER_ROOT_URL", root_url)
            .env("TASKCLUSTER_CLIENT_ID", "tester")
            .env("TASKCLUSTER_ACCESS_TOKEN", "no-secret")
    }

    /// A proxy with no arguments and variables except those added later.
    pub fn builder() -> ProxyBuilder {
        ProxyBuilder::new()
    }

    /// The address that it listens on; loopback if it listens on every interface.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("the proxy listens over TCP")
    }

    /// `http://<address>`: the `TASKCLUSTER_PROXY_URL` of a task.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The root URL of the embedded deployment.
    pub fn sandbox_root_url(&self) -> &str {
        self.sandbox.as_deref().expect("the proxy was started by Proxy::sandbox()")
    }

    /// Opens a connection to it.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address())
    }

    /// Sends one request over a connection of its own, and reads the response.
    pub fn exchange(&self, request: impl AsRef<[u8]>) -> Response {
        crate::exchange(self.address(), request)
    }

    /// Sends a GET request over a connection of its own.
    pub fn get(&self, target: &str) -> Response {
        self.call("GET", target, "")
    }

    /// Sends a request with this method and, unless it is empty, body over a connection of its own.
    pub fn call(&self, method: &str, target: &str, body: impl AsRef<[u8]>) -> Response {
        self.exchange(crate::request(method, target, body))
    }

    /// Its output so far, on stdout and stderr.
    pub fn log(&self) -> String {
        self.output.text()
    }

    /// Waits for a log line that contains `text`, and returns the first one.
    pub fn wait_for_log(&self, text: &str) -> String {
        let found = self.output.wait_for(|line| line.contains(text).then(|| line.to_owned()));
        found.unwrap_or_else(|| panic!("the proxy does not log {text:?}"))
    }

    /// Like [`wait_for_log`](Self::wait_for_log), for `--log-format json`: returns the parsed line.
    pub fn wait_for_json_log(&self, text: &str) -> Value {
        let line = self.wait_for_log(text);
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Pauses or resumes reading of its output, like a launcher that does not read it.
    pub fn pause_reading(&self, paused: bool) {
        self.output.pause(paused);
    }

    /// Its whole output so far, including the log line of every request that has ended. A thread of its
    /// own writes the log, so this sends one more request and waits for its line.
    pub fn whole_log(&self) -> String {
        let last = self.get("/the-last-request");
        self.wait_for_log(
            last.header("x-taskcluster-proxy-request-id").expect("each response has an id"),
        );
        self.log()
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its peak resident memory, in bytes.
    #[cfg(target_os = "linux")]
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Its resident memory, in bytes.
    #[cfg(target_os = "linux")]
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    #[cfg(target_os = "linux")]
    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.expect("the proxy runs");
        let (_, value) = status.split_once(name).expect("Linux has this field");
        let kib: u64 = value.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap();
        kib * 1024
    }

    /// How many file descriptors it has open. Needs root, as the proxy is not dumpable.
    #[cfg(target_os = "linux")]
    pub fn descriptors(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.id()));
        open.expect("the proxy runs, and the test runs as root").count()
    }

    /// Waits until it has at most so many file descriptors open. Polls, as there is no notification.
    #[cfg(target_os = "linux")]
    pub fn wait_for_descriptors(&self, count: usize) {
        let start = std::time::Instant::now();
        while self.descriptors() > count {
            let open = self.descriptors();
            let waited = start.elapsed();
            assert!(waited < crate::DEADLINE, "{open} descriptors are open, {count} were before");
            thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Sends it a signal by name, such as `TERM`.
    #[cfg(unix)]
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(status.expect("kill runs").success(), "kill -s {name}");
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> ProcessOutput {
        self.output.finish(&mut self.child)
    }

    /// Waits until it ends by itself, whether its output is read or not.
    pub fn wait_for_exit(mut self) -> std::process::ExitStatus {
        let start = std::time::Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(start.elapsed() < crate::DEADLINE, "the process does not end");
            thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Kills it, as workers do.
    pub fn kill(mut self) -> ProcessOutput {
        self.child.kill().expect("a child can be killed");
        self.output.finish(&mut self.child)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("output of the proxy:\n{}", self.log());
        }
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !thread::panicking() {
            self.output.check();
        }
    }
}

impl ProxyBuilder {
    fn new() -> Self {
        Self {
            under: Vec::new(),
            tcp: true,
            ip_address: Some("127.0.0.1".to_owned()),
            port: 0,
            args: Vec::new(),
            env: Vec::new(),
            sandbox: false,
        }
    }

    /// Adds arguments: options and scopes.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable. Those of this machine for Taskcluster, proxies, certificates and logs are
    /// removed.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Listens on this address; `None` means every interface.
    pub fn ip_address(mut self, ip_address: Option<&str>) -> Self {
        self.ip_address = ip_address.map(str::to_owned);
        self
    }

    /// Listens on this port.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Listens only where the arguments say, not on a TCP port by default.
    pub fn without_tcp(mut self) -> Self {
        self.tcp = false;
        self
    }

    /// Starts it with this command, which must `exec` the command line that is appended to it.
    pub fn under(mut self, program: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.under = program.into_iter().map(|word| word.as_ref().to_owned()).collect();
        self
    }

    /// Starts it and waits until it listens.
    pub fn start(self) -> Proxy {
        let (tcp, sandbox) = (self.tcp, self.sandbox);
        let mut proxy = self.spawn();
        let word = |text| proxy.output.wait_for(|line| word_after(line, text));
        let (address, listens) = match tcp {
            true => {
                let address = proxy.output.wait_for(listening_on);
                (address, address.is_some())
            }
            false => (None, word("listening on ").is_some()),
        };
        let root_url = sandbox.then(|| word("sandbox at ")).flatten();
        assert!(
            listens && root_url.is_some() == sandbox,
            "the proxy does not start, or does not log that it listens"
        );
        (proxy.address, proxy.sandbox) = (address, root_url);
        proxy
    }

    /// Starts it without waiting until it listens.
    pub fn spawn(self) -> Proxy {
        let mut command = self.command();
        if self.tcp {
            command.args(["--port", &self.port.to_string()]);
            command.args(self.ip_address.iter().flat_map(|address| ["--ip-address", address]));
        }
        let (child, output) = spawn(command);
        Proxy { child, output, address: None, sandbox: None }
    }

    /// Runs it with no other arguments and waits until it ends.
    pub fn run(self) -> ProcessOutput {
        let (mut child, output) = spawn(self.command());
        output.finish(&mut child)
    }

    fn command(&self) -> Command {
        let mut words = self.under.iter().map(OsString::as_os_str).chain([binary().as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        environment::clear_environment(&mut command);
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

fn spawn(mut command: Command) -> (Child, Output) {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the proxy's binary runs");
    let output = Output::of(&mut child);
    (child, output)
}

fn listening_on(line: &str) -> Option<SocketAddr> {
    let mut address: SocketAddr = word_after(line, "listening on ")?.parse().ok()?;
    address.set_ip(match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        given => given,
    });
    Some(address)
}

fn word_after(line: &str, text: &str) -> Option<String> {
    let (_, after) = line.split_once(text)?;
    after.split([' ', ',', '"', '\n', '\r']).next().map(str::to_owned)
}
