//! Both ends against each other and against what Java's servers said to each other, and everything that may go wrong between.

use proptest::prelude::*;
use zabd_sasl::users::{Account, Password};
use zabd_sasl::{SaslError, Service, client, nonce, server};

const USER: &str = "jaasuser";
const PASSWORD: &str = "jaas_password";

fn account(user: &str, password: &str) -> Account {
    Account { user: user.into(), password: Password::new(password) }
}

fn serve(exchange: &mut server::Exchange, token: &[u8]) -> Result<server::Step, SaslError> {
    exchange.step(token, || nonce([7; 30]), |user| (user == USER).then_some(PASSWORD))
}

fn challenge(exchange: &mut server::Exchange) -> Vec<u8> {
    match serve(exchange, b"") {
        Ok(server::Step::Challenge(token)) => token,
        other => panic!("{other:?}"),
    }
}

fn respond(exchange: &mut client::Exchange, token: &[u8]) -> Vec<u8> {
    match exchange.step(token, || nonce([9; 30])) {
        Ok(client::Step::Respond(token)) => token,
        other => panic!("{other:?}"),
    }
}

fn proof(step: Result<server::Step, SaslError>) -> (Vec<u8>, String) {
    match step {
        Ok(server::Step::Proved { token, user }) => (token, user),
        other => panic!("{other:?}"),
    }
}

/// A challenge, and what a client with this account says to it.
fn begun(service: Service, account: Account) -> (server::Exchange, client::Exchange, Vec<u8>) {
    let mut server = server::Exchange::new(service);
    let mut client = client::Exchange::new(service, account);
    let response = respond(&mut client, &challenge(&mut server));
    (server, client, response)
}

fn judged(response: &[u8]) -> Result<server::Step, SaslError> {
    let mut server = server::Exchange::new(Service::CLIENTS);
    challenge(&mut server);
    serve(&mut server, response)
}

#[test]
fn both_ends_prove_the_password_to_each_other() {
    for service in [Service::CLIENTS, Service::SERVERS] {
        let (mut server, mut client, response) = begun(service, account(USER, PASSWORD));
        let (token, user) = proof(serve(&mut server, &response));
        assert_eq!(user, USER);
        assert!(token.starts_with(b"rspauth=") && token.len() == 40);
        assert_eq!(client.step(&token, String::new), Ok(client::Step::Done));
    }
}

#[test]
fn the_first_message_is_javas() {
    let text = String::from_utf8(challenge(&mut server::Exchange::new(Service::CLIENTS))).unwrap();
    let nonce = nonce([7; 30]);
    assert_eq!(text, format!("realm=\"zk-sasl-md5\",nonce=\"{nonce}\",charset=utf-8,algorithm=md5-sess"));
    assert_eq!(nonce.len(), 40);
}

#[test]
fn whoever_does_not_know_the_password_is_refused() {
    let (mut server, _, response) = begun(Service::CLIENTS, account(USER, "guess"));
    assert_eq!(serve(&mut server, &response), Err(SaslError::WrongPassword { user: USER.into() }));
    let (mut server, _, response) = begun(Service::CLIENTS, account("nobody\n", PASSWORD));
    assert_eq!(serve(&mut server, &response), Err(SaslError::UnknownUser { user: "nobody\\n".into() }));
}

#[test]
fn a_server_that_does_not_know_the_password_is_found_out() {
    for token in [&b"rspauth=00000000000000000000000000000000"[..], b"rspauth=,"] {
        let (_, mut client, _) = begun(Service::SERVERS, account(USER, PASSWORD));
        assert_eq!(client.step(token, String::new), Err(SaslError::ServerUnproved));
        assert_eq!(client.step(token, String::new), Err(SaslError::OutOfTurn));
    }
    let (_, mut client, _) = begun(Service::SERVERS, account(USER, PASSWORD));
    assert_eq!(client.step(b"", String::new), Err(SaslError::Missing("rspauth")));
}

#[test]
fn replays_are_refused() {
    let (mut first, _, response) = begun(Service::CLIENTS, account(USER, PASSWORD));
    proof(serve(&mut first, &response));
    assert_eq!(serve(&mut first, &response), Err(SaslError::OutOfTurn), "into the same exchange");
    assert_eq!(serve(&mut first, b""), Err(SaslError::OutOfTurn), "nor does it begin again");
    let mut second = server::Exchange::new(Service::CLIENTS);
    let begun = second.step(b"", || nonce([8; 30]), |_| Some(PASSWORD));
    assert!(matches!(begun, Ok(server::Step::Challenge(_))));
    assert_eq!(serve(&mut second, &response), Err(SaslError::OtherNonce), "into another one");
    assert_eq!(serve(&mut second, &response), Err(SaslError::OutOfTurn), "which is over then");
}

#[test]
fn nobody_acts_as_another() {
    let forged = |service: Service| {
        let (mut server, _, response) = begun(service, account(USER, PASSWORD));
        let text = String::from_utf8(response).unwrap();
        // A client that asks for more has hashed what it asks for.
        let honest = format!("authzid=\"{USER}\"");
        assert!(text.contains(&honest));
        serve(&mut server, text.replace(&honest, "authzid=\"super\"").as_bytes())
    };
    assert_eq!(forged(Service::CLIENTS), Err(SaslError::WrongPassword { user: USER.into() }));
    assert_eq!(forged(Service::SERVERS), Err(SaslError::WrongPassword { user: USER.into() }));
}

#[test]
fn what_is_not_served_is_named() {
    let (_, _, response) = begun(Service::CLIENTS, account(USER, PASSWORD));
    let text = String::from_utf8(response).unwrap();
    assert_eq!(proof(judged(text.as_bytes())).1, USER);
    for (from, to, problem) in [
        ("qop=auth", "qop=auth-int", "`qop` is `auth-int`"),
        ("charset=utf-8", "charset=latin", "`charset` is `latin`"),
        ("realm=\"zk-sasl-md5\"", "realm=\"zk\"", "`realm` is `zk`"),
        ("realm=\"zk-sasl-md5\",", "", "`realm` is ``"),
        ("digest-uri=\"zookeeper/", "digest-uri=\"imap/", "`digest-uri` is `imap/zk-sasl-md5`"),
        ("maxbuf=65536", "maxbuf=lots", "`maxbuf` is `lots`, which is not a number"),
        ("nc=00000001", "nonce-count=00000002", "may be a replay"),
        ("username=", "user=", "`username` is missing"),
        (",nonce=", ",once=", "`nonce` is missing"),
        ("cnonce=", "conce=", "`cnonce` is missing"),
        ("response=", "answer=", "`response` is missing"),
        ("username=", "realm=\"x\",username=", "`realm` more than once"),
    ] {
        assert!(text.contains(from), "{from}");
        let problem_found = judged(text.replacen(from, to, 1).as_bytes()).unwrap_err().to_string();
        assert!(problem_found.contains(problem), "{to}: {problem_found}");
    }
    // Java does not compare what it calls by another name.
    assert_eq!(proof(judged(text.replace("nc=00000001", "nc=00000002").as_bytes())).1, USER);
}

#[test]
fn long_tokens_are_not_looked_at() {
    let mut server = server::Exchange::new(Service::CLIENTS);
    challenge(&mut server);
    let too_long = SaslError::TooLong { length: 4097, max: 4096 };
    assert_eq!(serve(&mut server, &[b'a'; 4097]), Err(too_long));
    let mut client = client::Exchange::new(Service::CLIENTS, account(USER, PASSWORD));
    assert!(matches!(client.step(&[b'a'; 2049], String::new), Err(SaslError::TooLong { max: 2048, .. })));
    // As in Java, that was no answer yet.
    assert_eq!(
        proof(serve(
            &mut server,
            &respond(&mut client, &challenge(&mut server::Exchange::new(Service::CLIENTS)))
        ))
        .1,
        USER
    );
}

#[test]
fn a_response_that_is_cut_short_is_refused_wherever_it_ends() {
    let (_, _, response) = begun(Service::CLIENTS, account(USER, PASSWORD));
    let whole = response.len();
    // What a cut takes of the last directive is not asked for: `authzid` is hashed, so its absence shows.
    for length in 0..whole {
        assert!(judged(&response[..length]).is_err(), "{length} of {whole}");
    }
}

#[derive(serde::Deserialize)]
struct Captured {
    kind: String,
    #[serde(default)]
    conn: u64,
    #[serde(default)]
    port: String,
    #[serde(default)]
    dir: String,
    #[serde(default)]
    hex: String,
}

/// Tokens of one connection, dialler's and listener's.
type Exchange = (Vec<Vec<u8>>, Vec<Vec<u8>>);

fn captured() -> Vec<Exchange> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/golden/zab-java-3.8.0/12-quorum-sasl-digest-md5.jsonl"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let mut exchanges = std::collections::BTreeMap::<(String, u64), Exchange>::new();
    for line in text.lines() {
        let Captured { kind, conn, port, dir, hex } = serde_json::from_str(line).unwrap();
        if kind != "QUORUM_AUTH" {
            continue;
        }
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        // Magic, status and length stand before the token.
        let token = bytes[16..].to_vec();
        let exchange = exchanges.entry((port, conn)).or_default();
        if dir == "dialer->listener" { &mut exchange.0 } else { &mut exchange.1 }.push(token);
    }
    exchanges.into_values().collect()
}

fn directive(token: &[u8], key: &str) -> String {
    let text = String::from_utf8(token.to_vec()).unwrap();
    let start = text.find(&format!("{key}=\"")).unwrap() + key.len() + 2;
    text[start..].split('"').next().unwrap().to_owned()
}

/// What Java's dialler and listener said to each other, byte by byte, with their nonces.
#[test]
fn tokens_are_those_of_java() {
    let exchanges = captured();
    assert!(exchanges.len() > 3);
    for (dialler, listener) in exchanges {
        let ([first, response], [challenge, proved]) = (&dialler[..], &listener[..]) else {
            panic!("{} and {} tokens", dialler.len(), listener.len())
        };
        assert!(first.is_empty());
        let mut server = server::Exchange::new(Service::SERVERS);
        let said = server.step(first, || directive(challenge, "nonce"), |_| Some(GOLDEN_PASSWORD));
        assert_eq!(said, Ok(server::Step::Challenge(challenge.clone())));
        let user = directive(response, "username");
        let mut client = client::Exchange::new(Service::SERVERS, account(&user, GOLDEN_PASSWORD));
        let said = client.step(challenge, || directive(response, "cnonce"));
        assert_eq!(said, Ok(client::Step::Respond(response.clone())));
        let said = server.step(response, String::new, |_| Some(GOLDEN_PASSWORD));
        assert_eq!(said, Ok(server::Step::Proved { token: proved.clone(), user }));
        assert_eq!(client.step(proved, String::new), Ok(client::Step::Done));
    }
}

/// Of the throw-away account of the capture.
const GOLDEN_PASSWORD: &str = "secret";

proptest! {
    #[test]
    fn no_bytes_panic(token in proptest::collection::vec(any::<u8>(), 0..300), text in "[a-z=\",\\\\ ]{0,80}") {
        for token in [&token[..], text.as_bytes()] {
            prop_assert!(judged(token).is_err());
            let (_, mut client, _) = begun(Service::CLIENTS, account(USER, PASSWORD));
            prop_assert!(client.step(token, String::new).is_err());
            let _ = client::Exchange::new(Service::CLIENTS, account(USER, PASSWORD)).step(token, String::new);
            let _ = zabd_sasl::jaas::Jaas::parse(&String::from_utf8_lossy(token), &|_| None);
        }
    }

    #[test]
    fn any_name_and_password_serve(user in "\\PC{1,20}", password in "\\PC{0,20}") {
        let mut server = server::Exchange::new(Service::SERVERS);
        let mut client = client::Exchange::new(Service::SERVERS, account(&user, &password));
        let challenge = challenge(&mut server);
        let response = respond(&mut client, &challenge);
        let step = server.step(&response, String::new, |name| (name == user).then_some(&password));
        let (token, proved) = proof(step);
        prop_assert_eq!(proved, user);
        prop_assert_eq!(client.step(&token, String::new), Ok(client::Step::Done));
    }
}
