//! A Docker client that can build the project's images.

use std::{
    net::{IpAddr, Ipv4Addr, TcpListener},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{command::Cmd, install};

/// How long an engine may take for a small question.
const QUESTION: Duration = Duration::from_secs(20);

/// A Docker client.
#[derive(Debug, Clone)]
pub struct Docker {
    program: PathBuf,
}

impl Docker {
    /// The first client on the path that has BuildKit: built in before version 23, by the buildx plugin since.
    pub fn find() -> Result<Self> {
        let clients: Vec<PathBuf> = install::all_on_path("docker").collect();
        if clients.is_empty() {
            bail!("there is no Docker client on the path: install docker.io, or use `--engine process`");
        }
        match clients.into_iter().find(has_buildkit) {
            Some(program) => Ok(Self { program }),
            None => bail!("the Docker client can't build with BuildKit: install its buildx plugin (docker-buildx)"),
        }
    }

    /// A call of the client.
    pub fn cmd<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Cmd {
        Cmd::new(&self.program).args(args).env("DOCKER_BUILDKIT", "1")
    }

    /// Version of the engine, when it answers.
    pub fn engine_version(&self) -> Option<String> {
        self.cmd(["version", "--format", "{{.Server.Version}}"])
            .limit(QUESTION)
            .output()
            .ok()
            .filter(|version| !version.is_empty())
    }

    /// Whether the engine has an image.
    pub fn has_image(&self, image: &str) -> bool {
        self.cmd(["image", "inspect", "--format", "{{.Id}}", image])
            .limit(QUESTION)
            .succeeds()
    }

    /// The address by which containers of the default network reach this machine.
    pub fn bridge_address(&self) -> Result<IpAddr> {
        let format = "{{range .IPAM.Config}}{{.Gateway}} {{.Subnet}} {{end}}";
        let said = self
            .cmd(["network", "inspect", "bridge", "--format", format])
            .limit(QUESTION)
            .output()?;
        let address = gateway(&said).context("the engine's network `bridge` has no IPv4 subnet: is the engine run without a bridge?")?;
        TcpListener::bind((address, 0))
            .with_context(|| format!("the engine's bridge address {address} is not one of this machine, as with Docker Desktop"))?;
        Ok(address)
    }
}

fn has_buildkit(client: &PathBuf) -> bool {
    let version = Cmd::new(client)
        .args(["version", "--format", "{{.Client.Version}}"])
        .limit(QUESTION)
        .capture();
    // Where no engine answers the client fails, having printed its own version all the same.
    let built_in = version.is_ok_and(|said| major(&said.stdout).is_some_and(|major| (18..23).contains(&major)));
    built_in || Cmd::new(client).args(["buildx", "version"]).limit(QUESTION).succeeds()
}

/// The gateway among gateways and subnets. Engines may name only the subnet of their own network; they take its first address.
fn gateway(said: &str) -> Option<IpAddr> {
    let first_of = |subnet: &str| {
        let (network, _) = subnet.split_once('/')?;
        let network: Ipv4Addr = network.parse().ok()?;
        Some(IpAddr::from(Ipv4Addr::from(u32::from(network) + 1)))
    };
    let words = || said.split_whitespace();
    words().find_map(|word| word.parse().ok()).or_else(|| words().find_map(first_of))
}

fn major(version: &str) -> Option<u32> {
    version.trim().split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_the_one_named_or_the_first_address_of_the_subnet() {
        assert_eq!(gateway("172.17.0.1 172.17.0.0/16"), Some(IpAddr::from([172, 17, 0, 1])));
        assert_eq!(gateway("172.18.5.9 172.18.0.0/16"), Some(IpAddr::from([172, 18, 5, 9])));
        assert_eq!(gateway(" 10.9.0.0/24"), Some(IpAddr::from([10, 9, 0, 1])));
        assert_eq!(gateway(""), None);
    }

    #[test]
    fn the_major_version_of_a_client_is_read() {
        assert_eq!(major("20.10.24+dfsg1\n"), Some(20));
        assert_eq!(major("28.2.2"), Some(28));
        assert_eq!(major(""), None);
    }
}
