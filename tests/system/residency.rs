//! No byte of a field is anywhere it may not be: values that are known are planted in every field and looked for in every
//! file, log line, metric and answer outside the folder they were dropped into.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rusqlite::Connection;
use serde_json::{Value, json};
use towpath_tests::fleet::{Fleet, PATIENCE, Plan};
use towpath_tests::metrics::Metrics;
use towpath_tests::proxy::{Proxy, Weather};
use towpath_tests::resources::Documents;
use towpath_tests::scene::{CLOUD, PLANT};
use towpath_tests::wait::wait_until;
use walkdir::WalkDir;

const STREAM: &str = "crm.people";
/// The key of the hash and of the tokens, in the agent's environment.
const KEY: (&str, &str) = ("CRM_KEY", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
const ROWS: usize = 40;

/// The marks that are planted in the values of a row, by the field. Each can be told from all others, and four characters of
/// one are hardly ever four of another, so that a compressed file shows it too.
fn planted(n: usize) -> BTreeMap<&'static str, String> {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mark = |field: &str| {
        let hash = blake3::hash(format!("{field} {n}").as_bytes());
        hash.as_bytes()[..16].iter().map(|byte| char::from(LETTERS[usize::from(byte % 62)])).collect()
    };
    ["name", "email", "phone", "card", "diagnosis", "surprise", "abroad"]
        .into_iter()
        .map(|field| (field, mark(field)))
        .collect()
}

/// What of a mark stays in one piece also where a file is compressed: its ends may be joined to what stands beside them.
fn middle(mark: &str) -> &str {
    &mark[2..12]
}

/// The rows as a file; the last of them is no row.
fn file(first: usize) -> String {
    let mut text = "id,country,name,email,phone,card,diagnosis,surprise,abroad\n".to_owned();
    for n in first..first + ROWS {
        let marks = planted(n);
        let [name, email, phone] = ["name", "email", "phone"].map(|field| &marks[field]);
        let [card, diagnosis, surprise] = ["card", "diagnosis", "surprise"].map(|field| &marks[field]);
        // What may not pass the filter is planted in rows that do not.
        let (country, abroad) = if n % 4 == 0 { ("US", marks["abroad"].as_str()) } else { ("DE", "") };
        text +=
            &format!("{n},{country},Name {name},{email}@example.org,{phone},{card},diagnosis {diagnosis},");
        text += &format!("{surprise},{abroad}\n");
    }
    let bad = planted(first + ROWS);
    text + &format!("not a number,DE,{},{},,,{},,\n", bad["name"], bad["email"], bad["diagnosis"])
}

fn column(name: &str, kind: &str) -> Value {
    json!({ "name": name, "type": kind, "nullable": name != "id" })
}

fn resources(fleet: &Fleet) -> Documents {
    let texts = ["country", "name", "email", "phone", "card", "diagnosis", "surprise", "abroad"];
    let columns: Vec<_> =
        std::iter::once(column("id", "int64")).chain(texts.map(|name| column(name, "string"))).collect();
    let source = json!({
        "agent": PLANT,
        "adapter": "file",
        "config": {
            "path": fleet.join("drop"),
            "files": [{
                "include": ["people-*"],
                "stream": STREAM,
                "key": ["id"],
                "format": { "csv": { "columns": columns } },
                "max_bad_rows": 1000,
            }],
            "ready": { "stable_for": "50ms" },
            "rescan": "300ms",
        },
    });
    let config = json!({ "path": fleet.join("kept.db"), "mode": "upsert" });
    Documents::new()
        .with("Source", "crm", &source)
        .with("Sink", "kept", &json!({ "agent": CLOUD, "adapter": "sqlite", "config": config }))
        .with("Route", "people", &json!({ "streams": ["crm.**"], "sink": "kept", "from": "earliest" }))
}

/// Classes are given by hand to all fields but `surprise`, which is left to `on_new_field`.
fn policy(on_new_field: &str) -> Value {
    json!({
        "streams": ["crm.**"],
        "on_new_field": on_new_field,
        "classify": [
            { "fields": ["id", "country", "abroad"], "classes": [] },
            { "fields": ["name"], "classes": ["pii.name"] },
            { "fields": ["e*mail"], "classes": ["pii.email"] },
            { "fields": ["phone"], "classes": ["pii.phone"] },
            { "fields": ["card"], "classes": ["financial.pan"] },
            { "fields": ["diagnosis"], "classes": ["health"] },
        ],
        "rules": [
            { "classes": ["pii.name"], "then": { "hash": { "key": "${env:CRM_KEY}" } } },
            { "classes": ["pii.email"], "then": { "mask": "domain" } },
            { "classes": ["pii.phone"], "then": { "mask": { "keep_last": 4 } } },
            { "classes": ["financial.*"], "then": { "tokenise": { "key": "${env:CRM_KEY}" } } },
            { "classes": ["health"], "then": "drop" },
        ],
        "filter": "row.country in [\"DE\", \"FR\"]",
    })
}

/// The files of the fleet in which a text stands, but for what was dropped.
fn found_in(root: &Path, text: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in WalkDir::new(root).into_iter().filter_entry(|entry| entry.path() != root.join("drop")) {
        let entry = entry?;
        if !entry.file_type().is_file() {
            continue;
        }
        // One that is gone by now held nothing that stayed.
        let Ok(bytes) = std::fs::read(entry.path()) else { continue };
        if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
            found.push(entry.into_path());
        }
    }
    Ok(found)
}

async fn told(fleet: &Fleet) -> Result<String> {
    let mut told = Metrics::text(fleet.control.metrics_port()).await?;
    for agent in &fleet.agents {
        told += &Metrics::text(agent.metrics_port()).await?;
    }
    for path in ["/v1/sources/crm", "/v1/routes/people", "/v1/status", "/v1/audit?limit=1000"] {
        told += &fleet.api().get_text(path).await?;
    }
    for letter in fleet.api().dead_letters(STREAM).await? {
        let id = letter["id"].as_str().context("a dead letter has an id")?;
        told += &fleet.run_cli(&["deadletters", "show", id])?;
    }
    Ok(told)
}

fn rows(fleet: &Fleet) -> Result<usize> {
    let database = fleet.join("kept.db");
    if !database.exists() {
        return Ok(0);
    }
    let kept = Connection::open(database)?;
    let count = kept.query_row("SELECT count(*) FROM crm_people", [], |row| row.get::<_, i64>(0));
    Ok(usize::try_from(count.unwrap_or(0))?)
}

async fn start() -> Result<Fleet> {
    let environment = vec![(KEY.0.to_owned(), KEY.1.to_owned())];
    let fleet = Fleet::start(Plan { agent_environment: environment, ..Plan::default() }).await?;
    std::fs::create_dir_all(fleet.join("drop"))?;
    Ok(fleet)
}

async fn wait_for_rows(fleet: &Fleet, count: usize) -> Result<()> {
    wait_until("the rows are at the sink", PATIENCE, async || Ok((rows(fleet)? == count).then_some(()))).await
}

async fn wait_for_letters(fleet: &Fleet, count: usize) -> Result<()> {
    wait_until("the bad lines are dead letters", PATIENCE, async || {
        Ok((fleet.api().dead_letters(STREAM).await?.len() == count).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_forbids_is_in_no_file_log_metric_or_answer() -> Result<()> {
    let fleet = start().await?;
    let documents = resources(&fleet).with("Policy", "people", &policy("drop"));
    fleet.apply(&documents).await?;
    std::fs::write(fleet.join("drop/people-1.csv"), file(1))?;
    wait_for_rows(&fleet, (1..=ROWS).filter(|n| n % 4 != 0).count()).await?;
    wait_for_letters(&fleet, 1).await?;

    let told = told(&fleet).await?;
    for n in 1..=ROWS + 1 {
        for (field, value) in planted(n) {
            let stays = middle(&value);
            assert_eq!(found_in(fleet.path(), stays)?, Vec::<PathBuf>::new(), "{field} of row {n}: {value}");
            assert!(!told.contains(stays), "{field} of row {n} is told: {value}");
        }
    }
    let kept = Connection::open(fleet.join("kept.db"))?;
    let (email, phone, card): (String, String, String) =
        kept.query_row("SELECT email, phone, card FROM crm_people WHERE id = 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    let was = planted(1);
    assert_eq!(email, "***@example.org");
    assert_eq!(phone, format!("************{}", &was["phone"][12..]));
    assert!(card.len() == 16 && card.bytes().all(|byte| byte.is_ascii_alphanumeric()) && card != was["card"]);
    let fields: Vec<String> = kept
        .prepare("SELECT name FROM pragma_table_info('crm_people')")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    assert!(!fields.iter().any(|field| field == "diagnosis" || field == "surprise"), "{fields:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_policy_the_same_search_finds_every_value() -> Result<()> {
    let fleet = start().await?;
    fleet.apply(&resources(&fleet)).await?;
    std::fs::write(fleet.join("drop/people-1.csv"), file(1))?;
    wait_for_rows(&fleet, ROWS).await?;
    wait_for_letters(&fleet, 1).await?;
    for n in [1, 2, ROWS] {
        for (field, value) in planted(n).into_iter().filter(|(field, _)| *field != "abroad") {
            let found = found_in(&fleet.join("control"), middle(&value))?;
            ensure!(!found.is_empty(), "{field} of row {n} is not in the log: {value}");
        }
    }
    let bad = planted(ROWS + 1);
    assert!(told(&fleet).await?.contains(&bad["diagnosis"]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_with_a_new_field_waits_until_an_admin_says_what_it_is() -> Result<()> {
    let fleet = start().await?;
    fleet.apply(&resources(&fleet).with("Policy", "people", &policy("hold"))).await?;
    std::fs::write(fleet.join("drop/people-1.csv"), file(1))?;
    let held = wait_until("the source says what it waits for", PATIENCE, async || {
        let shown = fleet.api().get_text("/v1/sources/crm").await?;
        Ok(shown.contains("classify").then_some(shown))
    })
    .await?;
    assert!(held.contains("field `surprise`"), "{held}");
    assert_eq!(rows(&fleet)?, 0);
    assert_eq!(found_in(fleet.path(), middle(&planted(1)["surprise"]))?, Vec::<PathBuf>::new());

    let mut known = policy("hold");
    let classify = known["classify"].as_array_mut().context("it classifies")?;
    classify.push(json!({ "fields": ["surprise"], "classes": [] }));
    fleet.apply(&Documents::new().with("Policy", "people", &known)).await?;
    wait_for_rows(&fleet, (1..=ROWS).filter(|n| n % 4 != 0).count()).await?;
    ensure!(!found_in(fleet.path(), middle(&planted(1)["surprise"]))?.is_empty(), "what may pass has passed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_when_a_policy_comes_is_read_again_under_it() -> Result<()> {
    let environment = vec![(KEY.0.to_owned(), KEY.1.to_owned())];
    let plan = Plan { agents: Vec::new(), agent_environment: environment, ..Plan::default() };
    let mut fleet = Fleet::start_control(plan).await?;
    let proxy = Proxy::start(fleet.control.port(), 81).await?;
    fleet.add_agent(PLANT, proxy.port()).await?;
    fleet.add_agent(CLOUD, fleet.control.port()).await?;
    std::fs::create_dir_all(fleet.join("drop"))?;
    fleet.apply(&resources(&fleet)).await?;
    wait_until("the source runs", PATIENCE, async || {
        let shown = fleet.api().get("/v1/sources/crm").await?;
        Ok((shown["status"]["condition"] == "running").then_some(()))
    })
    .await?;

    proxy.set(Weather::CUT);
    std::fs::write(fleet.join("drop/people-1.csv"), file(1))?;
    let row = planted(1);
    let waits = || found_in(&fleet.join(PLANT), middle(&row["diagnosis"]));
    wait_until("it waits in the spool", PATIENCE, async || Ok((!waits()?.is_empty()).then_some(()))).await?;
    fleet.apply(&Documents::new().with("Policy", "people", &policy("drop"))).await?;
    proxy.set(Weather::FAIR);

    wait_for_rows(&fleet, (1..=ROWS).filter(|n| n % 4 != 0).count()).await?;
    wait_for_letters(&fleet, 1).await?;
    for n in 1..=ROWS + 1 {
        let row = planted(n);
        assert_eq!(found_in(fleet.path(), middle(&row["diagnosis"]))?, Vec::<PathBuf>::new(), "row {n}");
    }
    Ok(())
}
