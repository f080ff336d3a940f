//! A server's configuration from any words: zoo.cfg, then, each behind a zero byte, the text of a
//! dynamic configuration file, `JVMFLAGS`, and words of the command line. A configuration comes out, or
//! every mistake with its place.

#![no_main]

use std::io;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use zabd_config::{CommandLine, Sources, Start, properties};

fuzz_target!(|input: &[u8]| {
    let mut parts = input.split(|byte| *byte == 0);
    let file = parts.next().unwrap_or_default();
    let dynamic = parts.next();
    let jvm_flags = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let words: Vec<String> = parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect();
    lines_are_where_they_are_said_to_be(file);

    let base = || Sources::new().jvm_flags("JVMFLAGS", &jvm_flags);
    let read = |path: &Path| match dynamic {
        Some(text) if !path.ends_with("myid") => Ok(text.to_vec()),
        Some(text) => Ok(text.iter().copied().take(3).collect()),
        None => Err(io::ErrorKind::NotFound.into()),
    };
    understand(base().file("zoo.cfg", file), &read);
    let Ok(command) = CommandLine::parse(words) else { return };
    let base = base().properties(command.properties.iter().map(String::as_str));
    let sources = match &command.start {
        Start::Development => base.file("/etc/zoo.cfg", file),
        Start::File(path) => base.file(&path.to_string_lossy(), file),
        Start::PortAndDirectory(words) => base.port_and_directory(words),
        Start::Flags { flags, .. } => base.file("/etc/zoo.cfg", file).flags(flags),
    };
    understand(sources, &read);
});

fn understand(sources: Sources, read: &dyn Fn(&Path) -> io::Result<Vec<u8>>) {
    match sources.resolve(read) {
        Ok(config) => {
            assert!(config.session_timeout_ms_min <= config.session_timeout_ms_max);
            for warning in &config.warnings {
                assert!(!warning.to_string().is_empty());
            }
            for setting in &config.effective {
                assert!(!setting.to_string().is_empty());
            }
            assert!(config.jute_record_max_bytes() > 0 && config.listen_backlog() > 0);
        }
        Err(errors) => {
            assert!(!errors.to_string().is_empty());
            assert!(errors.exit_code() as u8 != 0);
        }
    }
}

fn lines_are_where_they_are_said_to_be(file: &[u8]) {
    let mut last = 0;
    let lines = file.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 1;
    for entry in properties::parse(file) {
        let line = entry.map_or_else(|malformed| malformed.line, |entry| entry.line);
        assert!(last < line && line <= lines, "line {line} of {lines} behind {last}");
        last = line;
    }
}
