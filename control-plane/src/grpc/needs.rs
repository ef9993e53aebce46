//! What each call needs, in one table: a call that is not in it is refused.

use towpath_resource::{Kind, Object, Permission};

use crate::service::Need;

const fn read(object: Object) -> Need {
    Need::Permission(Permission::read(object))
}

const fn write(object: Object) -> Need {
    Need::Permission(Permission::write(object))
}

const fn operate(object: Object) -> Need {
    Need::Permission(Permission::operate(object))
}

const ROUTE: Object = Object::Resource(Kind::Route);

/// Every call and what it needs. The kind of a resource stands in the message, so that those are decided by content.
pub(super) const NEEDS: &[(&str, Need)] = &[
    ("/towpath.admin.v1.Resources/List", Need::DecidedByContent),
    ("/towpath.admin.v1.Resources/Get", Need::DecidedByContent),
    ("/towpath.admin.v1.Resources/Apply", Need::DecidedByContent),
    ("/towpath.admin.v1.Resources/Put", Need::DecidedByContent),
    ("/towpath.admin.v1.Resources/Patch", Need::DecidedByContent),
    ("/towpath.admin.v1.Resources/Delete", Need::DecidedByContent),
    ("/towpath.admin.v1.Resources/Watch", Need::DecidedByContent),
    ("/towpath.admin.v1.Resources/History", Need::DecidedByContent),
    ("/towpath.admin.v1.Resources/Rollback", Need::DecidedByContent),
    ("/towpath.admin.v1.Routes/Describe", read(ROUTE)),
    ("/towpath.admin.v1.Routes/Replay", operate(ROUTE)),
    ("/towpath.admin.v1.Routes/Compare", operate(ROUTE)),
    ("/towpath.admin.v1.Routes/AcceptSchema", operate(Object::Schema)),
    ("/towpath.admin.v1.Sources/Check", operate(Object::Resource(Kind::Source))),
    ("/towpath.admin.v1.Agents/Revoke", operate(Object::Resource(Kind::Agent))),
    ("/towpath.admin.v1.Agents/GetLog", read(Object::AgentLog)),
    ("/towpath.admin.v1.Fleet/GetStatus", read(Object::Status)),
    ("/towpath.admin.v1.Fleet/WatchStatus", read(Object::Status)),
    ("/towpath.admin.v1.Streams/List", read(Object::Stream)),
    ("/towpath.admin.v1.Streams/Read", read(Object::Record)),
    ("/towpath.admin.v1.Schemas/List", read(Object::Schema)),
    ("/towpath.admin.v1.Schemas/Get", read(Object::Schema)),
    ("/towpath.admin.v1.Schemas/Diff", read(Object::Schema)),
    ("/towpath.admin.v1.Policies/Explain", read(Object::Resource(Kind::Policy))),
    ("/towpath.admin.v1.DeadLetters/List", read(Object::DeadLetter)),
    ("/towpath.admin.v1.DeadLetters/Get", read(Object::DeadLetter)),
    ("/towpath.admin.v1.DeadLetters/Replay", operate(Object::DeadLetter)),
    ("/towpath.admin.v1.Tokens/Create", write(Object::EnrolmentToken)),
    ("/towpath.admin.v1.Tokens/List", read(Object::EnrolmentToken)),
    ("/towpath.admin.v1.Tokens/Revoke", write(Object::EnrolmentToken)),
    ("/towpath.admin.v1.Keys/Create", write(Object::ApiKey)),
    ("/towpath.admin.v1.Keys/List", read(Object::ApiKey)),
    ("/towpath.admin.v1.Keys/Get", read(Object::ApiKey)),
    ("/towpath.admin.v1.Keys/Rotate", write(Object::ApiKey)),
    ("/towpath.admin.v1.Keys/Revoke", write(Object::ApiKey)),
    ("/towpath.admin.v1.Keys/RevokeAdminToken", write(Object::ApiKey)),
    ("/towpath.admin.v1.Users/Create", write(Object::User)),
    ("/towpath.admin.v1.Users/List", read(Object::User)),
    ("/towpath.admin.v1.Users/Get", read(Object::User)),
    ("/towpath.admin.v1.Users/Delete", write(Object::User)),
    ("/towpath.admin.v1.Users/SetPassword", write(Object::User)),
    ("/towpath.admin.v1.Sessions/Login", Need::Nothing),
    ("/towpath.admin.v1.Sessions/Refresh", Need::Nothing),
    ("/towpath.admin.v1.Sessions/ListProviders", Need::Nothing),
    ("/towpath.admin.v1.Sessions/WhoAmI", Need::ToBeKnown),
    ("/towpath.admin.v1.Sessions/Logout", Need::ToBeKnown),
    ("/towpath.admin.v1.Sessions/SetOwnPassword", Need::ToBeKnown),
    ("/towpath.admin.v1.Sessions/List", read(Object::Session)),
    ("/towpath.admin.v1.Sessions/Close", write(Object::Session)),
    ("/towpath.admin.v1.Audit/List", read(Object::Audit)),
    ("/towpath.admin.v1.Audit/Verify", read(Object::Audit)),
    ("/towpath.admin.v1.Audit/ListCheckpoints", read(Object::Audit)),
    ("/towpath.admin.v1.Audit/GetKey", read(Object::Audit)),
    ("/towpath.admin.v1.Audit/Export", read(Object::Audit)),
    ("/towpath.admin.v1.Events/List", read(Object::Audit)),
    ("/towpath.admin.v1.Events/Follow", read(Object::Audit)),
    // Only to be known.
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Need::DecidedByContent),
];

/// What the call at this path needs.
pub(super) fn of(path: &str) -> Option<Need> {
    NEEDS.iter().find(|(call, _)| *call == path).map(|(_, need)| *need)
}
