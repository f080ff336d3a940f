//! The command line of the load generator: `zabd-bench load | fan-out | sessions | fill | disk | compare`.
//!
//! Every command but `compare` works against any ZooKeeper server that is already running; with `--pid`
//! it also says what the server's process spent.

use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use zabd_benches::compare::row::{RowId, Verdict};
use zabd_benches::compare::{self, Effort, Request, report};
use zabd_benches::connection::Target;
use zabd_benches::fan_out::{self, FanOutPlan, WatchMode};
use zabd_benches::latency::Latencies;
use zabd_benches::load::{self, Demand, LoadPlan, Stream};
use zabd_benches::new_sessions::{self, NewSessionsPlan};
use zabd_benches::process::{Process, raise_open_files};
use zabd_benches::server::{Kind, Launcher, debian_class_path};
use zabd_benches::workload::{Keyspace, Mix};
use zabd_benches::{disk_probe, prefill};

#[derive(Parser)]
#[command(name = "zabd-bench", about = "Load for any ZooKeeper server, and a comparison of zabd with Java's")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Gets, sets, creates, …: as fast as they are answered, or at a rate
    Load(LoadArgs),
    /// Many sessions watch one znode that changes
    FanOut(FanOutArgs),
    /// Sessions are opened and closed
    Sessions(SessionsArgs),
    /// Creates znodes for the other commands
    Fill(FillArgs),
    /// A small write and fdatasync in a folder, again and again
    Disk(DiskArgs),
    /// zabd and Java ZooKeeper, started here, side by side
    Compare(CompareArgs),
}

#[derive(Args)]
struct ServerArgs {
    /// The server's client port
    #[arg(long, default_value = "127.0.0.1:2181")]
    server: String,
    /// The server's process, or those of an ensemble, for their CPU time and memory
    #[arg(long, value_delimiter = ',')]
    pid: Vec<u32>,
    /// Seconds of load before the measurement
    #[arg(long, default_value_t = 2.0)]
    warm_up: f64,
    /// Seconds of measurement
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

#[derive(Args)]
struct KeyspaceArgs {
    /// Prefilled znodes
    #[arg(long, default_value_t = 10_000)]
    znodes: u64,
    /// How many of them share a parent
    #[arg(long, default_value_t = 1000)]
    per_parent: u64,
    /// Bytes of a value
    #[arg(long, default_value_t = 100)]
    value_bytes: usize,
}

#[derive(Args)]
struct LoadArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    keyspace: KeyspaceArgs,
    /// `get`, `set`, `create`, `exists`, `swap`, `ping`, or a mix such as `get=90,set=10`
    #[arg(long, default_value = "get")]
    op: String,
    /// Sessions
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Closed loop: requests outstanding per connection
    #[arg(long, default_value_t = 1)]
    outstanding: usize,
    /// Open loop: requests per second in all; replaces `--outstanding`
    #[arg(long)]
    rate: Option<f64>,
    /// Threads of the generator
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Creates the znodes first, if they are missing
    #[arg(long)]
    fill: bool,
}

#[derive(Args)]
struct FanOutArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Sessions that watch
    #[arg(long, default_value_t = 10_000)]
    watchers: usize,
    /// How they watch
    #[arg(long, value_enum, default_value = "persistent")]
    mode: WatchMode,
}

#[derive(Args)]
struct SessionsArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Sessions under way at once
    #[arg(long, default_value_t = 32)]
    concurrency: usize,
    /// Ephemeral znodes that each creates before it is closed
    #[arg(long, default_value_t = 0)]
    ephemerals: usize,
}

#[derive(Args)]
struct FillArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    keyspace: KeyspaceArgs,
}

#[derive(Args)]
struct DiskArgs {
    /// A folder on the disk in question
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Seconds of measurement
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
}

#[derive(Args)]
struct CompareArgs {
    /// Rows to measure; the table of targets if none is named
    #[arg(long, value_enum, value_delimiter = ',')]
    rows: Vec<RowId>,
    /// Adds the rows that show how cost grows
    #[arg(long)]
    scale: bool,
    /// Only the rows of an ensemble of three servers
    #[arg(long, conflicts_with_all = ["rows", "scale"])]
    ensemble: bool,
    /// Small and short: shows that it works, not how fast
    #[arg(long)]
    quick: bool,
    /// Rounds per server
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of load before a server's first window; 0 shows a Java that has compiled nothing yet
    #[arg(long)]
    first_warm_up: Option<f64>,
    /// Minutes after which no further row begins
    #[arg(long)]
    minutes: Option<f64>,
    /// One server only
    #[arg(long, value_enum)]
    only: Option<Kind>,
    /// zabd's binary
    #[arg(long, default_value = "target/release/zabd")]
    zabd: PathBuf,
    /// The `java` command
    #[arg(long, default_value = "java")]
    java: PathBuf,
    /// Java ZooKeeper's class path
    #[arg(long, default_value_t = debian_class_path())]
    class_path: String,
    /// Flags of the Java machine
    #[arg(long, default_value = "-Xmx4g", allow_hyphen_values = true)]
    java_flags: String,
    /// Where data directories are made and removed again: on the disk that is to be measured
    #[arg(long, default_value = "target/bench-data")]
    folder: PathBuf,
    /// Servers listen on the first free port from here on
    #[arg(long, default_value_t = 23_100)]
    port: u16,
    /// Threads of the generator
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Prints JSON
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Prints the tables of docs/performance.md
    #[arg(long)]
    markdown: bool,
    /// Writes the JSON to a file as well
    #[arg(long)]
    json_file: Option<PathBuf>,
}

impl ServerArgs {
    fn target(&self) -> anyhow::Result<Target> {
        let mut addresses = self.server.to_socket_addrs()?;
        let address: Option<SocketAddr> = addresses.find(SocketAddr::is_ipv4);
        let address = address.ok_or_else(|| anyhow::anyhow!("`{}` has no IPv4 address", self.server))?;
        Ok(Target { sources: 64, ..Target::new(address) })
    }

    fn processes(&self) -> anyhow::Result<Vec<Process>> {
        Ok(self.pid.iter().map(|pid| Process::new(*pid)).collect::<Result<_, _>>()?)
    }

    fn window(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    fn warm_up(&self) -> Duration {
        Duration::from_secs_f64(self.warm_up)
    }
}

impl KeyspaceArgs {
    fn keyspace(&self) -> Keyspace {
        Keyspace { znodes: self.znodes, per_parent: self.per_parent.max(1) }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    match Cli::parse().command {
        Command::Load(args) => run_load(&args, &mut out),
        Command::FanOut(args) => run_fan_out(&args, &mut out),
        Command::Sessions(args) => run_sessions(&args, &mut out),
        Command::Fill(args) => {
            let keyspace = args.keyspace.keyspace();
            Ok(prefill::fill(&args.server.target()?, &keyspace, args.keyspace.value_bytes)?)
        }
        Command::Disk(args) => {
            let latencies = disk_probe::run(&args.folder, Duration::from_secs_f64(args.seconds))?;
            print_latencies(&mut out, "write + fdatasync", &latencies)
        }
        Command::Compare(args) => return run_compare(args, &mut out),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn print_latencies(out: &mut impl Write, what: &str, latencies: &Latencies) -> anyhow::Result<()> {
    let [p50, p99, p999, max] = [0.5, 0.99, 0.999, 1.0].map(|quantile| latencies.quantile_us(quantile));
    let count = latencies.count();
    writeln!(
        out,
        "{what}: {count} times, p50 {p50:.0} µs, p99 {p99:.0} µs, p99.9 {p999:.0} µs, max {max:.0} µs"
    )?;
    Ok(())
}

fn print_cost(out: &mut impl Write, count: u64, window: Duration, cpu: Duration) -> anyhow::Result<()> {
    writeln!(out, "{:.0} per second ({count} in {window:.2?})", count as f64 / window.as_secs_f64())?;
    if !cpu.is_zero() {
        let per_cpu_second = count as f64 / cpu.as_secs_f64();
        writeln!(out, "{per_cpu_second:.0} per server CPU second ({cpu:.2?} of CPU)")?;
    }
    Ok(())
}

fn run_load(args: &LoadArgs, out: &mut impl Write) -> anyhow::Result<()> {
    raise_open_files()?;
    let target = args.server.target()?;
    let keyspace = args.keyspace.keyspace();
    if args.fill {
        prefill::fill(&target, &keyspace, args.keyspace.value_bytes)?;
    }
    let mix: Mix = args.op.parse().map_err(anyhow::Error::msg)?;
    let demand = match args.rate {
        Some(per_second) => Demand::Open { per_second },
        None => Demand::Closed { outstanding: args.outstanding.max(1) },
    };
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let plan = LoadPlan {
        target,
        streams: vec![Stream { connections: args.connections, mix, demand, keep_timeline: false }],
        keyspace,
        value_bytes: args.keyspace.value_bytes,
        threads: args.threads.max(1),
        warm_up: args.server.warm_up(),
        window_max: args.server.window(),
        replies_max: None,
        run: since_1970.as_millis() as u64 % 1_000_000_000_000,
    };
    let report = load::run(&plan, &args.server.processes()?)?;
    print_cost(out, report.replies(), report.window, report.cpu)?;
    let generator = report.generator_cpu.as_secs_f64() / report.window.as_secs_f64();
    writeln!(out, "the generator used {:.0} % of a core", generator * 100.0)?;
    for (op, latencies) in report.streams.iter().flat_map(|stream| &stream.latencies) {
        let name = format!("{op:?}").to_lowercase();
        print_latencies(out, &name, latencies)?;
        if matches!(demand, Demand::Closed { .. }) {
            let slots = (args.connections * args.outstanding.max(1)) as f64;
            let interval_ns = report.window.as_nanos() as f64 * slots / report.replies().max(1) as f64;
            let corrected = latencies.corrected(interval_ns as u64);
            print_latencies(out, &format!("{name}, corrected for coordinated omission"), &corrected)?;
        }
    }
    if 0 < report.usage.rss_bytes {
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let (now, peak) = (mebibytes(report.usage.rss_bytes), mebibytes(report.usage.rss_peak_bytes));
        writeln!(out, "server RSS {now:.1} MiB, at most {peak:.1} MiB")?;
    }
    let unanswered: u64 = report.streams.iter().map(|stream| stream.unanswered).sum();
    if 0 < unanswered {
        writeln!(out, "{unanswered} requests were never answered")?;
    }
    Ok(report.check()?)
}

fn run_fan_out(args: &FanOutArgs, out: &mut impl Write) -> anyhow::Result<()> {
    raise_open_files()?;
    let target = args.server.target()?;
    prefill::fill(&target, &Keyspace::spread(0), 0)?;
    let plan = FanOutPlan {
        target,
        watchers: args.watchers,
        mode: args.mode,
        warm_up_rounds: 3,
        firing_max: args.server.window(),
        value_bytes: 100,
    };
    let report = fan_out::run(&plan, &args.server.processes()?)?;
    print_cost(out, report.notifications, report.firing, report.cpu)?;
    print_latencies(out, "notification", &report.latencies)
}

fn run_sessions(args: &SessionsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let plan = NewSessionsPlan {
        target: args.server.target()?,
        concurrency: args.concurrency,
        warm_up: args.server.warm_up(),
        window: args.server.window(),
        ephemerals: args.ephemerals,
    };
    let report = new_sessions::run(&plan, &args.server.processes()?)?;
    print_cost(out, report.sessions, report.window, report.cpu)?;
    print_latencies(out, "connect to session", &report.latencies)
}

/// Exit code 1 if a row misses its target.
fn run_compare(args: CompareArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let mut rows = args.rows;
    if args.ensemble {
        rows.extend(RowId::ENSEMBLE);
    } else if rows.is_empty() {
        rows.extend(RowId::TABLE);
    }
    if args.scale {
        rows.extend(RowId::SCALE);
    }
    let mut effort = if args.quick { Effort::quick() } else { Effort::full() };
    effort.rounds = args.rounds.unwrap_or(effort.rounds).max(1);
    if let Some(minutes) = args.minutes {
        effort.budget = Duration::from_secs_f64(minutes * 60.0);
    }
    if let Some(seconds) = args.first_warm_up {
        effort.warm_up_first = Duration::from_secs_f64(seconds);
    }
    let launcher = Launcher {
        // Servers are started in their own folders, where a relative path leads nowhere.
        zabd: std::path::absolute(args.zabd)?,
        java: args.java,
        class_path: args.class_path,
        java_flags: args.java_flags.split_whitespace().map(str::to_owned).collect(),
        port_first: args.port,
    };
    let kinds = args.only.map_or_else(|| vec![Kind::Java, Kind::Zabd], |kind| vec![kind]);
    let request =
        Request { launcher, folder: args.folder, kinds, rows, effort, threads: args.threads.max(1) };
    let rows = compare::run(request)?;
    let machine = report::Machine::this();
    let json = report::json(&rows, &machine);
    if let Some(path) = args.json_file {
        std::fs::write(path, &json)?;
    }
    let shown = match (args.json, args.markdown) {
        (true, _) => json,
        (_, true) => report::markdown(&rows, &machine),
        _ => report::text(&rows),
    };
    writeln!(out, "{}", shown.trim_end())?;
    let failed = rows.iter().filter(|row| row.verdict() == Verdict::Fail).count();
    if failed == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("{failed} rows miss their target");
    Ok(ExitCode::FAILURE)
}
