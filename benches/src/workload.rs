//! What is asked: which znodes exist, which operation comes next, and how it is written.
//!
//! Everything that a run adds lives under `/bench`: the prefilled znodes as `/bench/PARENT/INDEX`, what
//! `create` adds under `/bench/created`. Paths are digits of fixed width in a buffer that is patched in
//! place, since formatting would cost the generator more than sending.

use crate::wire::{self, Multi};

/// The root of all znodes of a run.
pub const ROOT: &[u8] = b"/bench";
/// The parent of what the operation `create` adds.
pub const CREATED: &[u8] = b"/bench/created";

/// A generator of uniformly spread numbers (xorshift64*): a handful of instructions, and the same numbers
/// for the same seed, so that both servers of a comparison are asked the same questions.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Any seed will do.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let random = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d);
        ((u128::from(random) * u128::from(bound)) >> 64) as u64
    }
}

/// The prefilled znodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyspace {
    /// How many there are.
    pub znodes: u64,
    /// How many share a parent.
    pub per_parent: u64,
}

impl Keyspace {
    /// Spread over parents of a thousand.
    pub fn spread(znodes: u64) -> Self {
        Self { znodes, per_parent: 1000 }
    }

    /// All under one parent.
    pub fn flat(znodes: u64) -> Self {
        Self { znodes, per_parent: znodes.max(1) }
    }

    /// How many parents there are.
    pub fn parents(&self) -> u64 {
        self.znodes.div_ceil(self.per_parent)
    }
}

/// A path of digits that is rewritten in place.
#[derive(Clone, Debug)]
pub struct PathBuffer(Vec<u8>);

/// Writes `value` into `digits`, zero-padded; higher digits than fit are cut.
fn write_digits(digits: &mut [u8], mut value: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

impl PathBuffer {
    /// For the paths of prefilled znodes and of their parents.
    pub fn prefilled() -> Self {
        Self(b"/bench/000000/00000000".to_vec())
    }

    /// For the paths of created znodes; `run` and `lane` keep those of different runs and connections
    /// apart.
    pub fn created(run: u64, lane: u64) -> Self {
        let mut path = b"/bench/created/000000000000-0000000-000000000".to_vec();
        write_digits(&mut path[15..27], run);
        write_digits(&mut path[28..35], lane);
        Self(path)
    }

    /// The `index`-th prefilled znode.
    pub fn znode(&mut self, keyspace: &Keyspace, index: u64) -> &[u8] {
        write_digits(&mut self.0[7..13], index / keyspace.per_parent);
        write_digits(&mut self.0[14..22], index);
        &self.0
    }

    /// The `index`-th parent of prefilled znodes.
    pub fn parent(&mut self, index: u64) -> &[u8] {
        write_digits(&mut self.0[7..13], index);
        &self.0[..13]
    }

    /// The `index`-th znode that this connection creates.
    pub fn nth_created(&mut self, index: u64) -> &[u8] {
        write_digits(&mut self.0[36..45], index);
        &self.0
    }
}

/// One kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// `getData` of a random prefilled znode.
    Get,
    /// `setData` of a random prefilled znode.
    Set,
    /// `create` of a new znode.
    Create,
    /// `exists` of a random prefilled znode.
    Exists,
    /// A `multi` that deletes a random prefilled znode and creates it again: the parent's children change
    /// and their number does not.
    Swap,
    /// `ping`.
    Ping,
}

/// A mix of operations by weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix {
    weights: Vec<(Op, u64)>,
    total: u64,
}

impl Mix {
    /// One operation only.
    pub fn only(op: Op) -> Self {
        Self { weights: vec![(op, 1)], total: 1 }
    }

    /// Several, by weight.
    pub fn weighted(weights: Vec<(Op, u64)>) -> Self {
        let total = weights.iter().map(|(_, weight)| weight).sum();
        assert!(0 < total, "a mix has something in it");
        Self { weights, total }
    }

    /// The next operation.
    pub fn pick(&self, dice: &mut Dice) -> Op {
        if let [(op, _)] = self.weights[..] {
            return op;
        }
        let mut left = dice.below(self.total);
        for &(op, weight) in &self.weights {
            if left < weight {
                return op;
            }
            left -= weight;
        }
        unreachable!("a number below the total falls into one of the weights")
    }
}

/// `get`, `set`, …, or `get=90,set=10`.
impl std::str::FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = |part: &str| {
            let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
            let op = <Op as clap::ValueEnum>::from_str(name, true)?;
            let weight = weight.parse().map_err(|_| format!("`{weight}` is not a weight"))?;
            Ok((op, weight))
        };
        let weights = text.split(',').map(parse).collect::<Result<Vec<_>, String>>()?;
        if weights.iter().all(|&(_, weight)| weight == 0) {
            return Err(format!("`{text}` has no weight above 0"));
        }
        Ok(Self::weighted(weights))
    }
}

/// Writes the requests of one connection.
#[derive(Clone, Debug)]
pub struct Requests {
    keyspace: Keyspace,
    data: Vec<u8>,
    prefilled: PathBuffer,
    created: PathBuffer,
    created_count: u64,
}

impl Requests {
    /// For the connection `lane` of the run `run`, with values of `value_bytes`.
    pub fn new(keyspace: Keyspace, value_bytes: usize, run: u64, lane: u64) -> Self {
        let created = PathBuffer::created(run, lane);
        Self {
            keyspace,
            data: value(value_bytes),
            prefilled: PathBuffer::prefilled(),
            created,
            created_count: 0,
        }
    }

    /// Appends one request, returns the xid that its reply will have.
    pub fn write(&mut self, op: Op, xid: i32, dice: &mut Dice, out: &mut Vec<u8>) -> i32 {
        match op {
            Op::Ping => {
                wire::ping(out);
                return wire::XID_PING;
            }
            Op::Create => {
                let path = self.created.nth_created(self.created_count);
                wire::create(out, xid, path, &self.data);
                self.created_count += 1;
            }
            Op::Get | Op::Set | Op::Exists | Op::Swap => {
                let path = self.prefilled.znode(&self.keyspace, dice.below(self.keyspace.znodes));
                match op {
                    Op::Get => wire::get(out, xid, path, false),
                    Op::Set => wire::set(out, xid, path, &self.data),
                    Op::Swap => {
                        let mut multi = Multi::begin(out, xid);
                        multi.delete(path);
                        multi.create(path, &self.data);
                        multi.end();
                    }
                    _ => wire::exists(out, xid, path),
                }
            }
        }
        xid
    }

    /// How many creates were written.
    pub fn created_count(&self) -> u64 {
        self.created_count
    }
}

/// A value of that many bytes; not all the same, so that a compressing disk gains nothing.
pub fn value(bytes: usize) -> Vec<u8> {
    let mut dice = Dice::new(bytes as u64 + 1);
    (0..bytes).map(|_| dice.below(256) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_rewritten_in_place() {
        let keyspace = Keyspace::spread(5000);
        let mut path = PathBuffer::prefilled();
        assert_eq!(path.znode(&keyspace, 4321), b"/bench/000004/00004321");
        assert_eq!(path.znode(&keyspace, 7), b"/bench/000000/00000007");
        assert_eq!(path.parent(4), b"/bench/000004");
        assert_eq!(keyspace.parents(), 5);
        assert_eq!(Keyspace::flat(5000).parents(), 1);
        let mut created = PathBuffer::created(12, 34);
        assert_eq!(created.nth_created(56), b"/bench/created/000000000012-0000034-000000056");
        assert!(created.nth_created(0).starts_with(CREATED));
    }

    #[test]
    fn dice_are_fair_enough_and_repeatable() {
        let mut dice = Dice::new(7);
        let mut seen = [0u32; 10];
        (0..10_000).for_each(|_| seen[dice.below(10) as usize] += 1);
        assert!(seen.iter().all(|&count| (800..1200).contains(&count)), "{seen:?}");
        assert_eq!(Dice::new(7).below(1 << 40), Dice::new(7).below(1 << 40));
    }

    #[test]
    fn a_mix_is_parsed_and_kept() {
        assert_eq!("get".parse(), Ok(Mix::only(Op::Get)));
        let mix: Mix = "get=90,set=10".parse().unwrap();
        let mut dice = Dice::new(1);
        let sets = (0..10_000).filter(|_| mix.pick(&mut dice) == Op::Set).count();
        assert!((800..1200).contains(&sets), "{sets}");
        assert!("get=0".parse::<Mix>().is_err());
        assert!("fetch".parse::<Mix>().is_err());
        assert!("get=x".parse::<Mix>().is_err());
    }

    #[test]
    fn creates_never_repeat_a_path() {
        let mut requests = Requests::new(Keyspace::spread(1), 0, 1, 2);
        let (mut dice, mut out) = (Dice::new(1), Vec::new());
        requests.write(Op::Create, 1, &mut dice, &mut out);
        let first = out.clone();
        out.clear();
        requests.write(Op::Create, 1, &mut dice, &mut out);
        assert_ne!(first, out);
        assert_eq!(requests.created_count(), 2);
        assert_eq!(requests.write(Op::Ping, 5, &mut dice, &mut out), wire::XID_PING);
    }
}
