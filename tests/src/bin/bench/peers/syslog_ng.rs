//! syslog-ng: file → reliable disk buffer → mutual TLS → file. No acknowledgement by the receiver, no fsync.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use towpath_tests::ports::free_port;
use towpath_tests::process::Process;

use super::{Peer, Unpacked};
use crate::certificates::{self, Side};

pub(crate) struct SyslogNg(pub(crate) Unpacked);

impl Peer for SyslogNg {
    fn name(&self) -> String {
        "syslog-ng 3.38, reliable disk buffer, TLS".to_owned()
    }

    fn start(&self, folder: &Path) -> Result<[Process; 2]> {
        let [sender, receiver] = certificates::make(folder, ["sender", "receiver"])?;
        let port = free_port()?;
        let start = |name: &str, config: String| -> Result<Process> {
            let (file, work) = (folder.join(format!("{name}.conf")), folder.join(name));
            std::fs::create_dir(&work)?;
            std::fs::write(&file, config)?;
            let path = |below: &str| work.join(below).display().to_string();
            self.0
                .launch(name, "syslog-ng", folder)
                .arguments(["-F", "--no-caps", "-f", &file.display().to_string(), "-R", &path("persist")])
                .arguments(["-p", &path("pid"), "-c", &path("ctl"), "--module-path"])
                .arguments([self.0.0.join("usr/lib/syslog-ng/3.38")])
                .start()
        };
        let receiving = start("receiver", receive(folder, port, &receiver))?;
        std::thread::sleep(Duration::from_millis(700));
        let sending = start("sender", send(folder, port, &sender))?;
        std::thread::sleep(Duration::from_millis(1_500));
        Ok([receiving, sending])
    }
}

fn tls(own: &Side) -> String {
    format!(
        r#"tls(key-file("{}") cert-file("{}") ca-file("{}") peer-verify(required-trusted))"#,
        own.key.display(),
        own.certificate.display(),
        own.ca.display()
    )
}

fn receive(folder: &Path, port: u16, own: &Side) -> String {
    let (tls, folder) = (tls(own), folder.display());
    format!(
        r#"@version: 3.38
options {{ log-msg-size(65536); threaded(yes); }};
source s {{ network(ip("127.0.0.1") port({port}) transport("tls") flags(no-parse) log-iw-size(100000) {tls}); }};
destination d {{ file("{folder}/out" template("${{MSG}}\n")); }};
log {{ source(s); destination(d); flags(flow-control); }};
"#
    )
}

fn send(folder: &Path, port: u16, own: &Side) -> String {
    let (tls, folder) = (tls(own), folder.display());
    format!(
        r#"@version: 3.38
options {{ log-msg-size(65536); threaded(yes); time-reopen(1); }};
source s {{ wildcard-file(base-dir("{folder}/drop") filename-pattern("*.log") flags(no-parse) follow-freq(0.1)
  log-iw-size(100000) log-fetch-limit(1000)); }};
destination d {{ network("127.0.0.1" port({port}) transport("tls") template("${{MSG}}\n") {tls}
  disk-buffer(reliable(yes) disk-buf-size(8589934592) mem-buf-size(16777216) dir("{folder}/sender"))); }};
log {{ source(s); destination(d); flags(flow-control); }};
"#
    )
}
