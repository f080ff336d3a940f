//! What this server has handed to its log, and the log has not made durable yet.

use std::collections::VecDeque;

use zabd_jute::Zxid;

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Unsynced {
    records: VecDeque<(Zxid, usize)>,
    bytes: usize,
}

impl Unsynced {
    /// A record of so many bytes is handed over.
    pub(crate) fn add(&mut self, zxid: Zxid, bytes: usize) {
        self.records.push_back((zxid, bytes));
        self.bytes += bytes;
    }

    /// Everything up to here is durable.
    pub(crate) fn synced(&mut self, upto: Zxid) {
        while let Some((_, bytes)) = self.records.pop_front_if(|(zxid, _)| *zxid <= upto) {
            self.bytes -= bytes;
        }
    }

    /// Nothing is.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How much it is.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_durable_is_summed_up() {
        let mut unsynced = Unsynced::default();
        (1..=4).for_each(|zxid| unsynced.add(Zxid(zxid), 10 * zxid as usize));
        assert_eq!(unsynced.bytes(), 100);
        unsynced.synced(Zxid(2));
        assert_eq!(unsynced.bytes(), 70);
        unsynced.synced(Zxid(9));
        assert_eq!(unsynced.bytes(), 0);
        unsynced.add(Zxid(10), 5);
        unsynced.clear();
        assert_eq!(unsynced.bytes(), 0);
    }
}
