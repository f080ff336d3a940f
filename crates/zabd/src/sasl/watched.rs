//! Something out of files that may change while the server runs.
//!
//! The files are read again once a second and what they say is compared, whatever they are: links that are moved, files that are
//! replaced or written in place. They are small, and nothing but their text tells reliably whether they have changed. Whoever writes
//! in place may be in the midst of it, so nothing counts before two looks have seen the same. What cannot be used changes nothing,
//! and is told once.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

/// How old what is known may be.
const PAUSE: Duration = Duration::from_secs(1);

/// What the files said when they last could be used.
#[derive(Debug)]
pub(super) struct Watched<T> {
    current: Mutex<Arc<T>>,
}

/// What has come of looking.
#[derive(Debug)]
struct Seen<T> {
    last: Option<Result<T, String>>,
    told: Option<String>,
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self { last: None, told: None }
    }
}

impl<T: Debug + PartialEq + Send + Sync + 'static> Watched<T> {
    /// Begins with what was `found`, and has a thread that reads again for as long as the process lives.
    pub fn start(
        what: &'static str,
        found: T,
        read: impl Fn() -> Result<T, String> + Send + 'static,
    ) -> std::io::Result<Arc<Self>> {
        let watched = Arc::new(Self { current: Mutex::new(Arc::new(found)) });
        let looking = Arc::clone(&watched);
        std::thread::Builder::new().name("LoginFiles".into()).spawn(move || {
            let mut seen = Seen::default();
            loop {
                std::thread::sleep(PAUSE);
                looking.look(what, read(), &mut seen);
            }
        })?;
        Ok(watched)
    }

    /// What never changes.
    #[cfg(test)]
    pub fn fixed(found: T) -> Arc<Self> {
        Arc::new(Self { current: Mutex::new(Arc::new(found)) })
    }

    /// What holds at the moment.
    pub fn get(&self) -> Arc<T> {
        self.current.lock().clone()
    }

    fn look(&self, what: &str, read: Result<T, String>, seen: &mut Seen<T>) {
        if seen.last.as_ref() != Some(&read) {
            seen.last = Some(read);
            return;
        }
        let told = &mut seen.told;
        match read {
            Ok(found) => {
                let is_news = **self.current.lock() != found;
                if is_news {
                    *self.current.lock() = Arc::new(found);
                    tracing::info!("{what} have changed");
                } else if told.is_some() {
                    tracing::info!("{what} can be read again, and have not changed");
                }
                *told = None;
            }
            Err(problem) => {
                if told.as_deref() != Some(&*problem) {
                    tracing::error!("{what} stay as they were: {problem}");
                }
                *told = Some(problem);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_twice(watched: &Watched<i32>, read: &Result<i32, String>, seen: &mut Seen<i32>) {
        let before = watched.get();
        watched.look("it", read.clone(), seen);
        assert_eq!(watched.get(), before, "one look is none");
        watched.look("it", read.clone(), seen);
    }

    #[test]
    fn what_cannot_be_read_changes_nothing() {
        let (watched, mut seen) = (Watched { current: Mutex::new(Arc::new(1)) }, Seen::default());
        look_twice(&watched, &Err("broken".into()), &mut seen);
        assert_eq!((*watched.get(), seen.told.as_deref()), (1, Some("broken")));
        look_twice(&watched, &Ok(2), &mut seen);
        assert_eq!((*watched.get(), &seen.told), (2, &None));
    }

    /// A file that is written in place says something else at each look, and for a moment perhaps what is no mistake.
    #[test]
    fn what_is_being_written_changes_nothing() {
        let (watched, mut seen) = (Watched { current: Mutex::new(Arc::new(1)) }, Seen::default());
        for half in [Ok(2), Err("cut short".into()), Ok(3), Ok(1), Ok(4)] {
            watched.look("it", half, &mut seen);
            assert_eq!((*watched.get(), &seen.told), (1, &None));
        }
        watched.look("it", Ok(4), &mut seen);
        assert_eq!(*watched.get(), 4);
    }
}
