//! Logins at a real identity provider: the certified npm package `oidc-provider`, started from `tests/oidc`.

mod browser;
mod provider;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::fixture::{Answer, Fixture};
use crate::api::ApiSettings;
use crate::config::EgressSettings;
use provider::Provider;

/// An API that knows the provider, where `ops` are operators and the client `machine` is a viewer.
async fn fixture(provider: &Provider) -> Fixture {
    let allow = vec!["127.0.0.0/8".parse().unwrap()];
    let egress = EgressSettings { allow, ca_file: Some(provider.ca_file()) };
    let fixture = Fixture::configured(&ApiSettings::default(), &egress);
    let resources = format!(
        "apiVersion: towpath/v1
kind: IdentityProvider
metadata: {{name: corp}}
spec: {{issuer: '{}', client_id: towpath, scopes: [openid, email, groups]}}
---
apiVersion: towpath/v1
kind: RoleBinding
metadata: {{name: ops}}
spec: {{role: operator, subjects: [{{group: {{provider: corp, name: ops}}}}]}}
---
apiVersion: towpath/v1
kind: RoleBinding
metadata: {{name: machine}}
spec: {{role: viewer, subjects: [{{identity: {{provider: corp, subject: machine}}}}]}}
",
        provider.issuer
    );
    let report = fixture.post("/v1/apply", &resources).await.json();
    assert!(report["results"].as_array().unwrap().iter().all(|one| one["outcome"] == "created"), "{report}");
    fixture
}

async fn whoami(fixture: &Fixture, token: &str) -> Answer {
    fixture.send(Method::GET, "/v1/auth/whoami", Some(token), Body::empty()).await
}

async fn login_provider(fixture: &Fixture) -> Value {
    let listed = fixture.send(Method::GET, "/v1/auth/providers", None, Body::empty()).await.json();
    listed["items"][0].clone()
}

#[tokio::test]
async fn a_person_logs_in_by_code_with_pkce_and_has_what_the_group_has() {
    let provider = Provider::start().await;
    let fixture = fixture(&provider).await;
    let login = login_provider(&fixture).await;
    let text = |field: &str| login[field].as_str().unwrap().to_owned();
    assert_eq!((text("name"), text("client_id")), ("corp".to_owned(), "towpath".to_owned()));

    let verifier = URL_SAFE_NO_PAD.encode([7; 32]);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
    let scopes: Vec<_> =
        login["scopes"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    let back = "http://127.0.0.1/callback";
    let mut url: reqwest::Url = text("authorization_endpoint").parse().unwrap();
    url.query_pairs_mut().extend_pairs([
        ("client_id", "towpath"),
        ("response_type", "code"),
        ("redirect_uri", back),
        ("scope", &scopes.join(" ")),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]);
    let answered = provider.browser().go(url, "ada").await.expect("the provider sends the browser back");
    let (_, code) = answered.query_pairs().find(|(name, _)| name == "code").expect("with a code");
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", "towpath"),
        ("code", &code),
        ("redirect_uri", back),
        ("code_verifier", &verifier),
    ];
    let tokens = provider.form(&text("token_endpoint"), &form, None).await;
    let id_token = tokens["id_token"].as_str().unwrap();
    let who = whoami(&fixture, id_token).await.json();
    assert_eq!(who["who"], "identity ada@example.com of corp");
    assert_eq!((&who["groups"], &who["grants"][0]["role"]), (&json!(["ops"]), &json!("operator")));
    let denied = fixture.send(Method::GET, "/v1/keys", Some(id_token), Body::empty()).await.problem(403);
    assert!(denied.contains("api-key:read"), "{denied}");

    // The provider's own access token is for the provider alone.
    let opaque = tokens["access_token"].as_str().unwrap();
    whoami(&fixture, opaque).await.problem(401);
}

#[tokio::test]
async fn a_person_logs_in_by_device_code() {
    let provider = Provider::start().await;
    let fixture = fixture(&provider).await;
    let login = login_provider(&fixture).await;
    let endpoint = |field: &str| login[field].as_str().unwrap().to_owned();
    let form = [("client_id", "towpath"), ("scope", "openid email groups")];
    let begun = provider.form(&endpoint("device_authorization_endpoint"), &form, None).await;
    let url = begun["verification_uri_complete"].as_str().unwrap().parse().unwrap();
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("client_id", "towpath"),
        ("device_code", begun["device_code"].as_str().unwrap()),
    ];
    let waiting = provider.form(&endpoint("token_endpoint"), &form, None).await;
    assert_eq!(waiting["error"], "authorization_pending");
    assert_eq!(provider.browser().go(url, "bob").await, None, "the browser ends at the provider");
    let tokens = provider.form(&endpoint("token_endpoint"), &form, None).await;
    let who = whoami(&fixture, tokens["id_token"].as_str().unwrap()).await.json();
    assert_eq!((&who["who"], &who["grants"]), (&json!("identity bob@example.com of corp"), &json!([])));
}

#[tokio::test]
async fn a_machine_comes_by_client_credentials_and_a_key_that_the_provider_took_back_holds_no_longer() {
    let provider = Provider::start().await;
    let fixture = fixture(&provider).await;
    let endpoint = login_provider(&fixture).await["token_endpoint"].as_str().unwrap().to_owned();
    let form = [("grant_type", "client_credentials")];
    let token = async |client: &str| {
        let granted = provider.form(&endpoint, &form, Some((client, "machine-secret"))).await;
        granted["access_token"].as_str().unwrap_or_else(|| panic!("{granted}")).to_owned()
    };
    let before = token("machine").await;
    let sites = fixture.send(Method::GET, "/v1/sites", Some(&before), Body::empty()).await;
    assert_eq!(sites.status, StatusCode::OK, "{}", sites.text);
    let said = whoami(&fixture, &token("elsewhere").await).await.problem(401);
    assert!(said.contains("another audience"), "{said}");
    let mut forged = before.clone();
    forged.truncate(forged.len() - 4);
    assert!(whoami(&fixture, &format!("{forged}AAAA")).await.problem(401).contains("signature"));

    provider.rotate().await;
    let after = token("machine").await;
    // A provider is asked for new keys at most every ten seconds.
    let mut known = whoami(&fixture, &after).await.status;
    for _ in 0..150 {
        if known == StatusCode::OK {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        known = whoami(&fixture, &after).await.status;
    }
    assert_eq!(known, StatusCode::OK);
    assert!(whoami(&fixture, &before).await.problem(401).contains("does not publish the key"));
}

#[tokio::test]
async fn a_provider_at_an_address_that_is_not_public_is_not_asked_unless_that_is_allowed() {
    let fixture = Fixture::new();
    let provider = "apiVersion: towpath/v1\nkind: IdentityProvider\nmetadata: {name: inner}\nspec: {issuer: 'https://127.0.0.1:1', client_id: towpath}\n";
    assert_eq!(fixture.put("/v1/identity-providers/inner", provider).await.status, StatusCode::CREATED);
    assert_eq!(
        fixture.send(Method::GET, "/v1/auth/providers", None, Body::empty()).await.json()["items"],
        json!([])
    );
    let claims = URL_SAFE_NO_PAD.encode(json!({ "iss": "https://127.0.0.1:1" }).to_string());
    let said = whoami(&fixture, &format!("e30.{claims}.e30")).await.problem(503);
    assert!(said.contains("inner") && !said.contains("refused"), "{said}");
}
