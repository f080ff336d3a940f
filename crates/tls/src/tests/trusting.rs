//! Trust stores: what is in them, and whom they let in.

use super::*;

/// Java believes nobody where one certificate is broken, and none that is not marked.
#[test]
fn a_trust_store_that_is_not_what_it_seems_is_told() {
    let shop = Workshop::new();
    shop.authority("ca");
    shop.certificate("ec", "ca", EC, "/CN=zoo", "DNS:zoo.example");
    std::fs::write(shop.path("broken"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    shop.write("broken.pem", &["ca.crt", "broken"]);
    let problem = open(&shop.side("ec.pem", "broken.pem")).unwrap_err();
    assert!(
        problem.ends_with("broken.pem: certificate 2 of 2 in it is broken: it is cut off, or none"),
        "{problem}"
    );
    shop.write("keys.pem", &["ec.key", "ec.crt", "broken"]);
    shop.write("ca.pem", &["ca.crt"]);
    let problem = open(&shop.side("keys.pem", "ca.pem")).unwrap_err();
    assert!(problem.contains("keys.pem: certificate 2 of 2 in it is broken"), "{problem}");

    shop.run(&format!(
        "openssl pkcs12 -export -nokeys -in ca.crt -out openssl.p12 -passout pass:{PLAIN_PASSWORD}"
    ));
    let mut told = Vec::new();
    let tls =
        Tls::open(&shop.side("ec.pem", "openssl.p12"), &mut |words| told.push(words.to_owned())).unwrap();
    assert_eq!(shake(&tls, &tls), Ok(Some("CN=zoo".into())));
    let [told] = &told[..] else { panic!("{told:?}") };
    let words = "openssl.p12: no certificate in it is marked as trusted, so all of them are (CN=ca), where Java believes none; hint: ";
    assert!(told.contains(words), "{told}");
}

/// As Java has it: what the key of a certificate is for counts, also where that is not critical.
#[test]
fn what_a_key_is_for_counts() {
    let shop = Workshop::new();
    shop.authority("ca");
    shop.write("ca.pem", &["ca.crt"]);
    let made = |name: &str, by: &str, extensions: &str| certificate_by(&shop, name, by, extensions, "");
    made("signing", "ca", "keyUsage=digitalSignature,keyEncipherment\n");
    made("encrypting", "ca", "keyUsage=keyEncipherment\n");
    for (name, usage) in [("signer", "keyCertSign"), ("lister", "cRLSign")] {
        made(name, "ca", &format!("basicConstraints=critical,CA:TRUE\nkeyUsage={usage}\n"));
        let of = format!("of-{name}");
        made(&of, name, "subjectAltName=DNS:zoo.example\n");
        shop.write(
            &format!("{of}.pem"),
            &[&format!("{of}.key"), &format!("{of}.crt"), &format!("{name}.crt")],
        );
    }
    let server = open(&shop.side("signing.pem", "ca.pem")).unwrap();
    for (name, is_believed) in
        [("signing", true), ("encrypting", false), ("of-signer", true), ("of-lister", false)]
    {
        let shown = shake(&server, &open(&shop.side(&format!("{name}.pem"), "ca.pem")).unwrap());
        assert_eq!(shown.is_ok(), is_believed, "{name}: {shown:?}");
    }
    // In the store itself, it is believed whatever it says.
    shop.write("both.pem", &["ca.crt", "encrypting.crt"]);
    let trusting = open(&shop.side("signing.pem", "both.pem")).unwrap();
    assert!(shake(&trusting, &open(&shop.side("encrypting.pem", "ca.pem")).unwrap()).is_ok());
}

#[test]
fn who_is_believed() {
    let shop = Workshop::new();
    shop.authority("ca");
    shop.authority("other");
    shop.certificate("zoo", "ca", EC, "/CN=zoo", "DNS:zoo.example");
    shop.certificate("stranger", "other", EC, "/CN=stranger", "DNS:zoo.example");
    shop.run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=self -keyout self.key -out self.crt");
    shop.write("self.pem", &["self.key", "self.crt"]);
    shop.write("ca.pem", &["ca.crt"]);
    shop.run("openssl x509 -in self.crt -trustout -addtrust clientAuth -out self.trusted");
    shop.write("both.pem", &["ca.crt", "other.crt", "self.trusted"]);
    let server = open(&shop.side("zoo.pem", "ca.pem")).unwrap();
    let client = |keys: &str| open(&shop.side(keys, "ca.pem")).unwrap();
    assert!(shake(&server, &client("stranger.pem")).unwrap_err().starts_with("server: "));
    assert_eq!(take_refused().as_deref(), Some("CN=stranger"));
    assert!(shake(&server, &client("self.pem")).unwrap_err().starts_with("server: "));
    let trusting = open(&shop.side("zoo.pem", "both.pem")).unwrap();
    assert_eq!(shake(&trusting, &client("stranger.pem")), Ok(Some("CN=stranger".into())));
    assert_eq!(
        shake(&trusting, &client("self.pem")),
        Ok(Some("CN=self".into())),
        "it is itself in the store"
    );
    assert!(
        shake(&open(&shop.side("stranger.pem", "ca.pem")).unwrap(), &server)
            .unwrap_err()
            .starts_with("client: ")
    );
    let mut side = shop.side("zoo.pem", "ca.pem");
    side.client_auth = ClientAuth::None;
    assert_eq!(shake(&open(&side).unwrap(), &client("stranger.pem")), Ok(None), "nobody asks");
}
