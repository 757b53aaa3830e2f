//! A channel of notifications whose other side says what it is told to.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use tidewatch::clock::Clock;
use tidewatch::config::Environment;
use tidewatch::net::client::Client;
use tidewatch::notify::{self, Deps};
use tidewatch::task::Tasks;
use tidewatch::telemetry::Telemetry;

/// One channel, and the server that it talks to.
pub struct Channel {
    channel: notify::Channel,
    says: Arc<Mutex<Vec<u8>>>,
    runtime: tokio::runtime::Runtime,
}

impl Channel {
    /// The channel of a section of the configuration, which is told the server's port.
    pub fn open(section: impl FnOnce(u16) -> String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let says: Arc<Mutex<Vec<u8>>> = Arc::default();
        let answers = Arc::clone(&says);
        std::thread::spawn(move || serve(&listener, &answers));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let deps = Deps {
            clock: Clock::manual(Timestamp::UNIX_EPOCH),
            tasks: Tasks::new(&Telemetry::new()),
            client: Client::new().expect("a client"),
            external_url: None,
            zone: TimeZone::UTC,
        };
        let section: toml::Table = section(port).parse().expect("TOML");
        let config = notify::Config::deserialize(section).expect("a configuration");
        let mut channels = notify::build(&config, &Environment::default(), &deps).expect("a channel");
        Self { channel: channels.pop().expect("one channel"), says, runtime }
    }

    /// Sends a message to a server that answers this, whatever it is told.
    pub fn send(&self, answers: &[u8]) {
        answers.clone_into(&mut self.says.lock().expect("the server lives"));
        if let Err(error) = self.runtime.block_on(notify::test(&self.channel, Timestamp::UNIX_EPOCH)) {
            let text = error.to_string();
            assert!(!text.contains("canary-password"), "a secret is told: {text}");
            assert!(text.len() < 2_000, "an error of {} bytes", text.len());
            assert!(!text.contains(['\n', '\r', '\0', '\u{1b}']), "an error of more than one line: {text:?}");
        }
    }
}

/// Says all of it at once, ends its side, and takes whatever comes.
fn serve(listener: &TcpListener, says: &Mutex<Vec<u8>>) {
    let mut taken = vec![0; 64 << 10];
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let answers = says.lock().expect("the fuzzer lives").clone();
        // The client may have left: that is its right.
        if stream.write_all(&answers).is_ok() && stream.shutdown(Shutdown::Write).is_ok() {
            while stream.read(&mut taken).is_ok_and(|read| read > 0) {}
        }
    }
}
