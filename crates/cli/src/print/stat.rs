//! The block of a stat, eleven lines.

use zabd_jute::Stat;

use super::date;

/// What `stat` prints, and `-s` adds; without a line end behind it.
pub fn stat_block(stat: &Stat) -> String {
    format!(
        "cZxid = {:#x}\nctime = {}\nmZxid = {:#x}\nmtime = {}\npZxid = {:#x}\ncversion = {}\ndataVersion = {}\n\
         aclVersion = {}\nephemeralOwner = {:#x}\ndataLength = {}\nnumChildren = {}",
        stat.czxid,
        date(stat.ctime_ms),
        stat.mzxid,
        date(stat.mtime_ms),
        stat.pzxid,
        stat.cversion,
        stat.version,
        stat.aversion,
        stat.ephemeral_owner,
        stat.data_length,
        stat.num_children,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use zabd_jute::Zxid;

    #[test]
    fn a_block_has_eleven_lines() {
        let stat =
            Stat { czxid: Zxid(0x1_0000_0001), ephemeral_owner: i64::MIN, cversion: -1, ..Stat::default() };
        let block = stat_block(&stat);
        let lines: Vec<&str> = block.lines().collect();
        assert_eq!(lines.len(), 11);
        assert_eq!(lines[0], "cZxid = 0x100000001");
        assert_eq!(lines[2], "mZxid = 0x0");
        assert_eq!(lines[5], "cversion = -1");
        assert_eq!(lines[8], "ephemeralOwner = 0x8000000000000000");
    }
}
