//! How much a request may ask for, and what the server does when there are too many.

use super::Section;
use super::storage::positive;
use crate::key::{Class, Key, ignored_number};

pub(super) const SECTION: Section = Section {
    title: "Requests and nodes",
    intro: "Sizes and numbers of requests, and the kinds of nodes there are.",
    keys: &[
        Key::prefixed("globalOutstandingLimit", "1000", "2000")
            .unit("requests")
            .doc("With more requests than this in flight, sockets that have some outstanding are not read. Voters share it: each has the limit, divided by the others.")
            .corrected(0, 0, |d, v| d.config.global_outstanding_limit = v as u32),
        Key::bare("jute.maxbuffer", "1048575", "4194304")
            .unit("bytes")
            .doc("Longest packet; clients must be given the same, and all members: a start ends at a record that is longer than this and its extra size. Hexadecimal (`0xfffff`) works, as in Java.")
            .int(1, |d, v| d.config.jute_max_buffer_bytes = v as u32),
        Key::prefixed("jute.maxbuffer.extrasize", "jute.maxbuffer", "2097152")
            .unit("bytes")
            .doc("What a record may exceed that by when it is read back from the disk; less than 1024 becomes 1024.")
            .int(i32::MIN as i64, |d, v| d.jute_extra_bytes = Some(v.max(0) as u32)),
        Key::prefixed("largeRequestThreshold", "-1", "65536")
            .unit("bytes")
            .doc("A longer request counts as large; -1 counts none.")
            .custom(|d, raw| {
                let bytes = raw.key.number(raw.value, i64::from(i32::MIN), i64::from(i32::MAX))?;
                d.config.large_request_threshold_bytes = u32::try_from(bytes).ok().filter(|bytes| 0 < *bytes);
                let text = format!("Invalid large request threshold {bytes}. It should be -1 or positive. Setting to -1");
                Ok((bytes == 0 || bytes < -1).then_some(text))
            }),
        Key::prefixed("largeRequestMaxBytes", "104857600", "1048576")
            .unit("bytes")
            .doc("Bytes of all large requests in flight; a connection that would exceed it is closed.")
            .custom(|d, raw| {
                let bytes = raw.key.number(raw.value, i64::from(i32::MIN), i64::from(i32::MAX))?;
                if bytes <= 0 {
                    let text = "Invalid max bytes for all large requests";
                    return Ok(Some(format!("{text} {bytes}. It should be a positive number; 104857600 is used")));
                }
                d.config.large_request_max_bytes = bytes as u32;
                Ok(None)
            }),
        Key::own("zabd.unsentMaxBytes", "536870912", "1073741824")
            .class(Class::B)
            .unit("bytes")
            .doc("Replies and events that all clients together may leave untaken. Above half of it, sockets with anything \
                  unsent are not read, and a reply of more than 64 KiB is made when there is room for it: its client waits, and \
                  who takes nothing for five seconds meanwhile is closed. Above all of it, the connections for which most is \
                  kept are closed, long replies not counted that their clients are taking. Java has no limit.")
            .long(1 << 20, |d, v| d.config.unsent_bytes_max = v as usize),
        Key::own("zabd.incompleteMaxBytes", "536870912", "1073741824")
            .class(Class::B)
            .unit("bytes")
            .doc("Requests of all clients together that have come only in part. Above it, connections are closed, those first \
                  that have kept most for longest. Java has no limit.")
            .long(1 << 20, |d, v| d.config.incomplete_bytes_max = v as usize),
        Key::own("zabd.memoryMaxBytes", "", "4294967296")
            .class(Class::B)
            .unit("bytes")
            .doc("What the process may use of memory. A sixth of it before (24 MiB to 384 MiB; in an ensemble a quarter, 40 MiB to 512 MiB), writes that make the tree \
                  larger are refused with QuotaExceeded; with a third of those used, new sessions and watches, too. Deletes, reads \
                  and probes go on, large ones one behind the other. Without it, the limit of the control group holds; 0 is no limit. Java has its heap's, and ends there.")
            .long(0, |d, v| d.config.memory_bytes_max = Some(v as u64)),
        Key::prefixed("request_throttle_max_requests", "0", "500")
            .aliases(&["requestThrottleLimit"])
            .unit("requests")
            .doc("With this many requests in the pipeline, new ones wait for one of them to be answered; 0 or less never waits.")
            .differently(READS_DO_NOT_WAIT)
            .int(i32::MIN as i64, |d, v| d.config.request_throttle.requests_max = positive(v)),
        Key::prefixed("request_throttle_stall_time", "100", "50")
            .aliases(&["requestThrottleStallTime"])
            .unit("milliseconds")
            .doc("How often a request that waits is looked at, whether it has become stale; 0 is only when it may go on.")
            .int(0, |d, v| d.config.request_throttle.stall_time_ms = v as u32),
        Key::prefixed("request_throttle_drop_stale", "true", "false")
            .aliases(&["requestThrottleDropStale"])
            .doc("Drop a stale request found while waiting, and close its connection.")
            .lenient_bool(|d, v| d.config.request_throttle.drop_stale = v),
        Key::prefixed("request_stale_latency_check", "false", "true")
            .aliases(&["requestStaleLatencyCheck"])
            .doc("A request older than its session's timeout is stale.")
            .lenient_bool(|d, v| d.config.request_throttle.stale_latency_check = v),
        Key::prefixed("request_stale_connection_check", "true", "false")
            .aliases(&["requestStaleConnectionCheck"])
            .doc("A request whose connection is gone is stale.")
            .lenient_bool(|d, v| d.config.request_throttle.stale_connection_check = v),
        Key::prefixed("throttled_op_wait_time", "0", "1000")
            .aliases(&["throttledOpWaitTime"])
            .unit("milliseconds")
            .doc("A request that waited longer is answered `ThrottledOp`; 0 or less never is.")
            .int(i32::MIN as i64, |d, v| d.config.request_throttle.refused_after_ms = positive(v)),
        Key::prefixed("maxResponseCacheSize", "400", "0")
            .unit("replies")
            .class(Class::B)
            .doc("Encoded replies to `getData` kept for the next reader; 0 or less keeps none.")
            .no_effect(NO_CACHE)
            .int(i32::MIN as i64, ignored_number),
        Key::prefixed("maxGetChildrenResponseCacheSize", "400", "0")
            .unit("replies")
            .class(Class::B)
            .doc("The same for `getChildren2`.")
            .no_effect(NO_CACHE)
            .int(i32::MIN as i64, ignored_number),
        Key::prefixed("enableEagerACLCheck", "false", "true")
            .doc("Refuse a write that its ACL forbids before it takes a zxid.")
            .in_ensemble()
            .lenient_bool(|d, v| d.checks_access_early = v),
        Key::prefixed("enforceQuota", "false", "true")
            .doc("Refuse writes beyond a quota's hard limit, and log those beyond a soft one. Without it nothing looks at limits.")
            .lenient_bool(|d, v| d.config.enforce_quota = v),
        Key::prefixed("extendedTypesEnabled", "false", "true")
            .doc("Let clients create nodes with a time to live.")
            .lenient_bool(|d, v| d.config.extended_types_enabled = v),
        Key::prefixed("emulate353TTLNodes", "false", "true")
            .class(Class::B)
            .doc("Take what release 3.5.3 wrote for a node with a time to live as such; new ones have today's layout.")
            .differently("a time of all 63 bits counts, of which Java takes 40, and `extendedTypesEnabled` need not be set")
            .lenient_bool(|d, v| d.config.emulate_353_ttl = v),
        Key::bare("znode.container.checkIntervalMs", "60000", "10000")
            .unit("milliseconds")
            .doc("Pause between two searches for empty containers and expired nodes.")
            .int(1, |d, v| d.config.container.check_interval_ms = v as u32),
        Key::bare("znode.container.maxPerMinute", "10000", "600")
            .unit("nodes")
            .doc("Most of them deleted per minute.")
            .corrected(1, 10_000, |d, v| d.config.container.max_per_minute = v as u32),
        Key::bare("znode.container.maxNeverUsedIntervalMs", "0", "3600000")
            .unit("milliseconds")
            .doc("Age at which a container that never had a child goes too; 0 is never.")
            .long(i64::MIN, |d, v| {
                d.config.container.max_never_used_interval_ms = u64::try_from(v).ok().filter(|age| 0 < *age);
            }),
    ],
};

const READS_DO_NOT_WAIT: &str =
    "reads with nothing of their connection before them do not wait; the rest takes turns by connection";

const NO_CACHE: &str = "a reply is encoded straight from the tree, which needs no cache";
