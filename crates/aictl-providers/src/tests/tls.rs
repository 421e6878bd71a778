//! TLS against real sockets.

use std::{path::PathBuf, sync::Arc, time::Duration};

use aictl_api::{endpoint::Endpoint, provider::Provider};
use tokio::{io::AsyncWriteExt, net::TcpListener, task::JoinHandle};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring},
};

use super::{
    certificates::{Identity, file, identity},
    server::{answer, drain, head},
};
use crate::{Reach, Report, Target, TlsTrouble, Trouble, probe::probe_trusting};

const LONG: Duration = Duration::from_secs(60);

/// A server by TLS that says that it is Ollama. Returns its port.
async fn start((chain, key): Identity) -> (u16, JoinHandle<()>) {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust us goes away.
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                head(&mut stream).await;
                let _ = stream.write_all(&answer(200, "text/plain", "Ollama is running")).await;
                drain(stream).await;
            });
        }
    });
    (port, task)
}

async fn ask(endpoint: &str, bundles: &[&str]) -> Report {
    let endpoint = Endpoint::parse(endpoint).unwrap();
    let target = Target { provider: Some(Provider::Ollama), endpoint, key: None };
    let bundles: Vec<PathBuf> = bundles.iter().map(|name| file(name)).collect();
    probe_trusting(&target, LONG, &bundles).await
}

fn tls(trouble: TlsTrouble) -> Reach {
    Reach::Trouble(Trouble::Tls(trouble))
}

#[tokio::test]
async fn only_certificates_that_the_system_trusts_are_trusted() {
    let table: [(&str, &str, &[&str], Reach); 11] = [
        ("server.pem", "localhost", &["ca.pem"], Reach::Ready),
        ("server.pem", "127.0.0.1", &["ca.pem"], Reach::Ready),
        ("server.pem", "localhost", &["other-ca.pem"], tls(TlsTrouble::NotTrusted)),
        ("other-name.pem", "localhost", &["ca.pem"], tls(TlsTrouble::WrongName)),
        ("other-name.pem", "127.0.0.1", &["ca.pem"], tls(TlsTrouble::WrongName)),
        ("expired.pem", "localhost", &["ca.pem"], tls(TlsTrouble::Expired)),
        // As most people make their own: not even by adding it to the system's would it do.
        ("self-signed.pem", "localhost", &["ca.pem"], tls(TlsTrouble::CaCertificate)),
        ("self-signed.pem", "localhost", &["self-signed.pem"], tls(TlsTrouble::CaCertificate)),
        // The first file that has certificates counts, and no other.
        (
            "server.pem",
            "localhost",
            &["none", "server.key", "ca.pem", "other-ca.pem"],
            Reach::Ready,
        ),
        ("server.pem", "localhost", &["other-ca.pem", "ca.pem"], tls(TlsTrouble::NotTrusted)),
        ("server.pem", "localhost", &["none", "server.key"], tls(TlsTrouble::NoRoots)),
    ];
    for (certificate, host, bundles, reach) in table {
        let (port, task) = start(identity(certificate)).await;
        let report = ask(&format!("https://{host}:{port}"), bundles).await;
        task.abort();
        assert_eq!(report.reach, reach, "{certificate} at {host}, trusting {bundles:?}");
    }
}

#[tokio::test]
async fn plain_http_asked_of_a_server_with_tls() {
    let (port, task) = start(identity("server.pem")).await;
    // Not even the file with certificates is read.
    let report = ask(&format!("http://127.0.0.1:{port}"), &[]).await;
    task.abort();
    assert_eq!(report.reach, tls(TlsTrouble::NeedsTls));
}

#[tokio::test]
async fn tls_asked_of_a_server_without() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                drain(stream).await;
            });
        }
    });
    let report = ask(&format!("https://127.0.0.1:{port}"), &["ca.pem"]).await;
    task.abort();
    assert_eq!(report.reach, tls(TlsTrouble::NotTls));
}

#[tokio::test]
async fn a_server_that_closes_instead_of_speaking_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let report = ask(&format!("https://127.0.0.1:{port}"), &["ca.pem"]).await;
    task.abort();
    assert_eq!(report.reach, Reach::Trouble(Trouble::Closed));
}
