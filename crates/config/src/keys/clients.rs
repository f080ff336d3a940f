//! How many clients may come, and how fast.

use super::Section;
use crate::key::{Class, Key};

pub(super) const SECTION: Section = Section {
    title: "Client connections",
    intro: "How many connections there may be, and how fast new sessions may come.",
    keys: &[
        Key::file("maxClientCnxns", "60", "100")
            .unit("connections")
            .doc("Connections from one address; 0 is no limit. Started as `port datadir`, the default is 0.")
            .int(i32::MIN as i64, |d, v| d.config.max_client_cnxns_per_ip = v as i32),
        Key::prefixed("maxCnxns", "0", "5000")
            .unit("connections")
            .doc("Connections in all; 0 is no limit.")
            .int(i32::MIN as i64, |d, v| d.config.max_cnxns = v.max(0) as u32),
        Key::prefixed("nio.sessionlessCnxnTimeout", "10000", "5000")
            .unit("milliseconds")
            .doc("A connection that has not asked for a session by then is closed.")
            .corrected(1, 10_000, |d, v| d.config.sessionless_timeout_ms = v as u32),
        Key::prefixed("clientTcpKeepAlive", "false", "true")
            .doc("`SO_KEEPALIVE` on client sockets.")
            .lenient_bool(|d, v| d.config.client_tcp_keepalive = v),
        Key::prefixed("connection_throttle_tokens", "0", "200")
            .aliases(&["connectionMaxTokens"])
            .unit("tokens")
            .doc("Size of the token bucket that new sessions are paid from; 0 is no throttle.")
            .int(0, |d, v| d.config.connection_throttle.max_tokens = v as u32),
        Key::prefixed("connection_throttle_fill_time", "1", "10")
            .aliases(&["connectionTokenFillTime"])
            .unit("milliseconds")
            .doc("Interval at which tokens flow into the bucket.")
            .corrected(1, 1, |d, v| d.config.connection_throttle.fill_time_ms = v as u32),
        Key::prefixed("connection_throttle_fill_count", "1", "5")
            .aliases(&["connectionTokenFillCount"])
            .unit("tokens")
            .doc("Tokens per interval.")
            .int(0, |d, v| d.config.connection_throttle.fill_count = v as u32),
        Key::prefixed("connection_throttle_freeze_time", "-1", "500")
            .aliases(&["connectionFreezeTime"])
            .unit("milliseconds")
            .doc("Pause between changes of the probability at which sessions are turned away; -1 never does by chance.")
            .int(-1, |d, v| d.config.connection_throttle.freeze_time_ms = u32::try_from(v).ok()),
        Key::prefixed("connection_throttle_drop_increase", "0.02", "0.05")
            .aliases(&["connectionDropIncrease"])
            .doc("Added to that probability when the bucket is empty.")
            .real(|d, v| d.config.connection_throttle.drop_increase = v),
        Key::prefixed("connection_throttle_drop_decrease", "0.002", "0.005")
            .aliases(&["connectionDropDecrease"])
            .doc("Taken off that probability when the bucket is full enough.")
            .real(|d, v| d.config.connection_throttle.drop_decrease = v),
        Key::prefixed("connection_throttle_decrease_ratio", "0", "0.5")
            .aliases(&["connectionDecreaseRatio"])
            .doc("Share of the bucket that may be missing while it counts as full enough.")
            .real(|d, v| d.config.connection_throttle.decrease_ratio = v),
        Key::prefixed("connection_throttle_weight_enabled", "false", "true")
            .doc("Let sessions cost the weights below; size and flow of the bucket then count in global sessions.")
            .lenient_bool(|d, v| d.config.connection_throttle.weight_enabled = v),
        Key::prefixed("connection_throttle_global_session_weight", "3", "4")
            .unit("tokens")
            .doc("What a new global session costs; raised to the local weight if below it.")
            .int(i32::MIN as i64, |d, v| d.global_session_weight = v),
        Key::prefixed("connection_throttle_local_session_weight", "1", "2")
            .unit("tokens")
            .doc("What a local session costs.")
            .int(i32::MIN as i64, |d, v| d.local_session_weight = v),
        Key::prefixed("connection_throttle_renew_session_weight", "2", "3")
            .unit("tokens")
            .doc("What a session that comes back costs; raised to the local weight if below it.")
            .int(i32::MIN as i64, |d, v| d.renew_session_weight = v),
        Key::prefixed("serverCnxnFactory", FACTORY_NIO, FACTORY_NETTY)
            .class(Class::B)
            .doc("Java's class for client connections.")
            .no_effect("zabd has one kind of connection, which serves what both of Java's classes do")
            .silent(&[FACTORY_NIO, FACTORY_NETTY])
            .custom(|_, raw| super::known_class(raw, &[FACTORY_NIO, FACTORY_NETTY])),
    ],
};

const FACTORY_NIO: &str = "org.apache.zookeeper.server.NIOServerCnxnFactory";
const FACTORY_NETTY: &str = "org.apache.zookeeper.server.NettyServerCnxnFactory";
