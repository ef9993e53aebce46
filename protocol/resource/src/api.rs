//! What admins and the control plane say to each other over HTTP, beside the resources themselves. Defined once, so that
//! the server, the command line and the OpenAPI document agree.

pub mod problem;
pub mod apply;
pub mod token;
pub mod key;
pub mod user;
pub mod fleet;
pub mod route;
pub mod compare;
pub mod check;
pub mod stream;
pub mod schema;
pub mod policy;
pub mod letter;
pub mod log;
pub mod audit;
pub mod history;
pub mod feed;

pub use apply::{Applied, ApplyOutcome, ApplyReport};
pub use audit::{AuditFilter, AuditOutcome, AuditPage, ExportStatus};
pub use check::{Finding, SourceCheck, Verdict};
pub use compare::{CompareLine, CompareOrder, DifferenceKind, RowDifference, StreamSums, StreamVerdict};
pub use feed::{FeedItem, FeedPage, FeedTicket, FeedWhat};
pub use fleet::{
    AgentStatus, FleetStatus, Flow, Lag, LogStatus, RouteStatus, SinkStatus, SiteStatus, SourceStatus,
};
pub use history::{Happened, ResourceVersion, RollbackOrder};
pub use key::{CreatedKey, KeyOrder, KeyState, KeyStatus, RotateOrder};
pub use letter::{DeadLetter, LetterOrigin, LetterState};
pub use log::{AgentLog, LogLevel, LogLine, LogPage, MOST_LOG_LINES};
pub use policy::{ClassOrigin, ConsideredRule, ExplainOrder, FieldAtPlace, FoundField, PolicyExplanation};
pub use problem::Problem;
pub use route::{FedStream, Feeder, ReplayOrder, Replayed, RouteDescription};
pub use schema::{
    AcceptOrder, SchemaAccepted, SchemaDescription, SchemaDiff, SchemaHold, StreamSchemas, VersionStatus,
};
pub use stream::{StreamRecord, StreamStatus};
pub use token::{CreatedToken, TokenOrder, TokenState, TokenStatus};
pub use user::{
    LONGEST_PASSWORD, LoginOrder, LoginProvider, OwnPasswordOrder, PasswordOrder, RefreshOrder,
    SHORTEST_PASSWORD, SessionStatus, SessionTokens, UserOrder, UserStatus, WhoAmI,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A list, as the API answers it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub struct Listed<T> {
    /// The items.
    pub items: Vec<T>,
}

/// A part of a long list.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// What leads to the next part: the argument `cursor` of the next request. Absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
