//! Lists: pages, orders and filters.

use std::collections::BTreeSet;

use serde_json::Value;

use super::fixture::Fixture;

fn site(name: &str, labels: &str) -> String {
    format!("apiVersion: towpath/v1\nkind: Site\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n")
}

async fn with_sites(count: usize) -> Fixture {
    let fixture = Fixture::new();
    let all: Vec<_> = (0..count)
        .map(|n| {
            site(&format!("s{n:03}"), &format!("env: {}, n: '{:03}'", ["prod", "test"][n % 2], count - n))
        })
        .collect();
    let report = fixture.post("/v1/apply", &all.join("---\n")).await;
    assert_eq!(report.status, 200, "{}", report.text);
    fixture
}

fn names(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// All names of a list, page by page.
async fn walk(fixture: &Fixture, address: &str) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = fixture.get(&format!("{address}{cursor}")).await.json();
        all.extend(names(&page));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

#[tokio::test]
async fn every_order_shows_each_resource_once_over_pages_of_any_size() {
    let fixture = with_sites(23).await;
    let forwards: Vec<_> = (0..23).map(|n| format!("s{n:03}")).collect();
    let backwards: Vec<_> = forwards.iter().rev().cloned().collect();
    for limit in [1, 7, 22, 23, 24] {
        let list = async |sort: &str| walk(&fixture, &format!("/v1/sites?limit={limit}&sort={sort}")).await;
        assert_eq!(list("name").await, forwards);
        assert_eq!(list("-name").await, backwards);
        assert_eq!(list("generation").await, forwards);
        assert_eq!(list("-generation").await, backwards);
        assert_eq!(list("label:n").await, backwards);
        assert_eq!(list("-label:n").await, forwards);
        // All were made in one moment, so that the names decide.
        assert_eq!(list("created_at").await, forwards);
        assert_eq!(list("-updated_at").await, backwards);
        let by_env: BTreeSet<_> = list("label:env").await.into_iter().collect();
        assert_eq!(by_env.len(), 23);
    }
}

#[tokio::test]
async fn pages_stay_right_while_resources_come_and_go() {
    let fixture = with_sites(10).await;
    let first = fixture.get("/v1/sites?limit=4").await.json();
    assert_eq!(names(&first), ["s000", "s001", "s002", "s003"]);
    for (name, there) in [("s0005", true), ("s003", false), ("s005", false), ("s0045", true)] {
        if there {
            fixture.post("/v1/apply", &site(name, "")).await;
        } else {
            fixture.delete(&format!("/v1/sites/{name}")).await;
        }
    }
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = fixture.get(&format!("/v1/sites?limit=100&cursor={cursor}")).await.json();
    assert_eq!(names(&rest), ["s004", "s0045", "s006", "s007", "s008", "s009"]);
    assert_eq!(rest["next_cursor"], Value::Null);
}

#[tokio::test]
async fn filters_look_at_labels_spec_and_status() {
    let (fixture, _) = Fixture::furnished().await;
    let found = async |address: &str| names(&fixture.get(address).await.json());
    fixture.post("/v1/apply", &site("office", "env: 'a,b', tier: gold")).await;
    assert_eq!(found("/v1/sites?filter=labels.tier=gold").await, ["office"]);
    assert_eq!(found("/v1/sites?filter=labels.tier!=gold").await, ["plant"]);
    assert_eq!(found("/v1/sites?filter=labels.env=%22a,b%22,name=office").await, ["office"]);
    assert_eq!(found("/v1/sites?filter=labels.tier").await, ["office"]);
    assert_eq!(found("/v1/sites?filter=!labels.tier").await, ["plant"]);
    assert_eq!(found("/v1/sites?filter=status.agents=1").await, ["plant"]);
    assert_eq!(found("/v1/sources?filter=spec.agent=plant-1,spec.adapter=file").await, ["erp"]);
    assert_eq!(found("/v1/sources?filter=spec.config.path=/srv/erp").await, ["erp"]);
    assert_eq!(found("/v1/routes?filter=spec.streams=erp.*").await, ["orders"]);
    assert_eq!(found("/v1/agents?filter=status.condition!=running").await, ["plant-1"]);
    assert_eq!(found("/v1/agents?filter=status.connected=true").await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_wrong_with_a_list_is_named_argument_by_argument() {
    let fixture = with_sites(3).await;
    let answer = fixture.get("/v1/sources?filter=spec.agnt=x,labels.a=b,colour=red").await;
    assert!(answer.problem(422).contains("colour"));
    assert_eq!(answer.json()["faults"][0]["path"], "filter[2]");
    let answer = fixture.get("/v1/sources?filter=labels.a=b,spec.agnt=x").await;
    assert!(answer.problem(422).contains("did you mean `agent`?"));
    assert_eq!(answer.json()["faults"][0]["path"], "filter[1]");
    for (argument, said) in [
        ("limit=0", "1 to 1000"),
        ("limit=1001", "1 to 1000"),
        ("sort=nam", "did you mean `name`?"),
        ("cursor=x", "not a cursor"),
        ("page=2", "page"),
        ("since=4", "watch=true"),
        ("watch=true&sort=name", "does not go with"),
        ("watch=true&filter=status.agents=1", "cannot be followed"),
    ] {
        assert!(
            fixture.get(&format!("/v1/sites?{argument}")).await.problem(422).contains(said),
            "{argument}"
        );
    }
    let cursor = fixture.get("/v1/sites?limit=1").await.json()["next_cursor"].as_str().unwrap().to_owned();
    for other in ["sites?sort=-name", "sites?filter=name=s001", "agents?limit=1"] {
        let answer = fixture.get(&format!("/v1/{other}&cursor={cursor}")).await;
        assert!(answer.problem(422).contains("not a cursor of this list"), "{other}");
    }
}
