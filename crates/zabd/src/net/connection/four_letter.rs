//! A connection that is asked a four-letter word.
//!
//! Some answers take their time: a disk is asked how much it holds, a list is as long as there are connections. Their text is
//! made on a thread that carries no other connection, so that a disk that does not answer delays only who asked for it. Such
//! threads are few, however many ask ([`super::answers`]).

use std::task::{Context, Poll};

use zabd_jute::client::FourLetterWord;

use super::answers::Made;
use super::counting::publish_counts;
use super::frames::{Turn, has_place};
use super::telling::Ending;
use super::{Connection, Phase, Stays};

/// How long a long answer may be, about: with a thousand namespaces, `mntr` says as much.
const LONG_ANSWER_BYTES: usize = 1 << 20;

impl Connection {
    pub(super) fn answer_word(&mut self, turn: &mut Turn<'_>, word: FourLetterWord) -> bool {
        let rest = &turn.bytes[turn.at + 4..];
        let has_argument = word.has_argument() && self.service.four_letter.allows(word);
        let argument = match (has_argument, rest.first_chunk::<8>()) {
            // As in Java, which looks once: what has not come with the word does not count.
            (true, None) => {
                turn.at = turn.bytes.len();
                self.close(Ending::Answered);
                return true;
            }
            (true, Some(mask)) => Some(u64::from_be_bytes(*mask)),
            (false, _) => None,
        };
        let registry = &turn.service.driver.registry;
        // Who asks how it stands while nobody reads is not to wait for those who do not.
        if registry.is_scarce() && self.service.four_letter.may_be_long(word) {
            if !has_place(&registry.backlog, &self.client, LONG_ANSWER_BYTES) {
                self.stays = Stays::InLine;
                return false;
            }
            // It is used when the answer is there.
            self.client.give_place(LONG_ANSWER_BYTES);
            self.stays = Stays::Nothing;
        }
        turn.at = turn.bytes.len();
        self.tally.received += 1;
        self.tally.received_bytes += 4;
        // The figures that are asked for include the question.
        self.count_turn();
        publish_counts(&self.service.counters);
        let four_letter = self.service.four_letter.clone();
        let pace = four_letter.pace(word);
        match self.service.answers.make(pace, move || four_letter.answer(word, argument)) {
            Made::Later(making) => {
                self.asking = Some(making);
                self.phase = Phase::Asking;
            }
            Made::Now(answer) => self.say(&answer),
        }
        true
    }

    /// Takes the answer that another thread made, if it is there.
    pub(super) fn poll_answer(&mut self, context: &mut Context<'_>) {
        let Some(asking) = &mut self.asking else { return };
        if let Poll::Ready(answer) = asking.as_mut().poll(context) {
            self.asking = None;
            self.say(&answer);
        }
    }

    fn say(&mut self, answer: &[u8]) {
        let place = self.client.take_place();
        if place > 0 {
            let backlog = &self.service.driver.registry.backlog;
            backlog.add(answer.len() as isize - place as isize);
            self.client.use_place(answer.len());
        }
        self.tally.sent += u64::from(!answer.is_empty());
        self.out.extend_from_slice(answer);
        self.close(Ending::Answered);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpStream};
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use parking_lot::Mutex;

    use super::super::answers::{Answers, MADE_AT_ONCE, Pace};
    use super::super::{ConnectionOptions, FourLetterAnswers, Service};
    use super::*;
    use crate::driver::tests::driver;
    use crate::net::throttle::tests::OFF;
    use crate::net::{Acceptor, ConnectionThrottle, IoThread, LargeRequests, ListenOptions};

    /// A server whose disk does not answer before it is told to.
    struct Stuck {
        asked: Sender<()>,
        may_answer: Mutex<Receiver<()>>,
    }

    impl FourLetterAnswers for Stuck {
        fn may_be_long(&self, _: FourLetterWord) -> bool {
            false
        }

        fn allows(&self, _: FourLetterWord) -> bool {
            true
        }

        fn pace(&self, word: FourLetterWord) -> Pace {
            match word {
                FourLetterWord::Dirs => Pace::ByDisk,
                FourLetterWord::Cons => Pace::ByLength,
                FourLetterWord::Stat => Pace::Soon,
                _ => Pace::AtOnce,
            }
        }

        fn answer(&self, word: FourLetterWord, _: Option<u64>) -> Vec<u8> {
            if word == FourLetterWord::Dirs {
                self.asked.send(()).unwrap();
                self.may_answer.lock().recv().unwrap();
            }
            word.name().into()
        }
    }

    /// One thread that carries all connections.
    fn serve(four_letter: Arc<dyn FourLetterAnswers>) -> SocketAddr {
        let driver = driver();
        let options = ConnectionOptions {
            frame_bytes_max: 1 << 20,
            auth: zabd_replica::auth::AuthOptions::default(),
            enforced_schemes: Vec::new(),
            enforced_by: "",
            in_flight_max: 1000,
            timeouts: zabd_replica::SessionTimeouts { tick_ms: 2000, min_ms: 4000, max_ms: 40_000 },
            read: driver.inspect(zabd_replica::Replica::read_options),
        };
        let service = Arc::new(Service {
            driver,
            options,
            sasl: None,
            counters: Arc::default(),
            four_letter,
            answers: Answers::start().unwrap(),
            throttle: Arc::new(ConnectionThrottle::new(OFF, 0)),
            large_requests: Arc::new(LargeRequests::new(None, 0)),
            request_throttle: None,
        });
        let listen = ListenOptions {
            address: ([127, 0, 0, 1], 0).into(),
            backlog: 50,
            keepalive: false,
            per_address_max: 0,
            total_max: 0,
            counts_plain: false,
        };
        let acceptor = Acceptor::bind(listen, Arc::default()).unwrap();
        let address = *acceptor.address().lock();
        IoThread::start(0, service, Arc::new(crate::probes::Vitals::default()).pulse("ClientIo-0"))
            .unwrap()
            .accept(acceptor, Vec::new());
        address
    }

    fn ask(address: SocketAddr, word: &str) -> TcpStream {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        socket.write_all(word.as_bytes()).unwrap();
        socket
    }

    fn answer(mut socket: TcpStream) -> String {
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_word_without_its_argument_is_not_waited_for() {
        let (asked, _) = channel();
        let (_, may_answer) = channel();
        let address = serve(Arc::new(Stuck { asked, may_answer: Mutex::new(may_answer) }));
        assert_eq!(answer(ask(address, "stmk")), "");
        assert_eq!(answer(ask(address, "stmk\0\0\0\0\0\0\0\x05")), "stmk");
    }

    #[test]
    fn a_disk_that_does_not_answer_delays_only_who_asked_for_it() {
        let (asked, is_asked) = channel();
        let (permit, may_answer) = channel();
        let address = serve(Arc::new(Stuck { asked, may_answer: Mutex::new(may_answer) }));
        let slow = ask(address, "dirs");
        is_asked.recv().unwrap();
        assert_eq!(answer(ask(address, "ruok")), "ruok");
        permit.send(()).unwrap();
        assert_eq!(answer(slow), "dirs");
    }

    #[test]
    fn a_few_answers_are_made_at_once_and_those_of_a_disk_apart() {
        let (asked, is_asked) = channel();
        let (permit, may_answer) = channel();
        let address = serve(Arc::new(Stuck { asked, may_answer: Mutex::new(may_answer) }));
        let first: Vec<_> = (0..MADE_AT_ONCE).map(|_| ask(address, "dirs")).collect();
        for _ in &first {
            is_asked.recv().unwrap();
        }
        let mut others: Vec<_> = (0..20).map(|_| ask(address, "dirs")).collect();
        // Some of them do not wait for their turn.
        others.truncate(10);
        for word in ["cons", "stat", "ruok"] {
            assert_eq!(answer(ask(address, word)), word);
        }
        assert_eq!(is_asked.try_iter().count(), 0, "no further thread waits for the disk");
        for _ in 0..MADE_AT_ONCE + 20 {
            permit.send(()).unwrap();
        }
        for socket in first.into_iter().chain(others) {
            assert_eq!(answer(socket), "dirs");
        }
        assert!(is_asked.try_iter().count() >= 10);
    }
}
