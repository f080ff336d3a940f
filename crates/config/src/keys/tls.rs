//! Certificates and ciphers. No TLS port exists yet, so nothing here may be mistaken for served.

use super::Section;
use crate::key::{Class, Key, Problem, Verdict, ignored_bool};

pub(super) const NO_TLS: &str = "no TLS port is opened by this build";

/// A key and its twin for the quorum ports.
macro_rules! twice {
    ($($name:literal, $default:literal, $example:literal, $class:ident, $doc:literal $(, $secret:ident)?;)*) => {
        &[
            SECURE_PORT,
            SECURE_PORT_ADDRESS,
            SSL_QUORUM,
            $(
                Key::prefixed(concat!("ssl.", $name), $default, $example)
                    .class(Class::$class).doc(concat!($doc, ", on client ports.")).no_effect(NO_TLS) $(.$secret())?,
                Key::prefixed(concat!("ssl.quorum.", $name), $default, $example)
                    .class(Class::$class).doc(concat!($doc, ", between servers.")).no_effect(NO_TLS) $(.$secret())?,
            )*
            Key::file("sslQuorumReloadCertFiles", "false", "true")
                .doc("Read the quorum's certificates again when they change.")
                .no_effect(NO_TLS)
                .strict_bool(ignored_bool),
            Key::file("portUnification", "false", "true")
                .doc("Quorum and election ports take TLS and plain text.")
                .no_effect(NO_TLS)
                .strict_bool(ignored_bool),
            Key::prefixed("client.portUnification", "false", "true")
                .doc("The secure client port takes plain text too.")
                .no_effect(NO_TLS),
            Key::prefixed("client.certReload", "false", "true")
                .doc("Read the certificates of client ports again when they change.")
                .no_effect(NO_TLS),
            Key::prefixed("fips-mode", "true", "false")
                .class(Class::B)
                .doc("Restrict certificate checks to what FIPS mode allows.")
                .no_effect(NO_TLS),
            Key::prefixed("ssl.sslProvider", "JDK", "OPENSSL")
                .class(Class::C)
                .doc("Netty's TLS library.")
                .no_effect(NO_TLS),
            Key::prefixed("netty.server.outstandingHandshake.limit", "-1", "250")
                .aliases(&["outstandingHandshake.limit"])
                .doc("TLS handshakes at once; -1 is no limit.")
                .no_effect(NO_TLS),
            Key::prefixed("netty.server.earlyDropSecureConnectionHandshakes", "false", "true")
                .doc("Refuse TLS handshakes while the server does not serve.")
                .no_effect(NO_TLS),
            Key::bare("jdk.tls.rejectClientInitiatedRenegotiation", "true", "false")
                .class(Class::C)
                .doc("Refuse renegotiation; zabd always will.")
                .no_effect(NO_TLS),
        ]
    };
}

pub(super) const SECTION: Section = Section {
    title: "TLS",
    intro: "This build opens no TLS port. A configuration that asks for one ends the start rather than serve in the clear; \
            the rest is accepted and waits.",
    keys: twice! {
        "keyStore.location", "none", "/etc/zookeeper/keystore.p12", B, "Key store";
        "keyStore.password", "none", "sesame", B, "Its password", secret;
        "keyStore.passwordPath", "none", "/run/secrets/keystore", B, "File with its password";
        "keyStore.type", "by suffix", "PEM", B, "`JKS`, `PEM`, `PKCS12` or `BCFKS`";
        "trustStore.location", "none", "/etc/zookeeper/truststore.p12", B, "Trust store";
        "trustStore.password", "none", "sesame", B, "Its password", secret;
        "trustStore.passwordPath", "none", "/run/secrets/truststore", B, "File with its password";
        "trustStore.type", "by suffix", "PEM", B, "`JKS`, `PEM`, `PKCS12` or `BCFKS`";
        "protocol", "TLSv1.3", "TLSv1.2", A, "Protocol of the TLS context";
        "enabledProtocols", "ssl.protocol", "TLSv1.3,TLSv1.2", A, "Protocols that are offered";
        "ciphersuites", "a fixed list", "TLS_AES_256_GCM_SHA384", B, "Cipher suites by their Java names";
        "clientAuth", "need", "want", A, "`need`, `want` or `none`: whether the other side shows a certificate";
        "hostnameVerification", "true", "false", A, "Compare certificates with host names";
        "clientHostnameVerification", "false for clients, true for peers", "true", A,
            "Compare certificates of connecting hosts with their names";
        "allowReverseDnsLookup", "false for clients, true for peers", "true", A, "Ask DNS for the name of an address";
        "crl", "false", "true", B, "Check revocation lists";
        "ocsp", "false", "true", B, "Check revocation by OCSP";
        "handshakeDetectionTimeoutMillis", "5000", "2000", A, "How long a unified port waits for the first bytes";
        "context.supplier.class", "none", "org.example.Supplier", C, "Java class that makes the TLS context";
    },
};

const SECURE_PORT: Key = Key::file("secureClientPort", "none", "2281")
    .doc("Port for clients with TLS.")
    .refused("any port ends the start")
    .custom(|d, _| {
        d.secure_client_port = true;
        not_served("remove `secureClientPort`, or put a TLS proxy in front of `clientPort`")
    });

const SECURE_PORT_ADDRESS: Key = Key::file("secureClientPortAddress", "every interface", "127.0.0.1")
    .doc("Address that it is bound on.")
    .refused("needs `secureClientPort`, which ends the start")
    .custom(|d, _| {
        d.secure_client_port_address = true;
        Ok(None)
    });

const SSL_QUORUM: Key = Key::file("sslQuorum", "false", "true")
    .doc("TLS between servers.")
    .refused("`true` ends the start")
    .custom(|_, raw| {
        if !crate::key::strict(raw.key.name, raw.value)? {
            return Ok(None);
        }
        not_served("remove `sslQuorum`: members of this build talk to each other in plain text only")
    });

fn not_served(hint: &str) -> Verdict {
    Err(Problem::value("asks for TLS, which this build does not serve").hint(hint))
}
