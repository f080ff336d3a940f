//! Every variable of every dialect, and which dialect is spoken.

mod which_image;

use super::super::{Host, Plan, Surroundings, ZooCfg};
use super::*;
use crate::config::Config;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Default)]
struct World {
    variables: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, String>,
}

/// `NAME=value` words, one per line: values may hold blanks.
fn given(text: &str) -> World {
    let pairs = text.lines().filter_map(|line| line.trim().split_once('='));
    let variables = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    World { variables, files: BTreeMap::new() }
}

impl World {
    fn with_file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(self.files.get(path).ok_or(io::ErrorKind::NotFound)?.clone().into_bytes())
    }

    fn plan(&self, dialect: &'static Dialect) -> Result<Plan, ConfigErrors> {
        let read = |path: &Path| self.read(path);
        dialect.plan(&Surroundings { variables: &self.variables, host: &Host::default(), read: &read })
    }

    fn text(&self, dialect: &'static Dialect) -> String {
        match self.plan(dialect).unwrap_or_else(|errors| panic!("{errors}")).zoo_cfg {
            ZooCfg::Made { lines, .. } => lines.text(),
            ZooCfg::There { path, .. } => panic!("{} is there", path.display()),
        }
    }

    fn resolve(&self, dialect: &'static Dialect) -> Result<Config, ConfigErrors> {
        let plan = self.plan(dialect)?;
        plan.config(plan.zoo_cfg.path(), &|name| self.variables.get(name).cloned(), &|path| self.read(path))
    }

    fn config(&self, dialect: &'static Dialect) -> Config {
        self.resolve(dialect).unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn refusal(&self, dialect: &'static Dialect) -> String {
        self.resolve(dialect).expect_err("it is refused").to_string()
    }

    fn warnings(&self, dialect: &'static Dialect) -> String {
        self.config(dialect).warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }
}

/// What a server of this image needs to start.
fn base(dialect: &Dialect) -> &'static str {
    match dialect.name {
        "docker" => "",
        "bitnami" => "ALLOW_EMPTY_PASSWORD=yes",
        _ => "ZOOKEEPER_CLIENT_PORT=2181",
    }
}

const OFFICIAL: &str = "ZOO_MY_ID=2\n\
                        ZOO_SERVERS=server.1=zoo1:2888:3888;2181 server.2=zoo2:2888:3888;2181 server.3=zoo3:2888:3888;2181";
const BITNAMI_THREE: &str = "ALLOW_EMPTY_PASSWORD=yes\nZOO_SERVER_ID=2\n\
                             ZOO_SERVERS=zoo1:2888:3888,zoo2:2888:3888 zoo3:2888:3888:observer";
const CONFLUENT_THREE: &str = "ZOOKEEPER_CLIENT_PORT=2181\nZOOKEEPER_SERVER_ID=2\n\
                               ZOOKEEPER_SERVERS=zoo1:2888:3888;zoo2:2888:3888;zoo3:2888:3888";

// --- Whole servers -----------------------------------------------------------------------------------------------------

#[test]
fn each_image_has_its_places() {
    for (dialect, zoo_cfg, data, log) in [
        (&DOCKER, "/conf/zoo.cfg", "/data", "/datalog"),
        (
            &BITNAMI,
            "/opt/bitnami/zookeeper/conf/zoo.cfg",
            "/bitnami/zookeeper/data",
            "/bitnami/zookeeper/data",
        ),
        (&CONFLUENT, "/etc/kafka/zookeeper.properties", "/var/lib/zookeeper/data", "/var/lib/zookeeper/log"),
    ] {
        let world = given(base(dialect));
        let plan = world.plan(dialect).unwrap();
        assert_eq!(plan.zoo_cfg.path(), Path::new(zoo_cfg));
        let config = world.config(dialect);
        assert_eq!((config.data_dir.to_str(), config.data_log_dir.to_str()), (Some(data), Some(log)));
        assert_eq!((config.client_port, config.ensemble.is_none()), (Some(2181), true), "{}", dialect.name);
        let below = given(&format!("{}\nZABD_ROOT=/r", base(dialect))).plan(dialect).unwrap();
        assert_eq!(below.zoo_cfg.path(), Path::new(&format!("/r{zoo_cfg}")));
        assert!(
            below.needed.iter().chain(&below.wanted).all(|path| path.starts_with("/r")),
            "{:?}",
            below.needed
        );
    }
}

#[test]
fn each_images_list_of_servers_makes_an_ensemble() {
    for (dialect, text) in [(&DOCKER, OFFICIAL), (&BITNAMI, BITNAMI_THREE), (&CONFLUENT, CONFLUENT_THREE)] {
        let world = given(text);
        assert_eq!(world.plan(dialect).unwrap().myid, Some(2));
        let config = world.config(dialect);
        let ensemble = config.ensemble.expect("a member");
        assert_eq!((ensemble.myid, ensemble.members.lines().count()), (2, 3));
        assert!(ensemble.members.contains("server.2=zoo2:2888:3888"), "{}", ensemble.members);
        assert_eq!(config.client_port, Some(2181));
    }
}

#[test]
fn bitnamis_servers_may_have_numbers() {
    let world = given(
        "ALLOW_EMPTY_PASSWORD=yes\nZOO_SERVER_ID=7\nZOO_PORT_NUMBER=2182\nZOO_SERVERS=a:1:2::3,b:1:2::7",
    );
    let text = world.text(&BITNAMI);
    assert!(text.contains("server.3=a:1:2;2182\nserver.7=b:1:2;2182\n"), "{text}");
    assert_eq!(world.config(&BITNAMI).ensemble.unwrap().myid, 7);
    for (list, remedy) in
        [("a:1", "`host:2888:3888`"), ("a:1:2,b", "`host:2888:3888`"), ("a:1:2::1,b:1:2", "::1")]
    {
        let error = given(&format!("ALLOW_EMPTY_PASSWORD=yes\nZOO_SERVERS={list}")).refusal(&BITNAMI);
        assert!(error.contains("ZOO_SERVERS: ") && error.contains(remedy), "{list}: {error}");
    }
}

#[test]
fn a_file_that_is_there_counts_and_what_is_ignored_is_named() {
    let there = "dataDir=/d\nclientPort=7\n";
    let world = given("ZOO_TICK_TIME=100\nZOO_MY_ID=1").with_file("/conf/zoo.cfg", there);
    assert_eq!(world.config(&DOCKER).client_port, Some(7));
    assert!(world.warnings(&DOCKER).contains("no effect of ZOO_TICK_TIME"), "{}", world.warnings(&DOCKER));
    let world = given("ALLOW_EMPTY_PASSWORD=yes").with_file("/opt/bitnami/zookeeper/conf/zoo.cfg", there);
    assert_eq!(world.config(&BITNAMI).client_port, Some(7));
    let world = given("ZOOKEEPER_CLIENT_PORT=8").with_file("/etc/kafka/zookeeper.properties", there);
    assert_eq!(world.config(&CONFLUENT).client_port, Some(8), "Confluent's image writes it anew");
}

/// A container that is started again finds what it wrote.
#[test]
fn its_own_file_is_no_strangers() {
    let world = given("ZOO_TICK_TIME=100");
    let text = world.text(&DOCKER);
    let again = given("ZOO_TICK_TIME=100").with_file("/conf/zoo.cfg", &text);
    assert_eq!(again.text(&DOCKER), text);
}

#[test]
fn a_volume_of_another_server_is_refused() {
    for (dialect, text, dir, name) in [
        (&DOCKER, OFFICIAL, "/data", "ZOO_MY_ID"),
        (&BITNAMI, BITNAMI_THREE, "/bitnami/zookeeper/data", "ZOO_SERVER_ID"),
        (&CONFLUENT, CONFLUENT_THREE, "/var/lib/zookeeper/data", "ZOOKEEPER_SERVER_ID"),
    ] {
        let error = given(text).with_file(&format!("{dir}/myid"), "3\n").refusal(dialect);
        assert!(
            error.starts_with(&format!("{name}: this is server 2, but {dir}/myid says 3; hint: ")),
            "{error}"
        );
        assert_eq!(given(text).with_file(&format!("{dir}/myid"), "2\n").plan(dialect).unwrap().myid, None);
        let alone = given(base(dialect)).with_file(&format!("{dir}/myid"), "3\n");
        let has_line = dialect.name == "docker";
        assert_eq!(
            alone.resolve(dialect).is_err(),
            has_line,
            "without a line of its own a server does without a number"
        );
    }
}

#[test]
fn what_nobody_wrote_is_worth_no_word() {
    for dialect in DIALECTS {
        assert_eq!(given(base(dialect)).warnings(dialect), "", "{}", dialect.name);
    }
    let said = given("ZOO_CFG_EXTRA=admin.httpVersion=10\nZOO_SERVERS=server.1=a:1:2;3").warnings(&DOCKER);
    assert!(said.contains("no effect of admin.httpVersion (ZOO_CFG_EXTRA)"), "{said}");
    assert!(said.contains("ZOO_SERVERS: Invalid configuration, only one server specified"), "{said}");
}

#[test]
fn a_list_without_ports_for_clients_is_told_by_its_name() {
    for list in [
        "server.1=zk1:2888:3888 server.2=zk2:2888:3888",
        "server.1=zk1:2888:3888;2181 server.2=zk2:2888:3888",
    ] {
        let error = given(&format!("ZOO_MY_ID=2\nZOO_SERVERS={list}")).refusal(&DOCKER);
        assert_eq!(
            error,
            "ZOO_SERVERS: the line of server.2 names no port for clients, and clientPort is not set, so no client could \
             connect; hint: append `;2181` to each server's line"
        );
    }
    let elsewhere = "ZOO_MY_ID=2\nZOO_CFG_EXTRA=clientPort=2181\n\
                     ZOO_SERVERS=server.1=zk1:2888:3888 server.2=zk2:2888:3888";
    assert_eq!(given(elsewhere).config(&DOCKER).client_port, Some(2181));
}

#[test]
fn a_number_that_is_not_in_the_list_is_told_by_its_name() {
    for (dialect, text, id, list) in [
        (&DOCKER, OFFICIAL, "ZOO_MY_ID", "ZOO_SERVERS"),
        (&BITNAMI, BITNAMI_THREE, "ZOO_SERVER_ID", "ZOO_SERVERS"),
        (&CONFLUENT, CONFLUENT_THREE, "ZOOKEEPER_SERVER_ID", "ZOOKEEPER_SERVERS"),
    ] {
        let error = given(&text.replace("_ID=2", "_ID=4")).refusal(dialect);
        let peers = format!("server.1, server.2, server.3 ({list})");
        assert!(
            error.starts_with(&format!(
                "{id}: My id 4 not in the peer list, which is {peers}; hint: set {id}"
            )),
            "{error}"
        );
        assert!(error.ends_with(&format!("or give {list} a line for server.4")), "{error}");
    }
    let alone = given("ZOO_MY_ID=4").refusal(&DOCKER);
    assert!(alone.contains("server.1 (default of ZOO_SERVERS)") && alone.contains("give ZOO_SERVERS a line"));
    assert_eq!(given("ZOO_MY_ID=4\nZOO_CFG_EXTRA=clientPort=7").config(&DOCKER).client_port, Some(7));
}

// --- Each variable -----------------------------------------------------------------------------------------------------

const STORES: &str = "ZOO_TLS_CLIENT_KEYSTORE_FILE=/k\nZOO_TLS_CLIENT_TRUSTSTORE_FILE=/t\n\
                      ZOO_TLS_QUORUM_KEYSTORE_FILE=/k\nZOO_TLS_QUORUM_TRUSTSTORE_FILE=/t";
const SERVER_USERS: &str = "ZOO_SERVER_USERS=a;b\nZOO_SERVER_PASSWORDS=x,y";
const CLIENT_BESIDE: &str = "ZOO_ENABLE_AUTH=yes\nZOO_SERVER_USERS=a;b\nZOO_SERVER_PASSWORDS=x,y\nZOO_CLIENT_USER=a\n\
                             ZOO_CLIENT_PASSWORD=x";
const QUORUM_USERS: &str = "ZOO_ENABLE_QUORUM_AUTH=yes\nZOO_QUORUM_LEARNER_USER=m\nZOO_QUORUM_LEARNER_PASSWORD=p\n\
                            ZOO_QUORUM_SERVER_USERS=m\nZOO_QUORUM_SERVER_PASSWORDS=p";

/// Rows that are more than a value: the variable, beside what, and a line of the zoo.cfg that follows; or else another test.
const OWN: &[(&str, &str, &str)] = &[
    ("ZOO_CONF_DIR=/c", "", ""),
    ("ZOO_DATA_DIR=/d", "", "dataDir=/d"),
    ("ZOO_DATA_LOG_DIR=/l", "", "dataLogDir=/l"),
    ("ZOO_LOG_DIR=/l", "", ""),
    ("ZOO_SERVERS=server.1=a:1:2;3", "", "server.1=a:1:2;3"),
    ("ZOO_4LW_COMMANDS_WHITELIST=ruok, srvr", "", "4lw.commands.whitelist=ruok, srvr"),
    ("ZOO_CFG_EXTRA=snapCount=7 a.b=c", "", "a.b=c"),
    ("ZOO_MY_ID=1", "", ""),
    ("ZOO_PORT_NUMBER=2182", "", "clientPort=2182"),
    ("ZOO_TLS_CLIENT_ENABLE=yes", STORES, "secureClientPort=3181"),
    ("ZOO_TLS_QUORUM_ENABLE=yes", STORES, "sslQuorum=true"),
    ("ZOO_ENABLE_AUTH=yes", SERVER_USERS, "sessionRequireClientSASLAuth=true"),
    ("ZOO_CLIENT_USER=c", CLIENT_BESIDE, ""),
    ("ZOO_CLIENT_PASSWORD=s", CLIENT_BESIDE, ""),
    ("ZOO_SERVER_USERS=a b", CLIENT_BESIDE, ""),
    ("ZOO_SERVER_PASSWORDS=a b", CLIENT_BESIDE, ""),
    ("ZOO_ENABLE_QUORUM_AUTH=yes", QUORUM_USERS, "quorum.auth.serverRequireSasl=true"),
    ("ZOO_QUORUM_LEARNER_USER=l", QUORUM_USERS, ""),
    ("ZOO_QUORUM_LEARNER_PASSWORD=l", QUORUM_USERS, ""),
    ("ZOO_QUORUM_SERVER_USERS=l", QUORUM_USERS, ""),
    ("ZOO_QUORUM_SERVER_PASSWORDS=l", QUORUM_USERS, ""),
    ("ZOO_SERVERS=a:1:2 b:1:2", "", "server.2=b:1:2;2181"),
    (
        "ZOO_ENABLE_PROMETHEUS_METRICS=yes",
        "",
        "metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider",
    ),
    ("ZOO_SERVER_ID=1", "", ""),
    ("ZOO_FIPS_MODE=no", "", "fips-mode=false"),
    ("ALLOW_EMPTY_PASSWORD=yes", "", ""),
    ("ALLOW_ANONYMOUS_LOGIN=yes", "", ""),
    ("JVMFLAGS=-Xmx1G", "", ""),
    ("ZOOKEEPER_INIT_LIMIT=7", "", "initLimit=7"),
    ("ZOOKEEPER_SYNC_LIMIT=6", "", "syncLimit=6"),
    ("ZOOKEEPER_SERVERS=a:1:2;b:1:2", "ZOOKEEPER_SERVER_ID=1", "server.2=b:1:2"),
    ("ZOOKEEPER_GROUPS=1:2;3", "", "group.2=3"),
    ("ZOOKEEPER_WEIGHTS=1;0", "", "weight.2=0"),
    ("ZOOKEEPER_SERVER_ID=1", "", ""),
    ("KAFKA_OPTS=-Da=b", "", ""),
];

#[test]
fn every_variable_becomes_what_its_row_says() {
    for dialect in DIALECTS {
        for row in dialect.variables {
            let with = |value: &str| given(&format!("{}\n{}={value}", base(dialect), row.name));
            let example = |key: &str| crate::keys::find(key).map_or("7", |row| row.example);
            match row.becomes {
                Becomes::Line(key) => {
                    let value = example(key);
                    let world = with(value);
                    let text = world.text(dialect);
                    assert!(
                        text.lines().any(|line| line == format!("{key}={value}")),
                        "{}: {text}",
                        row.name
                    );
                    if let Err(errors) = world.resolve(dialect) {
                        assert!(errors.to_string().contains(row.name), "{} is named: {errors}", row.name);
                    }
                }
                Becomes::Switch(key) => {
                    for (value, said) in
                        [("yes", true), ("TRUE", true), ("1", true), ("no", false), ("on", false)]
                    {
                        let text = with(value).text(dialect);
                        assert!(
                            text.lines().any(|line| line == format!("{key}={said}")),
                            "{}: {text}",
                            row.name
                        );
                    }
                }
                Becomes::Property(key) => {
                    let value = example(key);
                    let set = with(value).plan(dialect).unwrap().properties;
                    assert!(set.contains(&(row.name.to_owned(), format!("-D{key}={value}"))), "{}", row.name);
                }
                Becomes::Nothing(_) => {
                    let world = with("7");
                    assert_eq!(world.text(dialect), given(base(dialect)).text(dialect), "{}", row.name);
                    assert_eq!(
                        world.warnings(dialect),
                        given(base(dialect)).warnings(dialect),
                        "{}",
                        row.name
                    );
                }
                Becomes::With(switch, key) => {
                    let value = example(key);
                    let line = format!("{key}={value}");
                    let has_line = |text: String| text.lines().any(|each| each == line);
                    let beside = format!("{STORES}\n{}={value}\n{switch}=", row.name);
                    let switched = |said: &str| given(&format!("{}\n{beside}{said}", base(dialect)));
                    assert!(has_line(switched("yes").text(dialect)), "{}", row.name);
                    assert!(!has_line(switched("no").text(dialect)), "{}", row.name);
                    let defaults = given(&format!("{}\n{STORES}\n{switch}=yes", base(dialect))).text(dialect);
                    let is_there = defaults.lines().any(|each| each == format!("{key}={}", row.default));
                    assert_eq!(is_there, !row.default.is_empty(), "{}", row.name);
                }
                Becomes::Own(_) => assert_own(dialect, row.name),
            }
        }
    }
}

fn assert_own(dialect: &'static Dialect, name: &str) {
    let cases = OWN.iter().filter(|(set, ..)| set.split('=').next() == Some(name));
    let outcomes: Vec<_> = cases
        .filter_map(|(set, beside, line)| {
            let world = given(&format!("{}\n{beside}\n{set}", base(dialect)));
            let plan = world.plan(dialect).ok()?;
            let ZooCfg::Made { lines, .. } = plan.zoo_cfg else { panic!("it is made") };
            Some(line.is_empty() || lines.text().lines().any(|each| each == *line))
        })
        .collect();
    assert!(outcomes.contains(&true), "{}: {name}: {outcomes:?}", dialect.name);
}

#[test]
fn places_that_a_variable_says_are_taken() {
    let plan = given("ZOO_CONF_DIR=/c\nZOO_DATA_DIR=/d\nZOO_DATA_LOG_DIR=/l\nZOO_LOG_DIR=/o\nZABD_ROOT=/r")
        .plan(&DOCKER)
        .unwrap();
    assert_eq!(plan.zoo_cfg.path(), Path::new("/c/zoo.cfg"));
    assert_eq!((plan.needed, plan.wanted), (vec!["/d".into(), "/l".into()], vec!["/o".into()]));
    let plan = given("ALLOW_EMPTY_PASSWORD=yes\nZOO_DATA_LOG_DIR=/l").plan(&BITNAMI).unwrap();
    assert_eq!(plan.needed, [Path::new("/bitnami/zookeeper/data"), Path::new("/l")]);
}

#[test]
fn bitnami_wants_to_be_told_that_there_is_no_authentication() {
    for (text, is_fine) in [
        ("", false),
        ("ALLOW_EMPTY_PASSWORD=no", false),
        ("ALLOW_EMPTY_PASSWORD=YES", true),
        ("ALLOW_ANONYMOUS_LOGIN=yes", true),
    ] {
        assert_eq!(given(text).resolve(&BITNAMI).is_ok(), is_fine, "{text}");
    }
    assert!(given("").refusal(&BITNAMI).contains("hint: set ALLOW_EMPTY_PASSWORD=yes"));
    assert!(given(&format!("ZOO_ENABLE_AUTH=yes\n{SERVER_USERS}")).resolve(&BITNAMI).is_ok());
}

/// The file of `zoo_jaas.conf`, or what is wrong.
fn login(text: &str) -> Result<String, String> {
    let text = format!("ALLOW_EMPTY_PASSWORD=yes\n{text}");
    let plan = given(&text).plan(&BITNAMI).map_err(|errors| errors.to_string())?;
    let files = plan.left(Path::new("/conf"), "");
    let file = files.iter().find(|file| file.name == Path::new("zoo_jaas.conf"));
    assert!(file.is_none_or(|file| file.is_secret), "passwords are for nobody to read");
    let shell = files.iter().find(|file| file.name == Path::new("java.env")).map(|file| &*file.text);
    let mut flags =
        "export JVMFLAGS=\"$JVMFLAGS -Djava.security.auth.login.config=/conf/zoo_jaas.conf\"\n".to_owned();
    if !text.contains("ZOO_FIPS_MODE=yes") {
        flags += "export CLIENT_JVMFLAGS=\"$CLIENT_JVMFLAGS -Dzookeeper.fips-mode=false\"\n";
    }
    assert_eq!(shell, file.map(|_| &*flags), "whoever types zkCli.sh logs in by it");
    Ok(file.map(|file| file.text.to_string()).unwrap_or_default())
}

#[test]
fn bitnamis_users_are_in_a_jaas_file() {
    let module = "org.apache.zookeeper.server.auth.DigestLoginModule required";
    assert_eq!(
        login(&format!("{CLIENT_BESIDE}\n{QUORUM_USERS}")).unwrap(),
        format!(
            "Client {{\n    {module}\n    username=\"a\"\n    password=\"x\";\n}};\n\
             Server {{\n    {module}\n    \"user_a\"=\"x\"\n    \"user_b\"=\"y\";\n}};\n\
             QuorumLearner {{\n    {module}\n    username=\"m\"\n    password=\"p\";\n}};\n\
             QuorumServer {{\n    {module}\n    \"user_m\"=\"p\";\n}};\n"
        )
    );
    assert_eq!(login(SERVER_USERS).unwrap(), "", "nobody asks for them");
    assert!(login(&format!("{CLIENT_BESIDE}\nZOO_FIPS_MODE=yes")).unwrap().starts_with("Client "));
    let hard = format!("ZOO_ENABLE_AUTH=yes\nZOO_SERVER_USERS=a\nZOO_SERVER_PASSWORDS={}", r#"x"\}"#);
    assert!(login(&hard).unwrap().contains(r#""user_a"="x\"\\}";"#));
    let config = given(&format!("ZOO_ENABLE_AUTH=yes\n{SERVER_USERS}")).config(&BITNAMI);
    let jaas = Path::new("/opt/bitnami/zookeeper/conf/zoo_jaas.conf");
    assert_eq!(config.auth.sasl.jaas_file.as_deref(), Some(jaas));
    assert_eq!(config.auth.enforce_schemes, ["sasl"]);
    let there = given(&format!("ZOO_ENABLE_AUTH=yes\n{SERVER_USERS}"))
        .with_file("/opt/bitnami/zookeeper/conf/zoo.cfg", "dataDir=/d\nclientPort=7\n");
    assert_eq!(there.config(&BITNAMI).auth.sasl.jaas_file, None, "that file counts, and no variable does");
    let again = there.with_file("/opt/bitnami/zookeeper/conf/zoo_jaas.conf", "Server { };");
    assert_eq!(again.config(&BITNAMI).auth.sasl.jaas_file.as_deref(), Some(jaas), "an earlier start left it");
}

#[test]
fn bitnamis_users_and_passwords_fit_each_other() {
    for (text, said) in [
        ("ZOO_ENABLE_AUTH=yes", "ZOO_SERVER_USERS: it names nobody"),
        (
            "ZOO_ENABLE_AUTH=yes\nZOO_SERVER_USERS=a,b\nZOO_SERVER_PASSWORDS=x",
            "ZOO_SERVER_USERS: it has 2, and ZOO_SERVER_PASSWORDS has 1; hint: one password for each user",
        ),
        (
            "ZOO_ENABLE_AUTH=yes\nZOO_SERVER_USERS=a\nZOO_SERVER_PASSWORDS=x\nZOO_CLIENT_USER=a",
            "ZOO_CLIENT_PASSWORD: it is not set",
        ),
        ("ZOO_ENABLE_QUORUM_AUTH=yes", "ZOO_QUORUM_LEARNER_USER: it is not set"),
    ] {
        let error = login(text).unwrap_err();
        assert!(error.contains(said) && !error.contains("=x"), "{text}: {error}");
    }
    let files = "ZOO_ENABLE_AUTH_FILE=/s/auth\nZOO_SERVER_USERS_FILE=/s/users\nZOO_SERVER_PASSWORDS_FILE=/s/passwords";
    let world = given(files)
        .with_file("/s/auth", "yes\n")
        .with_file("/s/users", "a b\n")
        .with_file("/s/passwords", "x;y\n");
    assert!(
        world
            .config(&BITNAMI)
            .effective
            .iter()
            .any(|each| { each.to_string() == "sessionRequireClientSASLAuth=true (ZOO_ENABLE_AUTH_FILE)" })
    );
}

#[test]
fn bitnamis_tls_for_clients_closes_the_plain_port() {
    let stores = "ZOO_TLS_CLIENT_ENABLE=true\nZOO_TLS_CLIENT_KEYSTORE_FILE=/k.jks\n\
                  ZOO_TLS_CLIENT_KEYSTORE_PASSWORD_FILE=/s/k\nZOO_TLS_CLIENT_TRUSTSTORE_FILE_FILE=/s/t";
    let world = given(&format!("ALLOW_EMPTY_PASSWORD=yes\n{stores}"))
        .with_file("/s/k", "sesame\n")
        .with_file("/s/t", "/t.jks\n");
    let tls = world.config(&BITNAMI).tls;
    assert_eq!((tls.secure_client_port, world.config(&BITNAMI).client_port), (Some(3181), None));
    assert_eq!(tls.clients.key_store.password.unwrap().expose(), "sesame");
    assert_eq!(tls.clients.trust_store.location.as_deref(), Some(Path::new("/t.jks")));
    let zoo_cfg = world.text(&BITNAMI);
    assert!(
        world.plan(&BITNAMI).unwrap().left(Path::new("/"), &zoo_cfg)[0].is_secret,
        "a password is in zoo.cfg"
    );
    assert!(!given("ALLOW_EMPTY_PASSWORD=yes").plan(&BITNAMI).unwrap().left(Path::new("/"), "")[0].is_secret);
    let three =
        given(&format!("{BITNAMI_THREE}\n{stores}")).with_file("/s/k", "x").with_file("/s/t", "/t.jks");
    assert_eq!(three.config(&BITNAMI).client_port, Some(2181), "as each server's own line says");
    let error = given("ALLOW_EMPTY_PASSWORD=yes\nZOO_TLS_CLIENT_ENABLE=yes").refusal(&BITNAMI);
    assert!(error.contains("ZOO_TLS_CLIENT_KEYSTORE_FILE: ZOO_TLS_CLIENT_ENABLE is on"), "{error}");
    let error = given(&format!("{BITNAMI_THREE}\nZOO_TLS_QUORUM_ENABLE=yes")).refusal(&BITNAMI);
    assert!(error.contains("ZOO_TLS_QUORUM_TRUSTSTORE_FILE: ZOO_TLS_QUORUM_ENABLE is on"), "{error}");
    let nobody = "ALLOW_EMPTY_PASSWORD=yes\nZOO_TLS_CLIENT_ENABLE=yes\nZOO_TLS_CLIENT_KEYSTORE_FILE=/k.jks";
    assert!(given(&format!("{nobody}\nZOO_TLS_CLIENT_AUTH=none")).resolve(&BITNAMI).is_ok());
    assert!(given(nobody).refusal(&BITNAMI).starts_with("ZOO_TLS_CLIENT_TRUSTSTORE_FILE: "));
}

#[test]
fn confluent_wants_a_port_and_a_place_in_the_list() {
    assert!(given("").refusal(&CONFLUENT).contains("set ZOOKEEPER_CLIENT_PORT=2181"));
    let error = given("ZOOKEEPER_CLIENT_PORT=1\nZOOKEEPER_SERVERS=a:1:2;b:1:2").refusal(&CONFLUENT);
    assert!(
        error.contains(
            "ZOOKEEPER_SERVER_ID: ZOOKEEPER_SERVERS is set, but nothing says which of them this is"
        ),
        "{error}"
    );
    let limits = given(CONFLUENT_THREE).text(&CONFLUENT);
    assert!(limits.contains("initLimit=10\nsyncLimit=5\n"), "{limits}");
}

#[test]
fn what_needs_tls_is_refused_by_its_variable() {
    let members = format!("{CONFLUENT_THREE}\nZOOKEEPER_SSL_QUORUM=true");
    let error = given(&members).refusal(&CONFLUENT);
    assert!(error.starts_with("ZOOKEEPER_SSL_QUORUM: "), "{error}");
}

#[test]
fn bitnamis_variables_may_stand_in_files() {
    let world =
        given("ALLOW_EMPTY_PASSWORD_FILE=/s/allow\nZOO_TICK_TIME_FILE=/s/tick\nJVMFLAGS_FILE=/s/flags")
            .with_file("/s/allow", "yes\n")
            .with_file("/s/tick", "300\n")
            .with_file("/s/flags", "-Dzookeeper.snapCount=77 -Xmx1G");
    let config = world.config(&BITNAMI);
    assert_eq!(
        (config.tick_time_ms, config.snap_count),
        (300, 100_000),
        "the file is stronger than properties"
    );
    assert!(config.effective.iter().any(|each| each.to_string() == "tickTime=300 (ZOO_TICK_TIME_FILE)"));
    for row in BITNAMI.variables {
        assert!(BITNAMI.reads(&format!("{}_FILE", row.name)), "{}", row.name);
    }
    let error = given("ALLOW_EMPTY_PASSWORD=yes\nZOO_TICK_TIME_FILE=/nowhere").refusal(&BITNAMI);
    assert!(error.starts_with("ZOO_TICK_TIME_FILE: cannot read /nowhere: "), "{error}");
    let both = given("ALLOW_EMPTY_PASSWORD=yes\nZOO_TICK_TIME=200\nZOO_TICK_TIME_FILE=/s/tick")
        .with_file("/s/tick", "300");
    assert_eq!(
        both.refusal(&BITNAMI),
        "ZOO_TICK_TIME_FILE: ZOO_TICK_TIME is set, too, to another value than /s/tick holds; hint: leave one of them out"
    );
}

#[test]
fn bitnamis_keys_may_be_variables() {
    let world = given("ALLOW_EMPTY_PASSWORD=yes\nZOO_CFG_snapshot_compression_method=gz");
    assert!(world.text(&BITNAMI).contains("snapshot.compression.method=gz\n"));
    let error = given("ALLOW_EMPTY_PASSWORD=yes\nZOO_TICK_TIME=200\nZOO_CFG_tickTime=300").refusal(&BITNAMI);
    assert_eq!(
        error,
        "ZOO_CFG_tickTime: this sets tickTime to 300, and ZOO_TICK_TIME sets it to 200; hint: leave one of them out"
    );
    let config = given("ALLOW_EMPTY_PASSWORD=yes\nZOO_CFG_tickTime=300").config(&BITNAMI);
    assert_eq!(config.tick_time_ms, 300, "a default contradicts nobody");
}

#[test]
fn two_values_for_one_key_are_refused() {
    let error = given("ZOO_TICK_TIME=200\nZOO_CFG_EXTRA=tickTime=300").refusal(&DOCKER);
    assert!(
        error.starts_with("ZOO_CFG_EXTRA: this sets tickTime to 300, and ZOO_TICK_TIME sets it to 200"),
        "{error}"
    );
    let error = given("ZOO_SERVERS=server.1=a:1:2;3 server.1=b:1:2;3").refusal(&DOCKER);
    assert!(error.starts_with("ZOO_SERVERS: server.1 is set twice, to a:1:2;3 and to b:1:2;3"), "{error}");
    assert!(given("ZOO_TICK_TIME=200\nZOO_CFG_EXTRA=tickTime=200").resolve(&DOCKER).is_ok());
    let secret =
        given("ZOO_CFG_EXTRA=ssl.keyStore.password=geheim ssl.keyStore.password=secret").refusal(&DOCKER);
    assert!(!secret.contains("geheim") && !secret.contains("to secret"), "{secret}");
}

#[test]
fn wrong_values_name_the_variable() {
    for (dialect, set) in [
        (&DOCKER, "ZOO_TICK_TIME=abc"),
        (&DOCKER, "ZOO_TICK_TIME="),
        (&DOCKER, "ZOO_MY_ID=one"),
        (&BITNAMI, "ZOO_PORT_NUMBER=70000"),
        (&BITNAMI, "ZOO_LOG_LEVEL=LOUD"),
        (&CONFLUENT, "ZOOKEEPER_SERVERS=a"),
    ] {
        let beside = if dialect.name == "confluent" { "ZOOKEEPER_SERVER_ID=1" } else { "" };
        let name = set.split('=').next().unwrap();
        let error = given(&format!("{}\n{beside}\n{set}", base(dialect))).refusal(dialect);
        assert!(error.starts_with(name), "{set}: {error}");
    }
    let mut world = given("");
    world.variables.insert("ZOO_TICK_TIME".into(), "1\nclientPort=2".into());
    assert!(world.refusal(&DOCKER).contains("more than one line"));
}

#[test]
fn what_an_image_does_not_read_is_named() {
    let text = "ALLOW_EMPTY_PASSWORD=yes\nZOO_TICKTIME=1\nZOO_MY_ID=1\nZOO_LOG_FILE=x\nZOO_PORT=tcp://10.0.0.1:2181\nPATH=/bin";
    let warnings = given(text).warnings(&BITNAMI);
    let named: BTreeSet<_> =
        warnings.lines().filter(|line| line.contains("does not read this variable")).collect();
    assert_eq!(named.len(), 2, "{warnings}");
    assert!(
        warnings.contains("ZOO_TICKTIME: Bitnami's image does not read") && warnings.contains("ZOO_MY_ID: "),
        "{warnings}"
    );
}

/// What the scripts of the images read from outside: `docker-entrypoint.sh` of 3.9; `zookeeper-env.sh`, `libzookeeper.sh` of Bitnami's
/// 3.9, with a name of its 3.5; Confluent's `configure`, `launch` and templates, with the scripts of Kafka that they start.
const READ_BY_SCRIPTS: [(&Dialect, &str); 3] = [
    (
        &DOCKER,
        "ZOO_CONF_DIR ZOO_DATA_DIR ZOO_DATA_LOG_DIR ZOO_LOG_DIR ZOO_TICK_TIME ZOO_INIT_LIMIT ZOO_SYNC_LIMIT \
         ZOO_AUTOPURGE_PURGEINTERVAL ZOO_AUTOPURGE_SNAPRETAINCOUNT ZOO_MAX_CLIENT_CNXNS ZOO_STANDALONE_ENABLED \
         ZOO_ADMINSERVER_ENABLED ZOO_SERVERS ZOO_4LW_COMMANDS_WHITELIST ZOO_CFG_EXTRA ZOO_MY_ID ZOO_LOG4J_PROP JVMFLAGS",
    ),
    (
        &BITNAMI,
        "ZOO_DATA_LOG_DIR ZOO_PORT_NUMBER ZOO_SERVER_ID ZOO_SERVERS ZOO_ENABLE_ADMIN_SERVER ZOO_ADMIN_SERVER_ADDRESS \
         ZOO_ADMIN_SERVER_PORT_NUMBER ZOO_PEER_TYPE ZOO_TICK_TIME ZOO_INIT_LIMIT ZOO_SYNC_LIMIT ZOO_MAX_CNXNS \
         ZOO_MAX_CLIENT_CNXNS ZOO_AUTOPURGE_INTERVAL ZOO_AUTOPURGE_RETAIN_COUNT ZOO_LOG_LEVEL ZOO_4LW_COMMANDS_WHITELIST \
         ZOO_RECONFIG_ENABLED ZOO_LISTEN_ALLIPS_ENABLED ZOO_ENABLE_PROMETHEUS_METRICS ZOO_PROMETHEUS_METRICS_PORT_NUMBER \
         ZOO_MAX_SESSION_TIMEOUT ZOO_PRE_ALLOC_SIZE ZOO_SNAPCOUNT ZOO_HC_TIMEOUT ZOO_FIPS_MODE ZOO_TLS_CLIENT_ENABLE \
         ZOO_TLS_PORT_NUMBER ZOO_TLS_CLIENT_KEYSTORE_FILE ZOO_TLS_CLIENT_KEYSTORE_TYPE ZOO_TLS_CLIENT_KEYSTORE_PASSWORD \
         ZOO_TLS_CLIENT_TRUSTSTORE_FILE ZOO_TLS_CLIENT_TRUSTSTORE_TYPE ZOO_TLS_CLIENT_TRUSTSTORE_PASSWORD \
         ZOO_TLS_CLIENT_AUTH ZOO_TLS_QUORUM_ENABLE ZOO_TLS_QUORUM_KEYSTORE_FILE ZOO_TLS_QUORUM_KEYSTORE_TYPE \
         ZOO_TLS_QUORUM_KEYSTORE_PASSWORD ZOO_TLS_QUORUM_TRUSTSTORE_FILE ZOO_TLS_QUORUM_TRUSTSTORE_TYPE \
         ZOO_TLS_QUORUM_TRUSTSTORE_PASSWORD ZOO_TLS_QUORUM_CLIENT_AUTH JVMFLAGS ZOO_HEAP_SIZE ZOO_ENABLE_AUTH \
         ALLOW_EMPTY_PASSWORD ZOO_CLIENT_USER ZOO_SERVER_USERS ZOO_CLIENT_PASSWORD ZOO_SERVER_PASSWORDS \
         ZOO_ENABLE_QUORUM_AUTH ZOO_QUORUM_LEARNER_USER ZOO_QUORUM_LEARNER_PASSWORD ZOO_QUORUM_SERVER_USERS \
         ZOO_QUORUM_SERVER_PASSWORDS BITNAMI_DEBUG MODULE JAVA_FIPS_MODE ALLOW_ANONYMOUS_LOGIN",
    ),
    (
        &CONFLUENT,
        "ZOOKEEPER_AUTOPURGE_PURGE_INTERVAL ZOOKEEPER_AUTOPURGE_SNAP_RETAIN_COUNT ZOOKEEPER_CLIENT_PORT \
         ZOOKEEPER_CLIENT_PORT_ADDRESS ZOOKEEPER_CNX_TIMEOUT ZOOKEEPER_ELECTION_ALG ZOOKEEPER_FORCE_SYNC \
         ZOOKEEPER_FSYNC_WARNING_THRESHOLDMS ZOOKEEPER_GLOBAL_OUTSTANDING_LIMIT ZOOKEEPER_GROUPS ZOOKEEPER_INIT_LIMIT \
         ZOOKEEPER_JUTE_MAX_BUFFER ZOOKEEPER_LEADER_SERVES ZOOKEEPER_MAX_CLIENT_CNXNS ZOOKEEPER_MAX_SESSION_TIMEOUT \
         ZOOKEEPER_MIN_SESSION_TIMEOUT ZOOKEEPER_PRE_ALLOC_SIZE ZOOKEEPER_QUORUM_LISTEN_ON_ALL_IPS ZOOKEEPER_SERVERS \
         ZOOKEEPER_SKIP_ACL ZOOKEEPER_SNAP_COUNT ZOOKEEPER_SYNC_ENABLED ZOOKEEPER_SYNC_LIMIT ZOOKEEPER_TICK_TIME \
         ZOOKEEPER_TRACE_FILE ZOOKEEPER_WEIGHTS ZOOKEEPER_CLIENT_CNXN_SOCKET ZOOKEEPER_SECURE_CLIENT_PORT ZOOKEEPER_SERVER_CNXN_SOCKET \
         ZOOKEEPER_TCP_KEEP_ALIVE ZOOKEEPER_X509_AUTHENTICATION_PROVIDER_SUPER_USER ZOOKEEPER_SERVER_CNXN_FACTORY \
         ZOOKEEPER_AUTH_PROVIDER_X509 ZOOKEEPER_AUTH_PROVIDER_SASL ZOOKEEPER_CLIENT_PORT_UNIFICATION \
         ZOOKEEPER_ADMIN_ENABLE_SERVER ZOOKEEPER_ADMIN_SERVER_ADDRESS ZOOKEEPER_ADMIN_SERVER_PORT \
         ZOOKEEPER_ADMIN_IDLE_TIMEOUT ZOOKEEPER_ADMIN_COMMAND_URL ZOOKEEPER_SSL_AUTH_PROVIDER \
         ZOOKEEPER_SSL_CLIENT_AUTH ZOOKEEPER_SSL_KEYSTORE_LOCATION ZOOKEEPER_SSL_KEYSTORE_PASSWORD \
         ZOOKEEPER_SSL_KEYSTORE_TYPE ZOOKEEPER_SSL_TRUSTSTORE_LOCATION ZOOKEEPER_SSL_TRUSTSTORE_PASSWORD \
         ZOOKEEPER_SSL_TRUSTSTORE_TYPE ZOOKEEPER_SSL_ENABLED_PROTOCOLS ZOOKEEPER_SSL_CONTEXT_SUPPLIER_CLASS \
         ZOOKEEPER_SSL_CIPHER_SUITES ZOOKEEPER_SSL_HOSTNAME_VERIFICATION ZOOKEEPER_SSL_CRL ZOOKEEPER_SSL_OCPS \
         ZOOKEEPER_SSL_HANDSHAKE_DETECTION_TIMEOUT_MILLIS ZOOKEEPER_SSL_QUORUM ZOOKEEPER_SSL_QUORUM_CLIENT_AUTH \
         ZOOKEEPER_SSL_QUORUM_KEYSTORE_LOCATION ZOOKEEPER_SSL_QUORUM_KEYSTORE_PASSWORD \
         ZOOKEEPER_SSL_QUORUM_KEYSTORE_TYPE ZOOKEEPER_SSL_QUORUM_TRUSTSTORE_LOCATION \
         ZOOKEEPER_SSL_QUORUM_TRUSTSTORE_PASSWORD ZOOKEEPER_SSL_QUORUM_TRUSTSTORE_TYPE \
         ZOOKEEPER_SSL_QUORUM_ENABLED_PROTOCOLS ZOOKEEPER_SSL_QUORUM_CIPHER_SUITES \
         ZOOKEEPER_SSL_QUORUM_CONTEXT_SUPPLIER_CLASS ZOOKEEPER_SSL_QUORUM_HOSTNAME_VERIFICATION \
         ZOOKEEPER_SSL_QUORUM_CRL ZOOKEEPER_SSL_QUORUM_OCPS ZOOKEEPER_SSL_QUORUM_HANDSHAKE_DETECTION_TIMEOUT_MILLIS \
         ZOOKEEPER_SERVER_ID ZOOKEEPER_LOG4J_ROOT_LOGLEVEL \
         ZOOKEEPER_LOG4J_LOGGERS ZOOKEEPER_TOOLS_LOG4J_LOGLEVEL KAFKA_OPTS KAFKA_HEAP_OPTS KAFKA_JMX_OPTS KAFKA_JMX_PORT \
         KAFKA_JMX_HOSTNAME JMX_PORT KAFKA_LOG4J_OPTS KAFKA_GC_LOG_OPTS KAFKA_JVM_PERFORMANCE_OPTS KAFKA_DEBUG \
         JAVA_DEBUG_PORT JAVA_DEBUG_OPTS DEBUG_SUSPEND_FLAG JAVA_HOME CLASSPATH LOG_DIR EXTRA_ARGS COMPONENT \
         SKIP_MESOS_AUTO_SETUP MESOS_SANDBOX",
    ),
];

/// `zkEnv.sh`, `zkServer.sh` and `zkCli.sh` of 3.9.
const READ_BY_ZOOKEEPERS_SCRIPTS: &str = "CLIENT_JVMFLAGS SERVER_JVMFLAGS JVMFLAGS CLASSPATH JAVA_HOME ZK_CLIENT_HEAP ZK_SERVER_HEAP ZOOCFG ZOOCFGDIR \
     ZOOKEEPER_PREFIX ZOO_LOG_DIR ZOO_LOG_FILE JMXAUTH JMXDISABLE JMXHOSTNAME JMXLOCALONLY JMXLOG4J JMXPORT JMXSSL \
     ZOOMAIN ZOOPIDFILE ZOO_DATADIR_AUTOCREATE_DISABLE ZOO_NOEXEC";

#[test]
fn every_variable_that_an_image_reads_has_its_row() {
    for (dialect, read) in READ_BY_SCRIPTS {
        let rows: BTreeSet<_> = dialect.variables.iter().map(|row| row.name).collect();
        assert_eq!(rows, read.split_whitespace().collect(), "{}", dialect.image);
    }
    let rows: BTreeSet<_> = scripts::VARIABLES.iter().map(|(name, _)| *name).collect();
    assert_eq!(rows, READ_BY_ZOOKEEPERS_SCRIPTS.split_whitespace().collect());
}
