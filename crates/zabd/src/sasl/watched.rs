//! Something out of files that may change while the server runs.
//!
//! The files are read again once a second and what they say is compared, whatever they are: links that are moved, files that are
//! replaced or written in place. They are small, and nothing but their text tells reliably whether they have changed. What cannot
//! be used changes nothing, and is told once.

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
            let mut told = None;
            loop {
                std::thread::sleep(PAUSE);
                looking.look(what, read(), &mut told);
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

    fn look(&self, what: &str, read: Result<T, String>, told: &mut Option<String>) {
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

    #[test]
    fn what_cannot_be_read_changes_nothing() {
        let watched = Watched { current: Mutex::new(Arc::new(1)) };
        let mut told = None;
        watched.look("it", Err("broken".into()), &mut told);
        assert_eq!((*watched.get(), told.as_deref()), (1, Some("broken")));
        watched.look("it", Ok(2), &mut told);
        assert_eq!((*watched.get(), told), (2, None));
    }
}
