//! Hosts as network namespaces, each on a cable of its own to a switch in the server's, and one cable from there to the test.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use super::sweep;

/// What happens to the line between a host and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The host's cable is pulled: nothing gets through, and the host sees no carrier.
    Unplugged,
    /// What the host sends to the server vanishes; it hears the server.
    Unheard,
    /// What the server sends to the host vanishes; the server hears the host.
    Deaf,
}

/// Whom frames are addressed to that vanish: nobody on the switch.
const NOBODY: &str = "02:00:00:00:00:ff";
/// The namespace of the server, with the switch.
const SERVER: &str = "server";
/// 198.18.0.0/15 is for tests of networks; this many pieces of 16 addresses fit.
const PIECES: u32 = 8192;

/// See the module. Processes in its hosts are killed, and it is removed, when this is dropped.
#[derive(Debug)]
pub struct Network {
    /// What the names of its namespaces begin with.
    prefix: String,
    /// Which piece of the addresses it has.
    piece: u32,
    hosts: Vec<&'static str>,
}

impl Network {
    /// A server's host and these. `None`, said as the reason for a skip, where this isn't root.
    pub fn new(hosts: &[&'static str]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: hosts are network namespaces, which only root can make");
            return None;
        }
        sweep::left_by_the_dead();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut network = Self {
            prefix: format!("{}{}-", sweep::prefix(), COUNT.fetch_add(1, Ordering::Relaxed)),
            piece: 0,
            hosts: hosts.to_vec(),
        };
        for host in [SERVER].iter().chain(hosts) {
            ip(&["netns", "add", &network.namespace(host)]).unwrap();
        }
        network.piece = network.outside();
        network.switch();
        for host in hosts {
            network.plug_in(host);
        }
        Some(network)
    }

    /// The server's address, without a port.
    pub fn server(&self) -> String {
        self.address(2)
    }

    /// The test's own address in this network, which all hosts reach.
    pub fn test(&self) -> String {
        self.address(1)
    }

    /// A command that runs a program on the server's host.
    pub fn on_server(&self, program: &str) -> tokio::process::Command {
        self.on(SERVER, program)
    }

    /// A command that runs a program on a host, under the host's name. It becomes the program, so a signal reaches that.
    pub fn on(&self, host: &str, program: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.namespace(host)));
        command.args([
            "--",
            "unshare",
            "--uts",
            "--",
            "sh",
            "-c",
            "hostname \"$0\" && exec \"$@\"",
            host,
            program,
        ]);
        command
    }

    /// Breaks the line between a host and the server.
    pub fn cut(&self, host: &str, cut: Cut) {
        let (at, batch) = match cut {
            Cut::Unplugged => (SERVER, format!("link set {} down", self.port(host))),
            Cut::Unheard => (
                host,
                format!("neigh replace {} lladdr {NOBODY} dev eth0 nud permanent", self.server()),
            ),
            Cut::Deaf => (
                SERVER,
                format!("neigh replace {} lladdr {NOBODY} dev switch nud permanent", self.address_of(host)),
            ),
        };
        self.batch(at, &batch);
    }

    /// Mends what [`Network::cut`] has broken.
    pub fn heal(&self, host: &str, cut: Cut) {
        let (at, batch) = match cut {
            Cut::Unplugged => (SERVER, format!("link set {} up", self.port(host))),
            Cut::Unheard => (host, format!("neigh del {} dev eth0", self.server())),
            Cut::Deaf => (SERVER, format!("neigh del {} dev switch", self.address_of(host))),
        };
        self.batch(at, &batch);
    }

    /// The cable to the test. Its name, of which a machine has one, takes a piece of the addresses.
    fn outside(&self) -> u32 {
        let first = fastrand::u32(..PIECES);
        let free = (0..PIECES).map(|step| (first + step) % PIECES).find(|piece| {
            let name = format!("mlhost{piece}");
            let taken = ip(&["link", "show", &name]).is_ok();
            !taken
                && ip(&[
                    "link",
                    "add",
                    &name,
                    "type",
                    "veth",
                    "peer",
                    "name",
                    "outside",
                    "netns",
                    &self.namespace(SERVER),
                ])
                .is_ok()
        });
        free.expect("a piece of the addresses, and the right to make a link")
    }

    fn switch(&self) {
        let (test, server, cable) = (self.test(), self.server(), format!("mlhost{}", self.piece));
        self.batch(
            SERVER,
            &format!(
                "link set lo up\nlink add switch type bridge\nlink set outside master switch\nlink set outside up\n\
                 addr add {server}/28 dev switch\nlink set switch up"
            ),
        );
        ip(&["addr", "add", &format!("{test}/28"), "dev", &cable]).unwrap();
        ip(&["link", "set", &cable, "up"]).unwrap();
    }

    fn plug_in(&self, host: &str) {
        let (port, address, namespace) = (self.port(host), self.address_of(host), self.namespace(host));
        self.batch(
            SERVER,
            &format!("link add {port} type veth peer name eth0 netns {namespace}\nlink set {port} master switch\nlink set {port} up"),
        );
        self.batch(host, &format!("link set lo up\naddr add {address}/28 dev eth0\nlink set eth0 up"));
    }

    fn namespace(&self, host: &str) -> String {
        format!("{}{host}", self.prefix)
    }

    fn index(&self, host: &str) -> u32 {
        let index = self.hosts.iter().position(|known| *known == host).expect("a host of this network");
        u32::try_from(index).expect("few hosts")
    }

    fn port(&self, host: &str) -> String {
        format!("port{}", self.index(host))
    }

    fn address_of(&self, host: &str) -> String {
        self.address(3 + self.index(host))
    }

    fn address(&self, last: u32) -> String {
        let base = u32::from_be_bytes([198, 18, 0, 0]);
        std::net::Ipv4Addr::from(base + 16 * self.piece + last).to_string()
    }

    fn batch(&self, host: &str, lines: &str) {
        let mut command = Command::new("ip");
        command.args(["-n", &self.namespace(host), "-batch", "-"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program ip");
        let written = child.stdin.take().expect("its input").write_all(format!("{lines}\n").as_bytes());
        let ended = child.wait_with_output().expect("the end of ip");
        assert!(
            written.is_ok() && ended.status.success(),
            "{lines}: {}",
            String::from_utf8_lossy(&ended.stderr)
        );
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in self.hosts.iter().chain(&[SERVER]) {
            sweep::remove(&self.namespace(host));
        }
        // The kernel does it too, once it comes to it.
        drop(ip(&["link", "delete", &format!("mlhost{}", self.piece)]));
    }
}

/// Calls `ip`; what it printed, or what it said when it failed.
pub(super) fn ip(args: &[&str]) -> Result<String, String> {
    let ended = Command::new("ip").args(args).output().expect("the program ip: install iproute2");
    match ended.status.success() {
        true => Ok(String::from_utf8_lossy(&ended.stdout).into_owned()),
        false => Err(format!("ip {}: {}", args.join(" "), String::from_utf8_lossy(&ended.stderr))),
    }
}
