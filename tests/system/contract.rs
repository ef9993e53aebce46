//! The API keeps what its OpenAPI document says. A public validator takes the document; then schemathesis makes requests of
//! it, valid ones and invalid ones, and holds every answer against it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use towpath_tests::fleet::{Fleet, Plan};
use towpath_tests::process::Launch;
use towpath_tests::resources::Documents;

/// The requests follow from it. Another one finds other things: `TOWPATH_CONTRACT_SEED` sets it.
const SEED: &str = "20260131";
const SEED_VARIABLE: &str = "TOWPATH_CONTRACT_SEED";
/// However busy the machine, it is done by then.
const PATIENCE: Duration = Duration::from_secs(600);

/// The lines of its log that are told when it found something: the request and the answer stand in them.
const REPORT: usize = 400;

/// As many requests as there are come from one admin at one address, and many of them without a valid token.
const CONTROL: &str =
    "api: {rate: {per_principal: 1000000, per_address: 1000000, failures_per_address: 1000000}}\n";

/// The folder of the tools' settings, and of the tools themselves.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contract")
}

fn tool(name: &str, fleet: &Fleet) -> Result<Launch> {
    let program = folder().join("venv/bin").join(name);
    ensure!(program.is_file(), "{} is not installed; `cargo x test` installs it", program.display());
    Ok(Launch::new(name, program, fleet.path()).environment("PYTHONDONTWRITEBYTECODE", "1"))
}

/// A control plane with one resource of each kind, which requests can refer to.
async fn furnished() -> Result<Fleet> {
    let plan = Plan {
        agents: vec!["plant".to_owned()],
        control_config: Some(CONTROL.to_owned()),
        ..Plan::default()
    };
    let fleet = Fleet::start(plan).await?;
    let provider = json!({ "issuer": "https://127.0.0.1:9", "client_id": "towpath" });
    let subjects = json!([{ "group": { "provider": "corp", "name": "operators" } }]);
    let documents = Documents::new()
        .with_file_source("erp", "plant", &fleet.join("drop"), &[])
        .with_sqlite_sink("kept", "plant", &fleet.join("kept.db"))
        .with_route("orders", "kept")
        .with("Role", "replayer", &json!({ "permissions": ["*:read", "route:operate"] }))
        .with("IdentityProvider", "corp", &provider)
        .with("RoleBinding", "operators", &json!({ "role": "replayer", "subjects": subjects }))
        .with("AuditExport", "copy", &json!({ "target": { "file": { "name": "copy" } } }));
    fleet.apply(&documents).await?;
    Ok(fleet)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_valid_and_every_answer_is_one_that_it_foresees() -> Result<()> {
    let fleet = furnished().await?;
    let document = fleet.join("openapi.json");
    std::fs::write(&document, fleet.api().get_text("/openapi.json").await?)?;
    tool("openapi-spec-validator", &fleet)?
        .arguments(["--schema", "3.1"])
        .arguments([&document])
        .run(PATIENCE)?;
    let seed = std::env::var(SEED_VARIABLE).unwrap_or_else(|_| SEED.to_owned());
    println!("the seed is {seed}");
    let config = folder().join("schemathesis.toml");
    let mut run = tool("schemathesis", &fleet)?
        .environment("PYTHONPATH", folder().display().to_string())
        .environment("TOWPATH_TOKEN", fleet.api().token())
        .arguments(["--config-file"])
        .arguments([&config])
        .arguments(["run", "--no-color", "--seed", &seed, "--tls-verify"])
        .arguments([fleet.control.ca_file()])
        .arguments(["--url", &format!("https://localhost:{}", fleet.control.port())])
        .arguments([&document])
        .start()?;
    let (status, _) = run.wait(PATIENCE)?;
    ensure!(status.success(), "schemathesis ended with {status}\n{}", run.log_tail(REPORT));
    Ok(())
}
