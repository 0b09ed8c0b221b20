//! What a call of git sees of the world, and what of its words may be seen.

use std::ffi::{OsStr, OsString};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};

use super::Git;
use crate::redact::Redactor;

/// Variables that are handed on: how the network is reached, and how ssh finds its keys.
const INHERITED: [&str; 16] = [
    "PATH",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "CURL_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

/// Configuration of every call. Nothing of the machine's or the user's own is read.
const SETTINGS: [(&str, &str); 17] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("core.quotePath", "false"),
    ("core.pager", "cat"),
    // The empty value also forgets helpers that a configuration file of the repository names.
    ("credential.helper", ""),
    ("safe.directory", "*"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("commit.gpgSign", "false"),
    ("push.gpgSign", "false"),
    ("protocol.ext.allow", "never"),
    ("init.defaultBranch", "main"),
    ("advice.detachedHead", "false"),
];

impl Git {
    /// The whole environment of a call: what is handed on, what every call has, and what this one has (`own`).
    pub(super) fn environment(&self, own: &[(&'static str, OsString)], remote: Option<&str>) -> Vec<(OsString, OsString)> {
        let mut env: Vec<(OsString, OsString)> = INHERITED
            .iter()
            .filter_map(|name| Some(((*name).into(), std::env::var_os(name)?)))
            .collect();
        let mut set = |name: &str, value: &OsStr| env.push((name.into(), value.to_owned()));
        set("LC_ALL", "C".as_ref());
        set("GIT_CONFIG_NOSYSTEM", "1".as_ref());
        set("GIT_CONFIG_GLOBAL", "/dev/null".as_ref());
        set("GIT_ATTR_NOSYSTEM", "1".as_ref());
        set("GIT_TERMINAL_PROMPT", "0".as_ref());
        set("GIT_OPTIONAL_LOCKS", "0".as_ref());
        set("GIT_ALLOW_PROTOCOL", self.protocols.as_ref());
        set("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=20".as_ref());
        for (name, value) in own {
            set(name, value);
        }
        let header = remote.and_then(|url| self.header(url));
        let header = header.as_ref().map(|(name, value)| (name.as_str(), value.expose_secret()));
        let settings = SETTINGS.into_iter().chain(header);
        let mut count = 0;
        for (index, (name, value)) in settings.enumerate() {
            set(&format!("GIT_CONFIG_KEY_{index}"), name.as_ref());
            set(&format!("GIT_CONFIG_VALUE_{index}"), value.as_ref());
            count = index + 1;
        }
        set("GIT_CONFIG_COUNT", count.to_string().as_ref());
        env
    }

    /// The setting that bears the token, for URLs under the GitHub address only.
    fn header(&self, url: &str) -> Option<(String, SecretString)> {
        let token = self
            .token
            .as_ref()
            .map(ExposeSecret::expose_secret)
            .filter(|token| !token.is_empty())?;
        url.strip_prefix(&self.github_url)?.strip_prefix('/')?;
        let basic = BASE64_STANDARD.encode(format!("x-access-token:{token}"));
        Some((
            format!("http.{}/.extraHeader", self.github_url),
            format!("Authorization: Basic {basic}").into(),
        ))
    }

    /// The text without the token and without credentials in URLs.
    pub(super) fn redact(&self, text: &str) -> String {
        let text = Redactor::new(self.token.clone()).text(text);
        without_userinfo(&text)
    }
}

/// `scheme://user:secret@host` becomes `scheme://host`.
fn without_userinfo(text: &str) -> String {
    let mut parts = text.split("://");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        clean.push_str("://");
        let authority = part
            .find(|c: char| c == '/' || c == '\'' || c == '"' || c.is_whitespace())
            .unwrap_or(part.len());
        match part[..authority].rfind('@') {
            Some(at) => clean.push_str(&part[at + 1..]),
            None => clean.push_str(part),
        }
    }
    clean
}
