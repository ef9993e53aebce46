//! MariaDB as the source: servers of their own, tables made by the server from a seed.

pub(crate) mod cdc;
pub(crate) mod memory;
mod binlog;

use serde_json::{Value, json};
use towpath_adapter_conformance::servers::MariaDbServer;

use crate::ours::PASSWORD_VARIABLE;

/// The server's superuser and its password.
const USER: &str = "towpath";
const DATABASE: &str = "towpath";
/// What is measured is reading, so commits are not waited for and tables are written as fast as the disk takes them. The
/// texts of statements stay out of the binlog, since the server sends them to those readers alone that ask for them, and
/// all shall read the same.
const SETTINGS: &[&str] =
    &["innodb-flush-log-at-trx-commit=0", "innodb-io-capacity=20000", "binlog-annotate-row-events=OFF"];
/// The columns of the rows that are read: those of the benches of PostgreSQL.
const COLUMNS: &str = "seq bigint PRIMARY KEY, order_no varchar(32), customer_no bigint, sku varchar(32), quantity int, \
     price decimal(12,2), state varchar(16), ordered_at timestamp(6) NULL, paid boolean, note text";

/// The values of row `i`, made from the seed.
fn row(seed: u64) -> String {
    format!(
        "i, concat('O-', i), (i * 7919 + {seed}) % 100000, concat('SKU-', (i * 31 + {seed}) % 5000), i % 90, \
         (i * 37 + {seed}) % 1000000 / 100, elt(i % 4 + 1, 'open', 'picked', 'packed', 'shipped'), \
         timestamp '2026-01-01 00:00:00' + INTERVAL i SECOND, i % 3 = 0, repeat(md5(i + {seed}), 3)"
    )
}

/// The configuration of a source of one table at a server.
fn source(server: &MariaDbServer, name: &str, table: &str, extra: &Value) -> Value {
    let mut config = json!({
        "host": "127.0.0.1", "port": server.port(), "database": DATABASE, "user": USER,
        "password": format!("${{env:{PASSWORD_VARIABLE}}}"), "tls": { "mode": "disable" },
        "tables": [format!("{DATABASE}.{table}")], "stream": format!("bench.{name}.{{table}}"),
    });
    let extra = extra.as_object().cloned().unwrap_or_default();
    config.as_object_mut().expect("it is an object").extend(extra);
    config
}
