//! An authority and a certificate for `localhost` and 127.0.0.1, made for one test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::process::program;

/// One command of openssl, in `folder`.
fn openssl(folder: &Path, arguments: &str) {
    let mut command = Command::new(program("openssl"));
    command.args(arguments.split(' ')).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(command.status().unwrap().success(), "openssl {arguments}");
}

/// A key of the usual kind, without a password.
const NEW: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

pub(crate) struct Certificates {
    /// What a client must trust.
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificates {
    pub(crate) fn make(folder: &Path) -> Self {
        openssl(folder, &format!("req -x509 {NEW} -keyout ca.key -out ca.pem -subj /CN=test-authority -days 2"));
        let names = "DNS:localhost,IP:127.0.0.1";
        let (certificate, key) = Self::sign(folder, "cert", "localhost", names);
        // The key's name that tests know.
        let known = folder.join("key.pem");
        std::fs::rename(key, &known).unwrap();
        Self { authority: folder.join("ca.pem"), certificate, key: known }
    }

    /// Another certificate of the same authority, in files of this name: itself, and its key.
    pub(crate) fn more(&self, file: &str, common_name: &str, names: &str) -> (PathBuf, PathBuf) {
        Self::sign(self.authority.parent().unwrap(), file, common_name, names)
    }

    fn sign(folder: &Path, file: &str, common_name: &str, names: &str) -> (PathBuf, PathBuf) {
        openssl(folder, &format!("req {NEW} -keyout {file}.key -out {file}.request -subj /CN={common_name}"));
        std::fs::write(folder.join(format!("{file}.names")), format!("subjectAltName={names}\n")).unwrap();
        let authority = "-CA ca.pem -CAkey ca.key -CAcreateserial";
        let extensions = format!("-extfile {file}.names");
        openssl(folder, &format!("x509 -req -in {file}.request {authority} -out {file}.pem -days 2 {extensions}"));
        (folder.join(format!("{file}.pem")), folder.join(format!("{file}.key")))
    }

    /// A server's side of TLS with them.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let chain = CertificateDer::pem_file_iter(&self.certificate).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(&self.key).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}
