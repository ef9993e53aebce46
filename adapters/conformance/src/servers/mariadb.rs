//! A MariaDB server in a temporary folder, on a free loopback port.
//!
//! Commits are durable and the binary log is written row by row with all that a reader of changes wants; what
//! costs time and protects from nothing that a test does is off. The server stops when the value is dropped. It
//! refuses to run as root, so under root it runs as the user `mysql`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use super::user::ServerUser;

/// Where distributions put the server beside the folders of `PATH`.
const HOMES: &[&str] = &["/usr/sbin", "/usr/bin", "/usr/libexec", "/opt/homebrew/bin"];
const USER: ServerUser = ServerUser("mysql");
const SUPERUSER: &str = "towpath";
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// Settings of every server; those that a test gives come after them and so before them in force.
const SETTINGS: &[&str] = &[
    "bind-address=127.0.0.1",
    "skip-name-resolve",
    "character-set-server=utf8mb4",
    "innodb-buffer-pool-size=64M",
    "innodb-log-file-size=32M",
    "innodb-flush-log-at-trx-commit=1",
    "innodb-doublewrite=OFF",
    "performance-schema=OFF",
    "server-id=1",
    "log-bin=binlog",
    "binlog-format=ROW",
    "binlog-row-image=FULL",
    "binlog-row-metadata=FULL",
    "gtid-strict-mode=ON",
    "local-infile=ON",
];

/// A running server. Its superuser is `towpath`, with the password `towpath`.
pub struct MariaDbServer {
    process: Child,
    folder: TempDir,
    port: u16,
    settings: Vec<String>,
}

impl MariaDbServer {
    /// Creates a server and starts it. It has the database `towpath`.
    ///
    /// # Errors
    /// The server's programs are missing, or it does not start; the error quotes its log.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(&[], &[])
    }

    /// The same with settings, such as `local-infile=OFF`, and with files, given by name and content, which
    /// settings find as `../name`.
    ///
    /// # Errors
    /// The server's programs are missing, or it does not start; the error quotes its log.
    pub fn start_with(settings: &[&str], files: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("towpath-mariadb").tempdir()?;
        for (name, content) in files {
            super::user::write_private(&folder.path().join(name), content)?;
        }
        USER.own(folder.path())?;
        install(folder.path())?;
        let settings: Vec<_> = settings.iter().map(|&setting| setting.to_owned()).collect();
        // Another process may take the port between here and the server's start; then another is tried.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            let mut process = run(folder.path(), port, &settings)?;
            if answers(&mut process, folder.path(), port)? {
                return Ok(Self { process, folder, port, settings });
            }
        }
        bail!("MariaDB does not start: {}", log_of(folder.path()));
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of a database for the superuser.
    pub fn url(&self, database: &str) -> String {
        format!("mysql://{SUPERUSER}:{SUPERUSER}@127.0.0.1:{}/{database}", self.port)
    }

    /// The folder of the server's files.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Ends the server as a crash of the machine's process would: at once and without a word.
    ///
    /// # Errors
    /// The process cannot be ended.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill().context("the server cannot be killed")?;
        self.process.wait().map(drop).context("the server does not end")
    }

    /// Starts the server again, on the same port and files, after [`MariaDbServer::kill`].
    ///
    /// # Errors
    /// It does not start; the error quotes its log.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.process = run(self.folder.path(), self.port, &self.settings)?;
        let started = answers(&mut self.process, self.folder.path(), self.port)?;
        ensure!(started, "MariaDB does not start again: {}", log_of(self.folder.path()));
        Ok(())
    }
}

impl Drop for MariaDbServer {
    fn drop(&mut self) {
        // Nobody reads the files again, so there is nothing to close in order. Under root the child is `setpriv`,
        // which has become the server by `exec`.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(HOMES.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|program| program.exists()).with_context(|| {
        format!(
            "no MariaDB server is installed ({name} is in none of the usual folders); `cargo x test` installs \
             what the tests need, or install the package `mariadb-server`"
        )
    })
}

/// Creates the system's tables and the superuser. Servers that begin at the same time mistake each other's temporary
/// files for their own, so each has a folder for them.
fn install(folder: &Path) -> anyhow::Result<()> {
    let data = folder.join("data");
    let installed = USER
        .command(&program("mariadb-install-db")?)
        .env("TMPDIR", folder)
        .args(["--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal"])
        .arg(format!("--datadir={}", data.display()))
        .output()
        .context("mariadb-install-db does not run")?;
    let said = String::from_utf8_lossy(&installed.stderr);
    ensure!(installed.status.success(), "mariadb-install-db failed: {said}");
    let script = format!(
        "CREATE DATABASE towpath CHARACTER SET utf8mb4;\n\
         CREATE USER '{SUPERUSER}'@'127.0.0.1' IDENTIFIED BY '{SUPERUSER}';\n\
         GRANT ALL PRIVILEGES ON *.* TO '{SUPERUSER}'@'127.0.0.1' WITH GRANT OPTION;\n"
    );
    // Without a binary log, so that a reader of changes finds the tests' alone.
    let mut bootstrap = USER
        .command(&program("mariadbd")?)
        .env("TMPDIR", folder)
        .args(["--no-defaults", "--bootstrap", "--silent-startup", "--skip-log-bin"])
        .arg(format!("--datadir={}", data.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.join("log"))?)
        .spawn()
        .context("mariadbd does not run")?;
    // The bootstrap skips the tables of rights until they are read.
    let script = format!("FLUSH PRIVILEGES;\n{script}");
    std::io::Write::write_all(&mut bootstrap.stdin.take().context("it has an input")?, script.as_bytes())?;
    ensure!(bootstrap.wait()?.success(), "MariaDB cannot be set up: {}", log_of(folder));
    Ok(())
}

fn run(folder: &Path, port: u16, settings: &[String]) -> anyhow::Result<Child> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log"))?;
    let mut server = USER.command(&program("mariadbd")?);
    server
        .env("TMPDIR", folder)
        .arg("--no-defaults")
        .arg(format!("--datadir={}", folder.join("data").display()))
        .arg(format!("--socket={}", folder.join("socket").display()))
        .arg(format!("--pid-file={}", folder.join("pid").display()))
        .arg(format!("--port={port}"));
    for setting in SETTINGS.iter().copied().chain(settings.iter().map(String::as_str)) {
        server.arg(format!("--{setting}"));
    }
    let server = server.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
    server.context("the MariaDB server does not run")
}

/// Waits until the server answers; false when it ended instead.
fn answers(process: &mut Child, folder: &Path, port: u16) -> anyhow::Result<bool> {
    let admin = program("mariadb-admin")?;
    let give_up = Instant::now() + STARTS_WITHIN;
    while process.try_wait()?.is_none() {
        let mut ask = Command::new(&admin);
        ask.args(["--no-defaults", "--host=127.0.0.1", "--protocol=tcp", "--connect-timeout=5"])
            .arg(format!("--port={port}"))
            .args([format!("--user={SUPERUSER}"), format!("--password={SUPERUSER}")])
            .args(["--silent", "ping"]);
        if ask.stdout(Stdio::null()).stderr(Stdio::null()).status()?.success() {
            return Ok(true);
        }
        if Instant::now() > give_up {
            process.kill()?;
            process.wait()?;
            bail!("MariaDB does not answer: {}", log_of(folder));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(false)
}

fn log_of(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}
