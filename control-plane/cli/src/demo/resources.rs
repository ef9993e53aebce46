//! The resources of the demo, as YAML that a user can read, change and apply again.

use std::path::Path;

use super::export::INFERRED_FROM_ROWS;
use super::place::Place;

/// The agent that reads.
pub(super) const PLANT: &str = "plant";
/// The agent that writes.
pub(super) const CLOUD: &str = "cloud";
/// The source.
pub(super) const SOURCE: &str = "erp";
/// The sink that keeps a database.
pub(super) const SQLITE: &str = "sqlite";
/// The routes, as they end in the database and in the outbox.
pub(super) const ROUTES: [&str; 2] = ["erp-to-sqlite", "erp-to-outbox"];

/// A file of resources.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) file: &'static str,
    pub(super) text: String,
}

/// Where the agents stand. An agent of the same name enrols at each.
pub(super) fn sites() -> Document {
    let text = "\
# Where agents stand. Agents come into being by enrolment; see `towpath get agents`.
apiVersion: towpath/v1
kind: Site
metadata: { name: plant }
spec:
  description: The plant, where the ERP drops its files
---
apiVersion: towpath/v1
kind: Site
metadata: { name: cloud }
spec:
  description: The cloud, where the results are wanted
";
    Document { file: "1-sites.yaml", text: text.to_owned() }
}

/// What flows from where to where.
pub(super) fn flows(place: &Place) -> [Document; 3] {
    [source(place), sinks(place), routes()]
}

fn source(place: &Place) -> Document {
    let drop_folder = yaml(&place.drop_folder());
    let text = format!(
        "\
# The agent in the plant reads whatever is dropped into the folder, each file once.
apiVersion: towpath/v1
kind: Source
metadata: {{ name: {SOURCE} }}
spec:
  agent: {PLANT}
  adapter: file
  config:
    path: {drop_folder}
    files:
      # An old export: semicolons, ISO 8859-1, German dates. Its columns are declared.
      - include: [\"customers*.csv\"]
        stream: erp.customers
        key: [customer_no]
        format:
          csv:
            delimiter: \";\"
            encoding: iso-8859-1
            columns:
              - {{ name: customer_no, type: int64, nullable: false }}
              - {{ name: name, type: string, class: pii.name }}
              - {{ name: street, type: string, class: pii.address }}
              - {{ name: postal_code, type: string }}
              - {{ name: city, type: string }}
              - {{ name: since, type: date, format: \"%d.%m.%Y\" }}
              - {{ name: credit_limit, type: {{ decimal: {{ precision: 12, scale: 2 }} }} }}
              - {{ name: email, type: string, class: pii.email }}
      # JSON lines, packed or not. Amounts stay exact decimals.
      - include: [\"orders*.jsonl\", \"orders*.jsonl.gz\"]
        stream: erp.orders
        key: [order_no]
        format:
          json_lines:
            columns:
              - {{ name: order_no, type: int64, nullable: false }}
              - {{ name: customer_no, type: int64 }}
              - {{ name: ordered_at, type: timestamp }}
              - {{ name: total, type: {{ decimal: {{ precision: 12, scale: 2 }} }} }}
              - {{ name: currency, type: string }}
              - {{ name: status, type: string }}
              - {{ name: note, type: string }}
      # Commas, UTF-8. Nobody declares the columns: their types are inferred from the first rows.
      - include: [\"stock*.csv\"]
        stream: erp.stock
        format:
          csv: {{ infer_rows: {INFERRED_FROM_ROWS} }}
    # Quick, so that there is something to see. In production a writer takes longer over its files.
    ready: {{ stable_for: 500ms }}
    rescan: 2s
    batch: {{ rows: 1000 }}
"
    );
    Document { file: "2-source.yaml", text }
}

fn sinks(place: &Place) -> Document {
    let (database, outbox) = (yaml(&place.database()), yaml(&place.outbox()));
    let text = format!(
        "\
# The agent in the cloud keeps a database up to date: the latest row of each key, or every row where there is none.
apiVersion: towpath/v1
kind: Sink
metadata: {{ name: {SQLITE} }}
spec:
  agent: {CLOUD}
  adapter: sqlite
  config:
    path: {database}
---
# And it writes every row as a line of JSON, into files that other programs may take away.
apiVersion: towpath/v1
kind: Sink
metadata: {{ name: outbox }}
spec:
  agent: {CLOUD}
  adapter: file
  config:
    path: {outbox}
    format: json_lines
    # Every commit finishes a file, so that there is something to see.
    roll: {{ every: 1ms }}
"
    );
    Document { file: "3-sinks.yaml", text }
}

fn routes() -> Document {
    let [to_sqlite, to_outbox] = ROUTES;
    let text = format!(
        "\
apiVersion: towpath/v1
kind: Route
metadata: {{ name: {to_sqlite} }}
spec:
  streams: [\"erp.*\"]
  sink: {SQLITE}
---
apiVersion: towpath/v1
kind: Route
metadata: {{ name: {to_outbox} }}
spec:
  streams: [\"erp.*\"]
  sink: outbox
"
    );
    Document { file: "4-routes.yaml", text }
}

/// A path as YAML: in double quotes, which YAML shares with JSON.
pub(super) fn yaml(path: &Path) -> String {
    serde_json::Value::from(path.to_str().expect("a place has a path of UTF-8")).to_string()
}

#[cfg(test)]
mod tests {
    use towpath_record::StreamName;
    use towpath_resource::{AnyManifest, parse_documents};

    use super::super::stream::Stream;
    use super::*;

    fn manifests(directory: &Path) -> Vec<AnyManifest> {
        let place = Place::fresh(Some(directory)).unwrap();
        let documents = std::iter::once(sites()).chain(flows(&place));
        let parsed = documents.flat_map(|document| parse_documents(&document.text).unwrap());
        parsed.map(|document| document.manifest.unwrap_or_else(|faults| panic!("{faults:?}"))).collect()
    }

    #[test]
    fn every_resource_is_valid_whatever_the_directory_is_called() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["plain", "with space: and \"quotes\"", "übung # 1"] {
            let path = directory.path().join(name);
            let manifests = manifests(&path);
            assert_eq!(manifests.len(), 7);
            let AnyManifest::Source(source) = &manifests[2] else { panic!("{:?}", manifests[2]) };
            let read = source.spec.config["path"].as_str().unwrap();
            assert_eq!(Path::new(read), path.canonicalize().unwrap().join("drop"));
        }
    }

    #[test]
    fn each_route_takes_every_stream_of_the_sample_and_the_source_feeds_them() {
        let directory = tempfile::tempdir().unwrap();
        let manifests = manifests(&directory.path().join("demo"));
        for manifest in &manifests {
            match manifest {
                AnyManifest::Route(route) => {
                    assert!(ROUTES.contains(&route.metadata.name.as_str()));
                    for stream in Stream::ALL {
                        assert!(route.spec.takes(&StreamName::new(stream.name()).unwrap()));
                    }
                }
                AnyManifest::Source(source) => {
                    let rules = source.spec.config["files"].as_array().unwrap();
                    let streams: Vec<_> = rules.iter().map(|rule| rule["stream"].as_str().unwrap()).collect();
                    assert_eq!(streams, Stream::ALL.map(Stream::name));
                    for (rule, stream) in rules.iter().zip(Stream::ALL) {
                        assert_eq!(rule["key"][0].as_str().is_some(), stream.is_keyed());
                    }
                }
                _ => {}
            }
        }
    }
}
