//! Routes: ways from streams to a sink.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use towpath_record::{Compatibility, LogOffset, ResourceName, RouteId, StreamName, TimeSpan};

use crate::api::RouteStatus;
use crate::fault::Faults;
use crate::hint::{NameOf, Purpose};
use crate::kind::Kind;
use crate::pattern::StreamPattern;
use crate::policy::check_purpose;
use crate::sink::SinkSpec;
use crate::spec::{Reference, Spec};

const MOST_PATTERNS: usize = 100;
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3_600);

/// A way from streams to a sink. Each row of each stream it takes is delivered, in the order of the region's log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Route")]
pub struct RouteSpec {
    /// The streams it takes, by name or pattern: `*` stands for anything within one part of a name, `**` for any
    /// parts. A stream that is added later is taken from then on.
    #[schemars(length(min = 1, max = MOST_PATTERNS))]
    pub streams: Vec<StreamPattern>,
    /// The sink it leads to. It cannot be changed.
    #[schemars(with = "NameOf<SinkSpec>")]
    pub sink: ResourceName,
    /// Where it begins in the region's log when it is created. To go back later, replay it. Default: `earliest`.
    #[serde(default)]
    pub from: StartFrom,
    /// What happens to a row that the sink refuses for good. Default: `dead_letter`.
    #[serde(default)]
    pub on_reject: OnReject,
    /// What happens when a stream's schema changes.
    #[serde(default)]
    pub schema: SchemaRule,
    /// How soon a failed delivery is tried again.
    #[serde(default)]
    pub retry: Retry,
    /// When a sink that keeps failing is left alone for a while.
    #[serde(default)]
    pub breaker: Breaker,
    /// What the sink is for, in one word such as `analytics`, which rules of policies may ask for. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Purpose>")]
    pub purpose: Option<String>,
    /// Whether delivery rests. Nothing is lost meanwhile that the log retains. Default: false.
    #[serde(default)]
    pub paused: bool,
}

/// A place in the region's log: `earliest`, `latest`, `{offset: 42}` or `{time: 2026-01-31T12:00:00Z}`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartFrom {
    /// The oldest record that is retained.
    #[default]
    Earliest,
    /// Behind the newest record.
    Latest,
    /// The frame with this offset.
    Offset(LogOffset),
    /// The first frame that was captured at this time or later.
    Time(Timestamp),
}

/// What happens to a row that the sink refuses for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnReject {
    /// It is kept as a dead letter, which can be inspected and replayed; delivery goes on.
    #[default]
    DeadLetter,
    /// Delivery stops before the row until an admin acts.
    Stop,
}

/// What happens when a stream's schema changes. The first version that the route meets is taken as it is; each later
/// one is held against the newest that was taken.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SchemaRule {
    /// How much a new version may differ before it breaks: `none` (in any way), `backward` (it reads rows of the
    /// version before), `forward` (the version before reads its rows) or `full` (both). Default: `backward`.
    pub compatibility: Compatibility,
    /// What happens when a new version breaks. Default: `new_version`.
    pub on_breaking: OnBreaking,
}

/// What happens when a new version of a schema breaks the compatibility that the route demands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnBreaking {
    /// Delivery goes on with it, and the sink follows as it can.
    #[default]
    NewVersion,
    /// Delivery stops before its first frame until an admin accepts it with `towpath schema accept`, or changes the
    /// rule.
    Pause,
    /// Its rows are cast to the version that was taken last. A row with a value that does not fit becomes a dead letter
    /// with the reason. Where the key has changed, delivery stops as with `pause`.
    Coerce,
}

impl OnBreaking {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NewVersion => "new_version",
            Self::Pause => "pause",
            Self::Coerce => "coerce",
        }
    }
}

/// How soon a failed delivery is tried again. The pause doubles from `first` up to `max`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// The pause after the first failure. Default: `1s`.
    pub first: TimeSpan,
    /// The longest pause. Default: `1m`.
    pub max: TimeSpan,
}

/// When a sink that keeps failing is left alone for a while.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Breaker {
    /// After so many failures in a row. Default: 5.
    #[schemars(range(min = 1))]
    pub failures: u32,
    /// For so long; then one try decides whether delivery goes on. Default: `30s`.
    pub pause: TimeSpan,
}

impl Default for Retry {
    fn default() -> Self {
        Self { first: TimeSpan(Duration::from_secs(1)), max: TimeSpan(Duration::from_secs(60)) }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5, pause: TimeSpan(Duration::from_secs(30)) }
    }
}

/// A text that is no place in a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no place in a log; write `earliest`, `latest`, an offset such as `42`, or a time such as `2026-01-31T12:00:00Z`"
)]
pub struct StartFromError(String);

impl FromStr for StartFrom {
    type Err = StartFromError;

    fn from_str(text: &str) -> Result<Self, StartFromError> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            _ => {
                let offset = text.parse().map(|offset| Self::Offset(LogOffset(offset)));
                offset.or_else(|_| text.parse().map(Self::Time)).map_err(|_| StartFromError(text.to_owned()))
            }
        }
    }
}

impl fmt::Display for StartFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => f.write_str("earliest"),
            Self::Latest => f.write_str("latest"),
            Self::Offset(offset) => offset.fmt(f),
            Self::Time(time) => time.fmt(f),
        }
    }
}

impl RouteSpec {
    /// Whether the route takes this stream.
    pub fn takes(&self, stream: &StreamName) -> bool {
        self.streams.iter().any(|pattern| pattern.matches(stream))
    }
}

impl Spec for RouteSpec {
    type Id = RouteId;
    const KIND: Kind = Kind::Route;
    const COLUMNS: &'static [(&'static str, &'static str)] = &[
        ("streams", "/spec/streams"),
        ("sink", "/spec/sink"),
        ("condition", "/status/condition"),
        ("lag", "/status/lag/records"),
        ("trouble", "/status/trouble/message"),
    ];
    const EXAMPLE: &'static str = r"apiVersion: towpath/v1
kind: Route
metadata: {name: orders-to-warehouse}
spec:
  streams: [erp-orders.*]
  sink: warehouse
  schema: {compatibility: backward, on_breaking: pause}
";

    fn status_schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.root_schema_for::<RouteStatus>())
    }

    fn check(&self, faults: &mut Faults) {
        faults.require(!self.streams.is_empty(), "spec.streams", || {
            "is empty; `**` stands for every stream".to_owned()
        });
        faults.require(self.streams.len() <= MOST_PATTERNS, "spec.streams", || {
            format!("has {} patterns; at most {MOST_PATTERNS} are allowed", self.streams.len())
        });
        if let Some(purpose) = &self.purpose {
            check_purpose(purpose, "spec.purpose", faults);
        }
        let pause = |path, span: &TimeSpan, faults: &mut Faults| {
            faults.require(!span.0.is_zero() && span.0 <= LONGEST_PAUSE, path, || {
                format!("is {span}; it may be 1ms to {}", TimeSpan(LONGEST_PAUSE))
            });
        };
        pause("spec.retry.first", &self.retry.first, faults);
        pause("spec.retry.max", &self.retry.max, faults);
        pause("spec.breaker.pause", &self.breaker.pause, faults);
        faults.require(self.retry.first.0 <= self.retry.max.0, "spec.retry.max", || {
            format!("is {}, less than the first pause, {}", self.retry.max, self.retry.first)
        });
        faults
            .require(self.breaker.failures > 0, "spec.breaker.failures", || "must be at least 1".to_owned());
    }

    fn check_change(&self, before: &Self, faults: &mut Faults) {
        faults.require(self.sink == before.sink, "spec.sink", || {
            format!("is `{}` and cannot be changed, since what it holds decides what is sent; create another route", before.sink)
        });
        faults.require(self.from == before.from, "spec.from", || {
            "is where the route began and cannot be changed; use `towpath replay ROUTE --from …`".to_owned()
        });
    }

    fn references(&self) -> Vec<Reference> {
        vec![Reference { path: "spec.sink", kind: Kind::Sink, name: self.sink.clone() }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_log_is_written_as_it_is_read() {
        for text in ["earliest", "latest", "42", "2026-01-31T12:00:00Z"] {
            assert_eq!(text.parse::<StartFrom>().unwrap().to_string(), text);
        }
        assert!("yesterday".parse::<StartFrom>().unwrap_err().to_string().contains("`earliest`, `latest`"));
    }
}
