//! Members that are named where nobody reads them: Java knows them from files only, and there they are told apart from
//! properties. A server that started alone in spite of such words would take clients' writes that no peer ever hears of.

use super::{Resolver, is_membership};
use crate::error::Warning;
use crate::keys;
use crate::setting::Setting;

/// Whether a property says who the members are; `-Dserver.name` and its like are other programs'.
pub(super) fn names_members(setting: &Setting) -> bool {
    let name = keys::unprefixed(&setting.key);
    let number = name.rsplit_once('.').map_or("", |(_, number)| number);
    setting.source.is_property() && is_membership(name) && number.parse::<i64>().is_ok()
}

impl Resolver {
    /// Tells of them, and refuses them if this would be a lone server.
    pub(super) fn check_unread_members(&mut self) {
        let is_alone = self.draft.config.ensemble.is_none() && self.errors.is_empty();
        for Setting { key, source, .. } in std::mem::take(&mut self.unread_members) {
            let name = keys::unprefixed(&key);
            if is_alone && name.starts_with("server.") {
                let text = format!(
                    "{key} names a member, which is not read here, nor by Java; this would be a standalone server"
                );
                let hint = format!(
                    "write `{name}=…` into zoo.cfg with the lines of all members, or give them as flags (`zabd server --{name} …`); \
                     for a standalone server remove it"
                );
                self.error_at(source, name, text, hint);
            } else {
                let message = format!(
                    "nothing reads {key} here: members are named by files and flags, as in Java by files"
                );
                self.warnings.push(Warning { source: Some(source), message });
            }
        }
    }
}
