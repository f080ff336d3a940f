//! One session that asks and waits: for preparing a server, not for measuring it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::connection::{Connection, Received, Target};
use crate::error::BenchError;
use crate::poller::{Interest, Poller};
use crate::sessions;
use crate::wire::{Frames, Incoming};

/// Longer than any server takes for one request.
const ANSWER_DEADLINE: Duration = Duration::from_mins(1);

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 0, or ZooKeeper's negative code.
    pub error: i32,
    /// The record behind the reply's header.
    pub body: Vec<u8>,
}

/// A session with a few requests outstanding, answered in order.
#[derive(Debug)]
pub struct Conversation {
    connection: Connection,
    poller: Poller,
    buffer: Vec<u8>,
    asked: VecDeque<(i32, &'static str)>,
    answers: VecDeque<Answer>,
}

impl Conversation {
    /// Opens a session.
    pub fn open(target: &Target) -> Result<Self, BenchError> {
        let connection = sessions::open(target, 1)?.pop().expect("one was asked for");
        let poller = Poller::new().map_err(BenchError::io("create an epoll"))?;
        poller.add(&connection, 0, Interest::Read).map_err(BenchError::io("watch a socket"))?;
        Ok(Self { connection, poller, buffer: Vec::new(), asked: VecDeque::new(), answers: VecDeque::new() })
    }

    /// Sends one request; `during` says in an error what it was for.
    pub fn ask(
        &mut self,
        during: &'static str,
        write: impl FnOnce(&mut Vec<u8>, i32),
    ) -> Result<(), BenchError> {
        let xid = self.connection.next_xid();
        write(self.connection.out(), xid);
        self.asked.push_back((xid, during));
        self.flush()
    }

    fn flush(&mut self) -> Result<(), BenchError> {
        let all = self.connection.flush().map_err(BenchError::io("write to the server"))?;
        let interest = if all { Interest::Read } else { Interest::ReadWrite };
        self.poller.change(&self.connection, 0, interest).map_err(BenchError::io("watch a socket"))
    }

    /// Waits for the answer to the oldest request that has none.
    pub fn answer(&mut self) -> Result<Answer, BenchError> {
        let started = Instant::now();
        let &(_, during) = self.asked.front().expect("an answer is awaited only for a request");
        while self.answers.is_empty() {
            let mut ready = Vec::new();
            self.poller
                .wait(Duration::from_millis(100), &mut ready)
                .map_err(BenchError::io("wait for the server"))?;
            if !ready.is_empty() {
                self.flush()?;
                self.receive(during)?;
            }
            if ANSWER_DEADLINE < started.elapsed() {
                return Err(BenchError::TimedOut { during, seconds: ANSWER_DEADLINE.as_secs() });
            }
        }
        let (_, _) = self.asked.pop_front().expect("it was there before the wait");
        Ok(self.answers.pop_front().expect("the loop ends when there is one"))
    }

    fn receive(&mut self, during: &'static str) -> Result<(), BenchError> {
        let received =
            self.connection.receive(&mut self.buffer).map_err(BenchError::io("read from the server"))?;
        let Received::Bytes(count) = received else { return Err(BenchError::Closed { during }) };
        let mut frames = Frames::new(&self.buffer[..count]);
        for frame in frames.by_ref() {
            if let Incoming::Reply { xid, error, body } = Incoming::decode(frame)? {
                let expected = self.asked.get(self.answers.len()).map_or(0, |&(xid, _)| xid);
                if xid != expected {
                    return Err(BenchError::OutOfOrder { expected, actual: xid });
                }
                self.answers.push_back(Answer { error, body: body.to_vec() });
            }
        }
        self.connection.keep(frames.rest());
        Ok(())
    }

    /// Asks and waits; an error code is an error.
    pub fn call(
        &mut self,
        during: &'static str,
        write: impl FnOnce(&mut Vec<u8>, i32),
    ) -> Result<Answer, BenchError> {
        self.ask(during, write)?;
        let answer = self.answer()?;
        if answer.error != 0 {
            return Err(BenchError::Failed { during, code: answer.error });
        }
        Ok(answer)
    }

    /// How many requests have no answer that was taken.
    pub fn outstanding(&self) -> usize {
        self.asked.len()
    }

    /// Ends the session.
    pub fn close(self) -> Result<(), BenchError> {
        drop(self.poller);
        sessions::close(vec![self.connection])
    }
}
