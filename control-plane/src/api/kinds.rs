//! The kinds of resources: what a console needs to show and to ask for any of them.

use axum::Json;
use axum::extract::Path;
use axum::http::Method;
use axum::routing;
use towpath_resource::Kind;
use towpath_resource::api::Listed;
use towpath_resource::form::KindForm;

use super::endpoint::Endpoint;
use crate::service::{Need, Refusal};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let listed = "Lists the kinds of resources, each with its form: what a table shows, what can be said and how it is asked for.";
    let shown = "Shows a kind of resources, by its word in addresses, with its form.";
    let (topic, each) = ("kinds", "/v1/kinds/{kind}");
    vec![
        Endpoint::new(
            Need::ToBeKnown,
            Method::GET,
            "/v1/kinds",
            routing::get(list),
            topic,
            "list_kinds",
            listed,
        )
        .answers::<Listed<KindForm>>(),
        Endpoint::new(Need::ToBeKnown, Method::GET, each, routing::get(show), topic, "get_kind", shown)
            .answers::<KindForm>(),
    ]
}

async fn list() -> Json<Listed<KindForm>> {
    Json(Listed { items: Kind::ALL.map(KindForm::of).into() })
}

async fn show(Path(word): Path<String>) -> Result<Json<KindForm>, Refusal> {
    let found = Kind::ALL.into_iter().find(|kind| kind.plural() == word);
    let unknown = || {
        let words = Kind::ALL.map(Kind::plural).join(", ");
        Refusal::NotFound(format!("there is no kind `{word}`; the kinds are {words}"))
    };
    Ok(Json(KindForm::of(found.ok_or_else(unknown)?)))
}
