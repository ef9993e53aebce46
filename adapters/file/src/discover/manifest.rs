//! Lists of complete files with their checksums, as `sha256sum` writes them.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

/// The files that manifests list, by path below the source's folder.
pub(crate) type Listed = HashMap<PathBuf, [u8; 32]>;

/// A manifest larger than this is not read.
const MAX_MANIFEST_BYTES: u64 = 16 << 20;

/// Adds what the manifest at `path` (below `root`) lists: lines of 64 hexadecimal digits, a space, a space or `*`, and
/// a name in the manifest's folder. Other lines are passed over: the manifest may be half written.
///
/// # Errors
/// The manifest cannot be read.
pub(crate) fn read_manifest(root: &Path, path: &Path, listed: &mut Listed) -> io::Result<()> {
    let whole = root.join(path);
    if whole.metadata()?.len() > MAX_MANIFEST_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "a manifest of more than 16 MiB is not read",
        ));
    }
    let text = std::fs::read(whole)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    for (checksum, name) in parse_manifest(&String::from_utf8_lossy(&text)) {
        listed.insert(folder.join(name), checksum);
    }
    Ok(())
}

/// The checksums and names that a manifest lists.
pub(crate) fn parse_manifest(text: &str) -> Vec<([u8; 32], &str)> {
    text.lines()
        .filter_map(|line| {
            let (digits, rest) = line.split_at_checked(64)?;
            let name = rest.strip_prefix("  ").or_else(|| rest.strip_prefix(" *"))?;
            let mut checksum = [0; 32];
            hex::decode_to_slice(digits, &mut checksum).ok()?;
            let name = name.strip_prefix("./").unwrap_or(name);
            (!name.is_empty() && !name.contains(['/', '\\'])).then_some((checksum, name))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_sha256sum_are_read_and_others_passed_over() {
        let sum = "ab".repeat(32);
        let text =
            format!("{sum}  a.csv\n{sum} *b c.csv\r\n# note\n{sum}  ../../etc/passwd\n{sum}  \nabcd  x.csv");
        let names: Vec<_> = parse_manifest(&text).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["a.csv", "b c.csv"]);
        assert_eq!(parse_manifest(&text)[0].0, [0xab; 32]);
    }
}
