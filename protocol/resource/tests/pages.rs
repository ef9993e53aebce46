//! The page of each kind says what its type says. A page that is behind fails here, and is written by the same test.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

use std::fmt::Write;
use std::path::PathBuf;

use serde_json::Value;
use towpath_resource::Kind;
use towpath_resource::form::{Choice, Field, Input, KindForm};

/// Set to write the pages instead of comparing them.
const WRITE: &str = "TOWPATH_WRITE_DOCS";

const MADE: &str = "This page is made from the type itself: \
    `TOWPATH_WRITE_DOCS=1 cargo nextest run -p towpath-resource pages` writes it.";

fn page(form: &KindForm) -> String {
    let (kind, plural) = (form.kind.as_str(), &form.plural);
    let mut page =
        format!("# {kind}\n\n{}\n\n{MADE}\n\n## Example\n\n```yaml\n{}```\n", form.help, form.example);
    page.push_str("\n## Fields\n\n| field | type | default | meaning |\n|---|---|---|---|\n");
    form.fields.iter().for_each(|field| rows(field, &mut page));
    write!(
        page,
        "\n## Addresses\n\n`GET /v1/{plural}` lists, `GET`, `PUT`, `PATCH` and `DELETE /v1/{plural}/NAME` show and change one; \
         [the API](../api.md) says how. Permissions: `{noun}:read`, `{noun}:write`. `towpath explain {noun}` shows this page's \
         fields on the command line.\n\n",
        noun = form.noun,
    )
    .unwrap();
    let columns: Vec<_> =
        form.columns.iter().map(|column| format!("{} (`{}`)", column.title, column.pointer)).collect();
    writeln!(page, "Tables show beside the name: {}.", columns.join(", ")).unwrap();
    page
}

fn rows(field: &Field, page: &mut String) {
    let path = field.path.strip_prefix("metadata.").unwrap_or(&field.path);
    let default = match &field.default {
        _ if field.required => "required".to_owned(),
        Some(Value::Object(_)) | None => String::new(),
        Some(Value::String(text)) if text.is_empty() => String::new(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(value) => format!("`{value}`"),
    };
    let choices = field.choices.iter().map(chosen).collect::<String>();
    let help = format!("{}{choices}", field.help).replace("\n\n", "<br>").replace('|', "\\|");
    writeln!(page, "| `{path}` | {} | {default} | {help} |", type_of(field)).unwrap();
    field.choices.iter().flat_map(|choice| &choice.fields).for_each(|below| rows(below, page));
    // An item of a list that is a plain value is said with the list.
    let below = if field.input == Input::List { &item_of(field).fields } else { &field.fields };
    below.iter().for_each(|below| rows(below, page));
    if field.input == Input::List {
        item_of(field).choices.iter().flat_map(|choice| &choice.fields).for_each(|below| rows(below, page));
    }
}

fn item_of(list: &Field) -> &Field {
    &list.fields[0]
}

fn chosen(choice: &Choice) -> String {
    format!("<br>`{}`: {}", choice.value, choice.help)
}

fn type_of(field: &Field) -> String {
    let bounds = match (field.min, field.max) {
        (Some(min), Some(max)) if field.input == Input::Number => format!(", {min} to {max}"),
        (Some(min), None) if field.input == Input::Number => format!(", at least {min}"),
        (_, Some(max)) if field.input == Input::Text => format!(", at most {max} characters"),
        (_, Some(max)) if matches!(field.input, Input::List | Input::Map) => format!(", at most {max}"),
        _ => String::new(),
    };
    let example = field.example.as_ref().and_then(Value::as_str);
    let what = match field.input {
        Input::Text if field.secret => "where a secret is".to_owned(),
        Input::Text => match (field.reference, example) {
            (Some(kind), _) => return format!("name of a [{}]({}.md)", kind.as_str(), kind.noun()),
            (None, Some(example)) => format!("text such as `{example}`"),
            (None, None) => "text".to_owned(),
        },
        Input::Number => "whole number".to_owned(),
        Input::Switch => "true or false".to_owned(),
        Input::Choice => "choice".to_owned(),
        Input::List => format!("list of {}", type_of(item_of(field))),
        Input::Group => "fields".to_owned(),
        Input::Map => "mapping".to_owned(),
    };
    format!("{what}{bounds}")
}

#[test]
fn the_page_of_every_kind_is_what_its_type_says() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/resources");
    let pages = Kind::ALL.map(KindForm::of).map(|form| (format!("{}.md", form.noun), page(&form)));
    if std::env::var_os(WRITE).is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        pages.iter().for_each(|(name, made)| std::fs::write(folder.join(name), made).unwrap());
    }
    for (name, made) in &pages {
        let written = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let differs = written.lines().zip(made.lines()).find(|(old, new)| old != new);
        assert!(
            written == *made,
            "docs/resources/{name} is not what the type says, first at {differs:?}; run the tests with {WRITE}=1, and look at what changed"
        );
    }
    let all = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(all, pages.len(), "a page of a kind that is no more must go");
}

#[test]
fn every_page_is_linked_from_the_table_of_contents() {
    let contents = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/README.md");
    let contents = std::fs::read_to_string(contents).unwrap();
    for kind in Kind::ALL {
        let link = format!("(resources/{}.md)", kind.noun());
        assert!(contents.contains(&link), "docs/README.md does not link {link}");
    }
}
