//! The table of allowed dependencies between our crates, as the architecture draws them.

/// Which of our crates one crate may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrows {
    /// In its code and build script.
    pub(crate) code: &'static [&'static str],
    /// In its tests, beside those.
    pub(crate) tests: &'static [&'static str],
}

/// What each crate may use. `record` is the vocabulary of everyone and stands in each row.
const TABLE: &[(&str, &[&str])] = &[
    ("towpath-record", &[]),
    ("towpath-segment", &[]),
    ("towpath-proto", &["towpath-record"]),
    // The session's machines consume and produce the generated messages; see docs/adr/0004.
    ("towpath-session", &["towpath-record", "towpath-proto"]),
    ("towpath-resource", &["towpath-record"]),
    // What the control plane writes and anyone can check without it; see docs/adr/0011.
    ("towpath-audit", &[]),
    ("towpath-policy", &["towpath-record", "towpath-resource"]),
    ("towpath-minimise", &["towpath-record", "towpath-resource", "towpath-policy"]),
    ("towpath-adapter-api", &["towpath-record"]),
    ("towpath-adapter-conformance", &["towpath-record", "towpath-adapter-api"]),
    ("towpath-spool", &["towpath-record", "towpath-segment"]),
    ("towpath-log", &["towpath-record", "towpath-segment"]),
    (
        "towpath-catalog",
        &["towpath-record", "towpath-audit", "towpath-policy", "towpath-resource", "towpath-segment"],
    ),
    ("towpath-access", &["towpath-record", "towpath-resource", "towpath-catalog"]),
    (
        "towpath-control",
        &[
            "towpath-record",
            "towpath-segment",
            "towpath-log",
            "towpath-catalog",
            "towpath-access",
            "towpath-session",
            "towpath-proto",
            "towpath-policy",
            "towpath-resource",
            "towpath-audit",
        ],
    ),
    ("towpath-cli", &["towpath-record", "towpath-resource", "towpath-audit", "towpath-proto"]),
    ("xtask", &[]),
];

const AGENT: &[&str] = &[
    "towpath-record",
    "towpath-segment",
    "towpath-spool",
    "towpath-session",
    "towpath-proto",
    "towpath-policy",
    "towpath-minimise",
    "towpath-resource",
    "towpath-adapter-api",
];

const ADAPTER_PREFIX: &str = "towpath-adapter-";
const ADAPTER: Arrows =
    Arrows { code: &["towpath-record", "towpath-adapter-api"], tests: &["towpath-adapter-conformance"] };

/// Databases that also run scheduled queries. Schedule, mark and position of those are the same for every database,
/// and live in a crate that knows none; see docs/adr/0010.
const WITH_QUERIES: &[&str] =
    &["towpath-adapter-sqlite", "towpath-adapter-postgres", "towpath-adapter-mysql", "towpath-adapter-odbc"];
const QUERYING_ADAPTER: Arrows = Arrows {
    code: &["towpath-record", "towpath-adapter-api", "towpath-adapter-query"],
    tests: &["towpath-adapter-conformance"],
};

/// Whether `from` may use `to`; `None` if the table does not know `from`.
pub(crate) fn is_allowed(from: &str, to: &str, in_tests: bool) -> Option<bool> {
    match from {
        "towpath-tests" => Some(true),
        // The agent holds every adapter, also those that are written after this table.
        "towpath-agent" => {
            let adapter = to.starts_with(ADAPTER_PREFIX) && to != "towpath-adapter-conformance";
            Some(adapter || AGENT.contains(&to))
        }
        _ => {
            let arrows = of(from)?;
            Some(arrows.code.contains(&to) || (in_tests && arrows.tests.contains(&to)))
        }
    }
}

/// The allowed names, to be shown beside a violation.
pub(crate) fn allowed(from: &str) -> String {
    match (from, of(from)) {
        ("towpath-agent", _) => format!("{}, every adapter", AGENT.join(", ")),
        (_, Some(arrows)) if arrows.code.is_empty() => "none of ours".to_owned(),
        (_, Some(arrows)) => arrows.code.join(", "),
        (_, None) => "unknown".to_owned(),
    }
}

fn of(from: &str) -> Option<Arrows> {
    if let Some((_, code)) = TABLE.iter().find(|(name, _)| *name == from) {
        return Some(Arrows { code, tests: &[] });
    }
    if WITH_QUERIES.contains(&from) {
        return Some(QUERYING_ADAPTER);
    }
    from.starts_with(ADAPTER_PREFIX).then_some(ADAPTER)
}
