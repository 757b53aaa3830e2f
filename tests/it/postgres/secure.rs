//! TLS in libpq's modes, client certificates, SCRAM, passwords that change.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tidewatch::collect::postgres::{ChannelBinding, SslMode, TargetConfig};
use tidewatch::config::Secret;
use tidewatch::net::handshake;
use tidewatch::net::tls::{Check, Options, configure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Config, build, run, target, value};
use crate::support::certificates::Certificates;
use crate::support::docker::said;
use crate::support::postgres::Server;
use crate::support::process::program;
use crate::support::proxy::Proxy;

/// A server with TLS, a role that must come by TLS with a password, one without TLS, one with a certificate.
async fn secured(folder: &Path) -> (Server, Certificates) {
    let certificates = Certificates::make(folder);
    let server = Server::start(15, &["password_encryption = 'scram-sha-256'"]).await;
    server.sql("postgres", "CREATE ROLE tls LOGIN PASSWORD 'first'; CREATE ROLE plain LOGIN PASSWORD 'plain'").await;
    server.sql("postgres", "CREATE ROLE cert LOGIN; GRANT pg_monitor TO tls, plain, cert").await;
    server.keep("server.crt", &std::fs::read(&certificates.certificate).unwrap());
    server.keep("server.key", &std::fs::read(&certificates.key).unwrap());
    server.keep("ca.crt", &std::fs::read(&certificates.authority).unwrap());
    let rules = "local all postgres trust\nhost all postgres 127.0.0.1/32 trust\nhostssl all tls 127.0.0.1/32 scram-sha-256\n\
        hostnossl all plain 127.0.0.1/32 scram-sha-256\nhostssl all cert 127.0.0.1/32 cert\n";
    server.keep("pg_hba.conf", rules.as_bytes());
    server.configure(&["ssl = on", "ssl_ca_file = 'ca.crt'"]);
    let mut server = server;
    server.stop();
    server.resume().await;
    (server, certificates)
}

/// Whether a target answers, and why not.
async fn reached(server: &Server, change: impl FnOnce(&mut TargetConfig)) -> Result<(), String> {
    let mut config = target(Config::default(), "main", server, "postgres");
    change(config.targets.get_mut("main").unwrap());
    let (text, output) = run(&build(&config)).await;
    if value(&text, "pg_up") == Some(1.0) { Ok(()) } else { Err(output.facts.services[0].why.clone()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sslmode_does_what_libpq_does() {
    let folder = tempfile::tempdir().unwrap();
    let (server, certificates) = secured(folder.path()).await;
    let by = |user: &'static str, mode: Option<SslMode>| {
        move |target: &mut TargetConfig| {
            target.user = Some(user.into());
            target.password = Some(Secret::new(if user == "tls" { "first" } else { "plain" }));
            target.sslmode = mode;
        }
    };
    assert_eq!(reached(&server, by("tls", None)).await, Ok(()), "prefer is the default");
    assert_eq!(reached(&server, by("plain", Some(SslMode::Disable))).await, Ok(()));
    let refused = reached(&server, by("tls", Some(SslMode::Disable))).await.unwrap_err();
    assert!(refused.contains("no encryption"), "{refused}");
    assert_eq!(reached(&server, by("tls", Some(SslMode::Require))).await, Ok(()));

    // Not in the system's list.
    let refused = reached(&server, by("tls", Some(SslMode::VerifyCa))).await.unwrap_err();
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    let with = |mode: SslMode, host: String, port: u16| {
        let authority = certificates.authority.clone();
        move |target: &mut TargetConfig| {
            by("tls", Some(mode))(target);
            (target.ca_file, target.host, target.port) = (Some(authority), Some(host), Some(port));
        }
    };
    for host in ["127.0.0.1", "localhost"] {
        assert_eq!(reached(&server, with(SslMode::VerifyFull, host.into(), server.port)).await, Ok(()), "{host}");
    }
    // A host that the certificate does not name.
    let other = Proxy::before("127.0.0.2", server.port).await;
    let (host, port) = (other.address.ip().to_string(), other.address.port());
    assert_eq!(reached(&server, with(SslMode::VerifyCa, host.clone(), port)).await, Ok(()));
    let refused = reached(&server, with(SslMode::VerifyFull, host, port)).await.unwrap_err();
    assert!(refused.contains("not valid for name") || refused.contains("NotValidForName"), "{refused}");

    // A server without TLS.
    let plain = Server::start(15, &[]).await;
    assert_eq!(reached(&plain, |_| ()).await, Ok(()), "prefer does without");
    let refused = reached(&plain, |target| target.sslmode = Some(SslMode::Require)).await.unwrap_err();
    assert!(refused.contains("server does not support TLS"), "{refused}");
    let by_socket = |target: &mut TargetConfig| target.host = Some(plain.folder().to_str().unwrap().into());
    assert_eq!(reached(&plain, by_socket).await, Ok(()), "a folder is a Unix socket");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = secured(folder.path()).await;
    let openssl =
        |arguments: &str| said(Command::new(program("openssl")).args(arguments.split(' ')).current_dir(folder.path()));
    // Without an extension it would be of version 1, which nobody takes any more.
    std::fs::write(folder.path().join("leaf"), "basicConstraints=CA:FALSE\n").unwrap();
    openssl(
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout cert.key -out cert.req -subj /CN=cert",
    );
    openssl("x509 -req -in cert.req -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.crt -days 2 -extfile leaf");
    let refused = reached(&server, |target| target.user = Some("cert".into())).await.unwrap_err();
    assert!(refused.contains("certificate"), "{refused}");
    let shown = |target: &mut TargetConfig| {
        target.user = Some("cert".into());
        target.cert_file = Some(folder.path().join("cert.crt"));
        target.key_file = Some(folder.path().join("cert.key"));
    };
    assert_eq!(reached(&server, shown).await, Ok(()));

    let mut config = target(Config::default(), "main", &server, "postgres");
    let target = config.targets.get_mut("main").unwrap();
    (target.user, target.password) = (Some("tls".into()), Some(Secret::new("first")));
    let postgres = build(&config);
    run(&postgres).await;
    let encrypted =
        "SELECT s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'tidewatch'";
    assert_eq!(server.value("postgres", encrypted).await.as_deref(), Some("t"));
}

/// Ends TLS before a server on loopback, with a certificate of its own, and begins it anew; its port.
async fn between(server: &Server, own: &Certificates, theirs: &Certificates) -> u16 {
    /// What asks a server for TLS: the length, and the protocol 1234.5679.
    const REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
    let (acceptor, port) = (own.acceptor(), server.port);
    let options = Options { ca_file: Some(theirs.authority.clone()), check: Check::Chain, ..Options::default() };
    let config = Arc::new(configure(&options).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (acceptor, config) = (acceptor.clone(), Arc::clone(&config));
            tokio::spawn(async move {
                let mut request = [0; 8];
                client.read_exact(&mut request).await?;
                client.write_all(b"S").await?;
                let mut client = acceptor.accept(client).await?;
                let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
                server.write_all(&REQUEST).await?;
                server.read_exact(&mut request[..1]).await?;
                let mut server = handshake::client(config, "localhost", server).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    address.port()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_bound_to_the_connection_that_it_comes_by() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (server, certificates) = secured(folder.path()).await;
    let by = |user: &'static str, port: u16, binding: Option<ChannelBinding>| {
        move |target: &mut TargetConfig| {
            (target.user, target.port, target.channel_binding) = (Some(user.into()), Some(port), binding);
            target.password = Some(Secret::new(if user == "tls" { "first" } else { "plain" }));
        }
    };
    let require = Some(ChannelBinding::Require);
    assert_eq!(reached(&server, by("tls", server.port, require)).await, Ok(()));
    for user in ["plain", "postgres"] {
        let without = |target: &mut TargetConfig| {
            by(user, server.port, require)(target);
            target.sslmode = Some(SslMode::Disable);
        };
        let refused = reached(&server, without).await.unwrap_err();
        assert!(refused.contains("server did not use channel binding"), "{user}: {refused}");
    }

    // Whoever ends TLS in between learns no password of use: the server sees that the client spoke to another.
    let port = between(&server, &Certificates::make(other.path()), &certificates).await;
    assert_eq!(reached(&server, by("tls", port, Some(ChannelBinding::Disable))).await, Ok(()));
    for binding in [None, require] {
        let refused = reached(&server, by("tls", port, binding)).await.unwrap_err();
        assert!(refused.contains("SCRAM channel binding check failed"), "{binding:?}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_changes_is_read_again_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = secured(folder.path()).await;
    let file = folder.path().join("password");
    std::fs::write(&file, "first\n").unwrap();
    let mut config = target(Config::default(), "main", &server, "postgres");
    let target = config.targets.get_mut("main").unwrap();
    (target.user, target.password_file) = (Some("tls".into()), Some(file.clone()));
    let postgres = build(&config);
    assert_eq!(value(&run(&postgres).await.0, "pg_up"), Some(1.0));

    server.sql("postgres", "ALTER ROLE tls PASSWORD 'second'").await;
    assert_eq!(value(&run(&postgres).await.0, "pg_up"), Some(1.0), "the connection stands");
    server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tls'").await;
    super::eventually("the old password is refused", || async {
        let (text, output) = run(&postgres).await;
        let why = &output.facts.services[0].why;
        assert!(!why.contains("first") && !why.contains("second"), "{why}");
        (value(&text, "pg_up") == Some(0.0) && why.contains("28P01")).then_some(())
    })
    .await;
    std::fs::write(&file, "second\n").unwrap();
    assert_eq!(value(&run(&postgres).await.0, "pg_up"), Some(1.0));
}
