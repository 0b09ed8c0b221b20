//! What a build is handed in for its time is in no layer, not even in one whose files a later one has removed.

use std::{
    collections::HashSet,
    fs,
    io::Write,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use super::{base, build::ca_bundle, client::Docker, container::output};

/// Prints what an image trusts, and what its packages have to trust. An image without that package has neither.
const TRUSTED: &str = "cat /etc/ssl/certs/ca-certificates.crt /usr/share/ca-certificates/*/*.crt 2>/dev/null || true";

/// Fails where the image has certificates that this machine trusts and Debian doesn't, as that of a proxy.
pub fn check(docker: &Docker, image: &str) -> Result<()> {
    // Builders leave the secret's empty folder.
    let left = output(docker, image, &["find", "/run", "-type", "f", "-size", "+0"])?;
    ensure!(left.is_empty(), "{image} has what was there for the build alone: {left}");
    // The base may be older, and trust what the image no longer does.
    let trusted = |image| output(docker, image, &["sh", "-c", TRUSTED]);
    let theirs = trusted(image)? + &trusted(base::IMAGE)?;
    let theirs: HashSet<&str> = marks(&theirs).collect();
    let ours = ca_bundle().map(fs::read_to_string).transpose()?.unwrap_or_default();
    let own: Vec<&str> = marks(&ours).filter(|mark| !theirs.contains(mark)).collect();
    // Where this machine trusts what Debian does there is nothing that could have stayed.
    ensure!(
        own.is_empty() || !has(docker, image, &own)?,
        "a layer of {image} has a certificate that only the build was to see: look at `docker history {image}`"
    );
    Ok(())
}

/// A line of each certificate that no other has: the last whole one, which is of the signature. Many begin alike.
fn marks(bundle: &str) -> impl Iterator<Item = &str> {
    let certificates = bundle.split("-----END CERTIFICATE-----");
    certificates.filter_map(|certificate| certificate.lines().map(str::trim).rfind(|line| line.len() == 64))
}

/// Whether one of these lines is anywhere in the image as it would be given to others.
fn has(docker: &Docker, image: &str, lines: &[&str]) -> Result<bool> {
    let mut wanted = tempfile::NamedTempFile::new()?;
    wanted.write_all(lines.join("\n").as_bytes())?;
    let mut save = docker.cmd(["save", image]).into_inner();
    let mut saving = save.stdout(Stdio::piped()).spawn().context("could not run docker save")?;
    let layers = saving.stdout.take().context("docker save prints nothing")?;
    let found = Command::new("grep")
        .args(["--text", "--count", "--fixed-strings", "--file"])
        .arg(wanted.path())
        // Bytes that are no text in the user's language would make it many times slower.
        .env("LC_ALL", "C")
        .stdin(Stdio::from(layers))
        .output();
    let saved = saving.wait()?;
    let found = found.context("could not run grep")?;
    ensure!(saved.success(), "`docker save {image}` failed ({saved})");
    match found.status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => bail!("grep failed: {}", String::from_utf8_lossy(&found.stderr)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_known_by_its_last_whole_line() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let bundle = format!("# comment\n-----BEGIN CERTIFICATE-----\n{a}\n{b}\nshort==\n-----END CERTIFICATE-----\n");
        let two = format!("{bundle}\n{bundle}");
        assert_eq!(marks(&two).collect::<Vec<_>>(), [b.as_str(), b.as_str()]);
        assert_eq!(marks("").count(), 0);
    }
}
