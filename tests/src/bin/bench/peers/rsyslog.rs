//! rsyslog: file → disk queue → RELP over mutual TLS → file. It acknowledges, and does not fsync.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use towpath_tests::ports::free_port;
use towpath_tests::process::{Launch, Process};

use super::{Peer, Unpacked};
use crate::certificates::{self, Side};

pub(crate) struct Rsyslog(pub(crate) Unpacked);

impl Peer for Rsyslog {
    fn name(&self) -> String {
        "rsyslog 8.2302, disk queue, RELP/TLS".to_owned()
    }

    fn start(&self, folder: &Path) -> Result<[Process; 2]> {
        let [sender, receiver] = certificates::make(folder, ["sender", "receiver"])?;
        let port = free_port()?;
        let start = |name: &str, config: String| -> Result<Process> {
            let (file, work) = (folder.join(format!("{name}.conf")), folder.join(name));
            std::fs::create_dir(&work)?;
            std::fs::write(&file, config)?;
            self.launch(name, folder)
                .arguments(["-n", "-f"])
                .arguments([&file])
                .arguments(["-i"])
                .arguments([work.join("pid")])
                .start()
        };
        let receiving = start("receiver", receive(folder, port, &receiver, &sender.name))?;
        std::thread::sleep(Duration::from_millis(700));
        let sending = start("sender", send(folder, port, &sender, &receiver.name))?;
        std::thread::sleep(Duration::from_millis(700));
        Ok([receiving, sending])
    }
}

impl Rsyslog {
    fn launch(&self, name: &str, folder: &Path) -> Launch {
        let modules = format!("usr/lib/{}-linux-gnu/rsyslog", std::env::consts::ARCH);
        self.0.launch(name, "rsyslogd", folder).arguments(["-M"]).arguments([self.0.0.join(modules)])
    }
}

fn tls(own: &Side, other: &str) -> String {
    format!(
        r#"tls="on" tls.caCert="{}" tls.myCert="{}" tls.myPrivKey="{}" tls.authmode="name" tls.permittedpeer=["{other}"]"#,
        own.ca.display(),
        own.certificate.display(),
        own.key.display()
    )
}

fn receive(folder: &Path, port: u16, own: &Side, other: &str) -> String {
    let (tls, folder) = (tls(own, other), folder.display());
    format!(
        r#"global(workDirectory="{folder}/receiver" maxMessageSize="64k")
module(load="imrelp")
input(type="imrelp" port="{port}" address="127.0.0.1" {tls} ruleset="out" maxDataSize="64k")
template(name="raw" type="string" string="%msg:2:$%\n")
ruleset(name="out") {{ action(type="omfile" file="{folder}/out" template="raw") }}
"#
    )
}

fn send(folder: &Path, port: u16, own: &Side, other: &str) -> String {
    let (tls, folder) = (tls(own, other), folder.display());
    format!(
        r#"global(workDirectory="{folder}/sender" maxMessageSize="64k")
module(load="imfile" mode="inotify")
module(load="omrelp")
input(type="imfile" file="{folder}/drop/*.log" tag="bench" ruleset="forward")
ruleset(name="forward" queue.type="Disk" queue.filename="queue" queue.spoolDirectory="{folder}/sender"
        queue.maxDiskSpace="8g" queue.maxFileSize="64m" queue.dequeueBatchSize="1024") {{
  action(type="omrelp" windowSize="4096" target="127.0.0.1" port="{port}" {tls})
}}
"#
    )
}
