//! A real name server: Debian's dnsmasq, with records of its own and nobody behind it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::process::{Running, program};
use super::{eventually, free_port};

pub(crate) struct NameServer {
    pub(crate) address: String,
    _process: Running,
}

impl NameServer {
    /// Knows `probe.test`: an address, a mail server, a text. Answers by UDP and TCP.
    pub(crate) async fn start(folder: &Path) -> Self {
        let port = free_port();
        let mut command = Command::new(program("dnsmasq"));
        command
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces"])
            .args(["--pid-file=", "--user=", "--listen-address=127.0.0.1", "--local=/test/"])
            .args(["--host-record=probe.test,192.0.2.7", "--mx-host=probe.test,mail.probe.test,10"])
            .args(["--txt-record=probe.test,a text"])
            .arg(format!("--port={port}"));
        let mut process = Running::start(folder, "dnsmasq", &mut command);
        eventually("dnsmasq listens", Duration::from_secs(20), async || {
            assert!(process.ended().is_none(), "{}", process.output());
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        })
        .await;
        Self { address: format!("127.0.0.1:{port}"), _process: process }
    }
}
