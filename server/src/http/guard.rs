//! Refuses what a foreign web page sends.
//!
//! Nobody has to say who they are on loopback, so a browser on this machine could be made to call this server: by a page's own request, or by a
//! page whose host name was made to point here. The first bears a foreign `Origin`, the second a foreign `Host`.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::refusal::Refusal;

/// The names by which this server may be called.
#[derive(Debug, Clone)]
pub struct Hosts {
    /// Where it listens.
    pub listen: IpAddr,
    /// Further names, lower-case, as set.
    pub names: Vec<String>,
}

impl Hosts {
    /// Whether a host, with or without a port, is this server's.
    fn include(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else {
            return false;
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>() {
            // A server that listens everywhere can't know its addresses. An address, unlike a name, can't be made to point elsewhere.
            Ok(address) => address.is_loopback() || address == self.listen || self.listen.is_unspecified(),
            Err(_) => {
                let name = host.trim_end_matches('.').to_ascii_lowercase();
                name == "localhost" || self.names.contains(&name)
            }
        }
    }

    fn refusal(&self, uri: &Uri, headers: &HeaderMap) -> Option<(&'static str, String)> {
        let named = |name| headers.get(name).map(|value: &header::HeaderValue| value.to_str().unwrap_or("?"));
        let host = uri
            .authority()
            .map(Authority::as_str)
            .or_else(|| named(header::HOST))
            .unwrap_or_default();
        if !self.include(host) {
            let message = format!(
                "this server is not called {host:?}: call it as 127.0.0.1 or localhost, or add the name to MOORLINE_HTTP_HOSTS; other names are refused, \
                 since a web page could have made them point here"
            );
            return Some(("FOREIGN_HOST", message));
        }
        let origin = named(header::ORIGIN)?;
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        if authority.is_some_and(|authority| self.include(authority)) {
            return None;
        }
        let message = format!(
            "a web page of {origin:?} may not call this server: open the page from localhost, call without a browser, or add the page's host to \
             MOORLINE_HTTP_HOSTS"
        );
        Some(("FOREIGN_ORIGIN", message))
    }
}

/// Lets a request through, or refuses it with the reason.
pub async fn check(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    match hosts.refusal(request.uri(), request.headers()) {
        None => next.run(request).await,
        Some((reason, message)) => Refusal::plain(request.uri(), StatusCode::FORBIDDEN, reason, message).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(listen: &str) -> Hosts {
        Hosts {
            listen: listen.parse().unwrap(),
            names: vec!["moorline.example".to_owned()],
        }
    }

    fn answer(hosts: &Hosts, host: &str, origin: Option<&str>) -> &'static str {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        hosts
            .refusal(&Uri::from_static("/healthz"), &headers)
            .map_or("let through", |(reason, _)| reason)
    }

    #[test]
    fn only_its_own_names_are_let_through() {
        let here = hosts("127.0.0.1");
        let ours = [
            "127.0.0.1:7421",
            "localhost",
            "LOCALHOST.:1",
            "[::1]:7421",
            "moorline.example",
            "127.8.8.8",
        ];
        assert!(ours.iter().all(|host| answer(&here, host, None) == "let through"));
        let foreign = [
            "evil.example",
            "localhost.evil.example",
            "10.0.0.1:7421",
            "",
            "127.0.0.1.nip.io",
            "a b",
        ];
        assert!(foreign.iter().all(|host| answer(&here, host, None) == "FOREIGN_HOST"));
        assert_eq!(answer(&hosts("10.0.0.1"), "10.0.0.1:7421", None), "let through");
        assert_eq!(answer(&hosts("0.0.0.0"), "10.0.0.1:7421", None), "let through");
        assert_eq!(answer(&hosts("0.0.0.0"), "evil.example", None), "FOREIGN_HOST");
    }

    #[test]
    fn only_pages_of_its_own_names_are_let_through() {
        let here = hosts("127.0.0.1");
        for ours in ["http://localhost:3000", "https://moorline.example", "http://[::1]"] {
            assert_eq!(answer(&here, "127.0.0.1", Some(ours)), "let through", "{ours}");
        }
        for foreign in [
            "https://evil.example",
            "null",
            "file://",
            "http://127.0.0.1.evil.example",
            "chrome-extension://abc",
        ] {
            assert_eq!(answer(&here, "127.0.0.1", Some(foreign)), "FOREIGN_ORIGIN", "{foreign}");
        }
    }
}
