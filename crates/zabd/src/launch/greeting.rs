//! The first screen for whoever starts zabd without a word.

use std::net::SocketAddr;
use std::path::Path;

/// What runs where, and what to try next.
/// `program` is what this one was started as.
pub fn text(program: &str, address: SocketAddr, data_dir: &Path) -> String {
    let port = address.port();
    let data_dir = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
    format!(
        "
zabd {version} serves ZooKeeper clients on port {port}; its data is in {data_dir}

Try, in another terminal:
  {program} zkCli.sh -server 127.0.0.1:{port}
  python3 -c 'import kazoo.client as k; c = k.KazooClient(\"127.0.0.1:{port}\"); c.start(); print(c.get_children(\"/\"))'
  (printf srvr; sleep 1) | nc 127.0.0.1 {port}

End it with Ctrl-C; `{program} ensemble` runs three of them, and `{program} --help` tells how to start one from a zoo.cfg.
",
        version = env!("CARGO_PKG_VERSION"),
        data_dir = data_dir.display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_screen_names_port_and_directory() {
        let text = text("target/release/zabd", ([127, 0, 0, 1], 2181).into(), Path::new("/nowhere"));
        assert!(text.contains("`target/release/zabd ensemble`"), "it need not be on the PATH: {text}");
        assert!(text.contains("port 2181") && text.contains("/nowhere") && text.contains("zkCli.sh"));
    }
}
