//! Keys and certificates as openssl makes them, and as somebody changes them who can sign.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine as _;
use zabd_config::{Secret, TlsSide};

use super::{PLAIN_PASSWORD, side};
use crate::der;

/// What somebody does to the signed part of a certificate.
pub(super) type Change<'c> = &'c dyn Fn(&mut Vec<u8>);

/// A directory with whatever was made in it.
pub(crate) struct Workshop(tempfile::TempDir);

impl Workshop {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs one line of words in the directory.
    pub(crate) fn run(&self, line: &str) {
        let words: Vec<_> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(self.0.path()).stdin(Stdio::null());
        let output =
            command.env("LC_ALL", "C.UTF-8").output().unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(output.status.success(), "{line}: {output:?}");
    }

    pub(super) fn write(&self, name: &str, parts: &[&str]) {
        let text: String =
            parts.iter().map(|part| std::fs::read_to_string(self.path(part)).unwrap()).collect();
        std::fs::write(self.path(name), text).unwrap();
    }

    /// An authority: `NAME.key`, `NAME.crt`.
    pub(crate) fn authority(&self, name: &str) {
        self.run(&format!(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN={name} -keyout {name}.key \
             -out {name}.crt"
        ));
    }

    /// A certificate of the authority: `NAME.key`, `NAME.crt`, both in `NAME.pem`.
    pub(super) fn certificate(&self, name: &str, authority: &str, key: &str, subject: &str, hosts: &str) {
        self.run(&format!(
            "openssl req -new -newkey {key} -nodes -subj {subject} -keyout {name}.key -out {name}.csr"
        ));
        std::fs::write(self.path("extensions"), format!("subjectAltName={hosts}\n")).unwrap();
        self.run(&format!(
            "openssl x509 -req -in {name}.csr -CA {authority}.crt -CAkey {authority}.key -CAcreateserial -days 20 -extfile \
             extensions -out {name}.crt"
        ));
        self.write(&format!("{name}.pem"), &[&format!("{name}.key"), &format!("{name}.crt")]);
    }

    /// `NAME.pem` and `NAME-trust.pem`: the certificate of somebody else, changed and signed again by its authority.
    pub(super) fn forge(&self, name: &str, like: &str, authority: &str, change: Change<'_>) {
        self.run(&format!("openssl x509 -in {like}.crt -outform DER -out {name}.der"));
        let whole = std::fs::read(self.path(&format!("{name}.der"))).unwrap();
        let (content, _) = der::expect(&whole, der::SEQUENCE).unwrap();
        let (_, _, behind) = der::value(content).unwrap();
        let (_, _, signature) = der::value(behind).unwrap();
        let algorithm = &behind[..behind.len() - signature.len()];
        let mut tbs = content[..content.len() - behind.len()].to_vec();
        change(&mut tbs);
        std::fs::write(self.path("tbs"), &tbs).unwrap();
        self.run(&format!("openssl dgst -sha256 -sign {authority}.key -out signature tbs"));
        let signature = std::fs::read(self.path("signature")).unwrap();
        let bits = [&[3, signature.len() as u8 + 1, 0], &signature[..]].concat();
        let content = [&tbs, algorithm, &bits].concat();
        let header = [der::SEQUENCE, 0x82, (content.len() >> 8) as u8, content.len() as u8];
        let base64 = base64::engine::general_purpose::STANDARD.encode([&header, &content[..]].concat());
        let pem = format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n");
        std::fs::write(self.path(&format!("{name}-trust.pem")), &pem).unwrap();
        self.write(&format!("{name}.pem"), &[&format!("{like}.key"), &format!("{name}-trust.pem")]);
    }

    pub(super) fn side(&self, keys: &str, trust: &str) -> TlsSide {
        let mut side = side();
        side.key_store.location = Some(self.path(keys));
        side.trust_store.location = Some(self.path(trust));
        for store in [&mut side.key_store, &mut side.trust_store] {
            store.password = Some(Secret::new(PLAIN_PASSWORD));
        }
        side
    }
}
