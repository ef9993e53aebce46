//! As whom one comes, and how that begins, goes on and ends.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use towpath_cli::client::SERVER_NAME;
use towpath_cli::context::{Context, Session, SessionProvider};

use crate::desk::{Desk, run_with};
use crate::server::Server;

const STATUS: (&str, u16, &str) = (
    "GET /v1/status",
    200,
    r#"{"at": "2026-01-31T12:00:00Z", "version": "0.1.0", "generation": 4, "agents": [], "sources": [], "sinks": [],
        "logs": [], "routes": []}"#,
);

const UNKNOWN: &str =
    r#"{"type": "towpath:unauthorized", "title": "x", "status": 401, "detail": "who are you?"}"#;

fn granted(token: &str, seconds: i64, refresh_token: &str) -> String {
    let expires_at = Timestamp::now() + SignedDuration::from_secs(seconds);
    json!({ "access_token": token, "expires_at": expires_at, "refresh_token": refresh_token,
            "session_expires_at": expires_at })
    .to_string()
}

fn session(desk: &Desk, seconds: i64, refresh_token: Option<&str>) -> Context {
    let expires_at = Timestamp::now() + SignedDuration::from_secs(seconds);
    let session = Session { expires_at, refresh_token: refresh_token.map(ToOwned::to_owned), provider: None };
    Context { token: "old".to_owned(), session: Some(session), ..desk.server.context() }
}

#[tokio::test]
async fn contexts_are_listed_chosen_and_deleted_and_never_show_their_tokens() {
    let desk = Desk::with(&[]).await;
    desk.keep("cloud", Context::with_token("https://cloud", "tpa1.secret", "pem"));
    let list = desk.run(&["context", "list"]).await.unwrap();
    assert!(list.contains("*   cloud") && list.contains("default"), "{list}");
    desk.run(&["context", "use", "default"]).await.unwrap();
    assert_eq!(desk.contexts().current(), Some("default"));
    for output in ["table", "json", "yaml"] {
        let shown = desk.run(&["context", "show", "cloud", "-o", output]).await.unwrap();
        assert!(shown.contains("https://cloud") && !shown.contains("secret"), "{shown}");
    }
    let refused = desk.run(&["context", "use", "clod"]).await.unwrap_err().to_string();
    assert!(refused.contains("did you mean `cloud`?"), "{refused}");
    desk.run(&["context", "delete", "cloud"]).await.unwrap();
    assert_eq!(desk.run(&["context", "list", "-o", "name"]).await.unwrap(), "default\n");
}

#[tokio::test]
async fn a_command_can_use_another_context_than_the_chosen_one() {
    let (desk, other) = (Desk::with(&[STATUS]).await, Server::start(SERVER_NAME, &[STATUS]).await);
    desk.keep("other", other.context());
    desk.run(&["context", "use", "default"]).await.unwrap();
    desk.run(&["--context-name", "other", "status"]).await.unwrap();
    assert_eq!((desk.server.asked().len(), other.asked().len()), (0, 1));
}

#[tokio::test]
async fn a_login_with_a_password_is_kept_as_a_session_for_its_owner_only() {
    let desk = Desk::with(&[STATUS, ("POST /v1/auth/login", 200, &granted("s1", 900, "r1"))]).await;
    let password = desk.path("password");
    fs::write(&password, "geheim\n").unwrap();
    let args = ["login", "--user", "ana", "--password-file", password.to_str().unwrap(), "--name", "mine"];
    let said = desk.run(&args).await.unwrap_err().to_string();
    assert!(said.contains("`--server` is needed"), "{said}");
    desk.run(&args[..5]).await.unwrap();

    let asked = desk.server.asked();
    let sent: serde_json::Value = serde_json::from_str(&asked[0].body).unwrap();
    assert_eq!(sent, json!({ "user": "ana", "password": "geheim" }));
    assert_eq!((asked[0].authorization.as_str(), asked[1].authorization.as_str()), ("", "Bearer s1"));
    let contexts = desk.contexts();
    let (name, context) = contexts.chosen(None).unwrap();
    assert_eq!((name, context.token.as_str(), context.login().as_str()), ("default", "s1", "password"));
    let text = fs::read_to_string(contexts.path()).unwrap();
    assert!(text.contains("r1") && !text.contains("geheim"), "{text}");
    assert_eq!(fs::metadata(contexts.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_login_that_is_refused_is_not_kept() {
    let desk = Desk::with(&[("GET /v1/status", 401, UNKNOWN)]).await;
    let refused = desk.run(&["login", "--token", "tpa1.wrong"]).await.unwrap_err().to_string();
    assert!(refused.contains("does not take this login"), "{refused}");
    assert_eq!(desk.contexts().chosen(None).unwrap().1.token, "tpa1.test");
}

#[tokio::test]
async fn a_session_is_renewed_before_it_ends_and_each_refresh_token_is_used_once() {
    let desk = Desk::with(&[STATUS, ("POST /v1/auth/refresh", 200, &granted("s2", 900, "r2"))]).await;
    desk.keep("default", session(&desk, 5, Some("r1")));
    for _ in 0..2 {
        desk.run(&["status"]).await.unwrap();
    }
    let asked = desk.server.asked();
    let refreshes: Vec<_> = asked.iter().filter(|asked| asked.line.contains("refresh")).collect();
    assert_eq!(refreshes.len(), 1);
    assert_eq!(refreshes[0].body, r#"{"refresh_token":"r1"}"#);
    assert!(asked[1].authorization == "Bearer s2" && asked[2].authorization == "Bearer s2", "{asked:?}");
    let contexts = desk.contexts();
    let renewed = contexts.chosen(None).unwrap().1.session.clone().unwrap();
    assert_eq!(renewed.refresh_token.as_deref(), Some("r2"));
}

#[tokio::test]
async fn processes_that_renew_at_the_same_time_share_one_renewal() {
    let desk = Desk::with(&[STATUS, ("POST /v1/auth/refresh", 200, &granted("s2", 900, "r2"))]).await;
    desk.keep("default", session(&desk, 5, Some("r1")));
    // Each has read the old session before any renews it.
    let path = desk.path("context.yaml");
    let clients: Vec<_> =
        (0..4).map(|_| towpath_cli::client::Client::of(Some(&path), None).unwrap()).collect();
    for client in clients {
        client.status().await.unwrap();
    }
    let asked = desk.server.asked();
    assert_eq!(asked.iter().filter(|asked| asked.line.contains("refresh")).count(), 1);
}

#[tokio::test]
async fn a_session_that_cannot_be_renewed_says_what_to_do() {
    let desk = Desk::with(&[STATUS]).await;
    desk.keep("default", session(&desk, -5, None));
    let refused = desk.run(&["status"]).await.unwrap_err().to_string();
    assert!(refused.contains("cannot be renewed: run `towpath login`"), "{refused}");
    assert!(desk.server.asked().is_empty());
}

#[tokio::test]
async fn a_logout_ends_the_session_and_keeps_where_the_control_plane_is() {
    let desk = Desk::with(&[("POST /v1/auth/logout", 204, "")]).await;
    desk.keep("default", session(&desk, 900, Some("r1")));
    desk.run(&["logout"]).await.unwrap();
    assert_eq!(desk.server.asked()[0].authorization, "Bearer old");
    let text = fs::read_to_string(desk.path("context.yaml")).unwrap();
    // Without the lines of the certificate, in which any letters may follow one another.
    let told: String = text.lines().filter(|line| line.contains(':')).collect();
    assert!(told.contains("server") && !told.contains("old") && !told.contains("r1"), "{text}");
    let refused = desk.run(&["status"]).await.unwrap_err().to_string();
    assert!(refused.contains("logged out: run `towpath login`"), "{refused}");
}

#[tokio::test]
async fn a_login_is_forgotten_here_even_if_the_control_plane_does_not_answer() {
    let desk = Desk::with(&[("POST /v1/auth/logout", 401, UNKNOWN)]).await;
    desk.keep("default", session(&desk, 900, Some("r1")));
    let said = desk.run(&["logout"]).await.unwrap_err().to_string();
    assert!(said.contains("forgotten on this machine") && said.contains("who are you?"), "{said}");
    assert_eq!(desk.contexts().chosen(None).unwrap().1.token, "");
}

#[tokio::test]
async fn one_is_told_who_one_is() {
    let me = r#"{"name": "ana", "roles": ["operator"]}"#;
    let desk = Desk::with(&[("GET /v1/auth/whoami", 200, me)]).await;
    assert!(desk.run(&["whoami"]).await.unwrap().contains("name: ana"));
    assert!(desk.run(&["whoami", "-o", "json"]).await.unwrap().contains("\"operator\""));
}

/// A provider that makes the user wait once, then gives these tokens.
async fn provider(tokens: &str) -> Server {
    let begun = r#"{"device_code": "dc", "user_code": "WDJB-MJHT", "verification_uri": "https://id.example/device",
        "expires_in": 60, "interval": 0}"#;
    Server::start_plain(&[
        ("POST /device", 200, begun),
        ("POST /token", 400, r#"{"error": "authorization_pending"}"#),
        ("POST /token", 200, tokens),
    ])
    .await
}

fn providers(of: &[(&str, &Server)]) -> String {
    let items: Vec<_> = of
        .iter()
        .map(|(name, server)| {
            let at = format!("http://{}", server.address);
            json!({ "name": name, "issuer": at, "client_id": "towpath-cli", "scopes": ["openid", "offline_access"],
                "device_authorization_endpoint": format!("{at}/device"), "token_endpoint": format!("{at}/token") })
        })
        .collect();
    json!({ "items": items }).to_string()
}

#[tokio::test]
async fn a_login_on_another_device_waits_for_the_user_and_renews_itself_at_the_provider() {
    let id = provider(
        r#"{"access_token": "a1", "id_token": "i1", "expires_in": 10, "refresh_token": "r1", "token_type": "Bearer"}"#,
    )
    .await;
    let listed = providers(&[("corp", &id)]);
    let desk = Desk::with(&[STATUS, ("GET /v1/auth/providers", 200, &listed)]).await;
    let said = desk.run(&["login", "--device"]).await.unwrap();
    assert!(said.contains("WDJB-MJHT") && said.contains("https://id.example/device"), "{said}");
    let asked = id.asked();
    assert_eq!(asked[0].body, "client_id=towpath-cli&scope=openid+offline_access");
    assert!(asked[2].body.contains("device_code=dc") && asked.len() == 3, "{asked:?}");
    assert!(asked.iter().all(|asked| asked.authorization.is_empty()));

    // It holds for ten seconds more, which is too short to begin anything with.
    id.answer("POST /token", 200, r#"{"access_token": "a2", "expires_in": 600}"#);
    // The answer before is the last one's turn first.
    desk.run(&["status"]).await.unwrap();
    let contexts = desk.contexts();
    let context = contexts.chosen(None).unwrap().1;
    let Session { refresh_token, provider, .. } = context.session.clone().unwrap();
    assert_eq!(refresh_token.as_deref(), Some("r1"), "one that is not replaced goes on");
    let Some(SessionProvider { name, .. }) = provider else { panic!("it is the provider's session") };
    assert_eq!(name, "corp");
    assert!(id.asked()[3].body.starts_with("grant_type=refresh_token&refresh_token=r1"));
}

#[tokio::test]
async fn among_several_providers_one_must_be_chosen() {
    let id = Server::start_plain(&[]).await;
    let listed = providers(&[("corp", &id), ("partner", &id)]);
    let desk = Desk::with(&[("GET /v1/auth/providers", 200, &listed)]).await;
    let refused = desk.run(&["login", "--device"]).await.unwrap_err();
    assert!(refused.to_string().contains("choose with `--provider`: corp, partner"), "{refused}");
    let refused = desk.run(&["login", "--device", "--provider", "crop"]).await.unwrap_err().to_string();
    assert!(refused.contains("no identity provider `crop`"), "{refused}");
}

#[tokio::test]
async fn a_user_who_declines_is_not_logged_in() {
    let id = Server::start_plain(&[
        (
            "POST /device",
            200,
            r#"{"device_code": "dc", "user_code": "X", "verification_uri": "https://id.example", "expires_in": 60,
                "interval": 0}"#,
        ),
        ("POST /token", 400, r#"{"error": "access_denied"}"#),
    ])
    .await;
    let listed = providers(&[("corp", &id)]);
    let desk = Desk::with(&[("GET /v1/auth/providers", 200, &listed)]).await;
    let refused = desk.run(&["login", "--device"]).await.unwrap_err().to_string();
    assert!(refused.contains("declined"), "{refused}");
    assert_eq!(desk.contexts().chosen(None).unwrap().1.token, "tpa1.test");
}

#[tokio::test]
async fn without_any_context_a_login_asks_for_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let refused = run_with(&dir.path().join("none.yaml"), &["login", "--token", "t"]).await.unwrap_err();
    assert!(refused.to_string().contains("`--server` is needed"), "{refused}");
    assert_eq!(refused.exit_code(), 2);
}
