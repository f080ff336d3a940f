//! Values as Java prints them.

mod date;
mod hexdump;
mod stat;

pub use date::date;
pub use hexdump::hexdump;
pub use stat::stat_block;
