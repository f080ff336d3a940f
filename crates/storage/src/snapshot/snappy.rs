//! The framing of xerial's `SnappyOutputStream`, which Java writes: a header, then blocks of at most
//! 32 KiB, each with its compressed length before it.

/// Magic, version 1, compatible with version 1.
pub(super) const HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// Bytes of input per block.
pub(super) const BLOCK_BYTES: usize = 32 << 10;

/// Appends one block.
pub(super) fn compress_block(block: &[u8], out: &mut Vec<u8>) {
    let compressed =
        snap::raw::Encoder::new().compress_vec(block).expect("a block of 32 KiB can be compressed");
    out.extend_from_slice(&(compressed.len() as u32).to_be_bytes());
    out.extend_from_slice(&compressed);
}

/// All of a stream, or where it breaks.
pub(super) fn decompress(mut stream: &[u8]) -> Result<Vec<u8>, (usize, &'static str)> {
    let mut out = Vec::new();
    stream = stream.strip_prefix(&HEADER).ok_or((0, "no snappy header"))?;
    let mut decoder = snap::raw::Decoder::new();
    while !stream.is_empty() {
        let (head, rest) = stream.split_first_chunk::<4>().ok_or((out.len(), "half a block length"))?;
        let length = u32::from_be_bytes(*head) as usize;
        // A later stream's header may stand between blocks.
        if *head == HEADER[..4] {
            stream = stream.strip_prefix(&HEADER).ok_or((out.len(), "half a snappy header"))?;
            continue;
        }
        let block = rest.get(..length).ok_or((out.len(), "half a block"))?;
        let block =
            decoder.decompress_vec(block).map_err(|_| (out.len(), "a block that does not decompress"))?;
        out.extend_from_slice(&block);
        stream = &rest[length..];
    }
    Ok(out)
}
