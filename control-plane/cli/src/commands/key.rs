//! `towpath key`

use std::io::Write;

use jiff::Timestamp;
use towpath_resource::api::{CreatedKey, KeyOrder, KeyState, KeyStatus, RotateOrder};
use towpath_resource::{RoleGrant, Scope};

use crate::args::{KeyCommand, ScopeArgs};
use crate::client::Client;
use crate::error::CliError;
use crate::human;
use crate::output::{self, Table};

pub(super) async fn run(client: &Client, command: KeyCommand, out: &mut dyn Write) -> Result<(), CliError> {
    match command {
        KeyCommand::Create { name, roles, scope, ttl, quiet } => {
            let scope = scope.scope();
            let grants = roles.into_iter().map(|role| RoleGrant { role, scope: scope.clone() }).collect();
            let created = client.create_key(&KeyOrder { name, grants, ttl }).await?;
            show(&created, quiet, out)
        }
        KeyCommand::List { output } => {
            let keys = client.keys().await?;
            Ok(output::list(output, &keys, |key| key.name.to_string(), out, |out| table(&keys, out))?)
        }
        KeyCommand::Rotate { key, grace, ttl, quiet } => {
            show(&client.rotate_key(&key, &RotateOrder { grace, ttl }).await?, quiet, out)
        }
        KeyCommand::Revoke { bootstrap: true, .. } => {
            client.revoke_admin_token().await?;
            writeln!(out, "the first admin's token is taken back")?;
            Ok(())
        }
        KeyCommand::Revoke { key, .. } => {
            let key = key.unwrap_or_default();
            client.revoke_key(&key).await?;
            writeln!(out, "key {key} taken back")?;
            Ok(())
        }
    }
}

/// Shows a secret, the only time that it can be.
fn show(created: &CreatedKey, quiet: bool, out: &mut dyn Write) -> Result<(), CliError> {
    writeln!(out, "{}", created.key)?;
    if quiet {
        return Ok(());
    }
    let until =
        created.expires_at.map_or_else(|| "until it is revoked".to_owned(), |end| format!("until {end}"));
    writeln!(out, "key {} is good {until}; it is not shown again", created.name)?;
    if let Some(end) = created.previous_until {
        writeln!(out, "the secret before is taken until {end}")?;
    }
    Ok(())
}

fn table(keys: &[KeyStatus], out: &mut dyn Write) -> std::io::Result<()> {
    let now = Timestamp::now();
    let mut table = Table::new(["name", "state", "roles", "created", "by", "expires", "last used", "id"]);
    for key in keys {
        let expires = key.expires_at.filter(|_| key.state == KeyState::Active);
        table.row([
            key.name.to_string(),
            key.state.as_str().to_owned(),
            roles(&key.grants),
            human::ago(key.created_at, now),
            key.created_by.clone(),
            expires.map(|end| human::ahead(end, now)).unwrap_or_default(),
            key.last_used_at.map(|last| human::ago(last, now)).unwrap_or_default(),
            key.id.to_string(),
        ]);
    }
    table.write("there are no keys", out)
}

/// Roles and where they hold, in a word: `viewer, operator at hamburg`.
pub(super) fn roles(grants: &[RoleGrant]) -> String {
    let words = grants.iter().map(|grant| match reach(&grant.scope) {
        reach if reach.is_empty() => grant.role.to_string(),
        reach => format!("{} at {reach}", grant.role),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn reach(scope: &Scope) -> String {
    let sites = scope.sites.iter().map(ToString::to_string);
    let streams = scope.streams.iter().map(ToString::to_string);
    let labels = scope.labels.iter().map(|(key, value)| format!("{key}={value}"));
    sites.chain(streams).chain(labels).collect::<Vec<_>>().join("+")
}

impl ScopeArgs {
    fn scope(self) -> Scope {
        Scope { sites: self.sites, streams: self.streams, labels: self.labels.into_iter().collect() }
    }
}
