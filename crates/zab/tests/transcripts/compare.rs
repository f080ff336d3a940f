//! What two sides said, packet for packet and byte for byte.

use bytes::Bytes;

use crate::capture::{hash, told};

/// What went over one connection in one direction, in Java's words and in ours.
#[derive(Debug, Default)]
pub struct Side {
    pub java: Vec<Bytes>,
    pub ours: Vec<Bytes>,
    /// How ours ended, if it did so before the connection's end.
    pub end: Option<String>,
}

impl Side {
    /// What only one of the two says, in order; packets of one kind one behind the other are one line, with a hash over all.
    pub fn differences(&self) -> Vec<String> {
        let mut found: Vec<(&str, Vec<String>, Vec<u8>)> = Vec::new();
        let mut add = |who: &'static str, packet: &Bytes| {
            let line = told(packet);
            let kind = line.split(' ').next().map(str::to_owned);
            match found.last_mut() {
                Some((last, lines, bytes))
                    if *last == who && lines[0].split(' ').next().map(str::to_owned) == kind =>
                {
                    lines.push(line);
                    bytes.extend_from_slice(packet);
                }
                _ => found.push((who, vec![line], packet.to_vec())),
            }
        };
        let common = common(&self.java, &self.ours);
        let (mut java, mut ours) = (0, 0);
        for (in_java, in_ours) in common.into_iter().chain([(self.java.len(), self.ours.len())]) {
            self.java[java..in_java].iter().for_each(|packet| add("Java", packet));
            self.ours[ours..in_ours].iter().for_each(|packet| add("ours", packet));
            (java, ours) = (in_java + 1, in_ours + 1);
        }
        let line = |(who, lines, bytes): (&str, Vec<String>, Vec<u8>)| match lines.as_slice() {
            [one] => format!("{who}: {one}"),
            [first, .., last] => {
                format!("{who}: {} packets, {first} … {last}, {}", lines.len(), hash(&bytes))
            }
            [] => unreachable!("a line is added with its first packet"),
        };
        let end = self.end.iter().map(|reason| format!("ours: ends, {reason}"));
        found.into_iter().map(line).chain(end).collect()
    }
}

/// The places of a longest common subsequence.
fn common(one: &[Bytes], other: &[Bytes]) -> Vec<(usize, usize)> {
    let width = other.len() + 1;
    let mut longest = vec![0_u32; (one.len() + 1) * width];
    for i in (0..one.len()).rev() {
        for j in (0..other.len()).rev() {
            longest[i * width + j] = if one[i] == other[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut places = Vec::new();
    while i < one.len() && j < other.len() {
        if one[i] == other[j] {
            places.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if longest[(i + 1) * width + j] >= longest[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    places
}
