//! The operations of each kind of resource, all in one way, with types made from the kind's JSON Schema.

use async_graphql::dynamic::{Field, Object, TypeRef};
use serde_json::{Value, json};
use towpath_catalog::{Expected, Terms};
use towpath_resource::api::{ApplyReport, ResourceVersion};
use towpath_resource::{API_VERSION, Kind, Object as Subject, Permission, schema};

use super::call::Call;
use super::operation::Operation;
use super::shape::{JSON, LONG};
use super::types::{Answers, Types, member, not_null};
use crate::service::{DEFAULT_PAGE, ListOrder, MOST_ON_PAGE, Need, Refusal, Shown, SortError, parse};

const NAME: &str = "Its name.";

/// The operations of every kind.
pub(super) fn operations(types: &mut Types) -> Vec<Operation> {
    let mut all = vec![apply(types)];
    for kind in Kind::ALL {
        add_types(types, kind);
        all.extend(looks(types, kind));
        all.extend(changes(types, kind));
    }
    all
}

/// `role-binding` as `roleBinding`, or behind other words as `RoleBinding`.
pub(super) fn camel(before: &str, words: &str) -> String {
    let mut named = before.to_owned();
    let mut is_start = !before.is_empty();
    for c in words.chars() {
        match c {
            '-' | '_' => is_start = true,
            c if std::mem::take(&mut is_start) => named.push(c.to_ascii_uppercase()),
            c => named.push(c),
        }
    }
    named
}

/// The types of a kind: the resource, its parts, and a page of such. What all kinds have is one type.
fn add_types(types: &mut Types, kind: Kind) {
    let (name, shown) = (kind.as_str(), schema::shown(kind));
    let required = shown["required"].as_array().cloned().unwrap_or_default();
    let mut resource = Object::new(name).description(shown["description"].as_str().unwrap_or_default());
    for (part, schema) in shown["properties"].as_object().into_iter().flatten() {
        let called = if part == "metadata" { "Metadata".to_owned() } else { camel(name, part) };
        let Answers { of, is_leaf } = types.answer_of(&called, schema);
        let of = if required.iter().any(|one| one == part) { not_null(of) } else { of };
        let about = schema["description"].as_str().unwrap_or_default();
        resource = resource.field(member(part, of, is_leaf).description(about));
    }
    types.add(resource);
    let field = |name: &str, of: TypeRef, is_leaf: bool, about: &str| -> Field {
        member(name, of, is_leaf).description(about)
    };
    let page =
        Object::new(format!("{name}Page")).description(format!("A part of a list of {}.", kind.plural()));
    let next = "Leads to the next page: the argument `cursor`. Null at the end.";
    types.add(
        page.field(field("items", TypeRef::named_nn_list_nn(name), false, "The resources.")).field(field(
            "next_cursor",
            TypeRef::named(TypeRef::STRING),
            true,
            next,
        )),
    );
}

fn looks(types: &mut Types, kind: Kind) -> [Operation; 3] {
    let read = Permission::read(Subject::Resource(kind));
    let (one, many) = (kind.noun(), kind.plural());
    let (resource, page) =
        (Answers::object(kind.as_str()), Answers::object(format!("{}Page", kind.as_str())));
    let list = Operation::query(
        camel("", many),
        format!("Lists the {many}, page by page."),
        read,
        page,
        move |call| async move { listed(&call, kind).await },
    );
    let show =
        Operation::query(camel("", one), format!("Shows a {one}."), read, resource, move |call| async move {
            Ok(call.service.show(call.asker(), kind, call.text("name")?)?.to_json())
        });
    let about = format!(
        "Lists every version of a {one}: who changed what, field by field. Also of one that was deleted."
    );
    let versions = types.answers::<ResourceVersion>();
    let history = Operation::query(camel("historyOf", one), about, read, versions, move |call| async move {
        call.service.history(call.asker(), kind, call.text("name")?).await
    });
    [
        list.pages("limit", DEFAULT_PAGE, MOST_ON_PAGE)
            .maybe_text("cursor", "`next_cursor` of the page before, with the same `sort` and `filter`.")
            .maybe_text("sort", "The order, as in REST: `name`, `-updated_at`, `label:KEY`. Default: `name`.")
            .maybe_text("filter", "Which, as in REST: `labels.env=prod,spec.agent!=plant-1`. Default: all."),
        show.text("name", NAME),
        history.text("name", NAME),
    ]
}

async fn listed(call: &Call, kind: Kind) -> Result<Value, Refusal> {
    let sort = call.maybe_text("sort").map(str::parse).transpose();
    let order = ListOrder {
        limit: call.maybe("limit")?,
        cursor: call.maybe("cursor")?,
        sort: sort
            .map_err(|error: SortError| Refusal::invalid_argument("sort", error.to_string()))?
            .unwrap_or_default(),
        filter: call.maybe_text("filter").unwrap_or_default().parse()?,
    };
    let page = call.service.list(call.asker(), kind, order).await?;
    let items: Vec<_> = page.items.iter().map(Shown::to_json).collect();
    Ok(json!({ "items": items, "next_cursor": page.next_cursor }))
}

fn apply(types: &mut Types) -> Operation {
    let about = "Creates or changes resources that may refer to each other, in any order. Each is taken or refused by itself.";
    let report = types.answer::<ApplyReport>();
    let all = TypeRef::named_nn_list_nn(JSON);
    let apply = Operation::mutation("apply", about, Need::DecidedByContent, report, |call| async move {
        let manifests: Vec<Value> = call.must("manifests")?;
        if manifests.is_empty() {
            return Err(Refusal::invalid_argument(
                "manifests",
                "has no document; send one or more resources",
            ));
        }
        let texts: Vec<_> = manifests.iter().map(ToString::to_string).collect();
        call.service.apply_reporting(call.asker(), &parse(&texts.join("\n---\n"))?, is_dry_run(&call)?).await
    });
    dry_run(apply.argument("manifests", all, "The resources, as in manifests."))
}

fn changes(types: &mut Types, kind: Kind) -> [Operation; 4] {
    let write = Permission::write(Subject::Resource(kind));
    let one = kind.noun();
    let resource = || Answers::object(kind.as_str());
    let about = format!("Creates or replaces a {one}.");
    let put = Operation::mutation(camel("put", one), about, write, resource(), move |call| async move {
        put_one(&call, kind).await
    });
    let about = format!(
        "Changes the fields of a {one} that the patch names (RFC 7396). Lists are replaced as a whole."
    );
    let patch = Operation::mutation(camel("patch", one), about, write, resource(), move |call| async move {
        let (name, patch) = (call.text("name")?, call.value("patch"));
        Ok(call.service.patch(call.asker(), kind, name, &patch, &terms(&call)?).await?.shown.to_json())
    });
    let about = format!("Deletes a {one} that no other resource needs.");
    let delete =
        Operation::mutation(camel("delete", one), about, write, Answers::done(), move |call| async move {
            call.service.delete(call.asker(), kind, call.text("name")?, terms(&call)?).await?;
            Ok(true)
        });
    let about = format!("Makes a {one} as it was at an earlier generation.");
    let back =
        Operation::mutation(camel("rollback", one), about, write, resource(), move |call| async move {
            Ok(call
                .service
                .rollback(call.asker(), kind, call.text("name")?, call.must("to")?)
                .await?
                .to_json())
        });
    let manifest = schema::of(kind);
    let metadata = not_null(types.input("Metadata", &manifest["properties"]["metadata"]));
    let spec = types.input(&format!("{}Spec", kind.as_str()), &manifest["properties"]["spec"]);
    [
        conditional(put.argument("metadata", metadata, "Its name and labels.").argument(
            "spec",
            spec,
            "What it shall be.",
        )),
        conditional(patch.text("name", NAME).argument(
            "patch",
            TypeRef::named_nn(JSON),
            "The fields to change; null takes one out.",
        )),
        conditional(delete.text("name", NAME)),
        back.text("name", NAME).argument("to", TypeRef::named_nn(LONG), "The generation."),
    ]
}

/// A change that can be tried, and made only in a certain state.
fn conditional(operation: Operation) -> Operation {
    let about =
        "The generation that the resource must have, so that nothing came between; 0: there must be none.";
    dry_run(operation.argument("generation", TypeRef::named(LONG), about))
}

fn dry_run(operation: Operation) -> Operation {
    operation.argument("dry_run", TypeRef::named(TypeRef::BOOLEAN), "Whether to check only. Default: false.")
}

fn is_dry_run(call: &Call) -> Result<bool, Refusal> {
    Ok(call.maybe("dry_run")?.unwrap_or(false))
}

fn terms(call: &Call) -> Result<Terms, Refusal> {
    let expected = match call.maybe("generation")? {
        None => Expected::Anything,
        Some(0) => Expected::Absent,
        Some(generation) => Expected::OneOf(vec![generation]),
    };
    Ok(Terms { expected, dry_run: is_dry_run(call)? })
}

async fn put_one(call: &Call, kind: Kind) -> Result<Value, Refusal> {
    let metadata = call.value("metadata");
    let mut manifest = json!({ "apiVersion": API_VERSION, "kind": kind.as_str(), "metadata": metadata });
    if let Some(spec) = call.maybe::<Value>("spec")? {
        manifest["spec"] = spec;
    }
    let name = metadata["name"].as_str().unwrap_or_default();
    let put = call.service.put(call.asker(), kind, name, &manifest.to_string(), terms(call)?).await?;
    Ok(put.shown.to_json())
}
