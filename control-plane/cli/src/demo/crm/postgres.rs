//! The CRM's database on a PostgreSQL server of its own: in the demo's directory, on a free port of this machine only.
//!
//! The application's user owns the table. Towpath's user may follow changes and read the table, and nothing else; the
//! publication is made for it. Both have made-up passwords, in files that their owner alone can read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::time::sleep;

use super::super::place::Place;
use super::super::processes::{ProcessError, Processes, command};
use super::ask::{AskError, ask};
use super::installed::Installed;
use super::owner::Owner;
use super::rows::{Row, Rows};

/// What the server's process is called.
pub(super) const PROCESS: &str = "crm-postgres";
/// The table of contacts.
pub(super) const TABLE: &str = "crm.contacts";
/// The user that the source is.
pub(super) const READER: &str = "towpath";
/// The application's user, who owns the server, and the database.
pub(super) const CRM: &str = "crm";

const HOST: &str = "127.0.0.1";
/// How long the server may take to come up: it has little to do, but the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Another process may take the port between here and the server's start; then another is tried.
const MOST_PORTS: usize = 5;
const PASSWORD_BYTES: usize = 16;

/// The server that keeps the CRM's contacts.
#[derive(Clone, Debug)]
pub(super) struct Postgres {
    psql: PathBuf,
    pub(super) version: u32,
    pub(super) port: u16,
    password: String,
}

/// The server did not do what the demo asked.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// Its folder cannot be prepared.
    #[error("{} cannot be prepared for it: {source}", path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No port is free.
    #[error("no port of {HOST} can be had: {0}")]
    Port(io::Error),
    /// The server is not as it should be.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// One of its programs did not do what it was asked.
    #[error(transparent)]
    Program(#[from] AskError),
    /// It did not come up in time.
    #[error("the server took longer than {} s to start; {} may say why", PATIENCE.as_secs(), log.display())]
    Late {
        /// Its log.
        log: PathBuf,
    },
    /// A row cannot be read.
    #[error("psql answered what is no row of {TABLE}: {0}")]
    Row(#[from] serde_json::Error),
}

impl Postgres {
    /// Makes a server's files, starts it and makes the table. What failed is stopped; what runs is with `processes`.
    pub(super) async fn start(
        installed: &Installed,
        place: &Place,
        processes: &mut Processes,
    ) -> Result<Self, PostgresError> {
        let (owner, folder, log) = (Owner::for_this_user(), place.crm_server(), place.log(PROCESS));
        let (data, password_file) = (folder.join("data"), place.crm_password(CRM));
        fs::create_dir(&folder).map_err(|source| PostgresError::Folder { path: folder.clone(), source })?;
        let password = make_password(&password_file)?;
        let readers = make_password(&place.crm_password(READER))?;
        owner.give(&folder).map_err(|source| PostgresError::Folder { path: folder, source })?;
        let mut initdb = owner.command(&installed.program("initdb"));
        initdb.args(["--username", CRM, "--encoding", "UTF8", "--no-locale", "--no-sync"]);
        initdb.args(["--auth", "scram-sha-256", "--pwfile"]).arg(password_file).arg("--pgdata").arg(&data);
        ask("initdb", initdb, "").await?;
        let mut ports = 0;
        loop {
            ports += 1;
            let port = free_port().map_err(PostgresError::Port)?;
            let server = Self {
                psql: installed.program("psql"),
                version: installed.version,
                port,
                password: password.clone(),
            };
            let mut own = Processes::default();
            let program = server_command(owner, installed, &data, port);
            own.start_ended_by(Signal::INT, PROCESS, program, log.clone())?;
            match server.wait_ready(&mut own, &log).await {
                Ok(()) => {
                    server.ask_in("postgres", &schema(&readers)).await?;
                    processes.take_over(own);
                    return Ok(server);
                }
                Err(PostgresError::Process(_)) if ports < MOST_PORTS => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes as the application does.
    pub(super) async fn write(&self, script: &str) -> Result<(), PostgresError> {
        self.ask_in(CRM, script).await.map(drop)
    }

    /// What the table holds.
    pub(super) async fn read(&self) -> Result<Rows, PostgresError> {
        let said = self.ask_in(CRM, &query()).await?;
        said.lines().map(|line| Ok(serde_json::from_str::<Row>(line)?)).collect()
    }

    async fn wait_ready(&self, own: &mut Processes, log: &Path) -> Result<(), PostgresError> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            own.check()?;
            if self.ask_in("postgres", "SELECT 1;").await.is_ok() {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        Err(PostgresError::Late { log: log.to_owned() })
    }

    async fn ask_in(&self, database: &str, script: &str) -> Result<String, PostgresError> {
        let mut psql = command(&self.psql);
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", HOST, "-U", CRM, "-d", database]);
        psql.arg("-p").arg(self.port.to_string());
        psql.env("PGPASSWORD", &self.password).env("PGCLIENTENCODING", "UTF8").env("PGSSLMODE", "disable");
        Ok(ask("psql", psql, script).await?)
    }
}

fn server_command(owner: Owner, installed: &Installed, data: &Path, port: u16) -> Command {
    let mut server = owner.command(&installed.program("postgres"));
    server.arg("-D").arg(data).arg("-p").arg(port.to_string());
    // No socket in the file system: its path may be no longer than 107 bytes, and the demo's directory lies anywhere.
    for setting in ["wal_level=logical", "unix_socket_directories=", &format!("listen_addresses={HOST}")] {
        server.args(["-c", setting]);
    }
    server
}

/// What an administrator runs once. Reports of visits are kept apart from their rows and as they are, so that a change
/// of another column does not send them again, as it is with any long text.
fn schema(readers_password: &str) -> String {
    format!(
        "CREATE DATABASE {CRM};
\\connect {CRM}
CREATE SCHEMA crm;
CREATE TABLE {TABLE} (
    contact_no bigint PRIMARY KEY,
    customer_no bigint NOT NULL,
    name text NOT NULL,
    email text,
    budget numeric(12,2) NOT NULL,
    visited_at timestamptz,
    notes text
);
ALTER TABLE {TABLE} ALTER COLUMN notes SET STORAGE EXTERNAL;
CREATE ROLE {READER} LOGIN REPLICATION PASSWORD '{readers_password}';
GRANT USAGE ON SCHEMA crm TO {READER};
GRANT SELECT ON {TABLE} TO {READER};
CREATE PUBLICATION towpath_crm FOR TABLE {TABLE};
"
    )
}

/// Each row as a JSON array of texts in one line, times as the SQLite sink writes them.
fn query() -> String {
    format!(
        "SELECT json_build_array(contact_no::text, customer_no::text, name, email, budget::text, \
         to_char(visited_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), notes) FROM {TABLE};"
    )
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((HOST, 0))?.local_addr()?.port())
}

/// Makes a password and keeps it in a file that its owner alone can read.
fn make_password(path: &Path) -> Result<String, PostgresError> {
    let make = || {
        let mut bytes = [0; PASSWORD_BYTES];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let password: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        writeln!(file, "{password}")?;
        Ok(password)
    };
    make().map_err(|source| PostgresError::Folder { path: path.to_owned(), source })
}
