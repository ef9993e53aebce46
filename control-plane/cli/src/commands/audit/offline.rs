//! Verifies exported files without the control plane: with them and its public key alone.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use towpath_audit::{Finding, Line, PublicKey, Verification, Verifier};

use crate::error::CliError;

/// Checks the events of these files, in the order of the files, with the checkpoints of all of them.
pub(super) fn verify(files: &[PathBuf], keys: &[PathBuf]) -> Result<Verification, CliError> {
    let mut verifier = Verifier::new(keys.iter().map(|path| key(path)).collect::<Result<_, _>>()?);
    // Checkpoints are few and must be known before the events that they vouch for, so the files are read twice.
    each_line(files, |place, line| match Line::parse(line) {
        Ok(Line::Checkpoint(signed)) => verifier.checkpoint(signed, place),
        Ok(Line::Event(_)) => {}
        Err(fault) => verifier.report(Finding::new("a line", place, fault.to_string())),
    })?;
    each_line(files, |place, line| {
        let Ok(Line::Event(event)) = Line::parse(line) else { return };
        let record = event.record();
        match record.seq() {
            Some(seq) => verifier.event(seq, &record, place),
            None => verifier.report(Finding::new("an event", place, "does not say which it is")),
        }
    })?;
    Ok(verifier.finish())
}

fn key(path: &Path) -> Result<PublicKey, CliError> {
    let pem = fs::read_to_string(path).map_err(|source| CliError::Read { path: path.to_owned(), source })?;
    PublicKey::from_pem(&pem).map_err(|error| CliError::Usage(format!("{}: {error}", path.display())))
}

fn each_line(files: &[PathBuf], mut visit: impl FnMut(&str, &[u8])) -> Result<(), CliError> {
    for path in files {
        let failed = |source| CliError::Read { path: path.clone(), source };
        let mut reader = BufReader::new(File::open(path).map_err(failed)?);
        let (mut line, mut number) = (Vec::new(), 0_u64);
        while reader.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            number += 1;
            let content = line.strip_suffix(b"\n").unwrap_or(&line);
            if !content.is_empty() {
                visit(&format!("{} line {number}", path.display()), content);
            }
            line.clear();
        }
    }
    Ok(())
}
