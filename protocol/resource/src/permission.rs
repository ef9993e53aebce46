//! What can be done with what: the words in which rights are given.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::kind::Kind;
use crate::nearest::nearest;

/// What can be done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Action {
    /// Looking at it.
    Read,
    /// Creating, changing and deleting it.
    Write,
    /// Making it do something that changes no resource: replay, check, compare, cut off.
    Operate,
}

/// What it can be done with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Object {
    /// Resources of a kind.
    Resource(Kind),
    /// How the fleet goes: rates, lags, conditions.
    Status,
    /// The streams of the logs, without their records.
    Stream,
    /// The records of streams, and the rows of dead letters: business data.
    Record,
    /// The schemas of streams.
    Schema,
    /// What could not be processed, without its content.
    DeadLetter,
    /// The log lines of agents.
    AgentLog,
    /// The tokens with which agents enrol.
    EnrolmentToken,
    /// The keys with which programs use the API.
    ApiKey,
    /// People whom the control plane knows by a password.
    User,
    /// Sessions that logins opened.
    Session,
    /// Who did what.
    Audit,
}

/// The right to do one thing with one kind of object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Permission {
    /// What can be done.
    pub action: Action,
    /// With what.
    pub object: Object,
}

/// Permissions, as a role lists them: `route:write`, `source:*`, `*:read` or `*:*`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Permissions {
    object: Option<Object>,
    action: Option<Action>,
}

/// A text that names no permissions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no permissions: {reason}")]
pub struct PermissionsError {
    text: String,
    reason: String,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Operate];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Operate => "operate",
        }
    }
}

impl Object {
    /// Every object beside the resources.
    const OTHERS: [Self; 11] = [
        Self::Status,
        Self::Stream,
        Self::Record,
        Self::Schema,
        Self::DeadLetter,
        Self::AgentLog,
        Self::EnrolmentToken,
        Self::ApiKey,
        Self::User,
        Self::Session,
        Self::Audit,
    ];

    /// Every object.
    pub fn all() -> impl Iterator<Item = Self> {
        Kind::ALL.into_iter().map(Self::Resource).chain(Self::OTHERS)
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resource(kind) => kind.noun(),
            Self::Status => "status",
            Self::Stream => "stream",
            Self::Record => "record",
            Self::Schema => "schema",
            Self::DeadLetter => "dead-letter",
            Self::AgentLog => "agent-log",
            Self::EnrolmentToken => "enrolment-token",
            Self::ApiKey => "api-key",
            Self::User => "user",
            Self::Session => "session",
            Self::Audit => "audit",
        }
    }
}

impl Permission {
    /// The right to look at it.
    pub const fn read(object: Object) -> Self {
        Self { action: Action::Read, object }
    }

    /// The right to create, change and delete it.
    pub const fn write(object: Object) -> Self {
        Self { action: Action::Write, object }
    }

    /// The right to make it do something.
    pub const fn operate(object: Object) -> Self {
        Self { action: Action::Operate, object }
    }

    /// Every permission there is.
    pub fn all() -> impl Iterator<Item = Self> {
        Object::all().flat_map(|object| Action::ALL.map(|action| Self { action, object }))
    }
}

impl Permissions {
    /// Everything.
    pub const ALL: Self = Self { object: None, action: None };

    /// One action with whatever object.
    pub const fn any(action: Action) -> Self {
        Self { object: None, action: Some(action) }
    }

    /// Every action with one object.
    pub const fn of(object: Object) -> Self {
        Self { object: Some(object), action: None }
    }

    /// One action with one object.
    pub const fn one(action: Action, object: Object) -> Self {
        Self { object: Some(object), action: Some(action) }
    }

    /// Whether it is among these.
    pub fn contain(self, permission: Permission) -> bool {
        self.object.is_none_or(|object| object == permission.object)
            && self.action.is_none_or(|action| action == permission.action)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.object.as_str(), self.action.as_str())
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (object, action) =
            (self.object.map_or("*", Object::as_str), self.action.map_or("*", Action::as_str));
        write!(f, "{object}:{action}")
    }
}

impl FromStr for Permissions {
    type Err = PermissionsError;

    fn from_str(text: &str) -> Result<Self, PermissionsError> {
        let refused = |reason| PermissionsError { text: text.to_owned(), reason };
        let (object, action) = text
            .split_once(':')
            .ok_or_else(|| refused("write OBJECT:ACTION, such as `route:read` or `*:read`".to_owned()))?;
        let object = word("object", object, Object::all(), Object::as_str).map_err(refused)?;
        let action = word("action", action, Action::ALL, Action::as_str).map_err(refused)?;
        Ok(Self { object, action })
    }
}

/// What a word stands for: nothing for `*`, which stands for all.
fn word<T: Copy>(
    what: &str,
    text: &str,
    all: impl IntoIterator<Item = T>,
    as_str: impl Fn(T) -> &'static str,
) -> Result<Option<T>, String> {
    if text == "*" {
        return Ok(None);
    }
    let all: Vec<T> = all.into_iter().collect();
    if let Some(found) = all.iter().find(|one| as_str(**one) == text) {
        return Ok(Some(*found));
    }
    let words: Vec<_> = all.iter().map(|one| as_str(*one)).collect();
    let near = nearest(text, words.iter().copied());
    let hint = near.map_or_else(
        || format!("they are {} and *", words.join(", ")),
        |near| format!("did you mean `{near}`?"),
    );
    Err(format!("there is no {what} `{text}`; {hint}"))
}

impl TryFrom<String> for Permissions {
    type Error = PermissionsError;

    fn try_from(text: String) -> Result<Self, PermissionsError> {
        text.parse()
    }
}

impl From<Permissions> for String {
    fn from(permissions: Permissions) -> Self {
        permissions.to_string()
    }
}

impl JsonSchema for Permissions {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Permissions".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let objects: Vec<_> = Object::all().map(Object::as_str).collect();
        let actions = Action::ALL.map(Action::as_str);
        let pattern = format!(r"^(\*|{}):(\*|{})$", objects.join("|"), actions.join("|"));
        json_schema!({ "type": "string", "pattern": pattern, "examples": ["route:read"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_read_as_they_are_written() {
        for text in ["*:*", "route:*", "*:read", "identity-provider:write", "dead-letter:operate"] {
            assert_eq!(text.parse::<Permissions>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_star_contains_all_and_a_word_only_itself() {
        let read: Permissions = "*:read".parse().unwrap();
        let route: Permissions = "route:*".parse().unwrap();
        for permission in Permission::all() {
            assert!(Permissions::ALL.contain(permission));
            assert_eq!(read.contain(permission), permission.action == Action::Read);
            assert_eq!(route.contain(permission), permission.object == Object::Resource(Kind::Route));
        }
    }

    #[test]
    fn a_misspelled_permission_is_refused_with_the_nearest() {
        let said = |text: &str| text.parse::<Permissions>().unwrap_err().to_string();
        assert!(said("rout:read").contains("did you mean `route`?"));
        assert!(said("route:reed").contains("did you mean `read`?"));
        assert!(said("route").contains("OBJECT:ACTION"));
    }
}
