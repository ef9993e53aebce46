//! `towpath edit`: the resource as YAML in an editor, and again with the faults above it until it is taken or given up.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use towpath_resource::{AnyManifest, Kind, parse_documents};

use crate::args::EditArgs;
use crate::client::{Client, ClientError, Versioned};
use crate::error::CliError;

/// What explains the text, and is taken off again.
const COMMENT: &str = "# ";

pub(super) async fn run(client: &Client, args: &EditArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let (kind, name) = (args.target.kind, args.target.name.as_str());
    let Versioned { resource, tag } = client.show_versioned(kind, name).await?;
    let original = as_written(&resource)?;
    let sheet = Sheet::new(kind, name)?;
    let mut faults = Vec::new();
    let mut text = original.clone();
    loop {
        let edited = sheet.edit(&args.editor, &text, &faults)?;
        if edited.trim() == original.trim() {
            writeln!(out, "{kind} {name} unchanged")?;
            return Ok(());
        }
        if !faults.is_empty() && edited == text {
            return Err(given_up(&sheet.keep()?, faults));
        }
        text = edited;
        faults = match read(&text, kind, name) {
            Err(faults) => faults,
            Ok(manifest) => {
                let document = serde_json::to_string(&manifest).expect("a manifest is always JSON");
                match client.replace(kind, name, &tag, document).await {
                    Ok(_) => {
                        writeln!(out, "{kind} {name} changed")?;
                        return Ok(());
                    }
                    Err(error) => reopen(error, &sheet)?,
                }
            }
        };
    }
}

/// The faults that another round in the editor can mend; anything else ends the matter, and the text is kept.
fn reopen(error: ClientError, sheet: &Sheet) -> Result<Vec<String>, CliError> {
    match &error {
        ClientError::Refused(problem) if !problem.faults.is_empty() => {
            Ok(problem.faults.iter().map(ToString::to_string).collect())
        }
        _ => Err(CliError::NotEdited { source: error, kept: sheet.keep()? }),
    }
}

fn given_up(kept: &Path, faults: Vec<String>) -> CliError {
    CliError::Refused { faults, summary: format!("nothing was changed; your text is in {}", kept.display()) }
}

/// What an admin says of the resource, without what the control plane adds.
fn as_written(resource: &Value) -> Result<String, CliError> {
    let mut written = resource.clone();
    if let Some(members) = written.as_object_mut() {
        members.remove("status");
    }
    if let Some(metadata) = written.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|name, _| ["name", "labels"].contains(&name.as_str()));
    }
    serde_saphyr::to_string(&written).map_err(|error| CliError::Output(io::Error::other(error)))
}

/// The manifest, if it is one, and still of the same resource.
fn read(text: &str, kind: Kind, name: &str) -> Result<AnyManifest, Vec<String>> {
    let mut documents =
        parse_documents(text).map_err(|error| vec![format!("not readable as YAML: {error}")])?;
    let document = documents.pop().filter(|_| documents.is_empty());
    let document = document.ok_or_else(|| vec!["it must be one document".to_owned()])?;
    let told = |document: &towpath_resource::Document, fault: &towpath_resource::Fault| {
        format!("line {}: {fault}", document.locate(&fault.path).line)
    };
    let manifest = match &document.manifest {
        Ok(manifest) => manifest.clone(),
        Err(faults) => return Err(faults.iter().map(|fault| told(&document, fault)).collect()),
    };
    if manifest.kind() != kind || manifest.name().as_str() != name {
        return Err(vec![format!("kind and name must stay {kind} {name}; use `towpath apply` for another")]);
    }
    Ok(manifest)
}

/// The file that the editor works on. It goes with the sheet unless it is kept.
struct Sheet {
    dir: tempfile::TempDir,
    name: String,
}

impl Sheet {
    fn new(kind: Kind, name: &str) -> Result<Self, CliError> {
        // Only its owner enters such a directory.
        let dir = tempfile::Builder::new().prefix("towpath-edit-").tempdir().map_err(CliError::Output)?;
        Ok(Self { dir, name: format!("{}-{name}.yaml", kind.noun()) })
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join(&self.name)
    }

    /// Lets the user edit a text, and returns it without the comments above it.
    fn edit(&self, editor: &str, text: &str, faults: &[String]) -> Result<String, CliError> {
        let path = self.path();
        let about = if faults.is_empty() {
            vec!["Save and leave to change the resource; leave it as it is to change nothing.".to_owned()]
        } else {
            let lines = faults.iter().flat_map(|fault| fault.lines()).map(|line| format!("! {line}"));
            std::iter::once("It was refused; leave it as it is to give up:".to_owned()).chain(lines).collect()
        };
        let above: String = about.iter().map(|line| format!("{COMMENT}{line}\n")).collect();
        fs::write(&path, format!("{above}{text}")).map_err(CliError::Output)?;
        // By a shell, since an editor is often set with options, such as `code --wait`.
        let status =
            Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg(editor).arg(&path).status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => {
                let failed = format!("the editor `{editor}` ended with {status}; nothing was changed");
                return Err(CliError::Usage(failed));
            }
            Err(error) => return Err(CliError::Usage(format!("the editor cannot be started: {error}"))),
        }
        let edited = fs::read_to_string(&path).map_err(|source| CliError::Read { path, source })?;
        let below = edited.lines().skip_while(|line| line.starts_with('#'));
        Ok(below.map(|line| format!("{line}\n")).collect())
    }

    /// Keeps what was written, for whoever wants to go on with it.
    fn keep(&self) -> Result<PathBuf, CliError> {
        let kept = std::env::temp_dir().join(format!("towpath-edit-{}-{}", std::process::id(), self.name));
        let mut options = fs::OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create_new(true), 0o600);
        let text = fs::read(self.path());
        let wrote = text.and_then(|text| options.open(&kept)?.write_all(&text));
        wrote.map_err(CliError::Output)?;
        Ok(kept)
    }
}
