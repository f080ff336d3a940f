//! The zeros behind the data of a file that was made longer ahead of them.
//!
//! Where the file system knows them as a hole they cost nothing. But a backup may have written them out: then a directory of small logs
//! holds gigabytes of zeros.

/// What stands in front of the zeros at the end.
pub(crate) fn without_zeros_behind(bytes: &[u8]) -> &[u8] {
    // By chunks of many vectors, because a file's padding is long.
    const CHUNK_BYTES: usize = 1024;
    let zero_chunks = bytes.rchunks(CHUNK_BYTES).take_while(|chunk| is_zero(chunk)).count();
    let bytes = &bytes[..bytes.len().saturating_sub(zero_chunks * CHUNK_BYTES)];
    let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..length]
}

/// Without a branch for each byte.
fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |all, byte| all | byte) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_end_in_front_of_the_zeros() {
        for length in [0, 1, 1023, 1024, 1025, 65_535, 65_536, 65_537, 200_000] {
            for zeros in [0, 1, 1023, 1024, 65_536, 70_000, 1 << 20] {
                let mut bytes = vec![7; length];
                bytes.resize(length + zeros, 0);
                assert_eq!(without_zeros_behind(&bytes).len(), length, "{length} and {zeros}");
            }
        }
    }
}
