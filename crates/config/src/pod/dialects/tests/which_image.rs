//! Which image's words are spoken.

use super::*;

fn spoken(text: &str, place: Option<&'static Dialect>) -> Result<&'static str, String> {
    recognise(&given(text).variables, place).map(|dialect| dialect.name).map_err(|errors| errors.to_string())
}

#[test]
fn what_only_other_images_read_is_named() {
    let said =
        given("ZOOKEEPER_CLIENT_PORT=2181\nZOO_TICK_TIME=1234\nZOOKEEPER_FOO_BAR=1").warnings(&CONFLUENT);
    for name in ["ZOO_TICK_TIME", "ZOOKEEPER_FOO_BAR"] {
        let expected = format!("{name}: Confluent's image does not read this variable");
        assert!(said.contains(&expected), "{said}");
    }
    let said =
        given("ZOOKEEPER_CLIENT_PORT=2181\nKAFKA_OPTS=-Da=b\nALLOW_THAT=1\nJVMFLAGS=-Da=b").warnings(&DOCKER);
    assert!(said.contains("ZOOKEEPER_CLIENT_PORT: "), "{said}");
    assert!(!said.contains("ALLOW_THAT") && !said.contains("JVMFLAGS: "), "whatever that is: {said}");
}

#[test]
fn an_image_is_known_by_its_variables() {
    for (text, name) in [
        ("", "docker"),
        ("PATH=/bin\nJVMFLAGS=-Da=b\nKAFKA_OPTS=-Da=b", "docker"),
        ("ZOO_TICK_TIME=100", "docker"),
        ("ZOO_SERVERS=server.1=a:1:2;3", "docker"),
        ("ZOO_SERVERS=a:1:2", "bitnami"),
        ("ZOO_CFG_EXTRA=a=b", "docker"),
        ("ZOO_CFG_tickTime=3", "bitnami"),
        ("ALLOW_ANONYMOUS_LOGIN=yes", "bitnami"),
        ("ALLOW_EMPTY_PASSWORD_FILE=/s", "bitnami"),
        ("ZOOKEEPER_CLIENT_PORT=2181\nZOOKEEPER_TICK_TIME=2000", "confluent"),
        ("ZOO_MY_ID=\nZOO_SERVER_ID=2", "bitnami"),
    ] {
        assert_eq!(spoken(text, None), Ok(name), "{text}");
    }
}

#[test]
fn services_of_kubernetes_are_no_variables() {
    let links = "ZOOKEEPER_SERVICE_HOST=10.0.0.1\nZOOKEEPER_SERVICE_PORT=2181\nZOOKEEPER_SERVICE_PORT_CLIENT=2181\n\
                 ZOOKEEPER_PORT=tcp://10.0.0.1:2181\nZOOKEEPER_PORT_2181_TCP_ADDR=10.0.0.1\nZOOKEEPER_PORT_2181_TCP_PORT=2181\n\
                 ZOOKEEPER_CLIENT_PORT=tcp://10.0.0.2:2181\nZOO_SERVICE_HOST=10.0.0.3";
    assert_eq!(spoken(links, None), Ok("docker"));
    assert_eq!(given(links).warnings(&DOCKER), given("").warnings(&DOCKER));
    assert_eq!(spoken(&format!("{links}\nALLOW_EMPTY_PASSWORD=yes"), None), Ok("bitnami"));
}

#[test]
fn two_images_are_refused_by_the_names_of_their_variables() {
    let error = spoken("ZOO_MY_ID=1\nZOO_SERVER_ID=2", None).unwrap_err();
    assert_eq!(
        error,
        "ZOO_MY_ID: this is a variable of the Docker official image, and ZOO_SERVER_ID is one of Bitnami's image; hint: leave one \
         of them out, or say which image's count: `ZABD_DIALECT=docker` or `ZABD_DIALECT=bitnami`"
    );
    assert!(spoken("ZOOKEEPER_CLIENT_PORT=1\nZOO_MY_ID=1", None).is_err());
}

#[test]
fn a_script_or_a_word_says_which() {
    assert_eq!(spoken("ZOO_MY_ID=1", Some(&BITNAMI)), Ok("bitnami"), "it is named as a stranger there");
    assert_eq!(spoken("ZOO_MY_ID=1\nZABD_DIALECT=confluent", Some(&BITNAMI)), Ok("confluent"));
    assert!(
        spoken("ZABD_DIALECT=podman", None).unwrap_err().contains("one of `docker`, `bitnami`, `confluent`")
    );
}
