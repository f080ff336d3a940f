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

/// What stands in front of the zeros at the end, by a few looks: a file may have been copied by what keeps no holes, and to look at all
/// of its padding takes as long as to read it. Zeros in the midst of it may be taken for those at its end.
pub(crate) fn likely_data(bytes: &[u8]) -> &[u8] {
    const LOOK_BYTES: usize = 64 << 10;
    let blocks = bytes.len().div_ceil(LOOK_BYTES);
    let is_padding = |block: usize| {
        let begin = block * LOOK_BYTES;
        is_zero(&bytes[begin..bytes.len().min(begin + LOOK_BYTES)])
    };
    if blocks == 0 || !is_padding(blocks - 1) {
        return without_zeros_behind(bytes);
    }
    let (mut data, mut padding) = (0, blocks - 1);
    while data + 1 < padding {
        let middle = usize::midpoint(data, padding);
        if is_padding(middle) { padding = middle } else { data = middle }
    }
    without_zeros_behind(&bytes[..padding * LOOK_BYTES])
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
                assert_eq!(likely_data(&bytes).len(), length, "{length} and {zeros}");
            }
        }
    }

    #[test]
    fn some_end_is_found_where_there_are_several() {
        let mut bytes = vec![7; 1 << 20];
        bytes[200_000..500_000].fill(0);
        bytes.resize(3 << 20, 0);
        assert_eq!(without_zeros_behind(&bytes).len(), 1 << 20);
        assert!([200_000, 1 << 20].contains(&likely_data(&bytes).len()));
    }
}
