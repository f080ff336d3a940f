//! Stores as keytool and openssl write them, and handshakes between two sides, without sockets.
//!
//! Whoever does not have a JDK cannot run these: Java's own tool is the judge of what a store is.

mod trusting;
mod workshop;

use std::path::Path;
use std::process::Command;

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{ClientConnection, HandshakeKind, ServerConnection};
use zabd_config::{ClientAuth, Config, Secret, Sources, TlsSide};

use self::workshop::Change;
pub(crate) use self::workshop::Workshop;
use super::*;

const PASSWORD: &str = "secret-ñ1";
pub(crate) const PLAIN_PASSWORD: &str = "secret1";

/// The keys of a side of which nothing is written.
pub(crate) fn side() -> TlsSide {
    let nothing = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    let config: Config =
        Sources::new().pairs([("dataDir", "/d"), ("clientPort", "1")]).resolve(&nothing).unwrap();
    config.tls.clients
}

/// What a command says.
fn said_by(words: &[&str]) -> String {
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn position(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).rposition(|window| window == wanted).unwrap()
}

const EC: &str = "ec -pkeyopt ec_paramgen_curve:P-256";

fn open(side: &TlsSide) -> Result<Arc<Tls>, String> {
    Tls::open(side, &mut |_| ()).map_err(|error| format!("{}: {error}", error.key))
}

/// What the server learns of the client, and which of them complains.
fn shake(server: &Tls, client: &Tls) -> Result<Option<String>, String> {
    let server = shaken(server.server(), client.client())?;
    let shown = server.peer_certificates().and_then(|chain| chain.first());
    Ok(shown.and_then(Certificate::parse).map(|certificate| certificate.subject))
}

/// The server's end behind the handshake.
fn shaken(server: Arc<ServerConfig>, client: Arc<ClientConfig>) -> Result<ServerConnection, String> {
    let mut server = ServerConnection::new(server).unwrap();
    let name = ServerName::try_from("zoo.example").unwrap();
    let mut client = ClientConnection::new(client, name).unwrap();
    while server.is_handshaking() || client.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets().map_err(|error| format!("server: {error}"))?;
        wire.clear();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets().map_err(|error| format!("client: {error}"))?;
    }
    Ok(server)
}

#[test]
fn stores_of_every_kind_make_a_handshake() {
    let shop = Workshop::new();
    shop.authority("ca");
    shop.certificate("ec", "ca", EC, "/C=DE/O=Acme/CN=zoo", "DNS:zoo.example");
    shop.certificate("rsa", "ca", "rsa:2048", "/CN=rsa", "DNS:zoo.example");
    shop.run(&format!("openssl pkcs8 -topk8 -in rsa.key -out rsa.enc -passout pass:{PLAIN_PASSWORD}"));
    shop.write("encrypted.pem", &["rsa.enc", "rsa.crt"]);
    for (name, how) in [("3des", "PBE-SHA1-3DES"), ("rc2", "PBE-SHA1-RC2-40")] {
        shop.run(&format!("openssl pkcs8 -topk8 -v1 {how} -provider legacy -provider default -in ec.key -out {name}.enc -passout pass:{PLAIN_PASSWORD}"));
        shop.write(&format!("{name}.pem"), &["ec.crt", &format!("{name}.enc")]);
    }
    shop.run("openssl rsa -traditional -in rsa.key -out rsa.old");
    shop.write("old.pem", &["rsa.crt", "rsa.old"]);
    shop.run(&format!("openssl pkcs12 -export -inkey ec.key -in ec.crt -certfile ca.crt -name zoo -out openssl.p12 -passout pass:{PLAIN_PASSWORD}"));
    shop.run(&format!("openssl pkcs12 -export -legacy -inkey ec.key -in ec.crt -name zoo -out legacy.p12 -passout pass:{PLAIN_PASSWORD}"));
    let keytool = |words: &str| shop.run(&format!("keytool -noprompt -storepass {PLAIN_PASSWORD} {words}"));
    keytool("-importcert -file ca.crt -alias ca -keystore trust.p12");
    keytool("-importcert -file ca.crt -alias ca -keystore trust.jks -storetype JKS");
    let import =
        "-importkeystore -srckeystore openssl.p12 -srcstorepass secret1 -deststorepass secret1 -destkeystore";
    shop.run(&format!("keytool -noprompt {import} keys.jks -deststoretype JKS"));
    shop.run(&format!("keytool -noprompt {import} named.jks"));
    shop.write("ca.pem", &["ca.crt"]);
    for (keys, subject) in [
        ("ec.pem", "CN=zoo,O=Acme,C=DE"),
        ("rsa.pem", "CN=rsa"),
        ("encrypted.pem", "CN=rsa"),
        ("3des.pem", "CN=zoo,O=Acme,C=DE"),
        ("rc2.pem", "CN=zoo,O=Acme,C=DE"),
        ("old.pem", "CN=rsa"),
        ("openssl.p12", "CN=zoo,O=Acme,C=DE"),
        ("legacy.p12", "CN=zoo,O=Acme,C=DE"),
        ("keys.jks", "CN=zoo,O=Acme,C=DE"),
        ("named.jks", "CN=zoo,O=Acme,C=DE"),
    ] {
        for trust in ["ca.pem", "trust.p12", "trust.jks"] {
            let tls = open(&shop.side(keys, trust)).unwrap();
            assert_eq!(shake(&tls, &tls), Ok(Some(subject.to_owned())), "{keys} {trust}");
        }
        let mut wrong = shop.side(keys, "ca.pem");
        wrong.key_store.password = Some(Secret::new("wrong"));
        let is_protected = !matches!(keys, "ec.pem" | "rsa.pem" | "old.pem");
        let opened = open(&wrong);
        assert_eq!(opened.is_err(), is_protected, "{keys}");
        if let Err(problem) = opened {
            assert!(
                problem.starts_with("ssl.keyStore.location: ") && problem.contains("password"),
                "{problem}"
            );
        }
        // Whatever is cut off is refused, and nothing panics.
        let whole = std::fs::read(shop.path(keys)).unwrap();
        for length in [0, 1, 5, whole.len() / 3, whole.len() / 2, whole.len() - 2] {
            let name = format!("cut-{keys}");
            std::fs::write(shop.path(&name), &whole[..length]).unwrap();
            assert!(open(&shop.side(&name, "ca.pem")).is_err(), "{keys} of {length} bytes");
        }
    }
}

#[test]
fn passwords_come_from_files_and_have_any_letters() {
    let shop = Workshop::new();
    shop.authority("ca");
    shop.certificate("ec", "ca", EC, "/CN=zoo", "DNS:zoo.example");
    std::fs::write(shop.path("password"), format!("{PASSWORD}\n")).unwrap();
    shop.run(
        "openssl pkcs12 -export -inkey ec.key -in ec.crt -name zoo -out keys.p12 -passout file:password",
    );
    shop.write("ca.pem", &["ca.crt"]);
    let mut side = shop.side("keys.p12", "ca.pem");
    side.key_store.password_path = Some(shop.path("password"));
    assert!(open(&side).is_ok());
    side.key_store.password_path = Some(shop.path("nowhere"));
    assert!(open(&side).unwrap_err().contains("nowhere"));
}

/// What is wrong with a store is said once, of each store, and the hint names what is to be set.
#[test]
fn a_store_that_cannot_be_used_is_told_with_its_remedy() {
    let shop = Workshop::new();
    shop.authority("ca");
    shop.certificate("ec", "ca", EC, "/CN=zoo", "DNS:zoo.example");
    shop.run(&format!("openssl pkcs12 -export -inkey ec.key -in ec.crt -name zoo -out keys.p12 -passout pass:{PLAIN_PASSWORD}"));
    shop.write("ca.pem", &["ca.crt"]);
    let told = |side: &TlsSide| {
        let mut also = Vec::new();
        let error = Tls::open(side, &mut |words| also.push(words.to_owned())).unwrap_err();
        (format!("{}: {}; hint: {}", error.key, error.problem, error.hint), also)
    };
    let mut side = shop.side("keys.p12", "ca.pem");
    let wrong = "ssl.keyStore.location: the password is wrong, or the file is damaged; hint: ";
    side.key_store.password = None;
    assert_eq!(told(&side).0, format!("{wrong}`ssl.keyStore.password` is not set"));
    side.key_store.password = Some(Secret::new("guess"));
    assert_eq!(told(&side).0, format!("{wrong}check `ssl.keyStore.password`"));
    side.trust_store = side.key_store.clone();
    let path = shop.path("keys.p12");
    let other = format!(
        "ssl.trustStore.location: {}: the password is wrong, or the file is damaged; hint: check `ssl.trustStore.password`",
        path.display()
    );
    assert_eq!(told(&side), (format!("{wrong}check `ssl.keyStore.password`"), vec![other]));
    let unnamed = "ssl.keyStore.location: the name does not tell what the file is (`.jks`, `.pem` or `.p12`), and no type is set; hint: ";
    assert_eq!(told(&shop.side("ec.crt", "ca.pem")).0, format!("{unnamed}set `ssl.keyStore.type=PEM`"));
    let missing = told(&shop.side("none.pem", "ca.pem")).0;
    assert!(missing.starts_with("ssl.keyStore.location: cannot be read: No such file"), "{missing}");
}

/// Java leaves the public half of an EC key out, opens no key of a store that says whom it trusts, and passes over keys that it cannot
/// use.
#[test]
fn stores_are_taken_as_javas_keytool_leaves_them() {
    let shop = Workshop::new();
    shop.authority("ca");
    shop.write("ca.pem", &["ca.crt"]);
    let keytool = |words: &str| shop.run(&format!("keytool -noprompt {words}"));
    let one = format!("-storepass {PLAIN_PASSWORD}");
    for (file, kind) in [("made.p12", "PKCS12"), ("made.jks", "JKS")] {
        for curve in ["secp256r1", "secp384r1"] {
            let store = format!("{curve}-{file}");
            let own = if kind == "JKS" { format!("-keypass {PLAIN_PASSWORD}") } else { String::new() };
            keytool(&format!(
                "-genkeypair -keyalg EC -groupname {curve} -alias zoo -dname CN=made -keystore {store} -storetype {kind} {one} {own}"
            ));
            keytool(&format!("-exportcert -rfc -alias zoo -keystore {store} -file made.pem {one}"));
            let tls = open(&shop.side(&store, "made.pem")).unwrap();
            assert_eq!(shake(&tls, &tls), Ok(Some("CN=made".to_owned())), "{store}");
        }
    }
    // The PEM of such a key, too.
    shop.run(&format!(
        "openssl pkcs12 -in secp256r1-made.p12 -nodes -passin pass:{PLAIN_PASSWORD} -out bare.pem"
    ));
    assert!(open(&shop.side("bare.pem", "made.pem")).is_ok());

    keytool(&format!(
        "-genkeypair -keyalg RSA -alias zoo -dname CN=rsa -keystore both.p12 -storetype PKCS12 {one}"
    ));
    keytool(&format!(
        "-genkeypair -keyalg EC -groupname secp521r1 -alias long -dname CN=long -keystore both.p12 -storetype PKCS12 {one}"
    ));
    let mut told = Vec::new();
    let side = shop.side("both.p12", "ca.pem");
    Tls::open(&side, &mut |words| told.push(words.to_owned())).unwrap();
    assert!(matches!(&told[..], [one] if one.contains("another one of the store is used")), "{told:?}");

    keytool(&format!(
        "-genkeypair -keyalg RSA -alias zoo -dname CN=other -keystore trust.jks -storetype JKS {one} -keypass another1"
    ));
    keytool(&format!("-importcert -file ca.crt -alias ca -keystore trust.jks {one}"));
    assert!(open(&shop.side("both.p12", "trust.jks")).is_ok());
    assert!(open(&shop.side("trust.jks", "ca.pem")).unwrap_err().contains("password"));
}

/// `openssl x509 -req` without a file of extensions, as in ZooKeeper's `gencerts.sh`.
#[test]
fn a_certificate_of_version_1_is_believed_if_its_signer_is() {
    let shop = Workshop::new();
    shop.authority("ca");
    shop.authority("other");
    for (name, authority, key) in [
        ("root", "root", "rsa:2048"),
        ("ec", "ca", EC),
        ("rsa", "root", "rsa:2048"),
        ("stranger", "other", EC),
        ("made", "ec", EC),
        ("below", "zoo", EC),
    ] {
        if name == "below" {
            shop.certificate("zoo", "ca", EC, "/CN=zoo", "DNS:zoo.example");
        }
        shop.run(&format!(
            "openssl req -new -newkey {key} -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
        ));
        let signer = if name == authority {
            format!("-signkey {name}.key")
        } else {
            format!("-CA {authority}.crt -CAkey {authority}.key -CAcreateserial")
        };
        shop.run(&format!("openssl x509 -req -in {name}.csr {signer} -days 20 -out {name}.crt"));
        shop.write(&format!("{name}.pem"), &[&format!("{name}.key"), &format!("{name}.crt")]);
    }
    shop.write("trust.pem", &["ca.crt", "root.crt", "zoo.crt"]);
    for protocol in ["TLSv1.2", "TLSv1.3"] {
        let side = |keys: &str| {
            let mut side = shop.side(keys, "trust.pem");
            side.enabled_protocols = Some(vec![protocol.to_owned()]);
            side
        };
        let tls = |keys: &str| open(&side(keys)).unwrap();
        for name in ["ec", "rsa"] {
            let own = tls(&format!("{name}.pem"));
            assert_eq!(shake(&own, &own), Ok(Some(format!("CN={name}"))), "{protocol}");
        }
        let good = tls("ec.pem");
        for (name, reason) in
            [("stranger", "UnknownIssuer"), ("made", "UnknownIssuer"), ("below", "UnknownIssuer")]
        {
            let bad = tls(&format!("{name}.pem"));
            let (as_client, as_server) = (shake(&good, &bad).unwrap_err(), shake(&bad, &good).unwrap_err());
            assert!(as_client.starts_with("server: ") && as_client.contains(reason), "{name}: {as_client}");
            assert!(as_server.starts_with("client: ") && as_server.contains(reason), "{name}: {as_server}");
        }
    }
    shop.write("mixed-up.pem", &["ec.key", "stranger.crt"]);
    assert!(open(&shop.side("mixed-up.pem", "trust.pem")).unwrap_err().contains("KeyMismatch"));
}

/// Of a certificate of version 1, whatever is changed in it or cut off is seen, and its time counts.
#[test]
fn nothing_of_a_certificate_of_version_1_can_be_changed() {
    let shop = Workshop::new();
    shop.authority("ca");
    shop.run("openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=zoo -keyout zoo.key -out zoo.csr");
    shop.run("openssl x509 -req -in zoo.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 20 -outform DER -out zoo.der");
    shop.run("openssl x509 -in ca.crt -outform DER -out ca.der");
    let read = |name: &str| CertificateDer::from(std::fs::read(shop.path(name)).unwrap());
    let (whole, authority) = (read("zoo.der"), [read("ca.der")]);
    let provider = ring::default_provider();
    let check = |der: &CertificateDer<'_>, days: u64| {
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            UnixTime::now().as_secs() + days * 86_400,
        ));
        let old = OldCertificate::parse(der).ok_or("is none")?;
        old.check(&authority, &provider, now).map_err(|error| error.to_string())
    };
    assert_eq!(check(&whole, 1), Ok(()));
    assert!(check(&whole, 21).unwrap_err().contains("Expired"));
    for at in 0..whole.len() {
        let mut changed = whole.to_vec();
        changed[at] ^= 1;
        assert!(check(&CertificateDer::from(changed), 1).is_err(), "byte {at} is another");
        assert!(check(&CertificateDer::from(whole[..at].to_vec()), 1).is_err(), "cut at {at}");
    }
}

#[test]
fn who_is_on_a_revocation_list_is_refused() {
    let shop = Workshop::new();
    shop.authority("ca");
    shop.certificate("good", "ca", EC, "/CN=good", "DNS:zoo.example");
    shop.certificate("bad", "ca", EC, "/CN=bad", "DNS:zoo.example");
    shop.write("ca.pem", &["ca.crt"]);
    std::fs::write(
        shop.path("ca.conf"),
        "[ca]\ndefault_ca=x\n[x]\ndatabase=index\ncrlnumber=number\ndefault_md=sha256\ndefault_crl_days=9\nprivate_key=ca.key\ncertificate=ca.crt\n",
    )
    .unwrap();
    std::fs::write(shop.path("index"), "").unwrap();
    std::fs::write(shop.path("number"), "01\n").unwrap();
    shop.run("openssl ca -config ca.conf -revoke bad.crt");
    shop.run("openssl ca -config ca.conf -gencrl -out ca.crl");
    let mut side = shop.side("good.pem", "ca.pem");
    side.checks_revocation = true;
    side.crl_files = vec![shop.path("ca.crl")];
    let server = open(&side).unwrap();
    let client = |keys: &str| open(&shop.side(keys, "ca.pem")).unwrap();
    assert_eq!(shake(&server, &client("good.pem")), Ok(Some("CN=good".into())));
    let refused = shake(&server, &client("bad.pem")).unwrap_err();
    assert!(refused.contains("Revoked"), "{refused}");
    // A list that somebody forgot to renew says nothing about anybody, and neither does one of tomorrow.
    // Ten minutes are a difference of clocks.
    let moment =
        |days: i64| said_by(&["date", "-u", "-d", &format!("{days} days 10 minutes ago"), "+%Y%m%d%H%M%SZ"]);
    for (begin, end, is_good) in [(-2, 0, true), (-2, -1, false), (1, 3, false)] {
        let [begin, end] = [begin, end].map(moment);
        shop.run(&format!(
            "openssl ca -config ca.conf -gencrl -crl_lastupdate {begin} -crl_nextupdate {end} -out ca.crl"
        ));
        let server = open(&side).unwrap();
        let result = shake(&server, &client("good.pem"));
        assert_eq!(result.is_ok(), is_good, "{begin} to {end}: {result:?}");
        if let Err(problem) = result {
            assert!(problem.contains("UnknownRevocationStatus"), "{problem}");
        }
        assert!(shake(&server, &client("bad.pem")).is_err());
    }
    side.crl_files = vec![shop.path("ca.pem")];
    assert!(open(&side).unwrap_err().starts_with("zabd.ssl.crlFile: "));

    // What openssl writes when nobody tells it to number its lists, which Java takes.
    side.crl_files = vec![shop.path("ca.crl")];
    let config = std::fs::read_to_string(shop.path("ca.conf")).unwrap();
    let config = config.replace("crlnumber=number\n", "") + "[list]\nauthorityKeyIdentifier=keyid:always\n";
    std::fs::write(shop.path("ca.conf"), config).unwrap();
    shop.run("openssl ca -config ca.conf -gencrl -out ca.crl");
    let problem = Tls::open(&side, &mut |_| ()).unwrap_err();
    assert!(problem.problem.ends_with("it is a revocation list of version 1, and no such list can be used"));
    assert!(problem.hint.contains("`crlnumber`") && problem.hint.contains("`-crlexts`"));
    shop.run("openssl ca -config ca.conf -gencrl -crlexts list -out ca.crl");
    assert!(shake(&open(&side).unwrap(), &client("bad.pem")).unwrap_err().contains("Revoked"));
}

/// A certificate may be well signed, and hold a name that nobody can print, or hosts that nobody can compare.
#[test]
fn a_certificate_that_cannot_be_read_is_refused() {
    let shop = Workshop::new();
    shop.authority("ca");
    shop.certificate("zoo", "ca", EC, "/CN=zoo", "DNS:zoo.example");
    shop.write("ca.pem", &["ca.crt"]);
    let server = open(&shop.side("zoo.pem", "ca.pem")).unwrap();
    // The type of the name is no number any more; the first of the hosts claims to be longer than all of them.
    let nameless = |tbs: &mut Vec<u8>| {
        let at = position(tbs, b"\x0c\x03zoo") - 5;
        assert_eq!(tbs[at..at + 2], [der::OID, 3]);
        tbs[at] = 5;
    };
    let hostless = |tbs: &mut Vec<u8>| {
        let at = position(tbs, b"\x82\x0bzoo.example");
        tbs[at + 1] = 0x7b;
    };
    let changes: [(&str, Change<'_>); 2] = [("nameless", &nameless), ("hostless", &hostless)];
    for (name, change) in changes {
        shop.forge(name, "zoo", "ca", change);
        for trust in ["ca.pem", &format!("{name}-trust.pem")] {
            let client = open(&shop.side(&format!("{name}.pem"), "ca.pem")).unwrap();
            let server = open(&shop.side("zoo.pem", trust)).unwrap();
            let problem = shake(&server, &client).unwrap_err();
            assert!(problem.contains("BadEncoding"), "{name}, {trust}: {problem}");
            let problem = shake(&client, &server).map(drop);
            assert!(problem.is_err(), "{name} as a server");
        }
    }
    assert!(shake(&server, &server).is_ok());
}

/// Java reads no certificate with an empty subject, unless names stand beside it that must be looked at. Nobody may be an identity.
#[test]
fn a_certificate_that_is_nobodys_is_refused() {
    let shop = Workshop::new();
    shop.authority("ca");
    shop.write("ca.pem", &["ca.crt"]);
    shop.certificate("zoo", "ca", EC, "/CN=zoo", "DNS:zoo.example");
    let good = open(&shop.side("zoo.pem", "ca.pem")).unwrap();
    shop.run(&format!("openssl req -new -newkey {EC} -nodes -subj / -keyout nobody.key -out nobody.csr"));
    for (extensions, is_somebodys) in [
        (None, false),
        (Some("basicConstraints=CA:FALSE"), false),
        (Some("subjectAltName=DNS:zoo.example"), false),
        (Some("subjectAltName=critical,DNS:zoo.example"), true),
    ] {
        std::fs::write(shop.path("extensions"), extensions.unwrap_or_default()).unwrap();
        // Without a file of extensions it is of version 1.
        let file = if extensions.is_some() { "-extfile extensions" } else { "" };
        shop.run(&format!(
            "openssl x509 -req -in nobody.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 20 {file} -out nobody.crt"
        ));
        shop.write("nobody.pem", &["nobody.key", "nobody.crt"]);
        shop.write("known.pem", &["ca.crt", "nobody.crt"]);
        let nobody = open(&shop.side("nobody.pem", "ca.pem")).unwrap();
        for trust in ["ca.pem", "known.pem"] {
            let tls = open(&shop.side("zoo.pem", trust)).unwrap();
            for (side, result) in [("server: ", shake(&tls, &nobody)), ("client: ", shake(&nobody, &tls))] {
                assert_eq!(result.is_ok(), is_somebodys, "{extensions:?}, {trust}: {result:?}");
                let problem = result.err().unwrap_or_default();
                assert!(
                    is_somebodys || problem.starts_with(side) && problem.contains("BadEncoding"),
                    "{problem}"
                );
            }
        }
    }
    assert_eq!(shake(&good, &good), Ok(Some("CN=zoo".into())));
}

/// What a resumed handshake would let in: whoever was believed once, with a certificate that has expired or was revoked since. So
/// there is none, whoever offers one, and whoever would take it.
#[test]
fn no_handshake_is_taken_up_again() {
    let shop = Workshop::new();
    shop.authority("ca");
    shop.certificate("zoo", "ca", EC, "/CN=zoo", "DNS:zoo.example");
    shop.write("ca.pem", &["ca.crt"]);
    for protocol in ["TLSv1.2", "TLSv1.3"] {
        for client_auth in [ClientAuth::Need, ClientAuth::Want, ClientAuth::None] {
            let mut side = shop.side("zoo.pem", "ca.pem");
            side.client_auth = client_auth;
            side.enabled_protocols = Some(vec![protocol.to_owned()]);
            let tls = open(&side).unwrap();
            let mut keeping_server = (*tls.server()).clone();
            keeping_server.session_storage = rustls::server::ServerSessionMemoryCache::new(100);
            keeping_server.send_tls13_tickets = 2;
            let keeping_server = Arc::new(keeping_server);
            let mut keeping_client = (*tls.client()).clone();
            keeping_client.resumption = Resumption::default();
            let keeping_client = Arc::new(keeping_client);
            let sides = [
                ("both keep", &keeping_server, &keeping_client, HandshakeKind::Resumed),
                ("we are connected to", &tls.server(), &keeping_client, HandshakeKind::Full),
                ("we connect", &keeping_server, &tls.client(), HandshakeKind::Full),
            ];
            for (what, server, client, expected) in sides {
                for kind in [HandshakeKind::Full, expected] {
                    let shaken = shaken(server.clone(), client.clone()).unwrap();
                    assert_eq!(shaken.handshake_kind(), Some(kind), "{what}, {protocol}, {client_auth:?}");
                }
            }
        }
    }
}

/// Kubernetes mounts a secret behind a link, and replaces the link.
#[test]
fn files_that_change_are_read_again() {
    let shop = Workshop::new();
    shop.authority("ca");
    for name in ["old", "new"] {
        shop.certificate(name, "ca", EC, &format!("/CN={name}"), "DNS:zoo.example");
        std::fs::create_dir(shop.path(&format!("{name}.d"))).unwrap();
        shop.write(&format!("{name}.d/tls.pem"), &[&format!("{name}.pem")]);
    }
    shop.write("ca.pem", &["ca.crt"]);
    let link = |to: &str| {
        std::os::unix::fs::symlink(to, shop.path("next")).unwrap();
        std::fs::rename(shop.path("next"), shop.path("mount")).unwrap();
    };
    link("old.d");
    let tls = open(&shop.side("mount/tls.pem", "ca.pem")).unwrap();
    let subject = || tls.certificates()[0].certificate.subject.clone();
    assert_eq!((tls.refresh(), subject()), (Refreshed::Unchanged, "CN=old".into()));
    link("new.d");
    assert_eq!((tls.refresh(), subject()), (Refreshed::Read, "CN=new".into()));
    std::fs::write(shop.path("new.d/tls.pem"), "-----BEGIN PRIVATE KEY-----\nAAAA").unwrap();
    assert!(matches!(tls.refresh(), Refreshed::Failed(_)));
    assert_eq!(
        (tls.refresh(), subject()),
        (Refreshed::StillFailed, "CN=new".into()),
        "told once, and the old one stays"
    );
    link("old.d");
    assert_eq!((tls.refresh(), subject()), (Refreshed::Read, "CN=old".into()));
}

/// `NAME.pem`: a certificate of the authority `ca` for clients, with these extensions, signed with this hash.
fn certificate_with(shop: &Workshop, name: &str, extensions: &str, hash: &str) {
    certificate_by(
        shop,
        name,
        "ca",
        &format!("subjectAltName=DNS:zoo.example\n{extensions}\n"),
        &format!("-{hash}"),
    );
}

/// `NAME.pem`: a certificate of the authority `by`, with these extensions and no others; `options` are those of its signing.
fn certificate_by(shop: &Workshop, name: &str, by: &str, extensions: &str, options: &str) {
    shop.run(&format!(
        "openssl req -new -newkey {EC} -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
    ));
    std::fs::write(shop.path("extensions"), extensions).unwrap();
    shop.run(&format!(
        "openssl x509 -req {options} -in {name}.csr -CA {by}.crt -CAkey {by}.key -CAcreateserial -days 20 -extfile extensions -out {name}.crt"
    ));
    shop.write(&format!("{name}.pem"), &[&format!("{name}.key"), &format!("{name}.crt")]);
}

/// Each of them makes a handshake with Java, whose rules are laxer than RFC 5280 and today's practice.
#[test]
fn what_a_certificate_may_say_and_what_is_refused_that_java_takes() {
    let shop = Workshop::new();
    shop.authority("ca");
    shop.write("ca.pem", &["ca.crt"]);
    let judged = |name: &str, extensions: &str, hash: &str| {
        certificate_with(&shop, name, extensions, hash);
        // An own certificate is looked at when it is read.
        let tls = open(&shop.side(&format!("{name}.pem"), "ca.pem"))?;
        shake(&tls, &tls).map(drop)
    };
    for (name, extensions) in [
        ("any", "extendedKeyUsage=anyExtendedKeyUsage"),
        ("both", "extendedKeyUsage=serverAuth,clientAuth"),
        ("usage", "keyUsage=critical,digitalSignature"),
        ("policies", "certificatePolicies=1.2.3.4"),
    ] {
        assert_eq!(judged(name, extensions, "sha256"), Ok(()), "{name}");
    }
    for (name, extensions, hash, reason) in [
        ("authority", "basicConstraints=critical,CA:TRUE", "sha256", "CaUsedAsEndEntity"),
        ("old-hash", "basicConstraints=CA:FALSE", "sha1", "UnsupportedSignatureAlgorithm"),
        ("critical", "certificatePolicies=critical,1.2.3.4", "sha256", "UnsupportedCriticalExtension"),
        ("server", "extendedKeyUsage=codeSigning", "sha256", "RequiredEkuNotFound"),
    ] {
        let refused = judged(name, extensions, hash).unwrap_err();
        assert!(refused.contains(reason), "{name}: {refused}");
    }
}

/// Java begins to serve, too; whoever need not show a certificate may do without.
#[test]
fn without_a_trust_store_no_certificate_is_believed() {
    let shop = Workshop::new();
    shop.authority("ca");
    shop.certificate("zoo", "ca", EC, "/CN=zoo", "DNS:zoo.example");
    shop.write("ca.pem", &["ca.crt"]);
    let mut side = shop.side("zoo.pem", "ca.pem");
    let client = open(&side).unwrap();
    side.trust_store.location = None;
    let mut told = Vec::new();
    let server = Tls::open(&side, &mut |words| told.push(words.to_owned())).unwrap();
    assert!(
        told[0].starts_with("ssl.trustStore.location is not set, so no certificate is believed"),
        "{told:?}"
    );
    let refused = shake(&server, &client).unwrap_err();
    assert!(refused.contains("UnknownIssuer"), "{refused}");
}

#[test]
fn what_is_missing_is_named_by_its_key() {
    let shop = Workshop::new();
    shop.authority("ca");
    shop.certificate("zoo", "ca", EC, "/CN=zoo", "DNS:zoo.example");
    shop.write("ca.pem", &["ca.crt"]);
    let keys = |change: fn(&mut TlsSide)| {
        let mut side = shop.side("zoo.pem", "ca.pem");
        change(&mut side);
        open(&side).map(drop).map_err(|problem| problem.split(':').next().unwrap().to_owned())
    };
    assert_eq!(keys(|_| ()), Ok(()));
    assert_eq!(keys(|side| side.key_store.location = None), Err("ssl.keyStore.location".into()));
    let without_trust = |side: &mut TlsSide| side.trust_store.location = None;
    assert_eq!(keys(without_trust), Ok(()), "nobody is believed");
    let needing_it = |side: &mut TlsSide| {
        side.trust_store.location = None;
        side.may_believe_nobody = false;
    };
    assert_eq!(keys(needing_it), Err("ssl.trustStore.location".into()));
    assert_eq!(
        keys(|side| side.trust_store.location = Some("/nowhere.pem".into())),
        Err("ssl.trustStore.location".into())
    );
    assert_eq!(
        keys(|side| side.key_store.location = Some("/etc/hostname".into())),
        Err("ssl.keyStore.location".into())
    );
    let without = |side: &mut TlsSide| {
        side.trust_store.location = None;
        side.client_auth = ClientAuth::None;
    };
    assert_eq!(keys(without), Ok(()));
    let mut swapped = shop.side("ca.pem", "ca.pem");
    assert!(open(&swapped).unwrap_err().ends_with("there is no private key in it"));
    swapped.key_store.location = Some(shop.path("zoo.key"));
    assert!(open(&swapped).unwrap_err().contains("does not tell what the file is"));
}
