//! Which paths a znode may have.
