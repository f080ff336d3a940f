//! Who clients are, and what demands that they say so.

use super::*;

#[test]
fn schemes_follow_their_providers() {
    let ensemble = "authProvider.1=org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider";
    assert_eq!(with(ensemble).auth.ensemble_names, Some(vec![]));
    assert_eq!(with(&format!("{ensemble}\nensembleAuthName=a, b")).auth.ensemble_names.unwrap(), ["a", "b"]);
    for (written, names) in
        [("", &[""][..]), (",", &["", ""]), (" a\\u00a0 ,\\u0001B", &["a\u{a0}", "B"]), ("a,", &["a", ""])]
    {
        let config = with(&format!("{ensemble}\nensembleAuthName={written}"));
        assert_eq!(config.auth.ensemble_names.as_deref().unwrap(), names, "{written:?}");
        let is_told = names.iter().all(|name| name.is_empty());
        let told = warnings(&config);
        assert_eq!(told.len(), usize::from(is_told), "{told:?}");
        assert!(!is_told || told[0].contains("names no ensemble"), "{told:?}");
    }
    let alone = with("ensembleAuthName=a");
    assert_eq!((alone.auth.ensemble_names.clone(), alone.warnings.len()), (None, 1));
    let config = with("enforce.auth.enabled=true\nenforce.auth.schemes=digest, ip");
    assert_eq!(config.auth.enforce_schemes, ["digest", "ip"]);
    assert_eq!(with("enforce.auth.enabled=true\nenforce.auth.schemes=ip,,").auth.enforce_schemes, ["ip"]);
    let idle = with("enforce.auth.schemes=sasl");
    assert!(idle.auth.enforce_schemes.is_empty(), "not enabled, not demanded");
    assert!(
        warnings(&idle)[0].contains("no effect without `enforce.auth.enabled=true`"),
        "{:?}",
        idle.warnings
    );
}

/// Whoever mistypes what guards a server believes that it is guarded.
#[test]
fn mistakes_in_what_guards_a_server_have_their_remedy() {
    let class = |name: &str| format!("org.apache.zookeeper.server.auth.{name}AuthenticationProvider");
    for (scheme, remedy) in [
        ("sasl", format!("add `authProvider.sasl={}`", class("SASL"))),
        ("x509", format!("add `authProvider.x509={}`", class("X509"))),
        ("ensemble", format!("add `authProvider.ensemble={}`", class("Ensemble"))),
        ("SASL", "write `sasl`".to_owned()),
        ("kerberos", "Kerberos is `sasl`".to_owned()),
        ("digest,,ip", "remove the comma".to_owned()),
    ] {
        let told = errors(&format!("enforce.auth.enabled=true\nenforce.auth.schemes={scheme}"));
        assert!(told.contains(&remedy), "{scheme}: {told}");
    }
    for (written, meant) in [
        (class("Sasl"), class("SASL")),
        ("sasl".to_owned(), class("SASL")),
        ("X509".to_owned(), class("X509")),
        ("com.acme.Provider".to_owned(), "remove the line".to_owned()),
    ] {
        let told = errors(&format!("authProvider.1={written}"));
        assert!(
            told.contains(&format!("hint: write `{meant}`")) || told.contains(&format!("hint: {meant}")),
            "{told}"
        );
    }
    for (written, meant) in [
        ("authprovider.1=x", "authProvider.1"),
        ("requireClientAuthScheme=sasl", "sessionRequireClientSASLAuth"),
        ("enforce.auth.scheme=sasl", "enforce.auth.schemes"),
    ] {
        let told = warnings(&with(written));
        assert!(told[0].ends_with(&format!("hint: did you mean `{meant}`?")), "{told:?}");
    }
}
