//! Who may do what.

use super::Section;
use crate::config::{DigestAlg, Secret};
use crate::draft::Draft;
use crate::key::{Class, Key, Problem, Raw, Verdict, ignored_bool};
use std::path::PathBuf;

pub(super) const SECTION: Section = Section {
    title: "Authentication and access",
    intro: "zabd serves the schemes `world`, `auth`, `digest`, `ip`, `ensemble`, `x509`, `sasl` with DIGEST-MD5, and `super`. A \
            build with the feature `kerberos` serves `sasl` with GSSAPI, too (see [operating.md](operating.md#kerberos)); any \
            other ends its start where the JAAS file asks for that.",
    keys: &[
        Key::prefixed("skipACL", "no", "yes")
            .doc("`yes`, exactly, checks no ACL at all.")
            .custom(|d, raw| {
                d.config.auth.skip_acl = raw.value == "yes";
                let understood = matches!(raw.value, "yes" | "no" | "");
                Ok((!understood).then(|| format!("skipACL={}: only `yes` skips, so ACLs are checked", raw.value)))
            }),
        Key::prefixed("DigestAuthenticationProvider.superDigest", "none", "super:D/InIHSb7yEEbrWz8b9l71RjZJU=")
            .secret()
            .doc("Identity of the super user as `name:base64`; whoever proves it passes every check.")
            .custom(|d, raw| {
                d.config.auth.super_digest = (!raw.value.is_empty()).then(|| Secret::new(raw.value));
                Ok(None)
            }),
        Key::prefixed("DigestAuthenticationProvider.digestAlg", "SHA1", "SHA-256")
            .doc("Hash inside digest identities; a change makes the digests in stored ACLs worthless.")
            .custom(digest_alg),
        Key::prefixed("DigestAuthenticationProvider.enabled", "true", "false")
            .doc("Whether the scheme `digest` exists.")
            .lenient_bool(|d, v| d.config.auth.digest_enabled = v),
        Key::prefixed("authProvider.X", "none", ENSEMBLE_PROVIDER)
            .family("authProvider.")
            .class(Class::B)
            .doc("Class of a further authentication provider, under any suffix.")
            .differently(
                "Java's own classes for `digest`, `ip`, `sasl`, `ensemble` and `x509` are known by name; any other class ends the start",
            )
            .custom(provider),
        Key::prefixed("ensembleAuthName", "any", "blue,green")
            .needs(&[("authProvider.1", ENSEMBLE_PROVIDER)])
            .doc("Names, separated by commas, that the scheme `ensemble` takes; empty, it takes none. Needs its `authProvider`.")
            .custom(ensemble_names),
        Key::prefixed("enforce.auth.enabled", "false", "true")
            .needs(&[("enforce.auth.schemes", "digest")])
            .doc("A connection must authenticate before it may do anything else.")
            .lenient_bool(|d, v| d.enforce_auth_enabled = v),
        Key::prefixed("enforce.auth.schemes", "none", "digest,ip")
            .needs(&[("enforce.auth.enabled", "true")])
            .doc("Schemes, separated by commas, one of which it must have. A scheme that is not served ends the start.")
            .custom(|d, raw| {
                d.enforce_auth_schemes = list(raw.value);
                Ok(None)
            }),
        Key::prefixed("sessionRequireClientSASLAuth", "false", "true")
            .needs(&[("authProvider.1", SASL_PROVIDER), ("java.security.auth.login.config", "/jaas.conf")])
            .doc("Clients must authenticate by SASL, as with `enforce.auth.schemes=sasl`. Needs its `authProvider`. If nothing says who may log in, nobody comes in.")
            .lenient_bool(|d, v| d.sasl_required = v),
        Key::prefixed("IPAuthenticationProvider.usexforwardedfor", "false", "true")
            .doc("For HTTP requests, trust `X-Forwarded-For` to name the client.")
            .lenient_bool(|d, v| d.config.auth.ip_use_x_forwarded_for = v),
        Key::prefixed("allowSaslFailedClients", "false", "true")
            .doc("Keep a client whose SASL exchange failed, as nobody in particular.")
            .lenient_bool(|d, v| d.config.auth.sasl.keeps_failed = v),
        Key::prefixed("superUser", "none", "admin")
            .doc("SASL name with the rights of the super user.")
            .custom(sasl_super_user),
        Key::prefixed("superUser.X", "none", "admin")
            .family("superUser.")
            .doc("Further such names, under any suffix.")
            .custom(sasl_super_user),
        Key::prefixed("SASLAuthenticationProvider.superPassword", "none", "sesame")
            .secret()
            .doc("Password of the SASL user `super`, in place of the one in the JAAS file.")
            .custom(|d, raw| {
                d.config.auth.sasl.super_password = Some(Secret::new(raw.value));
                Ok(None)
            }),
        Key::prefixed("sasl.serverconfig", "Server", "ZkServer")
            .needs(&[("java.security.auth.login.config", "/jaas.conf")])
            .doc("Section of the JAAS file for this server: its options `user_<name>=\"password\"` say which clients may log in.")
            .custom(|d, raw| {
                d.config.auth.sasl.server_section = Some(raw.value.to_owned());
                Ok(None)
            }),
        Key::bare("java.security.auth.login.config", "none", "/etc/zookeeper/jaas.conf")
            .class(Class::B)
            .doc("Path of the JAAS file.")
            .differently("it is read again when it changes; users who are gone keep the connections that they have")
            .custom(|d, raw| {
                d.config.auth.sasl.jaas_file = jaas_path(raw.value);
                Ok(None)
            }),
        Key::own("zabd.sasl.users", "none", "/etc/zabd/users")
            .class(Class::B)
            .doc("Who may log in by SASL besides those of the JAAS file: a file of lines `name=password`, or a directory such as a \
                  mounted Secret of Kubernetes, of which each file is named by a user and holds a password. Read again when it \
                  changes.")
            .custom(|d, raw| {
                d.config.auth.sasl.users = (!raw.value.is_empty()).then(|| raw.value.into());
                Ok(None)
            }),
        Key::prefixed("letAnySaslUserDoX", "none", "read")
            .class(Class::B)
            .doc("Any SASL user matches ACL entries with this identity.")
            .no_effect("entries of access lists are for those whom they name"),
        Key::prefixed("kerberos.removeHostFromPrincipal", "false", "true")
            .doc("Names of the scheme `sasl` lose the host of the principal. Of Kerberos alone.")
            .custom(|d, raw| {
                // Java asks for this word and no other.
                d.config.auth.kerberos.removes_host = raw.value == "true";
                Ok(None)
            }),
        Key::prefixed("kerberos.removeRealmFromPrincipal", "false", "true")
            .doc("They lose its realm: whoever is called so in any realm that is trusted is the same. Of Kerberos alone.")
            .custom(|d, raw| {
                d.config.auth.kerberos.removes_realm = raw.value == "true";
                Ok(None)
            }),
        Key::prefixed("kerberos.canonicalizeHostNames", "false", "true")
            .class(Class::B)
            .doc("Ask DNS for the canonical name of a peer.")
            .no_effect(NO_CANONICAL),
        Key::prefixed("kerberos.minReLoginTimeMs", "60000", "30000")
            .unit("milliseconds")
            .class(Class::C)
            .doc("Least pause between two logins to Kerberos.")
            .no_effect(NO_TICKETS),
        Key::prefixed("security.auth_to_local", "DEFAULT", "RULE:[1:$1]")
            .class(Class::B)
            .doc("Rules that make names of principals, in a row: `DEFAULT` or `RULE:[parts:format](match)s/from/to/g`.")
            .differently(
                "a rule that cannot work ends the start of a build with Kerberos; whom no rule is for has the principal as its name, \
                 where Java takes the name that the client gives itself; expressions know neither look-around nor back references",
            )
            .custom(|d, raw| {
                d.config.auth.kerberos.auth_to_local = Some(raw.value.to_owned());
                Ok(None)
            }),
        Key::bare("java.security.krb5.conf", "/etc/krb5.conf", "/etc/zookeeper/krb5.conf")
            .class(Class::B)
            .doc("Path of the configuration of Kerberos. Read by a build with the feature `kerberos`, as `KRB5_CONFIG` is.")
            .custom(|d, raw| {
                d.config.auth.kerberos.krb5_conf = (!raw.value.is_empty()).then(|| raw.value.into());
                Ok(None)
            }),
        Key::prefixed("requireKerberosConfig", "none", "true")
            .class(Class::C)
            .doc("Fail without krb5.conf.")
            .no_effect("a realm that is missing is told of at the start, and a key that is missing ends it"),
        Key::prefixed("kinit", "/usr/bin/kinit", "/opt/bin/kinit")
            .class(Class::C)
            .doc("Program that renews tickets.")
            .no_effect(NO_TICKETS),
        Key::prefixed("server.realm", "realm of the client", "EXAMPLE.ORG")
            .class(Class::C)
            .doc("Realm that clients assume of the server.")
            .no_effect(CLIENT),
        Key::prefixed("X509AuthenticationProvider.superUser", "none", "CN=admin")
            .doc("Distinguished name whose certificate has the rights of the super user.")
            .custom(|d, raw| {
                d.config.auth.x509_super_user = (!raw.value.is_empty()).then(|| raw.value.to_owned());
                Ok(None)
            }),
        Key::prefixed("ssl.authProvider", "x509", "x509ca")
            .class(Class::B)
            .doc("Scheme that judges certificates of clients.")
            .refused("any other than `x509` ends the start")
            .custom(|_, raw| match raw.value {
                "" | "x509" => Ok(None),
                _ => Err(Problem::value("is a scheme that zabd cannot load").hint("remove the line: `x509` is built in")),
            }),
        Key::file("quorum.auth.enableSasl", "false", "true")
            .doc("Servers authenticate each other by SASL, with DIGEST-MD5, on the election and the quorum ports. Needs the JAAS file.")
            .in_ensemble()
            .strict_bool(|d, v| d.quorum_sasl_enabled = v),
        Key::file("quorum.auth.learnerRequireSasl", "false", "true")
            .needs(&[("quorum.auth.enableSasl", "true")])
            .doc("This server authenticates itself to each server that it dials.")
            .in_ensemble()
            .strict_bool(|d, v| d.quorum_sasl_learner_required = v),
        Key::file("quorum.auth.serverRequireSasl", "false", "true")
            .needs(&[("quorum.auth.enableSasl", "true"), ("quorum.auth.learnerRequireSasl", "true")])
            .doc("This server refuses peers that do not authenticate themselves.")
            .in_ensemble()
            .strict_bool(|d, v| d.quorum_sasl_server_required = v),
        Key::file("quorum.auth.learner.saslLoginContext", "QuorumLearner", "Learner")
            .doc("Section of the JAAS file that says as whom this server authenticates itself: `username` and `password`.")
            .in_ensemble()
            .custom(|d, raw| {
                raw.value.clone_into(&mut d.quorum_sasl_learner_section);
                Ok(None)
            }),
        Key::file("quorum.auth.server.saslLoginContext", "QuorumServer", "Leader")
            .doc("Section of the JAAS file that says who may authenticate: options `user_<name>`.")
            .in_ensemble()
            .custom(|d, raw| {
                raw.value.clone_into(&mut d.quorum_sasl_server_section);
                Ok(None)
            }),
        Key::file("quorum.auth.kerberos.servicePrincipal", "zkquorum/localhost", "zk/_HOST")
            .class(Class::B)
            .doc("Principal of the servers that this one dials, of Kerberos alone; `_HOST` is the peer's host in its `server.N` line.")
            .in_ensemble()
            .custom(|d, raw| {
                raw.value.clone_into(&mut d.quorum_sasl_service_principal);
                Ok(None)
            }),
        Key::prefixed("sasl.client", "true", "false")
            .class(Class::B)
            .doc("Whether the shell authenticates by SASL.")
            .no_effect(CLIENT)
            .lenient_bool(ignored_bool),
        Key::prefixed("sasl.clientconfig", "Client", "Shell")
            .class(Class::B)
            .doc("Section of the JAAS file for the shell.")
            .no_effect(CLIENT),
        Key::prefixed("sasl.client.username", "zookeeper", "zk")
            .class(Class::B)
            .doc("First part of the server's principal, for the shell.")
            .no_effect(CLIENT),
        Key::prefixed("sasl.client.canonicalize.hostname", "true", "false")
            .class(Class::B)
            .doc("Whether the shell asks DNS for the server's canonical name.")
            .no_effect(CLIENT),
        Key::prefixed("server.principal", "none", "zookeeper/host")
            .class(Class::B)
            .doc("The server's whole principal, for the shell.")
            .no_effect(CLIENT),
        Key::prefixed("client.secure", "false", "true")
            .class(Class::B)
            .doc("Whether the shell connects with TLS.")
            .no_effect(CLIENT),
        Key::prefixed("clientCnxnSocket", "ClientCnxnSocketNIO", "org.apache.zookeeper.ClientCnxnSocketNetty")
            .class(Class::C)
            .doc("Java's class for the shell's connection.")
            .no_effect(CLIENT),
        Key::prefixed("request.timeout", "0", "5000")
            .unit("milliseconds")
            .class(Class::B)
            .doc("How long the shell waits for a reply; 0 is for ever.")
            .no_effect(CLIENT),
        Key::prefixed("disableAutoWatchReset", "false", "true")
            .class(Class::B)
            .doc("Whether the shell does not set its watches again after a reconnect.")
            .no_effect(CLIENT),
    ],
};

const NO_CANONICAL: &str = "a peer is called as its `server.N` line has it";
const NO_TICKETS: &str = "there is a key, by which the library gets tickets before they expire";
const CLIENT: &str = "clients read it, a server does not";
const ENSEMBLE_PROVIDER: &str = "org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider";
const SASL_PROVIDER: &str = "org.apache.zookeeper.server.auth.SASLAuthenticationProvider";

/// As Java parts it: what is empty at the end does not count, and what is empty elsewhere is a word.
fn list(text: &str) -> Vec<String> {
    let text = text.trim_end_matches(',');
    text.split(',').filter(|_| !text.is_empty()).map(|word| word.trim().to_owned()).collect()
}

/// One empty name, which no client can give, stands for none at all: as in Java only a key that is not there takes any.
fn ensemble_names(draft: &mut Draft, raw: &Raw<'_>) -> Verdict {
    let names: Vec<_> = raw.value.split(',').map(|name| name.trim_matches(|letter| letter <= ' ')).collect();
    let is_nobody = names.iter().all(|name| name.is_empty());
    draft.ensemble_names = Some(names.into_iter().map(str::to_owned).collect());
    Ok(is_nobody.then(|| {
        "ensembleAuthName names no ensemble, so whoever names one is sent away; hint: remove the line, or write the name".to_owned()
    }))
}

fn digest_alg(draft: &mut Draft, raw: &Raw<'_>) -> Verdict {
    draft.config.auth.digest_alg = match raw.value.to_ascii_uppercase().as_str() {
        "MD5" => DigestAlg::Md5,
        "SHA1" | "SHA-1" | "SHA" => DigestAlg::Sha1,
        "SHA-224" => DigestAlg::Sha224,
        "SHA-256" => DigestAlg::Sha256,
        "SHA-384" => DigestAlg::Sha384,
        "SHA-512" => DigestAlg::Sha512,
        "SHA-512/224" => DigestAlg::Sha512_224,
        "SHA-512/256" => DigestAlg::Sha512_256,
        "SHA3-224" => DigestAlg::Sha3_224,
        "SHA3-256" => DigestAlg::Sha3_256,
        "SHA3-384" => DigestAlg::Sha3_384,
        "SHA3-512" => DigestAlg::Sha3_512,
        _ => {
            let names = "one of `MD5`, `SHA1`, `SHA-224`, `SHA-256`, `SHA-384`, `SHA-512`, `SHA-512/224`, `SHA-512/256`, \
                         `SHA3-224`, `SHA3-256`, `SHA3-384`, `SHA3-512`";
            return Err(Problem::value("is not a digest algorithm that zabd knows").hint(names));
        }
    };
    Ok(None)
}

/// Java's own classes, by their schemes.
const PROVIDERS: [(&str, &str); 5] = [
    ("digest", "DigestAuthenticationProvider"),
    ("ip", "IPAuthenticationProvider"),
    ("ensemble", "EnsembleAuthenticationProvider"),
    ("x509", "X509AuthenticationProvider"),
    ("sasl", "SASLAuthenticationProvider"),
];

fn provider(draft: &mut Draft, raw: &Raw<'_>) -> Verdict {
    let class = raw.value.strip_prefix("org.apache.zookeeper.server.auth.").unwrap_or(raw.value);
    match class {
        "DigestAuthenticationProvider" => draft.digest_provider = true,
        "IPAuthenticationProvider" => (),
        "EnsembleAuthenticationProvider" => draft.ensemble_provider = true,
        "X509AuthenticationProvider" => draft.config.auth.x509_enabled = true,
        "SASLAuthenticationProvider" => draft.config.auth.sasl.is_scheme = true,
        _ => {
            let problem = Problem::value("is a class that zabd cannot load");
            if let Some((_, class)) = PROVIDERS.iter().find(|(scheme, known)| {
                class.eq_ignore_ascii_case(scheme) || class.eq_ignore_ascii_case(known)
            }) {
                return Err(problem.hint(format!("write `org.apache.zookeeper.server.auth.{class}`")));
            }
            return Err(problem.hint(format!(
                "remove the line; the classes of `digest`, `ip`, `sasl`, `ensemble` and `x509` are built in, for example `{SASL_PROVIDER}`"
            )));
        }
    }
    Ok(None)
}

fn sasl_super_user(draft: &mut Draft, raw: &Raw<'_>) -> Verdict {
    // Java asks for no name that is empty.
    if !raw.value.is_empty() {
        draft.config.auth.sasl.super_users.push(raw.value.to_owned());
    }
    Ok(None)
}

/// The JDK takes `=path` (which `-D…==path` leaves) for one that replaces its own files, and URLs of files.
fn jaas_path(text: &str) -> Option<PathBuf> {
    let text = text.strip_prefix('=').unwrap_or(text);
    let path = text.strip_prefix("file://").or_else(|| text.strip_prefix("file:")).unwrap_or(text);
    (!path.is_empty()).then(|| path.into())
}
