//! `get -x`: Netty's `ByteBufUtil.prettyHexDump`, sixteen bytes a row between two rules.

use std::fmt::Write as _;

const ROW: usize = 16;
const HEAD: &str = concat!(
    "         +-------------------------------------------------+\n",
    "         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |\n",
);
const RULE: &str = "+--------+-------------------------------------------------+----------------+";

/// The dump without a line end behind it; nothing for nothing.
pub fn hexdump(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return String::new();
    }
    let mut text = format!("{HEAD}{RULE}\n");
    for (number, row) in bytes.chunks(ROW).enumerate() {
        let mut hex = String::new();
        for byte in row {
            let _ = write!(hex, " {byte:02x}");
        }
        let letters: String = row.iter().map(|&byte| letter(byte)).collect();
        let _ = writeln!(text, "|{:08x}|{hex:<48} |{letters:<16}|", number * ROW);
    }
    text.push_str(RULE);
    text
}

fn letter(byte: u8) -> char {
    if matches!(byte, 0x20..0x7f) { char::from(byte) } else { '.' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dumps_are_nettys() {
        let dump = hexdump(b"hello world\n\x00\x7f\xff~!");
        let rows: Vec<&str> = dump.lines().collect();
        assert_eq!(
            rows,
            [
                "         +-------------------------------------------------+",
                "         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |",
                RULE,
                "|00000000| 68 65 6c 6c 6f 20 77 6f 72 6c 64 0a 00 7f ff 7e |hello world....~|",
                "|00000010| 21                                              |!               |",
                RULE
            ]
        );
        assert_eq!(hexdump(b""), "");
    }
}
