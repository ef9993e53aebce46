//! A PostgreSQL server in a temporary folder, on a free loopback port.
//!
//! The server runs without `fsync`: the tests end processes, not machines. It stops when the value is
//! dropped. PostgreSQL refuses to run as root, so under root it runs as the user `postgres`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use super::user::ServerUser;

/// Where distributions put the server's programs; the newest version found is used.
const HOMES: &[&str] = &["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt/postgresql"];
const USER: ServerUser = ServerUser("postgres");
const SUPERUSER: &str = "towpath";
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// A running server. Its superuser is `towpath`, with the password `towpath` over TCP.
pub struct PostgresServer {
    process: Child,
    folder: TempDir,
    port: u16,
    settings: Vec<String>,
}

impl PostgresServer {
    /// Creates a cluster and starts it.
    ///
    /// # Errors
    /// The server's programs are missing, or it does not start; the error quotes its log.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(&[], &[])
    }

    /// The same with settings, such as `wal_level=logical`, and with files, given by name and content, which
    /// settings find as `../name`.
    ///
    /// # Errors
    /// The server's programs are missing, or it does not start; the error quotes its log.
    pub fn start_with(settings: &[&str], files: &[(&str, &str)]) -> anyhow::Result<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("towpath-pg").tempdir()?;
        let data = folder.path().join("data");
        let password = folder.path().join("password");
        std::fs::write(&password, SUPERUSER)?;
        for (name, content) in files {
            super::user::write_private(&folder.path().join(name), content)?;
        }
        USER.own(folder.path())?;
        let initdb = USER
            .command(&programs.join("initdb"))
            .arg("--pgdata")
            .arg(&data)
            .args(["--username", SUPERUSER, "--encoding", "UTF8", "--no-locale", "--no-sync"])
            .args(["--auth-host", "scram-sha-256", "--auth-local", "trust", "--pwfile"])
            .arg(&password)
            .output()
            .context("initdb does not run")?;
        ensure!(initdb.status.success(), "initdb failed: {}", String::from_utf8_lossy(&initdb.stderr));
        let settings: Vec<_> = settings.iter().map(|&setting| setting.to_owned()).collect();
        // Another process may take the port between here and the server's start; then another is tried.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            let mut process = run(&programs, folder.path(), &data, port, &settings)?;
            if answers(&mut process, &programs, folder.path(), port)? {
                return Ok(Self { process, folder, port, settings });
            }
        }
        bail!("PostgreSQL does not start: {}", log_of(folder.path()));
    }

    /// One of the programs that come with the server, such as `pg_recvlogical`.
    ///
    /// # Errors
    /// No server is installed.
    pub fn program(name: &str) -> anyhow::Result<PathBuf> {
        Ok(programs()?.join(name))
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of a database for the superuser.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}:{SUPERUSER}@127.0.0.1:{}/{database}", self.port)
    }

    /// The folder of the cluster's files.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Ends the server as a crash of its process would: at once and without a word.
    ///
    /// # Errors
    /// The process cannot be ended.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill().context("the server cannot be killed")?;
        self.process.wait().map(drop).context("the server does not end")
    }

    /// Starts the server again, on the same port and files, after [`PostgresServer::kill`].
    ///
    /// # Errors
    /// It does not start; the error quotes its log.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        let (programs, folder, data) = (programs()?, self.folder.path(), self.data_folder());
        // The processes of its connections outlive a killed server for a moment, and it does not start beside them.
        let give_up = Instant::now() + STARTS_WITHIN;
        while Instant::now() < give_up {
            self.process = run(&programs, folder, &data, self.port, &self.settings)?;
            if answers(&mut self.process, &programs, folder, self.port)? {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("PostgreSQL does not start again: {}", log_of(folder));
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // SIGQUIT is PostgreSQL's immediate shutdown. Under root the child is `setpriv`, which has become the
        // server by `exec`, so its id is the server's.
        let _ = Command::new("kill").args(["-QUIT", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

fn programs() -> anyhow::Result<PathBuf> {
    let versions = HOMES.iter().filter_map(|home| std::fs::read_dir(home).ok()).flatten().flatten();
    let found = versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists());
    let by_version = |bin: &PathBuf| {
        let version = bin.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        version.and_then(|name| name.parse::<u32>().ok()).unwrap_or(0)
    };
    found.max_by_key(by_version).context(
        "no PostgreSQL server is installed (initdb is in none of the usual folders); `cargo x test` installs \
         what the tests need, or install the package `postgresql`",
    )
}

fn run(programs: &Path, folder: &Path, data: &Path, port: u16, settings: &[String]) -> anyhow::Result<Child> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log"))?;
    let mut server = USER.command(&programs.join("postgres"));
    server.arg("-D").arg(data).arg("-p").arg(port.to_string()).arg("-k").arg(folder);
    let always = ["listen_addresses=127.0.0.1", "fsync=off", "full_page_writes=off"];
    for setting in always.into_iter().chain(settings.iter().map(String::as_str)) {
        server.args(["-c", setting]);
    }
    // Some settings name files from the server's own folder on, others from where it was started; so these are the same.
    let server = server.current_dir(data).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
    server.context("the PostgreSQL server does not run")
}

fn log_of(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}

/// Waits until the server answers; false when it ended instead.
fn answers(process: &mut Child, programs: &Path, folder: &Path, port: u16) -> anyhow::Result<bool> {
    let give_up = Instant::now() + STARTS_WITHIN;
    while process.try_wait()?.is_none() {
        let mut ask = Command::new(programs.join("pg_isready"));
        let ready = ask.arg("-q").arg("-h").arg(folder).args(["-p", &port.to_string()]).status()?;
        if ready.success() {
            return Ok(true);
        }
        if Instant::now() > give_up {
            process.kill()?;
            process.wait()?;
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(false)
}
