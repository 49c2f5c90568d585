//! Encrypted connections.

use crate::node::{BOUND, Node, error_chain};
use keyward::{NewOwner, PostgresStore, RoleId};
use keyward_test_support::postgres;
use keyward_test_support::postgres::Server;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use sqlx::{Connection, PgConnection, Row};
use std::path::Path;
use std::time::Duration;

/// A certificate authority for servers.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: tempfile::NamedTempFile,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), file }
    }

    fn path(&self) -> &Path {
        self.file.path()
    }

    /// Starts a server with a certificate for this host.
    fn server(&self, host: &str) -> Server {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let files = [("server.crt", &*certificate.pem()), ("server.key", &*key.serialize_pem())];
        Server::start_with(&["ssl=on"], &files).unwrap()
    }
}

/// Returns its address with these options.
fn asking(server: &Server, mode: &str, authority: &Path) -> String {
    format!("{}?sslmode={mode}&sslrootcert={}", server.url(), authority.display())
}

async fn connect_error(url: &str) -> String {
    error_chain(&PostgresStore::connect(url).await.unwrap_err())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_connection_is_encrypted_and_verified() {
    if postgres::shared_server().is_none() {
        return;
    }
    let (authority, other) = (Authority::new("an authority"), Authority::new("another authority"));
    let server = authority.server("127.0.0.1");
    let url = asking(&server, "verify-full", authority.path());
    let (one, two) = (Node::connect(&url).await, Node::connect(&url).await);
    let key = one.issue("ci").await;
    assert_eq!((one.status(&key).await, two.status(&key).await), (200, 200));
    one.keyward.owners().create(NewOwner::new("root@example.test").roles([RoleId::SUPER_ADMIN])).await.unwrap();
    one.keyward.tokens().revoke(key.token.id).await.unwrap();
    two.wait_for_status(&key, 401, BOUND).await;

    // The connections of each node: readers, the writer (on one), the poller of the log, and the listener for hints.
    let mut by_hand = PgConnection::connect(&url).await.unwrap();
    let mut sessions = async |what: &str| {
        let text = format!(
            "SELECT COUNT(*), COUNT(*) FILTER (WHERE s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) \
             WHERE a.application_name LIKE 'keyward%' AND {what}"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(text)).fetch_one(&mut by_hand).await.unwrap();
        (row.get::<i64, _>(0), row.get::<i64, _>(1))
    };
    while sessions("a.query LIKE 'LISTEN%'").await != (2, 2) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(sessions("a.application_name LIKE 'keyward log%'").await, (2, 2));
    let (all, encrypted) = sessions("TRUE").await;
    assert!(all >= 7, "{all}");
    assert_eq!(all, encrypted);

    let message = connect_error(&asking(&server, "verify-full", other.path())).await;
    assert!(message.contains("UnknownIssuer") && message.contains("sslrootcert"), "{message}");
    let message = connect_error(&asking(&server, "verify-ca", other.path())).await;
    assert!(message.contains("UnknownIssuer") && message.contains("sslrootcert"), "{message}");
    let message = connect_error(&asking(&server, "verify-full", Path::new("/nowhere/ca.pem"))).await;
    assert!(message.contains("sslrootcert") && message.contains("not there"), "{message}");
}

#[tokio::test]
async fn certificate_for_another_host_is_rejected() {
    if postgres::shared_server().is_none() {
        return;
    }
    let authority = Authority::new("an authority");
    let server = authority.server("db.example.test");
    let message = connect_error(&asking(&server, "verify-full", authority.path())).await;
    assert!(message.contains("host that the address names") && message.contains("db.example.test"), "{message}");
    // Use `verify-full`: this mode accepts every server that the authority has signed for.
    PostgresStore::connect(&asking(&server, "verify-ca", authority.path())).await.unwrap().close().await;
}

#[tokio::test]
async fn unencrypted_server_is_rejected() {
    let Some(url) = postgres::create_database().await else { return };
    let authority = Authority::new("an authority");
    for mode in ["require", "verify-ca", "verify-full"] {
        let message = connect_error(&format!("{url}?sslmode={mode}&sslrootcert={}", authority.path().display())).await;
        assert!(message.contains("cannot be encrypted") && message.contains("pg_hba.conf"), "{mode}: {message}");
    }
}
