//! `zkSnapshotRecursiveSummaryToolkit.sh FILE ZNODE DEPTH`: how much is below each znode that has children.

use super::INVALID_INVOCATION;
use super::image::{Image, read};
use crate::console::{Console, End, Thrown, java_path};
use crate::tool::Settings;

const USAGE: &str = "\
USAGE:


SnapshotRecursiveSummary  <snapshot_file>  <starting_node>  <max_depth>


snapshot_file:    path to the zookeeper snapshot
starting_node:    the path in the zookeeper tree where the traversal should begin
max_depth:        defines the depth where the tool still writes to the output. 0 means there is no depth limit, every non-leaf node's stats will be displayed, 1 means it will only contain the starting node's and it's children's stats, 2 ads another level and so on. This ONLY affects the level of details displayed, NOT the calculation.";

/// Runs the tool.
pub(crate) fn run(words: &[String], settings: &Settings, console: &mut Console<'_>) -> Result<(), End> {
    let usage = || End::Complaint(INVALID_INVOCATION, USAGE.to_owned());
    let [file, from, depth] = words else { return Err(usage()) };
    let depth_max: i32 = depth.parse().map_err(|_| usage())?;
    let content = read(&java_path(file))?;
    let image = Image::of(&content, settings)?;
    let start = image.place(from).ok_or_else(|| Thrown::null_pointer(NO_ZNODE))?;
    print(&image, start, from, depth_max, console)
}

/// What Java says of a path that it does not have.
const NO_ZNODE: &str = "Cannot enter synchronized block because \"n\" is null";

/// What is below a znode, itself included.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    znodes: u64,
    bytes: u64,
}

fn print(
    image: &Image<'_>,
    start: u32,
    from: &str,
    depth_max: i32,
    console: &mut Console<'_>,
) -> Result<(), End> {
    let sums = sums(image);
    let mut ahead = vec![(start, from.to_owned(), 0)];
    while let Some((place, name, level)) = ahead.pop() {
        let is_shown = depth_max == 0 || level <= depth_max;
        if image.znode(place).children.is_empty() || !is_shown {
            continue;
        }
        let tab = "--".repeat(level as usize);
        let Sum { znodes, bytes } = sums[place as usize];
        writeln!(console.out, "{tab} {name}\n{tab}   children: {}\n{tab}   data: {bytes}", znodes - 1)?;
        let slash = if name == "/" { "" } else { "/" };
        let below = |child: u32| (child, format!("{name}{slash}{}", image.znode(child).name()), level + 1);
        ahead.extend(image.children(place).rev().map(below));
    }
    writeln!(console.out)?;
    Ok(())
}

/// Of every znode. Children stand behind their parents, so from the back each one is whole when its parent takes it.
fn sums(image: &Image<'_>) -> Vec<Sum> {
    let mut sums = vec![Sum::default(); image.znodes.len()];
    for (place, znode) in image.znodes.iter().enumerate().rev() {
        let mut sum = Sum { znodes: 1, bytes: znode.length() as u64 };
        for child in &znode.children {
            let Sum { znodes, bytes } = sums[*child as usize];
            sum.znodes += znodes;
            sum.bytes += bytes;
        }
        sums[place] = sum;
    }
    sums
}
