//! Those who have reached a port where one shows who one is, and have not done so yet: other servers, and clients with TLS.
//!
//! Anybody who reaches the port can be one of them, and each costs a descriptor and some memory for as long as it may take. So there
//! is room for a number of them, and it never fills up: whoever comes when it is full takes the place of the oldest of those
//! from whichever address has most. Whoever proves itself is through within a moment, whatever a crowd does that says nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// See the module's description.
#[derive(Debug)]
pub struct Lobby(Arc<Mutex<Inside>>);

#[derive(Debug)]
struct Inside {
    /// How many there may be, at least one.
    places: usize,
    /// In the order in which they came.
    waiting: BTreeMap<u64, Waiting>,
    next: u64,
}

#[derive(Debug)]
struct Waiting {
    from: Option<IpAddr>,
    /// Never sent to: when it is dropped, the other end hears that.
    _stays: oneshot::Sender<()>,
}

/// Somebody's place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    number: u64,
    places: usize,
    lobby: Arc<Mutex<Inside>>,
    taken: oneshot::Receiver<()>,
}

/// Somebody else has the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has not shown who it is, and {0} others want to")]
pub struct Displaced(usize);

impl From<Displaced> for String {
    fn from(displaced: Displaced) -> Self {
        displaced.to_string()
    }
}

impl Lobby {
    /// With room for so many.
    pub fn of(places: usize) -> Self {
        Self(Arc::new(Mutex::new(Inside { places: places.max(1), waiting: BTreeMap::new(), next: 0 })))
    }

    /// A place for somebody from there, if need be somebody else's.
    pub fn enter(&self, from: Option<IpAddr>) -> Place {
        let mut inside = self.0.lock();
        if inside.waiting.len() >= inside.places {
            inside.make_room();
        }
        let number = inside.next;
        inside.next += 1;
        let (stays, taken) = oneshot::channel();
        inside.waiting.insert(number, Waiting { from, _stays: stays });
        Place { number, places: inside.places, lobby: Arc::clone(&self.0), taken }
    }
}

impl Inside {
    fn make_room(&mut self) {
        let mut crowds = BTreeMap::<_, (usize, u64)>::new();
        for (number, waiting) in self.waiting.iter().rev() {
            let (count, oldest) = crowds.entry(waiting.from).or_default();
            (*count, *oldest) = (*count + 1, *number);
        }
        let largest = crowds.into_values().max_by_key(|(count, oldest)| (*count, u64::MAX - oldest));
        let (_, oldest) = largest.expect("a full lobby is not empty");
        self.waiting.remove(&oldest);
    }
}

impl Place {
    /// Does this while the place is not somebody else's.
    pub async fn during<T, E: From<Displaced>>(
        &mut self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        tokio::select! {
            biased;
            done = work => done,
            _ = &mut self.taken => Err(Displaced(self.places).into()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lobby.lock().waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const PLACES: usize = 256;

    fn is_kept(place: &mut Place) -> bool {
        place.taken.try_recv() == Err(oneshot::error::TryRecvError::Empty)
    }

    /// A crowd of silent sockets costs its own oldest one, not a member that has come before them.
    #[test]
    fn a_crowd_makes_room_for_whoever_comes() {
        let lobby = Lobby::of(PLACES);
        let address = |last| Some(IpAddr::from([127, 0, 0, last]));
        let mut member = lobby.enter(address(1));
        let mut crowd = (1..PLACES).map(|_| lobby.enter(address(2))).collect::<Vec<_>>();
        assert!(crowd.iter_mut().all(is_kept));
        let mut other = lobby.enter(address(3));
        assert_eq!(crowd.iter_mut().map(is_kept).filter(|is_kept| !is_kept).count(), 1);
        assert!(!is_kept(&mut crowd[0]) && is_kept(&mut member) && is_kept(&mut other));
        drop(crowd);
        assert_eq!(lobby.0.lock().waiting.len(), 2);
    }

    #[tokio::test]
    async fn whoever_has_lost_its_place_hears_it() {
        let lobby = Lobby::of(PLACES);
        let mut places = (0..=PLACES).map(|_| lobby.enter(None)).collect::<Vec<_>>();
        assert_eq!(places[1].during(ready(Ok::<_, String>(7))).await, Ok(7));
        let problem = places[0].during(pending::<Result<(), String>>()).await.unwrap_err();
        assert_eq!(problem, "it has not shown who it is, and 256 others want to");
    }
}
