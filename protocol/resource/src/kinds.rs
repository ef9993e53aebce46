//! The one list of kinds. Whatever holds for every kind is derived from it, here and in other crates: a kind is added
//! by its own file and one line here.

/// Hands the list of kinds to another macro, behind what is in brackets:
/// `with_kinds!({my_macro} [my arguments])` calls `my_macro!([my arguments] kinds)`.
///
/// Each kind is its variant, its spec, its tables' name, and its words: one, and many.
#[macro_export]
macro_rules! with_kinds {
    ({$($then:tt)+} [$($arguments:tt)*]) => {
        $($then)+! {
            [$($arguments)*]
            /// A place that data comes from or goes to.
            Site SiteSpec sites "site" "sites";
            /// One installed agent.
            Agent AgentSpec agents "agent" "agents";
            /// A system that an agent reads.
            Source SourceSpec sources "source" "sources";
            /// A system that an agent writes.
            Sink SinkSpec sinks "sink" "sinks";
            /// A way from streams to a sink.
            Route RouteSpec routes "route" "routes";
            /// What may be stored and sent where.
            Policy PolicySpec policies "policy" "policies";
            /// A set of permissions.
            Role RoleSpec roles "role" "roles";
            /// An OpenID provider whose word on identities is taken.
            IdentityProvider IdentityProviderSpec identity_providers "identity-provider" "identity-providers";
            /// Who has a role, and where.
            RoleBinding RoleBindingSpec role_bindings "role-binding" "role-bindings";
            /// A place that the audit trail is copied to.
            AuditExport AuditExportSpec audit_exports "audit-export" "audit-exports";
        }
    };
}

/// Does the same for whichever kind a value of an enum over the kinds is:
/// `each_kind!(any, AnyManifest::manifest => manifest.check())`.
#[macro_export]
macro_rules! each_kind {
    ($any:expr, $all:ident :: $each:ident => $does:expr) => {
        $crate::with_kinds!({$crate::match_variants} [$any, $all, $each, $does])
    };
}

/// Does the same for a [`Kind`](crate::Kind), with its spec under a name:
/// `kind_of!(kind, S => Schema::of::<S>())`.
#[macro_export]
macro_rules! kind_of {
    ($kind:expr, $spec:ident => $does:expr) => {
        $crate::with_kinds!({$crate::match_kinds} [$kind, $spec, $does])
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! match_variants {
    ([$any:expr, $all:ident, $each:ident, $does:expr]
     $($(#[$doc:meta])* $kind:ident $of:ident $table:ident $one:literal $many:literal;)*) => {
        match $any { $($all::$kind($each) => $does,)* }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! match_kinds {
    ([$any:expr, $spec:ident, $does:expr]
     $($(#[$doc:meta])* $kind:ident $of:ident $table:ident $one:literal $many:literal;)*) => {
        match $any { $($crate::Kind::$kind => {
            type $spec = $crate::$of;
            $does
        })* }
    };
}

/// An enum with a variant for each kind, which holds `$of<spec>`.
macro_rules! any_of_each {
    ([$(#[$about:meta])* $any:ident $of:ident]
     $($(#[$doc:meta])* $kind:ident $spec:ident $table:ident $one:literal $many:literal;)*) => {
        $(#[$about])*
        #[derive(Clone, PartialEq, Debug)]
        pub enum $any {
            $($(#[$doc])* $kind($of<$crate::$spec>),)*
        }

        $(impl From<$of<$crate::$spec>> for $any {
            fn from(one: $of<$crate::$spec>) -> Self {
                Self::$kind(one)
            }
        })*

        impl $any {
            /// The kind.
            pub fn kind(&self) -> $crate::Kind {
                match self { $(Self::$kind(_) => $crate::Kind::$kind,)* }
            }
        }
    };
}

pub(crate) use any_of_each;
