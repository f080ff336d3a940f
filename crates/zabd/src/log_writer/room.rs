//! While there is no room, or no descriptor: what is to be written is tried again until it succeeds, and what stands behind it
//! waits. Nothing of it is acknowledged meanwhile, and the replica knows.

use std::time::Instant;

use zabd_replica::Input;

use super::{LogWriter, ROOM_CHECK_INTERVAL, WriteError};
use crate::alarm::Alarm;
use crate::free_space;
use crate::launch::with_causes;

/// After so many checks whoever waits hears of it: until then a purge may have made room.
const CHECKS_PATIENCE: u32 = 15;

impl WriteError {
    /// Whether it is of the kind that passes.
    fn is_want(&self) -> bool {
        match self {
            WriteError::Log(error) => error.is_want(),
            WriteError::Epoch(error) => error.is_want(),
            WriteError::Rebase(error) => error.is_want(),
            WriteError::Recovery(error) => error.is_want(),
            WriteError::Snapshot(error) => error.is_want(),
            // What came of it is not known, so that it cannot be begun again.
            WriteError::Restore(_) => false,
        }
    }
}

impl LogWriter {
    /// Does what may be done again from its beginning, for as long as nothing but room is missing.
    pub(super) fn until_room<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> Result<T, WriteError>,
    ) -> Result<T, WriteError> {
        let mut alarm = Alarm::default();
        let mut failed = 0;
        loop {
            match attempt(self) {
                Err(error) if error.is_want() => {
                    alarm.ring(Instant::now(), || self.tell_want(&error));
                    self.driver.log.note_want(true);
                    match failed {
                        0 => self.driver.feed([Input::DiskFull]),
                        CHECKS_PATIENCE => self.driver.feed([Input::DiskStaysFull]),
                        _ => (),
                    }
                    failed += 1;
                    std::thread::sleep(ROOM_CHECK_INTERVAL);
                }
                Ok(done) => {
                    if failed != 0 {
                        self.driver.log.note_want(false);
                        self.driver.feed([Input::DiskHasRoom]);
                    }
                    return Ok(done);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn tell_want(&self, error: &WriteError) {
        let directories = &self.base.directories;
        let dir =
            if matches!(error, WriteError::Log(_)) { &directories.logs } else { &directories.snapshots };
        tracing::error!("Writes wait: {}; {}", with_causes(error), free_space::in_words(dir));
    }
}
