//! What is demanded of clients and members, and whether they can give it.

use super::Resolver;
use crate::draft::Draft;
use crate::error::Warning;

/// What makes a scheme one that may be demanded.
fn remedy(scheme: &str) -> String {
    let provider = |class: &str| {
        format!("add `authProvider.{scheme}=org.apache.zookeeper.server.auth.{class}AuthenticationProvider`")
    };
    let small = scheme.to_ascii_lowercase();
    match scheme {
        "sasl" => provider("SASL"),
        "x509" => provider("X509"),
        "ensemble" => provider("Ensemble"),
        "digest" => "remove `DigestAuthenticationProvider.enabled=false`".to_owned(),
        "" => "remove the comma with nothing before it".to_owned(),
        _ if SCHEMES.contains(&&*small) => format!("write `{small}`"),
        _ => "write one of `digest`, `ip`, `sasl`, `x509`, `ensemble`; Kerberos is `sasl`".to_owned(),
    }
}

/// Those that may be demanded.
const SCHEMES: [&str; 5] = ["digest", "ip", "sasl", "x509", "ensemble"];

impl Resolver {
    pub(super) fn check_auth(&mut self) {
        let draft = &mut self.draft;
        draft.config.auth.digest_enabled |= draft.digest_provider;
        let names = draft.ensemble_names.take();
        if draft.ensemble_provider {
            draft.config.auth.ensemble_names = Some(names.unwrap_or_default());
        } else if names.is_some() {
            let message = "ensembleAuthName has no effect without \
                           `authProvider.1=org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider`";
            let source = self.place("ensembleAuthName");
            self.warnings.push(Warning { source, message: message.to_owned() });
        }
        let config = &mut self.draft.config;
        config.auth.x509_enabled |= config.tls.serves_clients();
        self.check_enforced_schemes();
        self.check_quorum_sasl();
    }

    /// What clients must have; a demand for SASL beats all else, as in Java.
    fn check_enforced_schemes(&mut self) {
        let mut schemes = std::mem::take(&mut self.draft.enforce_auth_schemes);
        let mut key = "enforce.auth.schemes";
        if self.draft.sasl_required {
            key = "sessionRequireClientSASLAuth";
            schemes = vec!["sasl".to_owned()];
        } else if !self.draft.enforce_auth_enabled {
            if !schemes.is_empty() {
                let message =
                    "enforce.auth.schemes has no effect without `enforce.auth.enabled=true`".to_owned();
                self.warnings.push(Warning { source: self.place(key), message });
            }
            return;
        }
        if schemes.is_empty() {
            let text =
                "zookeeper.enforce.auth.enabled is true zookeeper.enforce.auth.schemes must be configured.";
            self.error("enforce.auth.enabled", text, "add `enforce.auth.schemes=digest`");
        }
        for scheme in &schemes {
            let auth = &self.draft.config.auth;
            let available = match scheme.as_str() {
                "digest" => auth.digest_enabled,
                "ip" => true,
                "ensemble" => auth.ensemble_names.is_some(),
                "x509" => auth.x509_enabled,
                "sasl" => auth.sasl.is_scheme,
                _ => false,
            };
            if !available {
                let hint = remedy(scheme);
                self.error(key, &format!("Authentication scheme {scheme} is not available."), &hint);
            }
        }
        if schemes == ["sasl"] && !self.draft.config.auth.sasl.has_users() {
            // Java starts, too: whoever comes is refused, and can be told why.
            let message = "clients must authenticate by SASL, and nothing says who may: all are refused; hint: name a JAAS file \
                           with `java.security.auth.login.config`, or a file of users with `zabd.sasl.users`";
            self.warnings.push(Warning { source: self.place(key), message: message.to_owned() });
        }
        self.draft.config.auth.enforce_schemes = schemes;
        self.draft.config.auth.enforced_by = key;
    }

    fn check_quorum_sasl(&mut self) {
        let (enable, server, learner) =
            ("quorum.auth.enableSasl", "quorum.auth.serverRequireSasl", "quorum.auth.learnerRequireSasl");
        let Draft { quorum_sasl_enabled, quorum_sasl_server_required, quorum_sasl_learner_required, .. } =
            self.draft;
        for (needs, has, required, is_required) in [
            (enable, quorum_sasl_enabled, server, quorum_sasl_server_required),
            (enable, quorum_sasl_enabled, learner, quorum_sasl_learner_required),
            (learner, quorum_sasl_learner_required, server, quorum_sasl_server_required),
        ] {
            if is_required && !has {
                let text = format!("{needs} is disabled, so cannot enable {required}");
                self.error(required, &text, &format!("add `{needs}=true`"));
            }
        }
    }
}
