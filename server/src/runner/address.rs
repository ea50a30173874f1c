//! Where the hub is.

use std::fmt;

use url::{Host, Url};

use crate::error::Failure;

/// A hub's address: scheme, host and port; a path that somebody pasted along is left off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(Url);

impl Address {
    /// From what a person gives: http, https, ws or wss. Plain text to another machine is refused unless `insecure`, for the
    /// machine's key would cross the network in the clear.
    pub fn new(text: &str, insecure: bool) -> Result<Self, Failure> {
        let wrong = || Failure::invalid(format!("\"{text}\" is no address of a hub; use https://hub.example.org"));
        let secure = match text.split_once("://").map(|(scheme, _)| scheme) {
            Some("https" | "wss") => true,
            Some("http" | "ws") => false,
            _ => return Err(wrong()),
        };
        let given = Url::parse(text).map_err(|_| wrong())?;
        let host = given.host().ok_or_else(wrong)?;
        if !secure && !insecure && !is_here(&host) {
            let message = format!(
                "{host} would be reached without encryption, and this machine's key would cross the network in the clear; \
                 give the hub an https address, or add --insecure if this network is yours alone"
            );
            return Err(Failure::invalid(message));
        }
        let port = given.port().map(|port| format!(":{port}")).unwrap_or_default();
        let scheme = if secure { "https" } else { "http" };
        Url::parse(&format!("{scheme}://{host}{port}")).map(Self).map_err(|_| wrong())
    }

    /// The address of `path` (absolute) at this hub.
    pub(super) fn at(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url
    }
}

/// Without a slash at the end.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// Whether a host is this machine, by its name alone.
fn is_here(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_scheme_host_and_port() {
        for (given, expected) in [
            ("https://hub.example.org", "https://hub.example.org"),
            ("wss://hub.example.org/runner?x=1#y", "https://hub.example.org"),
            ("https://ada:secret@hub.example.org:8443/a", "https://hub.example.org:8443"),
            ("ws://127.0.0.1:3000/", "http://127.0.0.1:3000"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://localhost:3000/machines", "http://localhost:3000"),
        ] {
            assert_eq!(Address::new(given, false).map(|it| it.to_string()).as_deref(), Ok(expected), "{given}");
        }
        for bad in ["", "hub.example.org", "ftp://hub.example.org", "https://", "https:hub"] {
            assert!(Address::new(bad, true).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_does_not_cross_a_network_in_the_clear_unless_told_so() {
        for foreign in ["http://hub.example.org", "ws://10.0.0.7:3000", "http://localhost.evil.example"] {
            let refused = Address::new(foreign, false).expect_err(foreign);
            assert!(refused.message.contains("--insecure"), "{refused}");
            assert!(Address::new(foreign, true).is_ok(), "{foreign}");
        }
    }
}
