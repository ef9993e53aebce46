//! The resources of the CRM: a source for its database, and a route into the one in the cloud.

use super::super::place::Place;
use super::super::resources::{Document, PLANT, SQLITE, yaml};
use super::Database;
use super::postgres::{CRM, READER};
use super::{ROUTE, SOURCE};

/// Where the contacts come from and where they go.
pub(super) fn document(place: &Place, database: &Database) -> Document {
    let source = match database {
        Database::Postgres(server) => postgres(place, server.port),
        Database::Sqlite { file, .. } => {
            let path = yaml(file.path());
            format!(
                "\
# The agent in the plant follows the CRM's database: first the contacts that are there, then every change. Triggers
# note the changes, while the application goes on writing.
apiVersion: towpath/v1
kind: Source
metadata: {{ name: {SOURCE} }}
spec:
  agent: {PLANT}
  adapter: sqlite
  config:
    path: {path}
"
            )
        }
    };
    let route = format!(
        "\
---
apiVersion: towpath/v1
kind: Route
metadata: {{ name: {ROUTE} }}
spec:
  streams: [\"crm.*\"]
  sink: {SQLITE}
"
    );
    Document { file: "5-crm.yaml", text: source + &route }
}

fn postgres(place: &Place, port: u16) -> String {
    let password = place.crm_password(READER);
    let password = yaml(std::path::Path::new(&format!("${{file:{}}}", password.display())));
    format!(
        "\
# The agent in the plant follows the CRM's database: first the contacts that are there, then every change. It is a user
# who may read one table and nothing else, and only the agent reads the password.
apiVersion: towpath/v1
kind: Source
metadata: {{ name: {SOURCE} }}
spec:
  agent: {PLANT}
  adapter: postgres
  config:
    host: 127.0.0.1
    port: {port}
    database: {CRM}
    user: {READER}
    password: {password}
    tables: [\"crm.*\"]
    # The server is on the same machine, and has no certificate.
    tls: {{ mode: disable }}
"
    )
}
