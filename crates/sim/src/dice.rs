//! All randomness of a world.

/// `SplitMix64`: small, good enough, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The seed's.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `sides`.
    pub fn throw(&mut self, sides: usize) -> usize {
        (self.number() % sides as u64) as usize
    }

    /// A number of milliseconds from `least` to `most`.
    pub fn ms(&mut self, least: i64, most: i64) -> i64 {
        least + self.throw((most - least + 1) as usize) as i64
    }

    /// True so many times of a thousand.
    pub fn chance(&mut self, per_mille: usize) -> bool {
        self.throw(1000) < per_mille
    }

    /// One of several.
    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.throw(from.len())]
    }
}
