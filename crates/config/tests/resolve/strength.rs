//! Which word counts where Java reads one of two, and zabd both.

use crate::{World, warnings};
use zabd_config::Sources;

/// Whoever comes from Java has lived with what Java reads.
#[test]
fn what_java_reads_counts_beside_what_it_does_not_read() {
    let resolve = |words: &str, lines: &str| {
        let text = format!("dataDir=/data\nclientPort=2181\n{lines}\n");
        let sources = Sources::new().jvm_flags("JVMFLAGS", words).file("zoo.cfg", text.as_bytes());
        World::default().resolve(sources).unwrap()
    };
    let read = |words, lines| resolve(words, lines).jute_max_buffer_bytes;
    let dead = "jute.maxbuffer=1000000";
    assert_eq!(read("-Djute.maxbuffer=4000000", dead), 4_000_000);
    assert_eq!(read("-Djute.maxbuffer=4000000", "zookeeper.jute.maxbuffer=1000000"), 4_000_000);
    assert_eq!(read("-Djute.maxbuffer=4000000 -Dzookeeper.jute.maxbuffer=5000000", ""), 4_000_000);
    assert_eq!(read("-Dzookeeper.jute.maxbuffer=5000000 -Djute.maxbuffer=4000000", ""), 4_000_000);
    // Among those that Java does not read, and among those that it reads, the last word.
    assert_eq!(read("-Dzookeeper.jute.maxbuffer=5000000", dead), 1_000_000);
    assert_eq!(read("-Djute.maxbuffer=4000000 -Djute.maxbuffer=3000000", ""), 3_000_000);
    assert_eq!(read("", dead), 1_000_000);
    let config = resolve("-Djute.maxbuffer=4000000", dead);
    assert_eq!(
        warnings(&config),
        [
            "zoo.cfg:3: jute.maxbuffer=1000000 does not count beside JVMFLAGS -Djute.maxbuffer, as Java does not read it \
          here: jute.maxbuffer is 4000000; hint: remove one of them"
        ]
    );
    assert_eq!(warnings(&resolve("-Djute.maxbuffer=1000000", dead)), Vec::<String>::new());

    let config = resolve(
        "-Dreadonlymode.enabled=true -Dznode.container.checkIntervalMs=7000",
        "readonlymode.enabled=false\nznode.container.checkIntervalMs=9",
    );
    assert!(config.read_only_mode);
    assert_eq!((config.container.check_interval_ms, warnings(&config).len()), (7000, 2));

    let snap_count = |words, lines| resolve(words, lines).snap_count;
    assert_eq!(snap_count("-Dzookeeper.snapCount=11 -DsnapCount=55", ""), 11);
    assert_eq!(snap_count("-DsnapCount=55 -Dzookeeper.snapCount=11", ""), 11);
    assert_eq!(snap_count("-Dzookeeper.snapCount=11", "snapCount=55"), 55);
    assert_eq!(resolve("-DtickTime=1000", "").tick_time_ms, 1000);
    assert_eq!(resolve("-Dzookeeper.tickTime=1000 -DtickTime=1500", "tickTime=3000").tick_time_ms, 3000);
    assert_eq!(
        resolve("-Dzookeeper.connection_throttle_tokens=5 -Dzookeeper.connectionMaxTokens=6", "")
            .connection_throttle
            .max_tokens,
        5
    );

    // What an image says goes without saying.
    let image = |words: &str, lines: &str| {
        let text = format!("dataDir=/data\nclientPort=2181\n{lines}\n");
        let sources = Sources::new()
            .jvm_flags("ZABD_IMAGE_FLAGS", "-Djute.maxbuffer=4000000")
            .jvm_flags("JVMFLAGS", words);
        World::default().resolve(sources.file("zoo.cfg", text.as_bytes())).unwrap().jute_max_buffer_bytes
    };
    assert_eq!((image("", ""), image("", dead)), (4_000_000, 1_000_000));
    assert_eq!(image("-Dzookeeper.jute.maxbuffer=5000000", ""), 5_000_000);
}
