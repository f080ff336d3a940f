//! The framing of xerial's `SnappyOutputStream`, which Java writes: a header, then blocks of at most
//! 32 KiB, each with its compressed length before it.

/// Magic, version 1, compatible with version 1.
pub(super) const HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// Bytes of input per block.
pub(super) const BLOCK_BYTES: usize = 32 << 10;
/// More than any writer puts into a block; a larger number is damage, and not to be allocated.
const BLOCK_BYTES_MAX: usize = 64 << 20;

/// Appends one block.
pub(super) fn compress_block(block: &[u8], out: &mut Vec<u8>) {
    let compressed =
        snap::raw::Encoder::new().compress_vec(block).expect("a block of 32 KiB can be compressed");
    out.extend_from_slice(&(compressed.len() as u32).to_be_bytes());
    out.extend_from_slice(&compressed);
}

/// Appends all of a stream, or what comes before it breaks.
pub(super) fn decompress(mut stream: &[u8], out: &mut Vec<u8>) -> Result<(), (usize, &'static str)> {
    stream = stream.strip_prefix(&HEADER).ok_or((0, "no snappy header"))?;
    let mut decoder = snap::raw::Decoder::new();
    while !stream.is_empty() {
        let broken = |what| (out.len(), what);
        let (head, rest) = stream.split_first_chunk::<4>().ok_or(broken("half a block length"))?;
        // A later stream's header may stand between blocks.
        if *head == HEADER[..4] {
            stream = stream.strip_prefix(&HEADER).ok_or(broken("half a snappy header"))?;
            continue;
        }
        let length = u32::from_be_bytes(*head) as usize;
        let block = rest.get(..length).ok_or(broken("half a block"))?;
        let at = out.len();
        decompress_block(&mut decoder, block, out).map_err(|what| (at, what))?;
        stream = &rest[length..];
    }
    Ok(())
}

/// Appends what is in one block, or nothing if it breaks.
fn decompress_block(
    decoder: &mut snap::raw::Decoder,
    block: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let plain_bytes = snap::raw::decompress_len(block).unwrap_or(usize::MAX);
    if plain_bytes > BLOCK_BYTES_MAX {
        return Err("a block of unreasonable length");
    }
    let at = out.len();
    out.resize(at + plain_bytes, 0);
    decoder.decompress(block, &mut out[at..]).map(drop).map_err(|_| {
        out.truncate(at);
        "a block that does not decompress"
    })
}

/// A stream that comes piece by piece: no more of it is kept than one block.
#[derive(Debug, Default)]
pub(super) struct Unpacker {
    /// What is not a whole block, or header, yet.
    waiting: Vec<u8>,
}

impl Unpacker {
    /// Takes a piece, and appends what it completes.
    pub(super) fn take(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        self.waiting.extend_from_slice(piece);
        let mut decoder = snap::raw::Decoder::new();
        let mut at = 0;
        while let Some((head, rest)) = self.waiting[at..].split_first_chunk::<4>() {
            if *head == HEADER[..4] {
                let Some(header) = self.waiting[at..].get(..HEADER.len()) else { break };
                if header != HEADER {
                    return Err("no snappy header");
                }
                at += HEADER.len();
                continue;
            }
            let length = u32::from_be_bytes(*head) as usize;
            if length > BLOCK_BYTES_MAX {
                return Err("a block of unreasonable length");
            }
            let Some(block) = rest.get(..length) else { break };
            decompress_block(&mut decoder, block, out)?;
            at += 4 + length;
        }
        self.waiting.drain(..at);
        Ok(())
    }

    /// The stream has ended.
    pub(super) fn end(&self) -> Result<(), &'static str> {
        if self.waiting.is_empty() { Ok(()) } else { Err("half a block") }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn blocks_come_back_and_breaks_are_found(input in proptest::collection::vec(any::<u8>(), 1..2000)) {
            let mut stream = HEADER.to_vec();
            input.chunks(300).for_each(|block| compress_block(block, &mut stream));
            let plain = |stream: &[u8]| {
                let mut plain = Vec::new();
                let outcome = decompress(stream, &mut plain);
                (plain, outcome)
            };
            prop_assert_eq!(plain(&stream), (input.clone(), Ok(())));
            for kept in 0..stream.len() {
                // A cut between blocks is found by the snapshot's seal.
                let (part, _) = plain(&stream[..kept]);
                prop_assert!(part.len() < input.len() && input.starts_with(&part));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decompress(&[&HEADER[..], &bytes].concat(), &mut Vec::new());
        }
    }
}
