use proptest::prelude::*;

use super::*;
use crate::quorum::{Address, MemberAddress, Role};

fn reprinted(text: &str) -> Result<String, ConfigurationError> {
    Configuration::parse(text).map(|configuration| configuration.to_string())
}

#[test]
fn text_is_sorted_and_has_no_last_line_end() {
    let text = "version=100000005\nserver.2=b:1:2:observer;3\n\n# not a server\nserver.1 = a:1:2\n";
    let printed = "server.1=a:1:2:participant\nserver.2=b:1:2:observer;0.0.0.0:3\nversion=100000005";
    assert_eq!(reprinted(text).as_deref(), Ok(printed));
    assert_eq!(reprinted(printed).as_deref(), Ok(printed));
    assert_eq!(reprinted("").as_deref(), Ok("version=0"));
}

#[test]
fn parts_are_found_by_number_and_role() {
    let text = "server.1=a:1:2;7\nserver.2=b:1:2:observer\nserver.3=c:1:2\nversion=1f";
    let configuration = Configuration::parse(text).unwrap();
    let ids = |members: Vec<&Member>| members.iter().map(|member| member.id().0).collect::<Vec<_>>();
    assert_eq!(ids(configuration.voters().collect()), [1, 3]);
    assert_eq!(ids(configuration.observers().collect()), [2]);
    assert_eq!(configuration.version(), ConfigVersion(0x1f));
    assert_eq!(configuration.member(ServerId(1)).unwrap().client(), Some(&Address::new("0.0.0.0", 7)));
    assert_eq!(configuration.member(ServerId(4)), None);
    assert_eq!(configuration.hierarchy(), None);
    let moved = configuration.with_version(ConfigVersion(-1));
    assert!(moved.to_string().ends_with("\nversion=ffffffffffffffff"));
}

#[test]
fn groups_and_weights_follow_the_servers() {
    let servers = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nserver.4=d:1:2:observer\n";
    let text = format!("{servers}group.1=3:1\nweight.3=0\nweight.9=5\ngroup.2=2:9:");
    let configuration = Configuration::parse(&text).unwrap();
    let hierarchy = configuration.hierarchy().unwrap();
    let weights = [1, 2, 3, 4, 9].map(|id| hierarchy.weight(ServerId(id)));
    assert_eq!(weights, [Some(1), Some(1), Some(0), None, Some(5)]);
    let groups = [(GroupId(1), vec![ServerId(1), ServerId(3)]), (GroupId(2), vec![ServerId(2), ServerId(9)])];
    assert_eq!(hierarchy.groups(), groups);
    let printed = configuration.to_string();
    let end = "group.1=1:3\ngroup.2=2:9\nweight.1=1\nweight.2=1\nweight.3=0\nweight.9=5\nversion=0";
    assert!(printed.ends_with(end), "{printed}");
    assert_eq!(reprinted(&printed), Ok(printed));
}

#[test]
fn mistakes_have_names() {
    let not_a_number =
        |key: &str, text: &str| ConfigurationError::NotANumber { key: key.into(), text: text.into() };
    let repeated = |key: &str| ConfigurationError::Repeated { key: key.into() };
    let id = ServerId(2);
    for (text, error) in [
        ("x=\\u12", ConfigurationError::MalformedEscape),
        ("tickTime=1", ConfigurationError::UnknownKey { key: "tickTime".into() }),
        ("versions=1", ConfigurationError::UnknownKey { key: "versions".into() }),
        ("server.x=a:1:2", not_a_number("server.x", "x")),
        ("version=1g", not_a_number("version", "1g")),
        ("version=8000000000000000", not_a_number("version", "8000000000000000")),
        ("weight.1=", not_a_number("weight.1", "")),
        ("group=1", not_a_number("group", "group")),
        ("group.1=1: 2", not_a_number("group.1", " 2")),
        ("server.1=a:1:2\nserver.01=b:1:2", repeated("server.01")),
        ("weight.1=1\nweights.1=1", repeated("weights.1")),
        ("group.1=1\ngroup.+1=2", repeated("group.1")),
        ("server.2=a", ConfigurationError::ServerForm { id, text: "a".into() }),
        ("server.2=|", ConfigurationError::NoAddress { id }),
        ("server.2=a:1:2\nweight.2=1", ConfigurationError::NoGroup { id }),
        ("group.1=2\ngroup.3=2", ConfigurationError::SeveralGroups { id }),
        ("group.1=2:2", ConfigurationError::SeveralGroups { id }),
        ("server.2=a:1:2:observer\ngroup.1=2", ConfigurationError::NoWeight { id }),
    ] {
        assert_eq!(Configuration::parse(text), Err(error), "{text}");
    }
}

#[test]
fn a_value_replaces_the_one_before_it() {
    assert_eq!(reprinted("version=1\nversion=2").as_deref(), Ok("version=2"));
}

/// As `QuorumPeerConfig.parseDynamicConfig`, where it throws what no caller catches.
#[test]
fn observers_need_participants() {
    let check = |text: &str, standalone_enabled| {
        Configuration::parse(text).unwrap().check_participants(standalone_enabled)
    };
    let (voter, observer) = ("server.1=a:1:2\n", "server.2=b:1:2:observer\n");
    assert_eq!(check("", true), Ok(()));
    assert_eq!(check("", false), Err(ConfigurationError::NoParticipants));
    assert_eq!(check(observer, true), Err(ConfigurationError::ObserversAlone));
    assert_eq!(check(voter, true), Ok(()));
    let both = format!("{voter}{observer}");
    assert_eq!(check(&both, true), Err(ConfigurationError::ObserversAlone));
    assert_eq!(check(&both, false), Ok(()));
    assert_eq!(check(&format!("{both}server.3=c:1:2"), true), Ok(()));
}

#[test]
fn long_texts_are_refused() {
    let lines = |count: usize| (0..count).map(|id| format!("weight.{id}=1")).collect::<Vec<_>>().join("\n");
    assert!(Configuration::parse(&lines(LINES_MAX)).is_ok());
    assert_eq!(Configuration::parse(&lines(LINES_MAX + 1)), Err(ConfigurationError::TooLong));
    let servers: Vec<_> = (0..=LINES_MAX).map(|id| id.to_string()).collect();
    let group = format!("group.1={}", servers.join(":"));
    assert_eq!(Configuration::parse(&group), Err(ConfigurationError::TooLong));
}

prop_compose! {
    fn member()(
        id in 0..256i64,
        hosts in proptest::collection::btree_map("[a-z]{1,3}|10\\.0\\.0\\.[1-9]|[0-9a-f]{1,4}::[1-9]", 1..60000u16, 1..3),
        is_observer in any::<bool>(),
        client in proptest::option::of(("[a-z]{1,3}|::1", any::<u16>())),
    ) -> Member {
        let address = |(host, quorum_port)| MemberAddress { host, quorum_port, election_port: quorum_port + 1000 };
        let role = if is_observer { Role::Observer } else { Role::Participant };
        let client = client.map(|(host, port)| Address::new(host, port));
        Member::new(ServerId(id), hosts.into_iter().map(address).collect(), role, client).unwrap()
    }
}

proptest! {
    #[test]
    fn printed_configurations_come_back(
        members in proptest::collection::vec(member(), 0..20),
        version in 0..i64::MAX,
    ) {
        let configuration = Configuration::majority(ConfigVersion(version), members);
        let text = configuration.to_string();
        let read = Configuration::parse(&text).unwrap();
        prop_assert_eq!(read.version(), configuration.version());
        prop_assert_eq!(read.members().len(), configuration.members().len());
        for member in configuration.members() {
            prop_assert_eq!(read.member(member.id()), Some(member));
        }
    }

    #[test]
    fn any_text_parses_without_panic(text in "(server|group|weight|version|[.=:;|\\[\\]\\\\ \n0-9a-f]){0,60}") {
        if let Ok(configuration) = Configuration::parse(&text) {
            let printed = configuration.to_string();
            prop_assert_eq!(Configuration::parse(&printed).map(|read| read.members().len()), Ok(configuration.members().len()));
        }
    }
}
