//! Users, logins and sessions.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::fixture::{Answer, Fixture};

const PASSWORD: &str = "correct horse battery";

struct Tokens {
    access: String,
    refresh: String,
}

impl Fixture {
    async fn post_by(&self, token: Option<&str>, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, token, Body::from(body.to_string())).await
    }

    /// Makes a user who is an operator.
    async fn user(&self, name: &str) {
        let made = self.post("/v1/users", &json!({ "name": name, "password": PASSWORD }).to_string()).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        self.bind("operator", name).await;
    }

    /// Makes a user who is an operator and has logged in, and answers the token.
    pub(crate) async fn operator(&self, name: &str) -> String {
        self.user(name).await;
        self.login(name).await.access
    }

    async fn bind(&self, role: &str, user: &str) {
        let binding = format!(
            "apiVersion: towpath/v1\nkind: RoleBinding\nmetadata: {{name: {role}-{user}}}\nspec: {{role: {role}, subjects: [{{user: {user}}}]}}\n"
        );
        let bound = self.put(&format!("/v1/role-bindings/{role}-{user}"), &binding).await;
        assert_eq!(bound.status, StatusCode::CREATED, "{}", bound.text);
    }

    async fn try_login(&self, user: &str, password: &str) -> Answer {
        self.post_by(None, "/v1/auth/login", &json!({ "user": user, "password": password })).await
    }

    async fn login(&self, user: &str) -> Tokens {
        tokens(&self.try_login(user, PASSWORD).await)
    }

    async fn refresh(&self, token: &str) -> Answer {
        self.post_by(None, "/v1/auth/refresh", &json!({ "refresh_token": token })).await
    }

    async fn knows(&self, token: &str) -> bool {
        self.send(Method::GET, "/v1/auth/whoami", Some(token), Body::empty()).await.status == StatusCode::OK
    }
}

fn tokens(answer: &Answer) -> Tokens {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let text = |field: &str| answer.json()[field].as_str().unwrap().to_owned();
    Tokens { access: text("access_token"), refresh: text("refresh_token") }
}

#[tokio::test]
async fn a_user_logs_in_does_what_role_bindings_give_and_logs_out() {
    let fixture = Fixture::new();
    fixture.user("ada").await;
    let Tokens { access, refresh } = fixture.login("ada").await;
    let who = fixture.send(Method::GET, "/v1/auth/whoami", Some(&access), Body::empty()).await.json();
    assert_eq!((&who["who"], &who["grants"][0]["role"]), (&json!("user ada"), &json!("operator")));
    let sites = fixture.send(Method::GET, "/v1/sites", Some(&access), Body::empty()).await;
    assert_eq!(sites.status, StatusCode::OK);
    fixture.send(Method::GET, "/v1/users", Some(&access), Body::empty()).await.problem(403);
    assert!(!fixture.knows(&refresh).await, "a refresh token opens nothing but the next session's tokens");

    let out = fixture.post_by(Some(&access), "/v1/auth/logout", &json!({})).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert!(!fixture.knows(&access).await);
    fixture.refresh(&refresh).await.problem(401);
    assert!(fixture.post("/v1/auth/logout", "").await.problem(409).contains("admin ada"));
}

#[tokio::test]
async fn wrong_user_and_wrong_password_are_answered_alike_and_slower_and_slower() {
    let fixture = Fixture::new();
    fixture.user("ada").await;
    for user in ["ada", "nobody"] {
        for _ in 0..5 {
            let said = fixture.try_login(user, "wrong password").await.problem(401);
            assert_eq!(said, "user or password is wrong");
        }
        let said = fixture.try_login(user, PASSWORD).await.problem(429);
        assert!(said.contains("try again in"), "{said}");
    }
}

#[tokio::test]
async fn a_refresh_token_holds_once_and_a_stolen_one_ends_the_session_and_is_recorded() {
    let fixture = Fixture::new();
    fixture.user("ada").await;
    let first = fixture.login("ada").await;
    let second = tokens(&fixture.refresh(&first.refresh).await);
    assert!(!fixture.knows(&first.access).await && fixture.knows(&second.access).await);
    let before = fixture.catalog.state().seq;
    let third = tokens(&fixture.refresh(&second.refresh).await);
    assert_eq!(fixture.catalog.state().seq, before, "a renewal is no event");

    fixture.refresh(&first.refresh).await.problem(401);
    assert!(!fixture.knows(&third.access).await, "the thief and the user are both out");
    fixture.refresh(&third.refresh).await.problem(401);
    let events = fixture.get("/v1/events?limit=1000").await.text;
    assert!(events.contains("refresh_token_reused"), "{events}");
    for secret in [&first, &second, &third] {
        assert!(!events.contains(&secret.access) && !events.contains(&secret.refresh));
    }
    assert!(!events.contains("argon2"), "{events}");
}

#[tokio::test]
async fn sessions_end_with_the_password_with_the_user_and_by_whoever_may_close_them() {
    let fixture = Fixture::new();
    fixture.user("ada").await;
    let session = fixture.login("ada").await;
    let listed = fixture.get("/v1/sessions").await.json();
    let id = listed["items"][0]["id"].as_str().unwrap();
    assert_eq!(listed["items"][0]["user"], "ada");
    assert_eq!(fixture.delete(&format!("/v1/sessions/{id}")).await.status, StatusCode::NO_CONTENT);
    assert!(!fixture.knows(&session.access).await);
    fixture.delete(&format!("/v1/sessions/{id}")).await.problem(404);

    let session = fixture.login("ada").await;
    let change = json!({ "current": "not this one", "new": "another good phrase" });
    fixture.post_by(Some(&session.access), "/v1/auth/password", &change).await.problem(401);
    let change = json!({ "current": PASSWORD, "new": "another good phrase" });
    let changed = fixture.post_by(Some(&session.access), "/v1/auth/password", &change).await;
    assert_eq!(changed.status, StatusCode::NO_CONTENT, "{}", changed.text);
    assert!(!fixture.knows(&session.access).await);
    fixture.try_login("ada", PASSWORD).await.problem(401);
    let session = tokens(&fixture.try_login("ada", "another good phrase").await);
    assert_eq!(fixture.delete("/v1/users/ada").await.status, StatusCode::NO_CONTENT);
    assert!(!fixture.knows(&session.access).await);
}

#[tokio::test]
async fn nobody_sets_the_password_of_someone_who_may_do_more() {
    let fixture = Fixture::new();
    fixture.user("root").await;
    fixture.bind("admin", "root").await;
    fixture.bind("admin", "coming").await;
    let security = fixture.key("sec", json!([{ "role": "security" }])).await;
    let password = json!({ "password": "a phrase of the thief" });
    let set = fixture
        .send(Method::PUT, "/v1/users/root/password", Some(&security), Body::from(password.to_string()))
        .await;
    set.problem(403);
    let order = json!({ "name": "coming", "password": "a phrase of the thief" });
    fixture.post_by(Some(&security), "/v1/users", &order).await.problem(403);
    let order = json!({ "name": "plain", "password": "a phrase of a friend" });
    assert_eq!(fixture.post_by(Some(&security), "/v1/users", &order).await.status, StatusCode::CREATED);
}
