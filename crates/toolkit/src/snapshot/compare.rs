//! `zkSnapshotComparer.sh -l LEFT -r RIGHT -b BYTES -n ZNODES [-d] [-i]`: what two snapshots do not have in common.
//!
//! Znodes are compared level by level, and each with all that is below it; a difference is shown when it has more bytes or
//! more znodes than asked for. With `-i` it is asked which level or which znode comes next.

use std::cmp::Ordering;
use std::time::Instant;

use zabd_jute::java_table::compare_strings;

use super::INVALID_INVOCATION;
use super::image::{Image, read};
use crate::console::{Console, End, Thrown, file_name, java_path};
use crate::options::{Flag, flag, parse, required};
use crate::tool::Settings;

const FLAGS: &[Flag] = &[
    required('l', "left"),
    required('r', "right"),
    required('b', "bytes"),
    required('n', "nodes"),
    flag('d', "debug"),
    flag('i', "interactive"),
];

const HELP: &str = "\
usage: java -cp <classPath> org.apache.zookeeper.server.SnapshotComparer
 -b,--bytes <BYTETHRESHOLD>   (Required) The node data delta size threshold, in bytes, for printing the node.
 -d,--debug                   Use debug output.
 -i,--interactive             Enter interactive mode.
 -l,--left <LEFT>             (Required) The left snapshot file.
 -n,--nodes <NODETHRESHOLD>   (Required) The descendant node delta size threshold, in nodes, for printing the node.
 -r,--right <RIGHT>           (Required) The right snapshot file.
";

/// Runs the tool.
pub(crate) fn run(words: &[String], settings: &Settings, console: &mut Console<'_>) -> Result<(), End> {
    let line = match parse(FLAGS, words) {
        Ok(line) => line,
        Err(complaint) => {
            writeln!(console.err, "{complaint}")?;
            console.out.write_all(HELP.as_bytes())?;
            return Err(End::Exit(INVALID_INVOCATION));
        }
    };
    let value = |letter| line.value(letter).expect("a required option has a value");
    let number = |letter| value(letter).parse::<i32>().map_err(|_| Thrown::no_number(value(letter)));
    let shown =
        Shown { bytes: number('b')?, znodes: number('n')?, debug: line.has('d'), asks: line.has('i') };
    writeln!(console.out, "Successfully parsed options!")?;
    let (left, right) = (java_path(value('l')), java_path(value('r')));
    let content = |file: &str| Ok::<_, End>((Instant::now(), read(file)?));
    let left_content = content(&left)?;
    let left = Side::of(&left_content, &left, settings, console)?;
    let right_content = content(&right)?;
    let right = Side::of(&right_content, &right, settings, console)?;
    left.print(console)?;
    right.print(console)?;
    let comparison = Comparison { left, right, shown };
    let compare = if shown.asks { Comparison::ask } else { Comparison::all };
    compare(&comparison, console)?;
    writeln!(console.out, "All layers compared.")?;
    Ok(())
}

/// What is to be shown.
#[derive(Clone, Copy, Debug)]
struct Shown {
    bytes: i32,
    znodes: i32,
    debug: bool,
    asks: bool,
}

/// A znode and all below it.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    bytes: i64,
    /// The znode itself does not count.
    znodes: i64,
}

/// One of two snapshots.
struct Side<'b> {
    image: Image<'b>,
    weights: Vec<Weight>,
    /// The znodes of each level, by path.
    levels: Vec<Vec<u32>>,
}

impl<'b> Side<'b> {
    fn of(
        (begun, content): &'b (Instant, zabd_storage::snapshot::Content),
        file: &str,
        settings: &Settings,
        console: &mut Console<'_>,
    ) -> Result<Self, End> {
        let image = Image::of(content, settings)?;
        let seconds = begun.elapsed().as_secs_f64();
        writeln!(console.out, "Deserialized snapshot in {} in {seconds:.6} seconds", file_name(file))?;
        let begun = Instant::now();
        let root = image
            .place("")
            .ok_or_else(|| Thrown::null_pointer("Cannot read field \"data\" because \"root\" is null"))?;
        let (weights, levels) = (weights(&image), levels(&image, root));
        let seconds = begun.elapsed().as_secs_f64();
        writeln!(console.out, "Processed data tree in {seconds:.6} seconds")?;
        Ok(Self { image, weights, levels })
    }

    fn print(&self, console: &mut Console<'_>) -> Result<(), End> {
        let count: usize = self.levels.iter().map(Vec::len).sum();
        let bytes = self.levels[0].first().map_or(0, |root| self.weights[*root as usize].bytes);
        writeln!(console.out, "Node count: {count}\nTotal size: {bytes}\nMax depth: {}", self.levels.len())?;
        for (depth, level) in self.levels.iter().enumerate() {
            writeln!(console.out, "Count of nodes at depth {depth}: {}", level.len())?;
        }
        writeln!(console.out)?;
        Ok(())
    }

    fn level(&self, depth: usize) -> &[u32] {
        self.levels.get(depth).map_or(&[], Vec::as_slice)
    }

    fn path(&self, place: u32) -> &str {
        &self.image.znode(place).path
    }

    fn weight(&self, place: u32) -> Weight {
        self.weights[place as usize]
    }

    /// The children of a znode by path, if there is such a znode.
    fn children(&self, path: &str) -> Option<Vec<u32>> {
        // The root has no name here.
        let place = self.image.place(path).filter(|_| path != "/")?;
        let mut children = self.image.znode(place).children.clone();
        sort(&self.image, &mut children);
        Some(children)
    }
}

fn sort(image: &Image<'_>, places: &mut [u32]) {
    places.sort_by(|one, other| compare_strings(&image.znode(*one).path, &image.znode(*other).path));
}

/// Of every znode. Children stand behind their parents, so from the back each one is whole when its parent takes it.
fn weights(image: &Image<'_>) -> Vec<Weight> {
    let mut weights = vec![Weight::default(); image.znodes.len()];
    for (place, znode) in image.znodes.iter().enumerate().rev() {
        let mut weight = Weight { bytes: znode.length() as i64, znodes: znode.children.len() as i64 };
        for child in &znode.children {
            let Weight { bytes, znodes } = weights[*child as usize];
            weight.bytes += bytes;
            weight.znodes += znodes;
        }
        weights[place] = weight;
    }
    weights
}

fn levels(image: &Image<'_>, root: u32) -> Vec<Vec<u32>> {
    let mut levels = vec![vec![root]];
    loop {
        let above = &levels[levels.len() - 1];
        let mut level: Vec<u32> =
            above.iter().flat_map(|place| &image.znode(*place).children).copied().collect();
        if level.is_empty() {
            return levels;
        }
        sort(image, &mut level);
        levels.push(level);
    }
}

struct Comparison<'b> {
    left: Side<'b>,
    right: Side<'b>,
    shown: Shown,
}

impl Comparison<'_> {
    fn depth(&self) -> usize {
        self.left.levels.len().max(self.right.levels.len())
    }

    fn announce(&self, console: &mut Console<'_>) -> Result<(), End> {
        let Shown { bytes, znodes, .. } = self.shown;
        writeln!(
            console.out,
            "Printing analysis for nodes difference larger than {bytes} bytes or node count difference larger than {znodes}."
        )?;
        Ok(())
    }

    fn all(&self, console: &mut Console<'_>) -> Result<(), End> {
        self.announce(console)?;
        (0..self.depth()).try_for_each(|depth| self.level(depth, console))
    }

    /// Until the last level was shown by pressing enter.
    fn ask(&self, console: &mut Console<'_>) -> Result<(), End> {
        let mut current = 0;
        while current < self.depth() {
            writeln!(
                console.out,
                "Current depth is {current}\n- Press enter to move to print current depth layer;\n- Type a number to jump to \
                 and print all nodes at a given depth;\n- Enter an ABSOLUTE path to print the immediate subtree of a node. \
                 Path must start with '/'."
            )?;
            let input = console.line()?;
            self.announce(console)?;
            let last = self.depth() - 1;
            if input.is_empty() {
                self.level(current, console)?;
                current += 1;
            } else if input.starts_with('/') {
                self.subtree(&input, console)?;
            } else if let Ok(depth) = input.parse::<i32>() {
                let Some(depth) = usize::try_from(depth).ok().filter(|depth| *depth <= last) else {
                    writeln!(console.out, "Depth must be in range [0, {last}]")?;
                    continue;
                };
                current = depth;
                self.level(current, console)?;
            } else {
                writeln!(
                    console.out,
                    "Input {input} is not valid. Depth must be in range [0, {last}]. Path must be an absolute path which \
                     starts with '/'."
                )?;
            }
            writeln!(console.out)?;
        }
        Ok(())
    }

    fn level(&self, depth: usize, console: &mut Console<'_>) -> Result<(), End> {
        writeln!(console.out, "Analysis for depth {depth}")?;
        self.znodes(self.left.level(depth), self.right.level(depth), console)
    }

    fn subtree(&self, path: &str, console: &mut Console<'_>) -> Result<(), End> {
        writeln!(console.out, "Analysis for node {path}")?;
        match (self.left.children(path), self.right.children(path)) {
            (None, None) => {
                writeln!(console.out, "Path {path} is neither found in left tree nor right tree.")?;
                Ok(())
            }
            (left, right) => self.znodes(&left.unwrap_or_default(), &right.unwrap_or_default(), console),
        }
    }

    /// Two lists by path, side by side.
    fn znodes(&self, mut left: &[u32], mut right: &[u32], console: &mut Console<'_>) -> Result<(), End> {
        loop {
            let order = match (left.first(), right.first()) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => self.order(*one, *other, console)?,
            };
            if order == Ordering::Equal {
                self.both(left[0], right[0], console)?;
            } else {
                let (side, name, place) = if order.is_lt() {
                    (&self.left, "left", left[0])
                } else {
                    (&self.right, "right", right[0])
                };
                self.one(side, name, place, console)?;
            }
            left = &left[usize::from(order.is_le())..];
            right = &right[usize::from(order.is_ge())..];
        }
    }

    fn order(&self, left: u32, right: u32, console: &mut Console<'_>) -> Result<Ordering, End> {
        let (left, right) = (self.left.path(left), self.right.path(right));
        let order = compare_strings(left, right);
        if self.shown.debug {
            let what = match order {
                Ordering::Less => "left is less",
                Ordering::Greater => "right is less",
                Ordering::Equal => "same",
            };
            writeln!(console.out, "Comparing {left} to {right}\n{what}")?;
        }
        Ok(order)
    }

    fn is_shown(&self, bytes: i64, znodes: i64) -> bool {
        bytes > self.shown.bytes.into() || znodes > self.shown.znodes.into()
    }

    fn one(&self, side: &Side<'_>, name: &str, place: u32, console: &mut Console<'_>) -> Result<(), End> {
        let (path, Weight { bytes, znodes }) = (side.path(place), side.weight(place));
        if self.is_shown(bytes, znodes) {
            writeln!(
                console.out,
                "Node {path} found only in {name} tree. Descendant size: {bytes}. Descendant count: {znodes}"
            )?;
        } else if self.shown.debug || self.shown.asks {
            writeln!(console.out, "Filtered {name} node {path} of size {bytes}")?;
        }
        Ok(())
    }

    fn both(&self, left: u32, right: u32, console: &mut Console<'_>) -> Result<(), End> {
        let path = self.left.path(left);
        let (left, right) = (self.left.weight(left), self.right.weight(right));
        let (bytes, znodes) = (right.bytes - left.bytes, right.znodes - left.znodes);
        if self.is_shown(bytes.abs(), znodes.abs()) {
            writeln!(
                console.out,
                "Node {path} found in both trees. Delta: {bytes} bytes, {znodes} descendants"
            )?;
        } else if self.shown.debug || self.shown.asks {
            writeln!(
                console.out,
                "Filtered node {path} of left size {}, right size {}",
                left.bytes, right.bytes
            )?;
        }
        Ok(())
    }
}
