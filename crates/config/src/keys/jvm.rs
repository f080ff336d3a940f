//! Keys that describe the inside of the Java server. zabd has another inside.

use super::Section;
use crate::draft::Draft;
use crate::java_number;
use crate::key::{Class, Key, Problem, Raw, Verdict, ignored_bool, ignored_number};

const THREADS: &str = "zabd has no such threads";
const BUFFERS: &str = "zabd manages its buffers and caches itself";
const WATCHES: &str = "zabd has one kind of watch table, which needs no cleaner";
const PAUSES: &str = "zabd has no garbage collector that could pause it";
const SHUTDOWN: &str = "zabd answers what it has accepted and then stops";
const NO_JMX: &str = "zabd has no JMX";
const NOT_KEPT: &str = "zabd does not keep these statistics";
/// What is said of all that Java's logging reads.
pub(crate) const STDOUT: &str =
    "zabd logs to stdout, at the level `zabd.log.level` and in the shape `zabd.log.format`";

const AUDIT: &str = "with `audit.enable=true` zabd writes lines of the audit log to stdout, among the others and under the name \
                     `Slf4jAuditLogger`; how a file of their own is made of them is in docs/operating.md, under Audit log";

/// A property that only the Java server understands.
const fn java(name: &'static str, default: &'static str, example: &'static str, why: &'static str) -> Key {
    Key::prefixed(name, default, example).class(Class::C).no_effect(why)
}

/// A property that Java's logging library reads.
const fn logging(name: &'static str, default: &'static str, example: &'static str) -> Key {
    Key::bare(name, default, example).class(Class::C).no_effect(STDOUT)
}

pub(super) const SECTION: Section = Section {
    title: "Details of the Java server",
    intro: "Accepted, so that a configuration can be taken over as it is, with one warning each time a server starts.",
    keys: &[
        java("commitProcessor.numWorkerThreads", "number of cores", "4", THREADS)
            .doc("Threads that answer reads."),
        java("commitProcessor.maxReadBatchSize", "-1", "32", THREADS).doc("Reads between two commits."),
        java("commitProcessor.maxCommitBatchSize", "1", "8", THREADS).doc("Commits between two reads."),
        java("commitProcessor.shutdownTimeout", "5000", "1000", SHUTDOWN)
            .unit("milliseconds")
            .doc("Time to finish."),
        java("nio.numSelectorThreads", "by cores", "2", THREADS).doc("Threads that wait for sockets."),
        java("nio.numWorkerThreads", "by cores", "8", THREADS).doc("Threads that serve them."),
        java("nio.directBufferBytes", "65536", "0", BUFFERS)
            .unit("bytes")
            .doc("Send buffer of such a thread."),
        java("nio.shutdownTimeout", "5000", "1000", SHUTDOWN).unit("milliseconds").doc("Time to finish."),
        java("request_throttler.shutdownTimeout", "10000", "1000", SHUTDOWN)
            .unit("milliseconds")
            .doc("Time to finish."),
        java("netty.advancedFlowControl.enabled", "false", "true", BUFFERS)
            .aliases(&["advancedFlowControlEnabled"])
            .doc("Netty reads a socket only as fast as it is served."),
        java("intBufferStartingSizeBytes", "1024", "4096", BUFFERS)
            .unit("bytes")
            .doc("First size of a buffer.")
            .custom(first_buffer),
        java("watchManagerName", "org.apache.zookeeper.server.watch.WatchManager", OPTIMIZED, WATCHES)
            .doc("Class of the watch table.")
            .custom(|_, raw| {
                super::known_class(raw, &["org.apache.zookeeper.server.watch.WatchManager", OPTIMIZED])
            }),
        java("watcherCleanThreadsNum", "2", "1", WATCHES).doc("Threads that remove dead watchers."),
        java("watcherCleanThreshold", "1000", "100", WATCHES).doc("Dead watchers per round."),
        java("watcherCleanIntervalInSeconds", "600", "60", WATCHES)
            .unit("seconds")
            .doc("Pause between rounds."),
        java("maxInProcessingDeadWatchers", "-1", "1000", WATCHES).doc("Dead watchers that may wait."),
        java("bitHashCacheSize", "10", "20", WATCHES).doc("Cache of the optimized table."),
        Key::file("jvm.pause.monitor", "false", "true")
            .class(Class::C)
            .doc("Watch for pauses of the JVM.")
            .no_effect(PAUSES)
            .strict_bool(ignored_bool),
        Key::file("jvm.pause.info-threshold.ms", "1000", "500")
            .unit("milliseconds")
            .class(Class::C)
            .doc("Pause that is worth a line.")
            .no_effect(PAUSES)
            .long(i64::MIN, ignored_number),
        Key::file("jvm.pause.warn-threshold.ms", "10000", "5000")
            .unit("milliseconds")
            .class(Class::C)
            .doc("Pause that is worth a warning.")
            .no_effect(PAUSES)
            .long(i64::MIN, ignored_number),
        Key::file("jvm.pause.sleep.time.ms", "500", "100")
            .unit("milliseconds")
            .class(Class::C)
            .doc("Pause between two looks.")
            .no_effect(PAUSES)
            .long(i64::MIN, ignored_number),
        java("pathStats.enabled", "false", "true", NOT_KEPT).doc("Count requests by path."),
        java("pathStats.slotCapacity", "60", "30", NOT_KEPT).doc("Slots kept."),
        java("pathStats.slotDuration", "15", "30", NOT_KEPT).unit("seconds").doc("Length of a slot."),
        java("pathStats.maxDepth", "6", "3", NOT_KEPT).doc("Depth of the paths."),
        java("pathStats.sampleRate", "0.1", "0.5", NOT_KEPT).doc("Share of the requests looked at."),
        java("pathStats.initialDelay", "5", "1", NOT_KEPT).unit("minutes").doc("Before the first report."),
        java("pathStats.delay", "5", "1", NOT_KEPT).unit("minutes").doc("Between reports."),
        java("pathStats.topPathMax", "20", "10", NOT_KEPT).doc("Paths in a report."),
        java("messageTracker.Enabled", "false", "true", NOT_KEPT)
            .doc("Remember the last packets of a learner."),
        java("messageTracker.BufferSize", "10", "20", NOT_KEPT).doc("How many."),
        java(
            "controllerPort",
            "none",
            "9999",
            "the fault-injection endpoint is for tests of the Java server",
        )
        .doc("Port for faults to inject."),
        java("jmx.log4j.disable", "false", "true", NO_JMX).doc("No logging bean."),
        java("jmx.log4j.mbean", "log4j:hierarchy=default", "log4j:name=x", NO_JMX)
            .doc("Name of the logging bean."),
        logging("logback.configurationFile", "logback.xml", "/conf/logback.xml")
            .doc("Configuration of Java's logging; releases before 3.8 read the next one."),
        logging("log4j.configuration", "log4j.properties", "file:/conf/log4j.properties")
            .aliases(&["log4j.configurationFile", "log4j2.configurationFile"])
            .doc("The same of Log4j."),
        java("log.dir", ".", "/var/log/zookeeper", STDOUT).doc("Directory of the log file."),
        java("log.file", "zookeeper.log", "zk.log", STDOUT).doc("Name of the log file."),
        java("log.threshold", "INFO", "DEBUG", STDOUT).doc("Level of the log file."),
        java("log.maxfilesize", "256MB", "10MB", STDOUT).doc("Size at which the log file rolls."),
        java("log.maxbackupindex", "20", "5", STDOUT).doc("Old log files kept."),
        java("tracelog.dir", ".", "/var/log/zookeeper", STDOUT).doc("Directory of a file for all levels."),
        java("tracelog.file", "zookeeper_trace.log", "trace.log", STDOUT).doc("Its name."),
        java("auditlog.file", "zookeeper_audit.log", "audit.log", AUDIT).doc("Name of the audit log's file."),
        java("auditlog.threshold", "INFO", "ERROR", AUDIT)
            .doc("Its level: successes are `INFO`, failures `ERROR`."),
        Key::bare("audit.logger", "INFO, RFAAUDIT", "INFO, CONSOLE")
            .class(Class::C)
            .doc("Its level and appenders.")
            .no_effect(AUDIT),
    ],
};

const OPTIMIZED: &str = "org.apache.zookeeper.server.watch.WatchManagerOptimized";

const FIRST_BUFFER_BYTES_MIN: i32 = 32;

/// Java ends its start with less, and takes what is no number for unset.
fn first_buffer(_: &mut Draft, raw: &Raw<'_>) -> Verdict {
    let number = java_number::decode(raw.value).and_then(|number| i32::try_from(number).ok());
    if number.is_some_and(|number| number < FIRST_BUFFER_BYTES_MIN) {
        return Err(Problem::value(format!("must be at least {FIRST_BUFFER_BYTES_MIN}")));
    }
    Ok(None)
}
