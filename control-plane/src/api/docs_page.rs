//! The API's document as a page for people: plain HTML, made from the OpenAPI document, with no script and nothing from
//! elsewhere.

use std::fmt::Write;
use std::sync::LazyLock;

use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::{Router, routing};
use serde_json::{Map, Value};

use super::openapi::document;
use crate::service::Service;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}\
code,pre{font:14px/1.4 ui-monospace,monospace;background:#f2f4f6;border-radius:4px}code{padding:.1em .3em}pre{padding:.8rem;overflow-x:auto}\
details{border:1px solid #d5dade;border-radius:6px;margin:.4rem 0;padding:.4rem .8rem}summary{cursor:pointer}\
.m{display:inline-block;min-width:4.5rem;font-weight:600}table{border-collapse:collapse;width:100%}td,th{text-align:left;\
vertical-align:top;border-bottom:1px solid #e4e8eb;padding:.3rem .6rem .3rem 0}\
@media(prefers-color-scheme:dark){body{color:#e4e8eb;background:#15181b}code,pre{background:#23282d}details{border-color:#3a4148}}";

/// Nothing but the page's own style is to be loaded or run.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn routes() -> Router<Service> {
    static PAGE: LazyLock<String> = LazyLock::new(|| page(&document()));
    Router::new().route(
        "/docs",
        routing::get(|| async {
            let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY)];
            (headers, PAGE.as_str()).into_response()
        }),
    )
}

/// The page of an OpenAPI document.
fn page(document: &Value) -> String {
    let title = text(&document["info"]["title"]);
    let mut page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><title>{title} API</title><style>{STYLE}</style><h1>{title} API</h1><p>{}</p><p>Version {}. The same for programs: <a href=\"/openapi.json\">/openapi.json</a>.</p>",
        text(&document["info"]["description"]),
        text(&document["info"]["version"]),
    );
    for tag in document["tags"].as_array().into_iter().flatten() {
        push(&mut page, format_args!("<h2>{}</h2>", text(&tag["name"])));
        for (path, operations) in members(&document["paths"]) {
            for (method, operation) in members(operations) {
                if operation["tags"][0] == tag["name"] {
                    write_operation(&mut page, path, method, operation);
                }
            }
        }
    }
    page.push_str("<h2>Types</h2>");
    for (name, schema) in members(&document["components"]["schemas"]) {
        push(
            &mut page,
            format_args!(
                "<details id=\"{0}\"><summary><code>{0}</code> {1}</summary><pre>{2}</pre></details>",
                escaped(name),
                text(&schema["description"]),
                pretty(schema),
            ),
        );
    }
    page.push_str("</html>");
    page
}

fn write_operation(page: &mut String, path: &str, method: &str, operation: &Value) {
    let (method, path) = (escaped(&method.to_ascii_uppercase()), escaped(path));
    push(
        page,
        format_args!(
            "<details><summary><span class=m>{method}</span><code>{path}</code> {}</summary><p>Needs <code>{}</code>.</p>",
            text(&operation["summary"]),
            text(&operation["x-permission"]),
        ),
    );
    let parameters = operation["parameters"].as_array().filter(|all| !all.is_empty());
    if let Some(parameters) = parameters {
        page.push_str("<table><tr><th>Parameter<th>In<th>Meaning");
        for one in parameters {
            let (name, place, about) = (text(&one["name"]), text(&one["in"]), text(&one["description"]));
            push(page, format_args!("<tr><td><code>{name}</code><td>{place}<td>{about}"));
        }
        page.push_str("</table>");
    }
    write_contents(page, "Takes", &operation["requestBody"]["content"]);
    page.push_str("<table><tr><th>Status<th>Answer");
    for (status, response) in members(&operation["responses"]) {
        let problem = response["$ref"].as_str().map(|_| "A <a href=\"#Problem\">problem</a>.".to_owned());
        let about = problem.unwrap_or_else(|| text(&response["description"]));
        push(page, format_args!("<tr><td>{}<td>{about}", escaped(status)));
        write_contents(page, "", &response["content"]);
    }
    page.push_str("</table></details>");
}

/// The content types of a body, each with its schema and example.
fn write_contents(page: &mut String, title: &str, contents: &Value) {
    for (kind, content) in members(contents) {
        let schema = &content["schema"];
        push(page, format_args!("<p>{title} <code>{}</code>: ", escaped(kind)));
        match schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
            Some(name) => push(page, format_args!("<a href=\"#{0}\">{0}</a></p>", escaped(name))),
            None => push(page, format_args!("</p><pre>{}</pre>", pretty(schema))),
        }
        if !content["example"].is_null() {
            push(page, format_args!("<pre>{}</pre>", pretty(&content["example"])));
        }
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn push(page: &mut String, what: std::fmt::Arguments<'_>) {
    page.write_fmt(what).expect("memory takes all of it");
}

fn pretty(value: &Value) -> String {
    escaped(&serde_json::to_string_pretty(value).expect("JSON is always JSON"))
}

fn text(value: &Value) -> String {
    escaped(value.as_str().unwrap_or_default())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_operation_is_on_the_page_and_nothing_comes_from_elsewhere() {
        let (document, page) = (document(), page(&document()));
        for (path, operations) in members(&document["paths"]) {
            for (method, _) in members(operations) {
                let line = format!("<span class=m>{}</span><code>{path}</code>", method.to_ascii_uppercase());
                assert!(page.contains(&line), "{line}");
            }
        }
        for foreign in ["<script", "src=", "http://", "@import"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn what_the_document_says_cannot_become_markup() {
        let document =
            json!({ "info": { "title": "<b>", "description": "\"&", "version": "1" }, "tags": [] });
        let page = page(&document);
        assert!(page.contains("&lt;b&gt;") && page.contains("&quot;&amp;") && !page.contains("<b>"));
    }
}
