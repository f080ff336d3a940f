//! The variables of ZooKeeper's own scripts, which every image but Confluent's starts the server by: no image's own, and known in all.

/// Each with what comes of it.
pub(super) const VARIABLES: &[(&str, &str)] = &[
    ("JVMFLAGS", "read for `-D` words"),
    ("SERVER_JVMFLAGS", "read for `-D` words, the weakest source there is"),
    ("CLIENT_JVMFLAGS", "read for `-D` words by `zkCli.sh`"),
    ("ZOOCFGDIR", "where `zkServer.sh`, `zkCleanup.sh` and `zkServer-initialize.sh` look for zoo.cfg"),
    ("ZOOCFG", "the name of zoo.cfg there"),
    ("ZOO_DATADIR_AUTOCREATE_DISABLE", "`zkServer.sh` makes no directories"),
    ("ZOOPIDFILE", "where `zkServer.sh start` leaves the number of the process"),
    ("ZOO_LOG_DIR", "where `zkServer.sh start` leaves what the server says"),
    ("JMXDISABLE", "what `zkServer.sh` says of JMX, which zabd does not have"),
    ("JMXPORT", "nothing: zabd has no JMX"),
    ("JMXHOSTNAME", "nothing: zabd has no JMX"),
    ("JMXAUTH", "nothing: zabd has no JMX"),
    ("JMXSSL", "nothing: zabd has no JMX"),
    ("JMXLOCALONLY", "nothing: zabd has no JMX"),
    ("JMXLOG4J", "nothing: zabd has no JMX"),
    ("ZOO_LOG_FILE", "nothing: log lines go to standard output"),
    ("ZK_SERVER_HEAP", "nothing: zabd has no heap to be set"),
    ("ZK_CLIENT_HEAP", "nothing: zabd has no heap to be set"),
    ("JAVA_HOME", "nothing: zabd has no Java"),
    ("CLASSPATH", "nothing: zabd has no Java"),
    ("ZOOMAIN", "nothing: zabd has no Java"),
    ("ZOO_NOEXEC", "nothing: there is never a shell around the server"),
    ("ZOOKEEPER_PREFIX", "nothing: everything is in one file"),
];

/// Whether the scripts read it.
pub(super) fn read(name: &str) -> bool {
    VARIABLES.iter().any(|(each, _)| *each == name)
}
