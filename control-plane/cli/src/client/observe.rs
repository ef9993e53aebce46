//! What happened, what agents write of themselves, and what policies make of fields.

use reqwest::Method;
use serde::Serialize;
use serde_json::Value;
use towpath_resource::api::{AgentLog, ExplainOrder, Listed, PolicyExplanation};

use super::{Answer, Client};

/// Which events are asked for.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct EventArgs {
    /// Those after this number.
    pub after: u64,
    /// At most so many.
    pub limit: usize,
}

#[derive(Serialize)]
struct LogArgs<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a str>,
    limit: u32,
}

impl Client {
    /// What happened, oldest first.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn events(&self, args: EventArgs) -> Answer<Vec<Value>> {
        let request = self.request(Method::GET, &["events"]).query(&args);
        Ok(self.json::<Listed<Value>>(request).await?.items)
    }

    /// The newest lines of an agent's log, oldest of them first; those after a cursor only, if there is one.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn agent_log(&self, agent: &str, after: Option<&str>, limit: u32) -> Answer<AgentLog> {
        let request = self.request(Method::GET, &["agents", agent, "logs"]);
        self.json(request.query(&LogArgs { after, limit })).await
    }

    /// What becomes of a field, and why.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn explain_policy(&self, order: &ExplainOrder) -> Answer<PolicyExplanation> {
        self.json(self.request(Method::GET, &["policies", "explain"]).query(order)).await
    }
}
