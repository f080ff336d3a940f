//! Configuration of a server: raw text in, one valid [`Config`] out, every mistake at once.
//!
//! The text is zoo.cfg, `-Dkey=value` words, `SERVER_JVMFLAGS` and `JVMFLAGS`, and flags, as Apache
//! ZooKeeper takes them. One table of keys ([`SECTIONS`]) holds everything known about each; the
//! resolver, the manual `docs/configuration.md` and the tests read it. Nothing here reads the
//! environment or the clock, and only `load` reads files.

mod client;
mod config;
mod draft;
mod dynamic_file;
mod effective;
mod error;
mod exit_code;
mod flags;
pub mod java_number;
mod key;
mod keys;
mod load;
mod manual;
mod membership;
pub mod pod;
pub mod properties;
mod resolve;
pub mod scripts;
mod secrets;
mod setting;
mod sources;
mod suggestion;
mod tls;

pub use config::{
    AdminConfig, AuthConfig, Config, ConnectionThrottle, ContainerReaper, DigestAlg, EnsembleConfig,
    FourLetterWords, KerberosConfig, ListenHost, LogConfig, LogFormat, LogLevel, MetricsConfig,
    MetricsProvider, ProbesConfig, QuorumSaslConfig, RequestThrottle, Secret, SnapshotCompression,
};
pub use dynamic_file::{ConfigFiles, dynamic_file, without_members};
pub use effective::Effective;
pub use error::{ConfigError, ConfigErrors, Warning};
pub use exit_code::ExitCode;
pub use key::{Class, Honour, Key, Scope};
pub use keys::{SECTIONS, Section, find};
pub use load::{CommandLine, DEVELOPMENT_DATA_DIR, DEVELOPMENT_PORT, Start, USAGE, load, read_file, sources};
pub use manual::manual;
pub use secrets::shown;
pub use setting::{Setting, Source};
pub use sources::{ReadFile, Sources};
pub use tls::{ClientAuth, StoreConfig, StoreKind, TlsConfig, TlsSide};
