//! An operation as it is called: who asks, and the arguments.

use async_graphql::dynamic::ResolverContext;
use async_graphql::{Error, Value as Given};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::api::read;
use crate::service::{Admission, Asker, Need, Refusal, Service};

/// An operation as it is called.
pub(super) struct Call {
    pub(super) service: Service,
    admission: Admission,
    args: Map<String, Value>,
}

impl Call {
    /// What is called in a request, which bears the service and who asks.
    ///
    /// # Errors
    /// An argument is no JSON, such as a number that is none.
    pub(super) fn of(ctx: &ResolverContext<'_>) -> Result<Self, Error> {
        let (service, admission) = (ctx.data::<Service>()?.clone(), ctx.data::<Admission>()?.clone());
        let given = ctx.args.iter().filter(|(_, value)| !value.is_null());
        let args = given.map(|(name, value)| {
            let value: &Given = value.as_value();
            Ok((name.to_string(), value.clone().into_json()?))
        });
        Ok(Self { service, admission, args: args.collect::<Result<_, Error>>()? })
    }

    /// Does what is called, if whoever asks has what it needs. What was denied is noted in the audit trail.
    ///
    /// # Errors
    /// It is refused.
    pub(super) async fn admitted<T, F: Future<Output = Result<T, Refusal>>>(
        self,
        need: Need,
        act: impl FnOnce(Self) -> F,
    ) -> Result<T, Refusal> {
        let (service, asker) = (self.service.clone(), self.asker().clone());
        let done = match need {
            Need::Permission(permission) => match asker.require_somewhere(permission) {
                Ok(()) => act(self).await,
                Err(denied) => Err(denied.into()),
            },
            Need::Nothing | Need::ToBeKnown | Need::DecidedByContent => act(self).await,
        };
        service.note_denials(&asker).await;
        done
    }

    /// Who asks.
    pub(super) fn asker(&self) -> &Asker {
        &self.admission.asker
    }

    /// A text that must be there.
    pub(super) fn text(&self, name: &str) -> Result<&str, Refusal> {
        self.maybe_text(name).ok_or_else(|| missing(name))
    }

    /// A text that may be there.
    pub(super) fn maybe_text(&self, name: &str) -> Option<&str> {
        self.args.get(name)?.as_str()
    }

    /// An argument as it was given, or null.
    pub(super) fn value(&self, name: &str) -> Value {
        self.args.get(name).cloned().unwrap_or_default()
    }

    /// An argument read as what it stands for, if it is there.
    pub(super) fn maybe<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Refusal> {
        let given = self.args.get(name).cloned();
        given.map(|given| read(given).map_err(|refusal| within(name, refusal))).transpose()
    }

    /// An argument read as what it stands for.
    pub(super) fn must<T: DeserializeOwned>(&self, name: &str) -> Result<T, Refusal> {
        self.maybe(name)?.ok_or_else(|| missing(name))
    }

    /// What is ordered.
    pub(super) fn order<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        self.must("order")
    }
}

fn missing(name: &str) -> Refusal {
    Refusal::invalid_argument(name, "must be given")
}

/// The fault of an argument, with the argument in its path.
fn within(name: &str, refusal: Refusal) -> Refusal {
    let Refusal::Invalid { faults, .. } = refusal else { return refusal };
    let message = faults.first().map(|fault| fault.message.clone()).unwrap_or_default();
    let path = faults.first().map(|fault| fault.path.as_str()).filter(|path| !path.is_empty());
    Refusal::invalid_argument(&path.map_or_else(|| name.to_owned(), |path| format!("{name}.{path}")), message)
}
