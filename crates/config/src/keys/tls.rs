//! Certificates and ciphers.

use std::path::PathBuf;

use super::Section;
use super::basic::{listen_host, port};
use crate::config::Secret;
use crate::draft::Draft;
use crate::key::{Class, Key, Problem, Raw, Verdict};
use crate::tls::{ClientAuth, StoreConfig, StoreKind, TlsSide};

/// A key and its twin for the quorum ports.
macro_rules! twice {
    ($($name:literal, $default:literal, $example:literal, $class:ident, $doc:literal, $($more:ident ( $($argument:expr),* ))*;)*) => {
        &[
            SECURE_PORT,
            SECURE_PORT_ADDRESS,
            SSL_QUORUM,
            $(
                Key::prefixed(concat!("ssl.", $name), $default, $example)
                    .class(Class::$class).doc(concat!($doc, ", on client ports.")) $(.$more($($argument),*))*,
                Key::prefixed(concat!("ssl.quorum.", $name), $default, $example)
                    .class(Class::$class).doc(concat!($doc, ", between servers.")) $(.$more($($argument),*))*,
            )*
            Key::prefixed("ssl.crl", "false", "true")
                .class(Class::B)
                .needs(&[("zabd.ssl.crlFile", "/etc/zookeeper/crl.pem")])
                .doc("Check revocation lists, on client ports.")
                .differently(CRL)
                .lenient_bool(|d, v| d.config.tls.clients.checks_revocation = v),
            Key::prefixed("ssl.quorum.crl", "false", "true")
                .class(Class::B)
                .needs(&[("zabd.ssl.quorum.crlFile", "/etc/zookeeper/crl.pem")])
                .doc("Check revocation lists, between servers.")
                .differently(CRL)
                .lenient_bool(|d, v| d.config.tls.quorum.checks_revocation = v),
            Key::own("zabd.ssl.crlFile", "none", "/etc/zookeeper/crl.pem")
                .class(Class::B)
                .doc("Revocation lists, PEM or DER, separated by commas, on client ports; they count with `ssl.crl=true`.")
                .custom(|d, raw| crl_files(raw, &mut d.config.tls.clients)),
            Key::own("zabd.ssl.quorum.crlFile", "none", "/etc/zookeeper/crl.pem")
                .class(Class::B)
                .doc("The same between servers, with `ssl.quorum.crl=true`.")
                .custom(|d, raw| crl_files(raw, &mut d.config.tls.quorum)),
            Key::file("sslQuorumReloadCertFiles", "true", "false")
                .doc("Read the quorum's certificates again when they change.")
                .differently("`true` by default")
                .strict_bool(|d, v| d.config.tls.quorum.reloads = v),
            Key::file("portUnification", "false", "true")
                .doc("Quorum and election ports take TLS and plain text; without any store plain text alone.")
                .strict_bool(|d, v| d.config.tls.quorum_port_unification = v),
            Key::prefixed("client.portUnification", "false", "true")
                .needs(STORES)
                .doc("`clientPort` takes TLS and plain text.")
                .lenient_bool(|d, v| d.config.tls.client_port_unification = v),
            Key::prefixed("client.certReload", "true", "false")
                .doc("Read the certificates of client ports again when they change.")
                .differently("`true` by default")
                .lenient_bool(|d, v| d.config.tls.clients.reloads = v),
            Key::prefixed("fips-mode", "true", "false")
                .class(Class::B)
                .doc("In Java's FIPS mode certificates are not compared with hosts, between servers.")
                .differently("they are compared all the same if `ssl.quorum.hostnameVerification=true` is written; nothing else is restricted")
                .lenient_bool(|d, v| {
                    d.config.tls.clients.is_fips = v;
                    d.config.tls.quorum.is_fips = v;
                }),
            Key::prefixed("ssl.sslProvider", "JDK", "OPENSSL")
                .class(Class::C)
                .doc("Netty's TLS library.")
                .no_effect("TLS is rustls in any case"),
            Key::prefixed("netty.server.outstandingHandshake.limit", "-1", "250")
                .aliases(&["outstandingHandshake.limit"])
                .unit("connections")
                .doc("TLS handshakes of clients at once; further connections are closed.")
                .differently("-1 is 4096, where Java has no limit: whoever comes then takes the place of somebody who says nothing")
                .int(i32::MIN as i64, |d, v| d.config.tls.handshakes_max = u32::try_from(v).ok().filter(|_| v != 0)),
            Key::prefixed("netty.server.earlyDropSecureConnectionHandshakes", "false", "true")
                .doc("Close TLS connections before their handshake while the server does not serve.")
                .lenient_bool(|d, v| d.config.tls.early_drop = v),
            Key::bare("jdk.tls.rejectClientInitiatedRenegotiation", "true", "false")
                .class(Class::C)
                .doc("Refuse renegotiation.")
                .silent(&["true"])
                .no_effect("it is always refused"),
        ]
    };
}

pub(super) const SECTION: Section = Section {
    title: "TLS",
    intro: "TLS is rustls: versions 1.2 and 1.3, suites with forward secrecy and authenticated encryption, keys of RSA from 2048 \
            bits on, EC keys on P-256 and P-384, Ed25519. Certificates are X.509; those of versions 1 and 2 must be signed by a certificate of the trust store itself. Stores are read when a port with TLS is \
            opened, so a mistake in them ends the start.",
    keys: twice! {
        "keyStore.location", "none", "/etc/zookeeper/keystore.p12", B, "Key store", custom(|d, r| path(r, &mut key_store(d, r).location));
        "keyStore.password", "none", "sesame", B, "Its password", secret() custom(|d, r| password(r, &mut key_store(d, r).password));
        "keyStore.passwordPath", "none", "/run/secrets/keystore", B, "File with its password",
            custom(|d, r| path(r, &mut key_store(d, r).password_path));
        "keyStore.type", "by suffix", "PEM", B, "`JKS`, `PEM`, `PKCS12`",
            differently(BCFKS) custom(|d, r| kind(r, &mut key_store(d, r).kind));
        "trustStore.location", "none", "/etc/zookeeper/truststore.p12", B, "Trust store",
            differently(TRUST) custom(|d, r| path(r, &mut trust_store(d, r).location));
        "trustStore.password", "none", "sesame", B, "Its password", secret() custom(|d, r| password(r, &mut trust_store(d, r).password));
        "trustStore.passwordPath", "none", "/run/secrets/truststore", B, "File with its password",
            custom(|d, r| path(r, &mut trust_store(d, r).password_path));
        "trustStore.type", "by suffix", "PEM", B, "`JKS`, `PEM`, `PKCS12`",
            differently(BCFKS) custom(|d, r| kind(r, &mut trust_store(d, r).kind));
        "protocol", "TLSv1.3", "TLSv1.2", A, "Protocol of the TLS context: the newest that is offered",
            differently("`TLSv1.3` offers TLSv1.2 too, on every port; older ones end the start")
            custom(|d, r| { side(d, r).protocol = text(r); Ok(None) });
        "enabledProtocols", "ssl.protocol", "TLSv1.3,TLSv1.2", A, "Protocols that are offered",
            differently("older ones than TLSv1.2 are left out with a warning, and end the start if nothing is left")
            custom(|d, r| { side(d, r).enabled_protocols = listed(r); Ok(None) });
        "ciphersuites", "all that rustls has", "TLS_AES_256_GCM_SHA384", B, "Cipher suites by their Java names",
            differently("those that rustls has are offered, the others are left out with a warning, and end the start if nothing is left")
            custom(|d, r| { side(d, r).cipher_suites = listed(r); Ok(None) });
        "clientAuth", "need", "want", A, "`need`, `want` or `none`: whether the other side shows a certificate", custom(client_auth);
        "hostnameVerification", "true", "false", A, "Compare certificates with host names",
            custom(|d, r| { side(d, r).verifies_hosts = Some(crate::java_number::lenient_bool(r.value)); Ok(None) });
        "clientHostnameVerification", "false for clients, true for peers", "true", A,
            "Compare certificates of connecting hosts with their addresses and names",
            differently("names in the certificate are looked up and compared with the address, never the address with a name")
            custom(|d, r| { side(d, r).verifies_client_hosts = Some(crate::java_number::lenient_bool(r.value)); Ok(None) });
        "allowReverseDnsLookup", "false for clients, true for peers", "true", A, "Ask DNS for the name of an address",
            silent(&["false"]) no_effect("names of certificates are looked up instead, which needs no reverse DNS");
        "ocsp", "false", "true", B, "Check revocation by OCSP", refused("`true` ends the start: rustls asks nobody") custom(ocsp);
        "handshakeDetectionTimeoutMillis", "5000", "2000", A, "How long a unified port waits for the first bytes",
            unit("milliseconds") custom(detection_timeout);
        "context.supplier.class", "none", "org.example.Supplier", C, "Java class that makes the TLS context",
            refused("any class ends the start") custom(supplier);
    },
};

const SECURE_PORT: Key = Key::file("secureClientPort", "none", "2281")
    .needs(STORES)
    .doc("Port for clients with TLS.")
    .custom(|d, raw| {
        d.config.tls.secure_client_port = Some(port(raw)?);
        Ok(None)
    });

const SECURE_PORT_ADDRESS: Key = Key::file("secureClientPortAddress", "every interface", "127.0.0.1")
    .needs(&[
        ("secureClientPort", "2281"),
        ("ssl.keyStore.location", "/etc/zookeeper/keystore.p12"),
        ("ssl.clientAuth", "none"),
    ])
    .doc("Address or host name that it is bound on.")
    .custom(|d, raw| {
        let (host, warning) = listen_host(raw)?;
        d.has_secure_client_port_address = true;
        d.config.tls.secure_client_port_address = host;
        Ok(warning)
    });

/// Without which no port has TLS.
const STORES: &[(&str, &str)] =
    &[("ssl.keyStore.location", "/etc/zookeeper/keystore.p12"), ("ssl.clientAuth", "none")];

const SSL_QUORUM: Key = Key::file("sslQuorum", "false", "true")
    .doc("Servers dial each other by TLS, and their ports take nothing else.")
    .strict_bool(|d, v| d.config.tls.is_quorum_secure = v);

const CRL: &str = "rustls fetches no lists: they are the files of `crlFile`, without which `true` ends the start; a certificate whose \
                   issuer has no list is refused. A list has version 2, a `nextUpdate` and an extension, where Java takes one without: \
                   `openssl ca -gencrl` writes such lists where its configuration names a `crlnumber` file, or with `-crlexts`";
const BCFKS: &str =
    "`BCFKS` ends the start; under `JKS` and `PKCS12` the file is what its first bytes say, as in Java";
const TRUST: &str = "without one nobody is trusted, where Java trusts the authorities of its own `cacerts`; servers among each other need one";

fn side<'d>(draft: &'d mut Draft, raw: &Raw<'_>) -> &'d mut TlsSide {
    let tls = &mut draft.config.tls;
    if raw.key.name.starts_with("ssl.quorum.") { &mut tls.quorum } else { &mut tls.clients }
}

fn key_store<'d>(draft: &'d mut Draft, raw: &Raw<'_>) -> &'d mut StoreConfig {
    &mut side(draft, raw).key_store
}

fn trust_store<'d>(draft: &'d mut Draft, raw: &Raw<'_>) -> &'d mut StoreConfig {
    &mut side(draft, raw).trust_store
}

fn text(raw: &Raw<'_>) -> Option<String> {
    (!raw.value.is_empty()).then(|| raw.value.to_owned())
}

fn words(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

pub(super) fn listed(raw: &Raw<'_>) -> Option<Vec<String>> {
    text(raw).map(|text| words(&text))
}

pub(super) fn path(raw: &Raw<'_>, place: &mut Option<PathBuf>) -> Verdict {
    *place = text(raw).map(PathBuf::from);
    Ok(None)
}

pub(super) fn password(raw: &Raw<'_>, place: &mut Option<Secret>) -> Verdict {
    *place = text(raw).map(Secret::new);
    Ok(None)
}

pub(super) fn kind(raw: &Raw<'_>, place: &mut Option<StoreKind>) -> Verdict {
    if raw.value.is_empty() {
        return Ok(None);
    }
    let known = StoreKind::from_name(raw.value).ok_or_else(|| {
        Problem::value("is no type of store that zabd reads").hint("one of `JKS`, `PEM`, `PKCS12`")
    })?;
    *place = Some(known);
    Ok(None)
}

fn client_auth(draft: &mut Draft, raw: &Raw<'_>) -> Verdict {
    side(draft, raw).client_auth = match raw.value.to_ascii_lowercase().as_str() {
        "" | "need" => ClientAuth::Need,
        "want" => ClientAuth::Want,
        "none" => ClientAuth::None,
        _ => return Err(Problem::value("is not known").hint("one of `need`, `want`, `none`")),
    };
    Ok(None)
}

fn crl_files(raw: &Raw<'_>, side: &mut TlsSide) -> Verdict {
    side.crl_files = words(raw.value).into_iter().map(PathBuf::from).collect();
    Ok(None)
}

fn ocsp(_: &mut Draft, raw: &Raw<'_>) -> Verdict {
    if !crate::java_number::lenient_bool(raw.value) {
        return Ok(None);
    }
    let problem = Problem::value("asks for OCSP, which zabd does not do");
    Err(problem.hint("remove the line, and give revocation lists by `ssl.crl=true` and `zabd.ssl.crlFile`"))
}

fn detection_timeout(draft: &mut Draft, raw: &Raw<'_>) -> Verdict {
    let timeout = raw.key.number(raw.value, i64::from(i32::MIN), i64::from(i32::MAX))?;
    let used = u32::try_from(timeout).ok().filter(|timeout| *timeout > 0);
    side(draft, raw).detection_timeout_ms = used.unwrap_or(5000);
    Ok(used.is_none().then(|| format!("{}={timeout} is no time, 5000 is used", raw.name)))
}

fn supplier(_: &mut Draft, raw: &Raw<'_>) -> Verdict {
    if raw.value.is_empty() {
        return Ok(None);
    }
    Err(Problem::value("is a class that zabd cannot load").hint("remove the line, and name the stores"))
}
