//! The ports that are opened, and whether they can be: one for clients at least, and none for two purposes.

use super::{Resolver, is_left_out};
use crate::config::{Config, ListenHost};
use crate::error::ConfigError;
use crate::membership::Membership;
use crate::setting::Source;
use crate::tls::Mistake;

impl Resolver {
    pub(super) fn check_ports(&mut self, membership: &Membership) {
        self.check_client_port(membership);
        self.check_own_ports(membership);
        let tls = &self.draft.config.tls;
        if self.draft.has_secure_client_port_address && tls.secure_client_port.is_none() {
            let text = "secureClientPortAddress is set but secureClientPort is not set";
            self.error("secureClientPortAddress", text, "add `secureClientPort=2281`");
        }
        self.check_tls();
    }

    fn check_client_port(&mut self, membership: &Membership) {
        // The line that is missing may be the one that names it.
        let is_missed = |id| is_left_out(id, membership) && self.is_no_member;
        let is_told = self.draft.config.myid.is_some_and(is_missed);
        let draft = &mut self.draft;
        let port_was_written = self.last.contains_key("clientPort");
        if !port_was_written && draft.client_port_address.is_some() {
            let text = "clientPortAddress is set but clientPort is not set";
            return self.error("clientPortAddress", text, "add `clientPort=2181`");
        }
        let host = draft.client_port_address.take().unwrap_or(ListenHost::Any);
        let member =
            draft.config.myid.and_then(|id| Some((id, membership.members.get(&id)?.client.clone()?)));
        let mut conflict = None;
        if let Some((id, (member_host, member_port))) = member {
            let same_host = host == ListenHost::Any || host == member_host;
            if draft.config.client_port.is_some_and(|port| port != member_port || !same_host) {
                let port = draft.config.client_port.unwrap_or_default();
                conflict = Some(format!(
                    "client address for this server (id = {id}) in static config file is {host}:{port} is different \
                     from client address found in dynamic file: {member_host}:{member_port}"
                ));
            }
            draft.config.client_port = Some(member_port);
            draft.config.client_port_address = member_host;
        } else {
            draft.config.client_port_address = host;
        }
        if let Some(text) = conflict {
            return self.error(
                "clientPort",
                &text,
                "remove `clientPort` or the part after `;` of the server line",
            );
        }
        if draft.config.client_port.is_none()
            && !port_was_written
            && !is_told
            && draft.config.tls.secure_client_port.is_none()
        {
            let text = "clientPort is not set, so no client could connect";
            let own = self.draft.config.myid.and_then(|id| Some((id, membership.place(id)?)));
            match own {
                // Whoever writes the list of an image's servers writes no clientPort.
                Some((id, source @ Source::Named(_))) => self.errors.push(ConfigError {
                    source: Some(source.clone()),
                    key: Some(format!("server.{id}")),
                    message: format!("the line of server.{id} names no port for clients, and {text}"),
                    hint: Some("append `;2181` to each server's line".to_owned()),
                }),
                _ => self.error("clientPort", text, "add `clientPort=2181`"),
            }
        }
    }

    fn check_tls(&mut self) {
        let Config { tls, client_port, ensemble, .. } = &self.draft.config;
        for Mistake { key, problem, hint } in tls.mistakes(*client_port, ensemble.is_some()) {
            let value = self.last.get(key).map_or("", |(_, setting)| setting.value.as_str());
            let text = format!("{key}={value} {problem}");
            self.error(key, &text, &hint);
        }
    }

    /// A member opens three ports. With one for clients and for servers Java's starts, and ends when it should take part.
    fn check_own_ports(&mut self, membership: &Membership) {
        let draft = &self.draft;
        let (Some(ensemble), Some(client)) = (&draft.config.ensemble, draft.config.client_port) else {
            return;
        };
        let id = ensemble.myid;
        let Some(member) = membership.members.get(&id) else { return };
        let is_same_host = |host: &str| match &draft.config.client_port_address {
            ListenHost::Any => true,
            ListenHost::Address(address) => host.parse() == Ok(*address),
            ListenHost::Name(name) => name == host,
        };
        let meets = |(host, port, _): &&(String, u16, _)| {
            *port == client && (draft.listen_on_all_ips || is_same_host(host))
        };
        let Some((_, _, purpose)) = member.ports.iter().find(meets) else { return };
        let written = self.place("clientPort").filter(|_| member.client.is_none());
        let place = written.map_or_else(|| "in the same line".to_owned(), |place| place.to_string());
        let message = format!(
            "server.{id} has {client} for its {purpose} port, and clientPort ({place}) is {client} too: only one of them can \
             be opened"
        );
        self.errors.push(ConfigError {
            source: membership.place(id).cloned(),
            key: Some(format!("server.{id}")),
            message,
            hint: Some(
                "give each a port of its own, for example clientPort=2181 and `server.N=host:2888:3888`"
                    .to_owned(),
            ),
        });
    }
}
