use crate::output::Output;
use crate::{Connection, ProcessOutput, Response, binary, environment};
use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::thread;

/// The proxy, running as a process of its own until the test is over.
///
/// If the test fails, what the proxy said is printed with the reason.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    output: Output,
    address: Option<SocketAddr>,
    sandbox: Option<String>,
}

/// What the proxy is to be started with: on a free port of 127.0.0.1, unless told otherwise.
#[derive(Clone, Debug)]
pub struct ProxyBuilder {
    under: Vec<OsString>,
    tcp: bool,
    ip_address: Option<String>,
    port: u16,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    sandbox: bool,
}

impl Proxy {
    /// In front of the embedded deployment.
    pub fn sandbox() -> ProxyBuilder {
        ProxyBuilder { sandbox: true, ..ProxyBuilder::new() }.args(["--sandbox"])
    }

    /// In front of a deployment at `root_url`, as the client `tester` with the accessToken
    /// `no-secret`.
    pub fn in_front_of(root_url: impl AsRef<OsStr>) -> ProxyBuilder {
        ProxyBuilder::new()
            .env("TASKCLUSTER_ROOT_URL", root_url)
            .env("TASKCLUSTER_CLIENT_ID", "tester")
            .env("TASKCLUSTER_ACCESS_TOKEN", "no-secret")
    }

    /// With nothing but the arguments and variables that follow.
    pub fn builder() -> ProxyBuilder {
        ProxyBuilder::new()
    }

    /// Where it listens; where that is every interface, the loopback one.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("the proxy listens over TCP")
    }

    /// `http://<address>`: what a task has as its `TASKCLUSTER_PROXY_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The root URL of the embedded deployment.
    pub fn sandbox_root_url(&self) -> &str {
        self.sandbox.as_deref().expect("the proxy was started by Proxy::sandbox()")
    }

    /// A new connection to it.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address())
    }

    /// Sends one request over a connection of its own, and reads the response.
    pub fn exchange(&self, request: impl AsRef<[u8]>) -> Response {
        crate::exchange(self.address(), request)
    }

    /// Gets this, over a connection of its own.
    pub fn get(&self, target: &str) -> Response {
        self.call("GET", target, "")
    }

    /// The same with any method and, unless it is empty, a body.
    pub fn call(&self, method: &str, target: &str, body: impl AsRef<[u8]>) -> Response {
        self.exchange(crate::request(method, target, body))
    }

    /// All that it has said so far, on stdout and stderr.
    pub fn log(&self) -> String {
        self.output.text()
    }

    /// The first line of the log with `text` in it, as soon as there is one.
    pub fn wait_for_log(&self, text: &str) -> String {
        let found = self.output.wait_for(|line| line.contains(text).then(|| line.to_owned()));
        found.unwrap_or_else(|| panic!("the proxy does not say {text:?}"))
    }

    /// Stops or goes on reading what it says, as a launcher does that is stopped.
    pub fn pause_reading(&self, paused: bool) {
        self.output.pause(paused);
    }

    /// All that it has said, with the line of each request that has ended: lines are written by a
    /// thread of their own.
    pub fn whole_log(&self) -> String {
        let last = self.get("/the-last-request");
        self.wait_for_log(last.header("x-taskcluster-proxy-request-id").expect("each has an id"));
        self.log()
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it has had so far, in bytes.
    #[cfg(target_os = "linux")]
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The memory that it has now, in bytes.
    #[cfg(target_os = "linux")]
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    #[cfg(target_os = "linux")]
    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.expect("the proxy runs");
        let (_, value) = status.split_once(name).expect("Linux tells it");
        let kib: u64 = value.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap();
        kib * 1024
    }

    /// How many descriptors it has open. Only root can tell: the proxy keeps its own to itself.
    #[cfg(target_os = "linux")]
    pub fn descriptors(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.id()));
        open.expect("the proxy runs, and the story is told by root").count()
    }

    /// Waits until it has no more descriptors open than so many. Nobody is told when it has closed
    /// the last of them, hence the polling.
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

    /// Ends it as workers do, without a warning.
    pub fn kill(mut self) -> ProcessOutput {
        self.child.kill().expect("a child can be killed");
        self.output.finish(&mut self.child)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the proxy said:\n{}", self.log());
        }
        // It may have ended already: nothing is left to do then.
        let _ = self.child.kill();
        let _ = self.child.wait();
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

    /// Adds arguments, options and scopes alike.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable. None of `TASKCLUSTER_*` is there without this, nor any for proxies,
    /// certificates or logs.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Listens on this address; on every interface for `None`.
    pub fn ip_address(mut self, ip_address: Option<&str>) -> Self {
        self.ip_address = ip_address.map(str::to_owned);
        self
    }

    /// Listens on this port.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Listens on what the arguments say, and not on a port.
    pub fn without_tcp(mut self) -> Self {
        self.tcp = false;
        self
    }

    /// Is started by this program, which ends in being the proxy's process itself.
    pub fn under(mut self, program: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.under = program.into_iter().map(|word| word.as_ref().to_owned()).collect();
        self
    }

    /// Starts it, and waits until it listens.
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
        // Whether it hangs or has ended: what it said is printed with this.
        assert!(listens && root_url.is_some() == sandbox, "the proxy does not start");
        (proxy.address, proxy.sandbox) = (address, root_url);
        proxy
    }

    /// Starts it, and waits for nothing.
    pub fn spawn(self) -> Proxy {
        let mut command = self.command();
        if self.tcp {
            command.args(["--port", &self.port.to_string()]);
            command.args(self.ip_address.iter().flat_map(|address| ["--ip-address", address]));
        }
        let (child, output) = spawn(command);
        Proxy { child, output, address: None, sandbox: None }
    }

    /// Runs it with the arguments and variables given and no others, and waits until it ends.
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
