//! Rows of a file sink's finished files, in the order of their names.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use walkdir::WalkDir;

use crate::account::Account;
use crate::data::Feed;

/// Reads a file sink's folder, each finished file once. A file that was read may be taken away.
#[derive(Debug)]
pub struct FileReader {
    folder: PathBuf,
    read: BTreeMap<PathBuf, u64>,
}

impl FileReader {
    /// A reader that has read nothing yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), read: BTreeMap::new() }
    }

    /// The finished files: those whose path below the folder has no hidden part.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn finished(&self) -> Result<Vec<PathBuf>> {
        if !self.folder.exists() {
            return Ok(Vec::new());
        }
        let visible = |entry: &walkdir::DirEntry| {
            entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.')
        };
        let mut paths = Vec::new();
        for entry in WalkDir::new(&self.folder).into_iter().filter_entry(visible) {
            let entry = match entry {
                Ok(entry) => entry,
                // A file that was renamed while the folder was listed is found the next time.
                Err(error) if error.io_error().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound) => {
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if entry.file_type().is_file() {
                paths.push(entry.into_path());
            }
        }
        paths.sort();
        Ok(paths)
    }

    /// Takes the rows of files that were finished since the last time into the account.
    ///
    /// # Errors
    /// A finished file cannot be read to its end, was changed after it was finished, or belongs to no feed.
    pub fn read_into(&mut self, account: &mut Account) -> Result<()> {
        for path in self.finished()? {
            let length = path.metadata()?.len();
            match self.read.get(&path) {
                Some(read) if *read == length => continue,
                Some(read) => {
                    bail!("{} was finished with {read} bytes and now has {length}", path.display())
                }
                None => {}
            }
            let feed = self.feed_of(&path)?;
            let mut rows = 0_u64;
            read_file(feed, &path, &mut |values| {
                rows += 1;
                account.found(feed, values);
            })
            .with_context(|| format!("{} after {rows} rows", path.display()))?;
            self.read.insert(path, length);
        }
        Ok(())
    }

    fn feed_of(&self, path: &Path) -> Result<Feed> {
        let below = path.strip_prefix(&self.folder)?;
        let parts = below.components().map(|part| part.as_os_str().to_string_lossy());
        let of_part = |part: std::borrow::Cow<'_, str>| {
            Feed::ALL
                .into_iter()
                .find(|feed| part.contains(&feed.stream()) || part.contains(&super::sqlite::table(*feed)))
        };
        parts
            .into_iter()
            .find_map(of_part)
            .with_context(|| format!("{} is of no known stream", path.display()))
    }
}

/// Reads one finished file by its ending.
fn read_file(feed: Feed, path: &Path, take: &mut dyn FnMut(Vec<Option<String>>)) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = File::open(path)?;
    let (plain, stream): (&str, Box<dyn Read>) = if let Some(plain) = name.strip_suffix(".gz") {
        (plain, Box::new(flate2::read::MultiGzDecoder::new(file)))
    } else if let Some(plain) = name.strip_suffix(".zst") {
        (plain, Box::new(zstd::Decoder::new(file)?))
    } else {
        (&name, Box::new(file))
    };
    match plain.rsplit_once('.').map(|(_, ending)| ending) {
        Some("jsonl" | "ndjson" | "json") => read_json_lines(feed, BufReader::new(stream), take),
        Some("csv") => read_csv(feed, stream, take),
        Some("parquet") => read_parquet(feed, File::open(path)?, take),
        _ => bail!("{name} has no known ending"),
    }
}

fn read_json_lines(
    feed: Feed,
    mut lines: impl BufRead,
    take: &mut dyn FnMut(Vec<Option<String>>),
) -> Result<()> {
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        if !line.ends_with('\n') {
            bail!("the last line is cut short: {line:?}");
        }
        let row: Value = serde_json::from_str(&line).with_context(|| format!("not a JSON line: {line:?}"))?;
        let value = |name: &str| match &row[name] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let values = feed.columns().iter().map(|(name, kind)| value(name).map(|text| kind.canonical(&text)));
        take(values.collect());
        line.clear();
    }
    Ok(())
}

fn read_csv(feed: Feed, mut stream: impl Read, take: &mut dyn FnMut(Vec<Option<String>>)) -> Result<()> {
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let mut records = parse_csv(&text).into_iter();
    let header = records.next().context("the header is missing")?;
    for record in records {
        if record.len() != header.len() {
            bail!("a record has {} fields and the header {}", record.len(), header.len());
        }
        let value = |name: &str| {
            let index = header.iter().position(|column| column == name)?;
            Some(record[index].clone()).filter(|text| !text.is_empty())
        };
        let values = feed.columns().iter().map(|(name, kind)| value(name).map(|text| kind.canonical(&text)));
        take(values.collect());
    }
    Ok(())
}

/// RFC 4180, written anew so that a fault of the reader under test is not shared.
fn parse_csv(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut chars) = (false, text.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\r' if !quoted && chars.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            other => field.push(other),
        }
    }
    if !field.is_empty() || !record.is_empty() {
        record.push(field);
        records.push(record);
    }
    records
}

fn read_parquet(feed: Feed, file: File, take: &mut dyn FnMut(Vec<Option<String>>)) -> Result<()> {
    let options = FormatOptions::new().with_date_format(Some("%Y-%m-%d"));
    for batch in ParquetRecordBatchReaderBuilder::try_new(file)?.build()? {
        let batch = batch?;
        let columns = feed.columns().iter().map(|(name, kind)| {
            let column = batch.column_by_name(name).with_context(|| format!("column {name} is missing"))?;
            Ok((column, ArrayFormatter::try_new(column, &options)?, *kind))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            let value = |(column, formatter, kind): &(
                &arrow_array::ArrayRef,
                ArrayFormatter<'_>,
                crate::data::Kind,
            )| {
                column.is_valid(row).then(|| kind.canonical(&formatter.value(row).to_string()))
            };
            take(columns.iter().map(value).collect());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Generator, Mix};

    #[test]
    fn a_csv_reader_of_our_own_reads_what_the_rfc_allows() {
        let records = parse_csv("a,b\r\n\"x, \"\"y\"\"\nz\",\n1,2");
        assert_eq!(records, [vec!["a", "b"], vec!["x, \"y\"\nz", ""], vec!["1", "2"]]);
    }

    #[test]
    fn rows_come_back_from_finished_files_and_a_cut_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mix = Mix { bad: 0.0, compressed: false, duplicates: 0.0, lines: 10..=20 };
        let file = Generator::new(4, mix).file(Feed::Movements).unwrap();
        let mut account = Account::default();
        account.expect(&file);
        let mut text = file.bytes.clone();
        if !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        std::fs::create_dir(folder.path().join(".hidden")).unwrap();
        std::fs::write(folder.path().join(".hidden/erp.movements.jsonl"), "{").unwrap();
        let path = folder.path().join("erp.movements-1.jsonl");
        std::fs::write(&path, &text).unwrap();
        let mut reader = FileReader::new(folder.path());
        reader.read_into(&mut account).unwrap();
        reader.read_into(&mut account).unwrap();
        assert!(account.faults().is_none(), "{}", account.faults());

        std::fs::write(&path, &text[..text.len() - 3]).unwrap();
        let mut again = account.afresh();
        assert!(FileReader::new(folder.path()).read_into(&mut again).is_err());
    }
}
