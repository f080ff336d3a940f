//! Places for connections that have not proved yet who they are.
//!
//! Whoever dials may say nothing, or begin a handshake and never end it, and is given some seconds for it: there are only so many
//! such places, but a member must always find one. So nobody is turned away at the door. When all places are taken, a newcomer gets
//! that of the one who has waited longest among those of the address that has most:
//!
//! ```text
//! 10.0.0.9 ×60, 10.0.0.1 ×2, 10.0.0.2 ×2  +  10.0.0.3   ─►  the oldest of 10.0.0.9 goes
//! ```
//!
//! So a crowd from one address only drives out itself, and where everybody has one address (or a crowd has very many) those go
//! that have been silent for longest; an honest handshake takes milliseconds.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    /// Who has one, by the order in which they came. Who loses it hears of it by the end of the channel.
    by_age: BTreeMap<u64, (IpAddr, oneshot::Sender<()>)>,
}

/// A place, until it goes.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    is_lost: oneshot::Receiver<()>,
}

impl Places {
    /// So many.
    pub(super) fn new(most: usize) -> Arc<Self> {
        assert!(most > 0, "nobody could ever come in");
        Arc::new(Self { most, taken: Mutex::default() })
    }

    /// One for a connection from this address, which somebody else may lose.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Place {
        let (kept, is_lost) = oneshot::channel();
        let mut taken = self.taken.lock();
        let number = taken.next;
        taken.next += 1;
        if taken.by_age.len() >= self.most {
            let loser = taken.longest_of_the_largest_crowd();
            taken.by_age.remove(&loser);
        }
        taken.by_age.insert(number, (address, kept));
        Place { places: self.clone(), number, is_lost }
    }
}

impl Taken {
    fn longest_of_the_largest_crowd(&self) -> u64 {
        // How many each address has, and its oldest.
        let mut crowds = BTreeMap::<IpAddr, (usize, u64)>::new();
        for (number, (address, _)) in &self.by_age {
            crowds.entry(*address).or_insert((0, *number)).0 += 1;
        }
        let largest = crowds.values().max_by_key(|(count, oldest)| (*count, std::cmp::Reverse(*oldest)));
        largest.expect("all places are taken").1
    }
}

impl Place {
    /// What comes of this, unless the place is lost meanwhile.
    pub(super) async fn hold_while<T>(mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            _ = &mut self.is_lost => None,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken.lock().by_age.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    fn is_lost(place: &mut Place) -> bool {
        !matches!(place.is_lost.try_recv(), Err(oneshot::error::TryRecvError::Empty))
    }

    #[test]
    fn a_crowd_from_one_address_drives_out_only_itself() {
        let places = Places::new(4);
        let mut member = places.take(address(1));
        let mut crowd: Vec<_> = (0..100).map(|_| places.take(address(9))).collect();
        let mut newcomer = places.take(address(2));
        assert!(!is_lost(&mut member) && !is_lost(&mut newcomer));
        let left: Vec<_> = (0..100).filter(|at| !is_lost(&mut crowd[*at])).collect();
        assert_eq!(left, [98, 99], "the oldest went");
    }

    #[test]
    fn where_all_have_one_place_the_oldest_goes() {
        let places = Places::new(3);
        let mut silent: Vec<_> = (0..3).map(|last| places.take(address(last))).collect();
        drop(silent.remove(1));
        let _there_was_one = places.take(address(7));
        assert!(!silent.iter_mut().any(is_lost));
        let mut newcomer = places.take(address(8));
        assert_eq!(silent.iter_mut().map(is_lost).collect::<Vec<_>>(), [true, false]);
        assert!(!is_lost(&mut newcomer));
        assert_eq!(places.taken.lock().by_age.len(), 3);
    }

    #[tokio::test]
    async fn who_loses_its_place_stops_and_who_is_done_leaves_it() {
        let places = Places::new(1);
        let silent = tokio::spawn(places.take(address(1)).hold_while(std::future::pending::<()>()));
        tokio::task::yield_now().await;
        assert_eq!(places.take(address(1)).hold_while(async { 7 }).await, Some(7));
        assert_eq!(silent.await.unwrap(), None);
        assert!(places.taken.lock().by_age.is_empty());
    }
}
