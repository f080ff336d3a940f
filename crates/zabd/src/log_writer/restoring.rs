//! Between two batches, a snapshot that an operator sent takes the place of everything ([`crate::restore`]).

use std::time::Duration;

use zabd_storage::disk::RealDisk;
use zabd_storage::log::Log;
use zabd_storage::restore::RestoreError;

use super::{LogWriter, WriteError};
use crate::restore::{Restored, Restoring};

impl LogWriter {
    /// Nothing waits in this writer's hands. What was decided before is logged, applied and answered first, and nothing is
    /// decided until the new past holds, or is given up.
    pub(super) fn restore(&mut self, mut restoring: Restoring) -> Result<(), WriteError> {
        self.driver.hold();
        let mut batch = Vec::new();
        loop {
            self.driver.log.take(&mut batch, usize::MAX, Duration::ZERO);
            let is_last = batch.is_empty();
            self.write(&mut batch)?;
            if is_last {
                break;
            }
        }
        assert!(self.driver.settle_decided(), "everything that was logged can be applied");
        let (directories, last) = (&self.base.directories, self.log.last());
        let zxid = match restoring.commit(directories, last) {
            Ok(zxid) => zxid,
            Err(error @ RestoreError::Undecided(_)) => return Err(error.into()),
            Err(error) => {
                self.driver.release();
                restoring.end(Err(error));
                return Ok(());
            }
        };
        let directories = directories.clone();
        self.log = Log::new(RealDisk, &directories.logs, zxid, self.base.log_options).behind_nothing();
        self.policy.draw();
        let before = self.driver.restore(restoring.take_tree(zxid));
        restoring.end(Ok(Restored { zxid, before, directories }));
        Ok(())
    }
}
