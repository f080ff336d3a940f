//! Threads that make answers to four-letter words.
//!
//! Forty monitors that do not know of each other may ask at once, and a thread for each would have memory of its own, 7 MiB together:
//! of a small container that is what is left when it is needed most. So a few threads make all answers, and whoever asks beyond that
//! waits for a turn. There are turns of three kinds, so that nobody waits for a disk who does not ask it, nor for
//! long lists whoever asks for a short one. Java makes each answer on a thread of its own.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

/// How many answers of each kind are made at once.
pub(super) const MADE_AT_ONCE: usize = 4;

/// A thread that has nothing to do ends after so long.
const IDLE_MAX: Duration = Duration::from_secs(2);

/// How long the answer to a word takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It is at hand.
    AtOnce,
    /// Not long, but longer than other clients should wait.
    Soon,
    /// As long as its list.
    ByLength,
    /// A disk is asked for it.
    ByDisk,
}

/// An answer, once it is made. Whoever drops it does not wait any more.
pub(super) type Making = Pin<Box<dyn Future<Output = Vec<u8>> + Send>>;

/// What becomes of a question.
pub(super) enum Made {
    /// The answer.
    Now(Vec<u8>),
    /// It comes.
    Later(Making),
}

/// See the module's description.
#[derive(Debug)]
pub struct Answers {
    /// There as long as this is.
    threads: Option<Runtime>,
    soon: Arc<Semaphore>,
    by_length: Arc<Semaphore>,
    by_disk: Arc<Semaphore>,
}

impl Answers {
    /// Nobody has asked yet, and there is no thread yet.
    pub fn start() -> std::io::Result<Self> {
        let [soon, by_length, by_disk] = [(); 3].map(|()| Arc::new(Semaphore::new(MADE_AT_ONCE)));
        let threads = Builder::new_current_thread()
            .thread_name("Operator")
            .max_blocking_threads(3 * MADE_AT_ONCE)
            .thread_keep_alive(IDLE_MAX)
            .build()?;
        Ok(Self { threads: Some(threads), soon, by_length, by_disk })
    }

    /// Has `answer` called on one of the threads when its turn comes, or at once. Without a text, whoever panicked has said so.
    pub(super) fn make(&self, pace: Pace, answer: impl FnOnce() -> Vec<u8> + Send + 'static) -> Made {
        let turns = match pace {
            Pace::AtOnce => return Made::Now(answer()),
            Pace::Soon => self.soon.clone(),
            Pace::ByLength => self.by_length.clone(),
            Pace::ByDisk => self.by_disk.clone(),
        };
        let threads = self.threads.as_ref().expect("it ends with this").handle().clone();
        Made::Later(Box::pin(async move {
            let turn = turns.acquire_owned().await.expect("nobody closes it");
            let made = threads.spawn_blocking(move || {
                let answer = answer();
                // Not before: whoever asked may be gone, and the thread works all the same.
                drop(turn);
                answer
            });
            made.await.unwrap_or_default()
        }))
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        // Nobody waits for a disk that does not answer.
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}
