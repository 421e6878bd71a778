//! TLS: only for `https` endpoints, and only with certificates that the system trusts.

use std::{
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use aictl_api::endpoint::Host;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        CertificateError, ClientConfig, Error, OtherError, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use crate::{
    text::sentence,
    trouble::{TlsTrouble, Trouble},
};

/// Where systems keep the certificates of the CAs that they trust, all in one file: Debian and its
/// kin, Fedora and its kin, openSUSE, Alpine. The first one that is there counts. Fixed, and not
/// `SSL_CERT_FILE`: no variable changes who is trusted.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The files to look for trusted certificates in.
pub(crate) fn bundles() -> Vec<PathBuf> {
    BUNDLES.map(PathBuf::from).into()
}

/// A connector that trusts the CAs of the first of `bundles` that is there. It reads a file of a
/// few hundred KiB.
///
/// # Errors
/// [`TlsTrouble::NoRoots`] if there is none with a certificate in it.
pub(crate) fn connector(bundles: &[PathBuf]) -> Result<TlsConnector, Trouble> {
    let roots = bundles.iter().find_map(|bundle| roots(bundle));
    let roots = roots.ok_or(Trouble::Tls(TlsTrouble::NoRoots))?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| trouble(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The certificates of a file; `None` if it has none. What is no certificate, or one that cannot
/// be used, is left out: nobody is trusted by it.
fn roots(bundle: &Path) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(bundle).ok()?;
    roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    (!roots.is_empty()).then_some(roots)
}

/// The name that the server's certificate must have.
///
/// # Errors
/// None in practice: `localhost` is a name.
pub(crate) fn name(host: Host) -> Result<ServerName<'static>, Trouble> {
    match host {
        Host::V4(address) => Ok(ServerName::from(IpAddr::from(address))),
        Host::V6 => Ok(ServerName::from(IpAddr::from(std::net::Ipv6Addr::LOCALHOST))),
        Host::Localhost => ServerName::try_from("localhost")
            .map_err(|_| Trouble::Tls(TlsTrouble::Other("no such name".to_owned()))),
    }
}

/// What a failure to set up TLS means.
pub(crate) fn handshake_trouble(error: &io::Error) -> Trouble {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => trouble(error),
        None => match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Trouble::Closed,
            kind => Trouble::Io(kind),
        },
    }
}

fn trouble(error: &Error) -> Trouble {
    use CertificateError as C;
    Trouble::Tls(match error {
        Error::InvalidMessage(_) => TlsTrouble::NotTls,
        Error::InvalidCertificate(error) => match error {
            C::UnknownIssuer | C::BadSignature => TlsTrouble::NotTrusted,
            C::Expired
            | C::ExpiredContext { .. }
            | C::NotValidYet
            | C::NotValidYetContext { .. } => TlsTrouble::Expired,
            C::NotValidForName | C::NotValidForNameContext { .. } => TlsTrouble::WrongName,
            C::Other(OtherError(other)) if is_cas_own(other.as_ref()) => TlsTrouble::CaCertificate,
            other => TlsTrouble::Other(sentence(&other.to_string()).unwrap_or_default()),
        },
        other => TlsTrouble::Other(sentence(&other.to_string()).unwrap_or_default()),
    })
}

/// Whether a server showed the certificate of a CA: an error that rustls passes on as it is.
fn is_cas_own(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}
