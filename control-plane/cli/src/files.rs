//! Resources in files: found, read and checked before anything is sent, so that every fault is told with its file and
//! line, and a batch with a fault changes nothing.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;
use towpath_resource::{AnyManifest, Document, Fault, Kind, Place, parse_documents};

use crate::error::CliError;

/// The name of the standard input in messages.
const STANDARD_INPUT: &str = "standard input";

/// A document and where it stands.
pub(crate) struct Found {
    /// The file, as the admin would name it.
    file: String,
    document: Document,
}

/// What an admin would write to have a resource as the control plane shows it; nothing if its form is not known here.
pub(crate) fn manifest_of(shown: &Value) -> Option<AnyManifest> {
    let mut documents = parse_documents(&shown.to_string()).ok()?;
    documents.pop()?.manifest.ok()
}

impl Found {
    /// How messages name it.
    pub(crate) fn subject(&self) -> &str {
        &self.document.subject
    }

    /// The document as JSON, which is what is sent.
    pub(crate) fn to_json(&self) -> Value {
        serde_json::to_value(self.manifest()).expect("a manifest is always JSON")
    }

    /// Which resource it is.
    pub(crate) fn target(&self) -> (Kind, String) {
        let manifest = self.manifest();
        (manifest.kind(), manifest.name().to_string())
    }

    /// What it says.
    pub(crate) fn manifest(&self) -> &AnyManifest {
        self.document.manifest.as_ref().expect("a document with faults is not kept")
    }

    /// A fault of it, with file, line and column.
    pub(crate) fn tell(&self, fault: &Fault) -> String {
        tell(&self.file, self.document.locate(&fault.path), &format!("{}: {fault}", self.subject()))
    }

    /// Something that is wrong with it as a whole.
    pub(crate) fn tell_whole(&self, message: &str) -> String {
        tell(&self.file, self.document.place, &format!("{}: {message}", self.subject()))
    }
}

fn tell(file: &str, place: Place, message: &str) -> String {
    format!("{file}:{}:{}: {message}", place.line, place.column)
}

/// Reads every document of these files, directories and of the standard input (`-`).
///
/// # Errors
/// A file cannot be read, or a document has faults: all of them are told.
pub(crate) fn read(paths: &[PathBuf], stdin: &mut dyn Read) -> Result<Vec<Found>, CliError> {
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    for path in paths {
        if path.as_os_str() == "-" {
            let mut text = String::new();
            let read = stdin.read_to_string(&mut text);
            read.map_err(|source| CliError::Read { path: STANDARD_INPUT.into(), source })?;
            take(STANDARD_INPUT, &text, &mut found, &mut faults);
            continue;
        }
        for file in files_of(path)? {
            let text = fs::read_to_string(&file);
            let text = text.map_err(|source| CliError::Read { path: file.clone(), source })?;
            take(&file.display().to_string(), &text, &mut found, &mut faults);
        }
    }
    if !faults.is_empty() {
        return Err(CliError::Refused { faults, summary: "nothing was applied".to_owned() });
    }
    if found.is_empty() {
        let named: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(CliError::Usage(format!("there is no resource in {}", named.join(", "))));
    }
    Ok(found)
}

fn take(file: &str, text: &str, found: &mut Vec<Found>, faults: &mut Vec<String>) {
    let documents = match parse_documents(text) {
        Ok(documents) => documents,
        Err(error) => {
            faults.push(tell(file, error.place, &format!("not readable as YAML: {}", error.message)));
            return;
        }
    };
    for document in documents {
        let one = Found { file: file.to_owned(), document };
        match &one.document.manifest {
            Ok(_) => found.push(one),
            Err(all) => faults.extend(all.iter().map(|fault| one.tell(fault))),
        }
    }
}

/// The file itself, or the resource files below a directory, in the order of their names.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, CliError> {
    let refused = |source| CliError::Read { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(refused)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let mut below: Vec<_> = entries.map_err(refused)?.into_iter().map(|entry| entry.path()).collect();
    below.sort();
    let mut files = Vec::new();
    for path in below {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let is_resource = path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        if hidden {
            continue;
        }
        if path.is_dir() && !path.is_symlink() {
            files.extend(files_of(&path)?);
        } else if is_resource {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "apiVersion: towpath/v1\nkind: Site\nmetadata: {name: NAME}\n";

    fn names(found: &[Found]) -> Vec<&str> {
        found.iter().map(Found::subject).collect()
    }

    #[test]
    fn files_directories_and_the_standard_input_are_read_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, site: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, SITE.replace("NAME", site)).unwrap();
        };
        write("b.yaml", "b");
        write("a.yml", "a");
        write("deep/c.json", "c");
        write(".git/d.yaml", "d");
        write("notes.txt", "e");
        let stdin = SITE.replace("NAME", "z");
        let found = read(&[dir.path().to_owned(), "-".into()], &mut stdin.as_bytes()).unwrap();
        assert_eq!(names(&found), ["site a", "site b", "site c", "site z"]);
    }

    #[test]
    fn every_fault_of_every_file_is_told_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let (bad, broken) = (dir.path().join("bad.yaml"), dir.path().join("broken.yaml"));
        fs::write(
            &bad,
            "apiVersion: towpath/v1\nkind: Site\nmetadata:\n  name: plant\nspec:\n  regoin: eu\n",
        )
        .unwrap();
        fs::write(&broken, "kind: [\n").unwrap();
        let Err(refused) = read(&[bad, broken], &mut std::io::empty()) else {
            panic!("faults were passed over")
        };
        let said = refused.to_string();
        assert!(said.contains("bad.yaml:6:3: site plant: spec.regoin: unknown field"), "{said}");
        assert!(said.contains("did you mean `region`?"), "{said}");
        assert!(said.contains("broken.yaml:"), "{said}");
        assert!(said.ends_with("error: nothing was applied"), "{said}");
        assert_eq!(refused.exit_code(), 1);
    }

    #[test]
    fn a_missing_file_and_an_empty_one_are_told() {
        let Err(missing) = read(&["/no/such.yaml".into()], &mut std::io::empty()) else {
            panic!("it is not there")
        };
        assert!(missing.to_string().contains("/no/such.yaml"));
        let Err(empty) = read(&["-".into()], &mut std::io::empty()) else { panic!("it is empty") };
        assert_eq!(empty.exit_code(), 2);
    }
}
