//! Whom the client trusts, and what it says when it does not.

use towpath_cli::client::{Client, ClientError, SERVER_NAME};
use towpath_cli::context::Context;

use crate::server::Server;

#[tokio::test]
async fn the_control_plane_is_known_by_its_ca_and_name_at_whatever_address() {
    let server = Server::start(SERVER_NAME, &[("GET /v1/tokens", 200, r#"{"items": []}"#)]).await;
    for host in ["127.0.0.1", "localhost"] {
        let context =
            Context { server: format!("https://{host}:{}/", server.address.port()), ..server.context() };
        assert_eq!(Client::new(&context).unwrap().tokens().await.unwrap(), []);
    }
    assert!(server.asked().iter().all(|asked| asked.authorization == "Bearer tpa1.test"));
}

#[tokio::test]
async fn a_server_with_another_ca_or_another_name_is_not_trusted_with_the_token() {
    let (ours, other) = (Server::start(SERVER_NAME, &[]).await, Server::start(SERVER_NAME, &[]).await);
    let renamed = Server::start("localhost", &[]).await;
    let swapped = Context { ca_pem: ours.ca_pem.clone(), ..other.context() };
    for (server, context) in [(&other, swapped), (&renamed, renamed.context())] {
        let refused = Client::new(&context).unwrap().tokens().await.unwrap_err();
        assert!(matches!(refused, ClientError::Unreachable { .. }), "{refused}");
        assert!(refused.to_string().contains("towpath login"), "{refused}");
        assert!(server.asked().is_empty(), "nothing was sent");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_with_its_address_and_the_remedy() {
    let server = Server::start(SERVER_NAME, &[]).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let context = Context { server: format!("https://{free}"), ..server.context() };
    let said = Client::new(&context).unwrap().tokens().await.unwrap_err().to_string();
    assert!(said.contains(&free.to_string()) && said.contains("check that towpath-control runs"), "{said}");
}

#[tokio::test]
async fn an_answer_that_is_no_api_answer_is_not_taken_for_one() {
    let server =
        Server::start(SERVER_NAME, &[("GET /v1/tokens", 200, "<html>"), ("GET /v1/streams", 404, "")]).await;
    let client = Client::new(&server.context()).unwrap();
    assert!(matches!(client.tokens().await.unwrap_err(), ClientError::NotUnderstood { .. }));
    assert!(client.streams().await.unwrap_err().to_string().contains("same version"));
}
