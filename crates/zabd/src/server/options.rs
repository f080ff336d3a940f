//! What each part of a server is told of its configuration, in the part's own words and units.

use std::time::Duration;

use zabd_config::{Config, DigestAlg, SnapshotCompression};
use zabd_jute::Limits;
use zabd_replica::auth::{AuthOptions, DigestAlgorithm};
use zabd_replica::read::ReadOptions;
use zabd_replica::{LocalSessions, MemberOptions, ReconfigOptions, ReplicaOptions, SessionTimeouts};
use zabd_storage::log::LogOptions;
use zabd_storage::recovery::{Directories, RecoveryOptions};
use zabd_storage::snapshot::Compression;
use zabd_tree::{AuthSchemes, CheckOptions, TreeOptions};

use super::random;
use crate::driver::{Clock, wall_ms};
use crate::log_writer::BatchOptions;
use crate::member::Member;
use crate::net::{
    ConnectionOptions, ConnectionThrottle, LargeRequests, RequestThrottle, RequestThrottleOptions,
    ThrottleOptions,
};
use crate::recover::first_session;
use crate::snapshotter::{SnapshotPolicy, SnapshotTarget};

pub(super) fn tree_options(config: &Config, secret: u64) -> TreeOptions {
    TreeOptions { hash_seed: secret, digest: config.digest_enabled, emulate_353_ttl: config.emulate_353_ttl }
}

pub(super) fn recovery_options(config: &Config, member: Option<&Member>) -> RecoveryOptions {
    RecoveryOptions {
        data_dir: config.data_dir.clone(),
        log_dir: config.data_log_dir.clone(),
        autocreate: config.datadir_autocreate,
        trust_empty: config.snapshot_trust_empty,
        is_alone: member.is_none_or(Member::is_only_voter),
    }
}

fn timeouts(config: &Config) -> SessionTimeouts {
    SessionTimeouts {
        tick_ms: i64::from(config.tick_time_ms),
        min_ms: config.session_timeout_ms_min as i32,
        max_ms: config.session_timeout_ms_max as i32,
    }
}

fn read_options(config: &Config, limits: Limits) -> ReadOptions {
    ReadOptions { skip_acl: config.auth.skip_acl, limits }
}

pub(super) fn replica_options(
    config: &Config,
    limits: Limits,
    secret: u64,
    member: Option<&Member>,
) -> ReplicaOptions {
    let server_id = member.map_or(Config::SESSION_SERVER_ID, Member::session_server_id);
    let check = CheckOptions {
        skip_acl: config.auth.skip_acl,
        enforce_quota: config.enforce_quota,
        extended_types: config.extended_types_enabled,
        digest: config.digest_enabled,
        lists_closed: config.close_session_txn,
        entry_bytes_max: limits.field_bytes_max,
        schemes: AuthSchemes {
            digest: config.auth.digest_enabled,
            sasl: config.auth.sasl.is_scheme,
            x509: config.auth.x509_enabled,
        },
        hash_seed: secret,
    };
    ReplicaOptions {
        timeouts: timeouts(config),
        first_session: first_session(server_id, wall_ms()),
        check,
        read: read_options(config, limits),
        audit: config.audit_enabled,
        reconfig: reconfig_options(config),
        member: member_options(config),
    }
}

fn reconfig_options(config: &Config) -> ReconfigOptions {
    let ensemble = config.ensemble.as_ref();
    ReconfigOptions {
        is_enabled: config.reconfig_enabled,
        standalone_enabled: ensemble.is_none_or(|ensemble| ensemble.standalone_enabled),
        multi_address: ensemble.is_some_and(|ensemble| ensemble.multi_address),
    }
}

fn member_options(config: &Config) -> MemberOptions {
    let Some(ensemble) = &config.ensemble else { return MemberOptions::default() };
    MemberOptions {
        leader_serves: ensemble.leader_serves,
        acknowledgements_one_in: ensemble.acknowledgements_one_in,
        checks_access_early: ensemble.checks_access_early,
        read_only: config.read_only_mode,
        local_sessions: match (ensemble.local_sessions, ensemble.local_sessions_upgrade) {
            (false, _) => LocalSessions::Off,
            (true, false) => LocalSessions::On,
            (true, true) => LocalSessions::Upgrading,
        },
    }
}

pub(super) fn auth_options(config: &Config) -> AuthOptions {
    AuthOptions {
        digest: config.auth.digest_enabled,
        digest_algorithm: match config.auth.digest_alg {
            DigestAlg::Md5 => DigestAlgorithm::Md5,
            DigestAlg::Sha1 => DigestAlgorithm::Sha1,
            DigestAlg::Sha224 => DigestAlgorithm::Sha224,
            DigestAlg::Sha256 => DigestAlgorithm::Sha256,
            DigestAlg::Sha384 => DigestAlgorithm::Sha384,
            DigestAlg::Sha512 => DigestAlgorithm::Sha512,
            DigestAlg::Sha512_224 => DigestAlgorithm::Sha512_224,
            DigestAlg::Sha512_256 => DigestAlgorithm::Sha512_256,
            DigestAlg::Sha3_224 => DigestAlgorithm::Sha3_224,
            DigestAlg::Sha3_256 => DigestAlgorithm::Sha3_256,
            DigestAlg::Sha3_384 => DigestAlgorithm::Sha3_384,
            DigestAlg::Sha3_512 => DigestAlgorithm::Sha3_512,
        },
        super_digest: config.auth.super_digest.as_ref().map(|secret| secret.expose().to_owned()),
        ensemble_names: config.auth.ensemble_names.clone(),
    }
}

/// `sharers` is among how many servers the requests in flight are divided.
pub(super) fn connection_options(config: &Config, limits: Limits, sharers: u32) -> ConnectionOptions {
    ConnectionOptions {
        frame_bytes_max: config.jute_max_buffer_bytes as usize,
        auth: auth_options(config),
        enforced_schemes: config.auth.enforce_schemes.clone(),
        enforced_by: config.auth.enforced_by,
        in_flight_max: i64::from(config.global_outstanding_limit / sharers),
        timeouts: timeouts(config),
        read: read_options(config, limits),
    }
}

fn throttle_options(config: &Config) -> ThrottleOptions {
    let throttle = &config.connection_throttle;
    let weight = |weight: u32| if throttle.weight_enabled { i64::from(weight) } else { 1 };
    let is_local = config.ensemble.as_ref().is_some_and(|ensemble| ensemble.local_sessions);
    let new_session = if is_local { throttle.local_session_weight } else { throttle.global_session_weight };
    ThrottleOptions {
        tokens: i64::from(throttle.max_tokens),
        fill_time_ms: i64::from(throttle.fill_time_ms),
        fill_count: i64::from(throttle.fill_count),
        freeze_time_ms: throttle.freeze_time_ms.map_or(-1, i64::from),
        drop_increase: throttle.drop_increase,
        drop_decrease: throttle.drop_decrease,
        decrease_ratio: throttle.decrease_ratio,
        new_session_weight: weight(new_session),
        resumed_session_weight: weight(throttle.renew_session_weight),
    }
}

pub(super) fn connection_throttle(config: &Config, clock: &Clock) -> ConnectionThrottle {
    ConnectionThrottle::new(throttle_options(config), clock.monotonic_ms())
}

pub(super) fn large_requests(config: &Config) -> LargeRequests {
    LargeRequests::new(config.large_request_threshold_bytes, config.large_request_max_bytes)
}

pub(super) fn request_throttle(config: &Config) -> Option<RequestThrottle> {
    request_throttle_options(config).map(RequestThrottle::new)
}

fn request_throttle_options(config: &Config) -> Option<RequestThrottleOptions> {
    let throttle = &config.request_throttle;
    Some(RequestThrottleOptions {
        requests_max: throttle.requests_max? as usize,
        stall: Duration::from_millis(u64::from(throttle.stall_time_ms)),
        drops_stale: throttle.drop_stale,
        checks_latency: throttle.stale_latency_check,
        checks_connection: throttle.stale_connection_check,
        refused_after_ms: throttle.refused_after_ms.map(i64::from),
    })
}

pub(super) fn log_options(config: &Config, limits: Limits) -> LogOptions {
    LogOptions {
        prealloc_bytes: config.pre_alloc_size_kb << 10,
        force_sync: config.force_sync,
        file_bytes_max: config.txn_log_size_limit_kb.map(|kb| kb << 10),
        entry_bytes_max: limits.field_bytes_max,
    }
}

pub(super) fn batch_options(config: &Config) -> BatchOptions {
    BatchOptions {
        records_max: config.max_batch_size.map_or(usize::MAX, |most| most as usize),
        delay: Duration::from_millis(config.flush_delay_ms),
        poll: Duration::from_millis(config.max_write_queue_poll_time_ms),
        force_sync: config.force_sync,
        slow_sync: Duration::from_millis(config.fsync_warning_threshold_ms),
    }
}

pub(super) fn snapshot_policy(config: &Config) -> SnapshotPolicy {
    let bytes = config.snap_size_limit_kb.map(|kb| kb << 10);
    SnapshotPolicy::new(u64::from(config.snap_count), bytes, random())
}

pub(super) fn snapshot_target(config: &Config, directories: &Directories) -> SnapshotTarget {
    SnapshotTarget {
        dir: directories.snapshots.clone(),
        compression: match config.snapshot_compression {
            SnapshotCompression::None => Compression::None,
            SnapshotCompression::Gzip => Compression::Gzip,
            SnapshotCompression::Snappy => Compression::Snappy,
        },
        digest: config.digest_enabled,
        last_zxid: config.serialize_last_processed_zxid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zabd_config::Sources;

    fn config(lines: &str) -> Config {
        let text = format!("dataDir=/data\nclientPort=2181\n{lines}");
        let number_alone = |path: &std::path::Path| {
            if path.ends_with("myid") { Ok("1".into()) } else { Err(std::io::ErrorKind::NotFound.into()) }
        };
        Sources::new().file("zoo.cfg", text.as_bytes()).resolve(&number_alone).unwrap()
    }

    #[test]
    fn each_key_of_the_throttles_reaches_what_it_is_for() {
        let given = throttle_options(&config(
            "connection_throttle_tokens=70\nconnection_throttle_fill_time=71\nconnection_throttle_fill_count=72\n\
             connection_throttle_freeze_time=73\nconnection_throttle_drop_increase=0.74\n\
             connection_throttle_drop_decrease=0.75\nconnection_throttle_decrease_ratio=0.76",
        ));
        let expected = ThrottleOptions {
            tokens: 70,
            fill_time_ms: 71,
            fill_count: 72,
            freeze_time_ms: 73,
            drop_increase: 0.74,
            drop_decrease: 0.75,
            decrease_ratio: 0.76,
            new_session_weight: 1,
            resumed_session_weight: 1,
        };
        assert_eq!(given, expected);
        let weights = "connection_throttle_weight_enabled=true\nconnection_throttle_global_session_weight=9\n\
                       connection_throttle_renew_session_weight=4\nconnection_throttle_local_session_weight=2\n";
        let given = throttle_options(&config(weights));
        assert_eq!((given.new_session_weight, given.resumed_session_weight), (9, 4));
        let members = "tickTime=1\ninitLimit=1\nsyncLimit=1\nserver.1=a:1:2\nserver.2=b:1:2\nlocalSessionsEnabled=true\n";
        assert_eq!(throttle_options(&config(&format!("{weights}{members}"))).new_session_weight, 2);

        let switched = "request_throttle_max_requests=80\nrequest_throttle_stall_time=81\nrequest_throttle_drop_stale=false\n\
                        request_stale_latency_check=true\nthrottled_op_wait_time=82";
        let expected = RequestThrottleOptions {
            requests_max: 80,
            stall: Duration::from_millis(81),
            drops_stale: false,
            checks_latency: true,
            checks_connection: true,
            refused_after_ms: Some(82),
        };
        assert_eq!(request_throttle_options(&config(switched)), Some(expected));
        let other = request_throttle_options(&config(
            "request_throttle_max_requests=1\nrequest_stale_connection_check=false",
        ));
        let other = other.unwrap();
        assert!(!other.checks_connection && !other.checks_latency && other.drops_stale);
        assert_eq!(request_throttle_options(&config("")), None);
    }

    /// Java multiplies size and flow of the bucket with the global weight, once.
    #[test]
    fn a_weighted_bucket_holds_as_many_global_sessions_as_configured() {
        let lines = "connection_throttle_tokens=10\nconnection_throttle_fill_count=2\n\
                     connection_throttle_weight_enabled=true";
        let options = throttle_options(&config(lines));
        assert_eq!((options.tokens, options.fill_count, options.new_session_weight), (30, 6, 3));
        assert_eq!(options.resumed_session_weight, 2);
        let plain = throttle_options(&config("connection_throttle_tokens=10"));
        assert_eq!((plain.tokens, plain.new_session_weight, plain.resumed_session_weight), (10, 1, 1));
    }
}
