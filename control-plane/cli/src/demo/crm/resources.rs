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

#[cfg(test)]
mod tests {
    use towpath_record::StreamName;
    use towpath_resource::{AnyManifest, parse_documents};

    use super::super::{STREAM, Sqlite};
    use super::*;

    fn manifests(text: &str) -> Vec<AnyManifest> {
        let parsed = parse_documents(text).unwrap().into_iter();
        parsed.map(|document| document.manifest.unwrap_or_else(|faults| panic!("{faults:?}"))).collect()
    }

    #[test]
    fn the_contacts_of_either_database_are_valid_resources_whatever_the_directory_is_called() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["plain", "with space: and \"quotes\"", "übung # 1"] {
            let place = Place::fresh(Some(&directory.path().join(name))).unwrap();
            let file = Sqlite::create(place.crm_file()).unwrap();
            let document = document(&place, &Database::Sqlite { file, why: String::new() });
            let [AnyManifest::Source(source), AnyManifest::Route(route)] = &manifests(&document.text)[..]
            else {
                panic!("{}", document.text);
            };
            assert_eq!(source.metadata.name.as_str(), SOURCE);
            assert_eq!(source.spec.config["path"].as_str(), place.crm_file().to_str());
            assert!(route.spec.takes(&StreamName::new(STREAM).unwrap()));
            let [AnyManifest::Source(source)] = &manifests(&postgres(&place, 5432))[..] else {
                panic!("{}", postgres(&place, 5432));
            };
            let password = format!("${{file:{}}}", place.crm_password(READER).display());
            assert_eq!(source.spec.config["password"].as_str(), Some(&*password));
        }
    }
}
