//! A browser without a window: it keeps cookies, follows redirects, and fills in and sends whatever form it is shown.

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Response, Url};

/// More pages than a login has.
const MOST_PAGES: usize = 20;

pub(super) struct Browser {
    http: Client,
    cookies: Vec<Cookie>,
}

struct Cookie {
    name: String,
    value: String,
    path: String,
}

struct Form {
    action: String,
    fields: Vec<(String, String)>,
}

impl Browser {
    pub(super) fn new(http: Client) -> Self {
        Self { http, cookies: Vec::new() }
    }

    /// Logs in as someone. Returns where the provider sends the browser back to, or nothing if it ends at the provider.
    pub(super) async fn go(&mut self, start: Url, login: &str) -> Option<Url> {
        let home = start.origin();
        let mut next = (start, None);
        for _ in 0..MOST_PAGES {
            let (url, form) = next;
            if url.origin() != home {
                return Some(url);
            }
            let response = self.send(&url, form.as_ref()).await;
            if let Some(to) = response.headers().get(LOCATION) {
                next = (url.join(to.to_str().unwrap()).unwrap(), None);
                continue;
            }
            let text = response.text().await.unwrap();
            let shown = Form::read(&text, login)?;
            next = (url.join(&shown.action).unwrap(), Some(shown));
        }
        panic!("the login does not end");
    }

    async fn send(&mut self, url: &Url, form: Option<&Form>) -> Response {
        let request = match form {
            None => self.http.get(url.clone()),
            Some(form) => {
                let fields: Vec<_> = form.fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                let request = self.http.post(url.clone()).body(encoded(&fields));
                request.header("content-type", "application/x-www-form-urlencoded")
            }
        };
        let fitting = self.cookies.iter().filter(|cookie| url.path().starts_with(&cookie.path));
        let cookies: Vec<_> = fitting.map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        let response = request.header(COOKIE, cookies.join("; ")).send().await.unwrap();
        for set in response.headers().get_all(SET_COOKIE) {
            self.keep(set.to_str().unwrap());
        }
        response
    }

    fn keep(&mut self, set: &str) {
        let mut parts = set.split("; ");
        let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).unwrap();
        let path = parts.find_map(|part| part.strip_prefix("path=")).unwrap_or("/").to_owned();
        self.cookies.retain(|known| known.name != name || known.path != path);
        if !value.is_empty() {
            self.cookies.push(Cookie { name: name.to_owned(), value: value.to_owned(), path });
        }
    }
}

impl Form {
    /// The first form of a page, with what a person would write into it.
    fn read(page: &str, login: &str) -> Option<Self> {
        let form = page.split_once("<form")?.1.split("</form>").next()?;
        let action = attribute(form, "action")?;
        let inputs = form.split("<input").skip(1).map(|input| input.split('>').next().unwrap_or_default());
        let fields = inputs.filter_map(|input| {
            let name = attribute(input, "name")?;
            let written = if name == "login" { login } else { "x" };
            Some((name, attribute(input, "value").unwrap_or_else(|| written.to_owned())))
        });
        Some(Self { action, fields: fields.collect() })
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    Some(rest.split('"').next()?.replace("&amp;", "&"))
}

/// A form as it is sent.
pub(super) fn encoded(form: &[(&str, &str)]) -> String {
    let mut url: Url = "http://form/".parse().unwrap();
    url.query_pairs_mut().extend_pairs(form);
    url.query().unwrap_or_default().to_owned()
}
