//! Rows that are longer than a record holds, as changes: each is one dead letter and none takes much memory, whatever
//! stands around it.

use anyhow::{Result, ensure};
use serde_json::json;
use towpath_adapter_api::{Emission, Rows};
use towpath_record::Position;

use crate::harness::{Database, end, read, server, shown};

const TABLES: &str = "CREATE TABLE t (id int PRIMARY KEY, a longblob, b longblob);
    CREATE TABLE other (id int PRIMARY KEY, a longblob);\n";
/// A transaction of small and long rows, some of them in one statement, and some of a table that is not followed.
const CHANGES: &str = "BEGIN;
    INSERT INTO t VALUES (1, 'x', NULL);
    INSERT INTO t SELECT seq, repeat('x', IF(seq = 3, 12000000, 1)), repeat('y', IF(seq = 3, 12000000, 1)) FROM seq_2_to_4;
    INSERT INTO other VALUES (1, repeat('x', 15000000));
    UPDATE other SET a = repeat('z', 14000000);
    UPDATE t SET b = 'z';
    INSERT INTO t VALUES (5, 'v', 'v');
    COMMIT;
    DELETE FROM t WHERE id = 3;
    INSERT INTO t VALUES (6, 'w', 'w');\n";

/// The lines of what was emitted, of dead letters only that they are there.
fn lines(emissions: &[Emission]) -> Result<Vec<String>> {
    let short = |line: String| if line.starts_with("refused") { "refused".to_owned() } else { line };
    Ok(shown(emissions)?.into_iter().map(short).collect())
}

#[tokio::test]
async fn a_change_too_large_to_be_taken_is_one_dead_letter_and_what_follows_is_read() -> Result<()> {
    for (name, compressed) in [("large", "OFF"), ("large_compressed", "ON")] {
        let server = server()?;
        let database = Database::new(&server, name, TABLES).await?;
        let config = database.config(&json!({ "batch_rows": 1, "tables": [format!("{name}.t")] }));
        let copied = read(&config, &Position::default()).await?;
        database.run(&format!("SET GLOBAL log_bin_compress = {compressed};\n{CHANGES}")).await?;
        let changed = read(&config, &end(&copied)?).await?;
        let expected = [
            "create: 1 | 78 | -",
            "create: 2 | 78 | 79",
            "refused",
            "create: 4 | 78 | 79",
            "update: 1 | 78 | 7a",
            "update: 2 | 78 | 7a",
            "refused",
            "update: 4 | 78 | 7a",
            "create: 5 | 76 | 76",
            "refused",
            "create: 6 | 77 | 77",
        ];
        ensure!(lines(&changed)? == expected, "{:?}", lines(&changed)?);
        let letters = changed.iter().filter_map(|emission| match &emission.rows {
            Rows::DeadLetters(letters) => letters.first(),
            _ => None,
        });
        let first = letters.map(|letter| (&*letter.resource, &*letter.reason)).next();
        let (resource, reason) = first.unwrap_or_default();
        ensure!(resource == format!("table {name}.t"), "{resource}");
        ensure!(reason.contains("bytes in the binlog"), "{reason}");
        // Wherever the source is cut off, it goes on behind what was read.
        for cut in 0..changed.len() {
            let rest = read(&config, &changed[cut].position).await?;
            ensure!(lines(&rest)? == lines(&changed[cut + 1..])?, "behind {cut}: {:?}", lines(&rest)?);
        }
    }
    Ok(())
}
