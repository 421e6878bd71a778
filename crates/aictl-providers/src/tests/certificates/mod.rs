//! Certificates for the tests, made by `make.sh` beside this file.

use std::path::{Path, PathBuf};

use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// What a server needs.
pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// One of the files.
pub(super) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/certificates").join(name)
}

/// A server's certificate, with the key that all of them share.
pub(super) fn identity(name: &str) -> Identity {
    let chain = CertificateDer::pem_file_iter(file(name)).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
    (chain.map(Result::unwrap).collect(), key)
}
