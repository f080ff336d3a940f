//! A comparison as text for a terminal, as Markdown for `docs/performance.md`, and as JSON for machines.

use std::fmt::Write as _;

use serde::Serialize;

use crate::compare::row::{Cell, Row, RowId, Unit, Verdict};

/// The machine that a comparison ran on.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// As Linux names it.
    pub cpu: String,
    /// How many there are.
    pub cores: usize,
    /// Linux's release.
    pub kernel: String,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or_else(|| "unknown".to_owned(), |(_, name)| name.to_owned());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { cpu, cores, kernel: read("/proc/sys/kernel/osrelease").trim().to_owned() }
    }
}

fn figure(cell: &Cell, unit: Unit) -> String {
    cell.value.map_or_else(|| "–".to_owned(), |value| unit.show(value))
}

fn verdict(row: &Row) -> &'static str {
    match row.verdict() {
        Verdict::Pass => "pass",
        Verdict::Fail => "FAIL",
        Verdict::Open => "",
    }
}

/// Columns: work, Java, zabd, ratio, target, verdict.
fn columns(row: &Row) -> [String; 6] {
    let ratio = row.ratio().map_or_else(String::new, |ratio| format!("{ratio:.2}"));
    let (java, zabd) = (figure(&row.java, row.unit), figure(&row.zabd, row.unit));
    [row.work.clone(), java, zabd, ratio, row.goal_text(), verdict(row).to_owned()]
}

const HEADINGS: [&str; 6] = ["work", "Java", "zabd", "zabd / Java", "target", ""];

/// A table with aligned columns, then per row what else is known.
pub fn text(rows: &[Row]) -> String {
    let table: Vec<[String; 6]> =
        std::iter::once(HEADINGS.map(str::to_owned)).chain(rows.iter().map(columns)).collect();
    let width = |column: usize| table.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut text = String::new();
    for line in &table {
        for (column, width) in line.iter().zip(widths) {
            let _ = write!(text, "{column:width$}  ");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    for row in rows {
        for (name, cell) in [("Java", &row.java), ("zabd", &row.zabd)] {
            let details = details(cell, row.unit);
            if !details.is_empty() {
                let _ = write!(text, "\n{}, {name}: {details}", row.work);
            }
        }
    }
    text.push('\n');
    text
}

fn details(cell: &Cell, unit: Unit) -> String {
    let mut parts = Vec::new();
    if let Some(per_second) = cell.per_second {
        parts.push(format!("{:.1} k/s", per_second / 1e3));
    }
    if let Some([p50, p99, p999]) = cell.percentiles_us {
        let show = |us| Unit::Microseconds.show(us);
        parts.push(format!("p50 {}, p99 {}, p99.9 {}", show(p50), show(p99), show(p999)));
    }
    if 1 < cell.rounds.len() {
        let rounds: Vec<String> = cell.rounds.iter().map(|&round| unit.show(round)).collect();
        parts.push(format!("rounds {}", rounds.join(", ")));
    }
    if !cell.note.is_empty() {
        parts.push(cell.note.clone());
    }
    parts.join("; ")
}

fn markdown_table(rows: &[&Row]) -> String {
    let mut text = format!("| {} |\n|{}\n", HEADINGS.join(" | "), " --- |".repeat(HEADINGS.len()));
    for row in rows {
        let _ = writeln!(text, "| {} |", columns(row).join(" | "));
    }
    text
}

/// The tables of `docs/performance.md`: what has to be reached, how cost grows, and the percentiles.
pub fn markdown(rows: &[Row], machine: &Machine) -> String {
    let is_scale = |row: &&Row| RowId::SCALE.contains(&row.id);
    let (scale, table): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(is_scale);
    let mut text = format!("{} × {}, Linux {}.\n", machine.cores, machine.cpu, machine.kernel);
    for part in [table, scale].iter().filter(|part| !part.is_empty()) {
        let _ = write!(text, "\n{}", markdown_table(part));
    }
    let _ = write!(text, "\n| work | server | throughput | p50 | p99 | p99.9 | |\n|{}\n", " --- |".repeat(7));
    for row in rows {
        for (name, cell) in [("Java", &row.java), ("zabd", &row.zabd)] {
            let per_second = cell.per_second.map(|it| format!("{:.1} k/s", it / 1e3)).unwrap_or_default();
            let shown = cell.percentiles_us.map(|three| three.map(|us| Unit::Microseconds.show(us)));
            let [p50, p99, p999] = shown.unwrap_or_default();
            if cell.percentiles_us.is_some() || !cell.note.is_empty() {
                let note = cell.note.replace('\n', " ").replace('|', "/");
                let work = &row.work;
                let _ =
                    writeln!(text, "| {work} | {name} | {per_second} | {p50} | {p99} | {p999} | {note} |");
            }
        }
    }
    text
}

/// Everything, for machines.
pub fn json(rows: &[Row], machine: &Machine) -> String {
    #[derive(Serialize)]
    struct Judged<'r> {
        #[serde(flatten)]
        row: &'r Row,
        ratio: Option<f64>,
        verdict: Verdict,
    }
    #[derive(Serialize)]
    struct Report<'r> {
        machine: &'r Machine,
        rows: Vec<Judged<'r>>,
    }
    let judge = |row| Judged { row, ratio: row.ratio(), verdict: row.verdict() };
    let report = Report { machine, rows: rows.iter().map(judge).collect() };
    serde_json::to_string_pretty(&report).expect("figures and names are representable")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::row::Goal;

    fn example() -> Vec<Row> {
        let mut row = Row::new(RowId::Get, "get", Unit::PerCpuSecond, Goal::TimesJava(4.0));
        row.java = Cell::of(36_000.0);
        row.zabd = Cell { per_second: Some(1e5), ..Cell::of(180_000.0) };
        let mut missing = Row::new(RowId::ScaleZnodes, "get, many", Unit::PerCpuSecond, Goal::None);
        missing.java = Cell::missing("no Java | here");
        vec![row, missing]
    }

    #[test]
    fn text_has_a_line_per_row_and_its_details() {
        let text = text(&example());
        let line = text.lines().nth(1).unwrap();
        assert_eq!(
            line.split_whitespace().collect::<Vec<_>>().join(" "),
            "get 36 k 180 k 5.00 ≥ 4 × Java pass"
        );
        assert!(text.contains("get, zabd: 100.0 k/s"), "{text}");
        assert!(text.contains("no Java | here"), "{text}");
    }

    #[test]
    fn markdown_separates_targets_from_scaling() {
        let machine = Machine { cpu: "Example".to_owned(), cores: 2, kernel: "6".to_owned() };
        let text = markdown(&example(), &machine);
        assert!(text.contains("| get | 36 k | 180 k | 5.00 | ≥ 4 × Java | pass |"), "{text}");
        assert!(text.contains("| get, many | – | – |  |  |  |"), "{text}");
        assert!(text.contains("no Java / here"), "{text}");
    }

    #[test]
    fn json_carries_verdicts() {
        let text = json(&example(), &Machine::this());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["rows"][0]["verdict"], "pass");
        assert_eq!(value["rows"][0]["id"], "get");
        assert_eq!(value["rows"][1]["verdict"], "open");
    }
}
