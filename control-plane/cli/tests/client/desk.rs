//! An admin's desk: a directory with a context file for a server of our own.

use std::path::{Path, PathBuf};

use clap::Parser;
use tempfile::TempDir;
use towpath_cli::args::Cli;
use towpath_cli::client::SERVER_NAME;
use towpath_cli::context::{Context, ContextFile};
use towpath_cli::{CliError, run};

use crate::server::Server;

pub(crate) struct Desk {
    pub(crate) server: Server,
    dir: TempDir,
}

impl Desk {
    pub(crate) async fn with(answers: &[(&str, u16, &str)]) -> Self {
        let desk =
            Self { server: Server::start(SERVER_NAME, answers).await, dir: tempfile::tempdir().unwrap() };
        desk.keep("default", desk.server.context());
        desk
    }

    pub(crate) fn keep(&self, name: &str, context: Context) {
        let path = self.path("context.yaml");
        ContextFile::change(Some(&path), |contexts| contexts.keep(name, context)).unwrap();
    }

    pub(crate) fn contexts(&self) -> ContextFile {
        ContextFile::open(Some(&self.path("context.yaml"))).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) async fn run(&self, args: &[&str]) -> Result<String, CliError> {
        let context = self.path("context.yaml");
        run_with(&context, args).await
    }
}

pub(crate) async fn run_with(context: &Path, args: &[&str]) -> Result<String, CliError> {
    let context = context.to_str().unwrap();
    let cli = Cli::parse_from(["towpath", "--context", context].iter().chain(args));
    let mut out = Vec::new();
    run(cli, &mut out).await?;
    Ok(String::from_utf8(out).unwrap())
}
