//! TLS where others connect to us: who we are, whom we ask for a certificate, and the two read anew when their files
//! change. A connection keeps what it began with.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use prometheus::{IntCounterVec, IntGaugeVec};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{Error, ServerConfig};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::tls::{TlsError, certificates, roots};
use crate::config::FileStamp;
use crate::task::Tasks;
use crate::telemetry::Telemetry;

pub use tokio_rustls::server::TlsStream;

/// What a listener that speaks TLS is set to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Our certificate, and those between it and the authority that clients trust.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
    /// The authorities of clients' certificates: with it, clients are asked for one.
    pub client_ca_file: Option<PathBuf>,
    /// Whether a client must have one.
    #[serde(default)]
    pub client_auth: ClientAuth,
    /// The oldest version that is spoken.
    #[serde(default)]
    pub min_version: Oldest,
}

/// Whether a client must show a certificate. One that is shown must be good in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// Without one there is no connection.
    #[default]
    Required,
    /// Without one the usual credentials are asked for.
    Optional,
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Oldest {
    /// 1.2: nothing older is built in.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// 1.3 alone.
    #[serde(rename = "1.3")]
    Tls13,
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", .file.display())]
pub struct Unusable {
    /// The option that names it.
    pub option: &'static str,
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

/// What the files hold, ready to serve.
#[derive(Debug)]
pub struct Loaded {
    config: Arc<ServerConfig>,
    /// When the first certificate of our chain ends, in seconds since 1970.
    not_after: i64,
}

impl Options {
    /// Whether nobody connects without a certificate.
    pub fn requires_certificate(&self) -> bool {
        self.client_ca_file.is_some() && self.client_auth == ClientAuth::Required
    }

    /// Reads the files.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub fn load(&self) -> Result<Loaded, Unusable> {
        let unusable = |option, file: &Path, what: String| Unusable { option, file: file.to_owned(), what };
        let ours = |error: &dyn ToString| unusable("cert_file", &self.cert_file, error.to_string());
        let told = |error: TlsError| match error {
            TlsError::File { what, .. } => what,
            TlsError::Refused(error) => error.to_string(),
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions: &[_] = match self.min_version {
            Oldest::Tls12 => &[&TLS13, &TLS12],
            Oldest::Tls13 => &[&TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(versions).map_err(|error| ours(&error))?;
        let builder = match &self.client_ca_file {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let wrong = |what| unusable("client_ca_file", file, what);
                let trusted = roots(Some(file)).map_err(|error| wrong(told(error)))?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(trusted), provider);
                let verifier = match self.client_auth {
                    ClientAuth::Required => verifier,
                    ClientAuth::Optional => verifier.allow_unauthenticated(),
                };
                builder.with_client_cert_verifier(verifier.build().map_err(|error| wrong(error.to_string()))?)
            }
        };
        let chain = certificates(&self.cert_file).map_err(|error| ours(&told(error)))?;
        let not_after = expiry(&chain).ok_or_else(|| ours(&"no certificate in it can be read"))?;
        let key = PrivateKeyDer::from_pem_file(&self.key_file);
        let key = key.map_err(|error| unusable("key_file", &self.key_file, error.to_string()))?;
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            Error::InconsistentKeys(_) => unusable("key_file", &self.key_file, "not the certificate's key".into()),
            error => unusable("key_file", &self.key_file, error.to_string()),
        })?;
        // What the server speaks. A client that knows HTTP/2 alone is told so in the handshake.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Loaded { config: Arc::new(config), not_after })
    }

    fn stamps(&self) -> [FileStamp; 3] {
        let stamp = |file: &PathBuf| std::fs::metadata(file).map(|it| FileStamp::of(&it)).unwrap_or_default();
        [stamp(&self.cert_file), stamp(&self.key_file), self.client_ca_file.as_ref().map(stamp).unwrap_or_default()]
    }
}

fn expiry(chain: &[CertificateDer<'_>]) -> Option<i64> {
    let parsed = chain.iter().filter_map(|der| X509Certificate::from_der(der).ok());
    parsed.map(|(_, certificate)| certificate.validity().not_after.timestamp()).min()
}

/// What is counted over all listeners.
#[derive(Clone)]
pub struct Meters {
    expiry: IntGaugeVec,
    reloaded: IntGaugeVec,
    failures: IntCounterVec,
}

impl Meters {
    /// Made once.
    pub fn new(telemetry: &Telemetry) -> Self {
        let expiry = telemetry.gauge(
            "tidewatch_tls_certificate_expiry_timestamp_seconds",
            "When the first certificate of the chain ends that a listener of ours shows.",
            &["listener"],
        );
        let reloaded = telemetry.gauge(
            "tidewatch_tls_last_reload_successful",
            "Whether a listener's certificate files could be read when they last changed; if not, the old ones stand.",
            &["listener"],
        );
        let failures = telemetry.counter(
            "tidewatch_tls_handshake_failures_total",
            "Connections to listeners of ours that ended before the first request, by what was wrong.",
            &["reason"],
        );
        for reason in [NO_CERTIFICATE, BAD_CERTIFICATE, PROTOCOL, GONE] {
            failures.with_label_values(&[reason]).reset();
        }
        Self { expiry, reloaded, failures }
    }
}

const NO_CERTIFICATE: &str = "no_certificate";
const BAD_CERTIFICATE: &str = "bad_certificate";
const PROTOCOL: &str = "protocol";
const GONE: &str = "gone";

/// How often the files are looked at.
const FRESH: Duration = Duration::from_secs(1);

/// A client that has shown a certificate of an authority that we trust for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Client {
    /// Its common name, DNS names, mail addresses and URIs.
    pub names: Vec<String>,
}

/// A listener's side of TLS.
pub struct Acceptor {
    options: Options,
    listener: String,
    current: RwLock<Arc<ServerConfig>>,
    look: Mutex<Look>,
    meters: Meters,
}

/// What was seen of the files.
#[derive(Default)]
struct Look {
    /// As they were when they were taken.
    taken: [FileStamp; 3],
    /// As they were at the last look.
    last: [FileStamp; 3],
    /// What it was said of that it cannot be used.
    said: Option<[FileStamp; 3]>,
}

impl Acceptor {
    /// With the files read once; `listener` is the label's value.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub fn open(options: Options, listener: String, meters: Meters) -> Result<Self, Unusable> {
        let taken = options.stamps();
        let Loaded { config, not_after } = options.load()?;
        meters.expiry.with_label_values(&[&listener]).set(not_after);
        meters.reloaded.with_label_values(&[&listener]).set(1);
        let look = Mutex::new(Look { taken, last: taken, said: None });
        Ok(Self { options, listener, current: RwLock::new(config), look, meters })
    }

    /// Looks at the files until the program ends.
    pub fn watch(self: &Arc<Self>, tasks: &Tasks) {
        let (this, inner) = (Arc::clone(self), tasks.clone());
        tasks.supervise("certificates", move || {
            let (this, mut stopping) = (Arc::clone(&this), Box::pin(inner.stopping()));
            async move {
                loop {
                    tokio::select! {
                        () = &mut stopping => return,
                        () = tokio::time::sleep(FRESH) => this.refresh(),
                    }
                }
            }
        });
    }

    /// Takes the files anew if they have changed; what cannot be used changes nothing.
    pub fn refresh(&self) {
        let mut look = self.look.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = self.options.stamps();
        let settled = std::mem::replace(&mut look.last, seen) == seen;
        if seen == look.taken || look.said == Some(seen) {
            return;
        }
        let listener = self.listener.as_str();
        match self.options.load() {
            Ok(Loaded { config, not_after }) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
                (look.taken, look.said) = (seen, None);
                self.meters.expiry.with_label_values(&[listener]).set(not_after);
                self.meters.reloaded.with_label_values(&[listener]).set(1);
                tracing::info!(listener, "the listener's certificate was read anew");
            }
            // A certificate and its key are two files: between the one and the other nothing is wrong yet.
            Err(_) if !settled => {}
            Err(error) => {
                look.said = Some(seen);
                self.meters.reloaded.with_label_values(&[listener]).set(0);
                tracing::error!(listener, %error, "the listener's new certificate cannot be used; the old one stands");
            }
        }
    }

    /// Greets a client. The caller gives it its time.
    ///
    /// # Errors
    /// There is no connection; it was counted why.
    pub async fn accept<S>(&self, stream: S) -> io::Result<(TlsStream<S>, Option<Arc<Client>>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        let stream = TlsAcceptor::from(config).accept(stream).await.inspect_err(|error| {
            self.meters.failures.with_label_values(&[reason(error)]).inc();
        })?;
        let (_, session) = stream.get_ref();
        let client = session.peer_certificates().and_then(<[_]>::first).map(|leaf| Arc::new(Client::of(leaf)));
        Ok((stream, client))
    }
}

fn reason(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::NoCertificatesPresented) => NO_CERTIFICATE,
        Some(Error::InvalidCertificate(_)) => BAD_CERTIFICATE,
        Some(_) => PROTOCOL,
        None => GONE,
    }
}

impl Client {
    /// What a certificate that was checked calls its owner.
    fn of(leaf: &CertificateDer<'_>) -> Self {
        let Ok((_, leaf)) = X509Certificate::from_der(leaf) else { return Self { names: Vec::new() } };
        let common = leaf.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        let others = leaf.subject_alternative_name().ok().flatten();
        let others = others.iter().flat_map(|extension| &extension.value.general_names).filter_map(|name| match name {
            GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => Some(*name),
            _ => None,
        });
        Self { names: common.chain(others).map(str::to_owned).collect() }
    }
}
