//! Where to listen: `--listen` and `--metrics`, and what the server's file says of them.

use std::net::SocketAddr;

/// Where to listen, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listen {
    pub(crate) address: String,
    /// The flag, which is the key in the file, too.
    key: &'static str,
    /// Where in the file it is, if it is there.
    at: Option<String>,
}

impl Listen {
    /// What the flag `key` says, or would if it was there.
    pub(crate) fn by_flag(key: &'static str, address: String) -> Self {
        Self { address, key, at: None }
    }

    /// What the file says at the place `at`.
    pub(crate) fn in_file(key: &'static str, address: String, at: String) -> Self {
        Self { address, key, at: Some(at) }
    }

    /// How to say `address` instead.
    pub(crate) fn instead(&self, address: &str) -> String {
        let Self { key, at, .. } = self;
        match at {
            None => format!("`--{key} {address}`"),
            Some(at) => format!("`{key} = \"{address}\"` at `{at}`"),
        }
    }
}

/// Reads a host and a port. Which names there are is seen when it is listened there.
pub(crate) fn parse(text: &str) -> Result<String, &'static str> {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let is_name = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    let is_named = || text.rsplit_once(':').is_some_and(|(host, port)| is_name(host) && is_port(port));
    if text.parse::<SocketAddr>().is_ok() || is_named() {
        Ok(text.to_owned())
    } else {
        Err("expected an address and a port, such as 127.0.0.1:5000 or [::1]:5000")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port_and_nothing_else() {
        for text in ["localhost:5000", "127.0.0.1:0", "[::1]:5000", "[fe80::1%2]:5000", "a_b.x-y.test:65535"] {
            assert_eq!(parse(text).as_deref(), Ok(text));
        }
        for text in [
            "",
            "5000",
            ":5000",
            "localhost",
            "[::1]",
            "127.0.0.1:",
            "127.0.0.1:65536",
            "127.0.0.1:+5000",
            "127.0.0.1:http",
            "127.0.0.1:5000/",
            "http://127.0.0.1:5000",
            " 127.0.0.1:5000",
            "127.0.0.1 :5000",
            "127.0.0.1:5000\n",
            "::1:5000",
            "[localhost]:5000",
            "user@localhost:5000",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
