//! Reads the logs of agents, and cuts agents off.

use towpath_resource::api::{AgentLog, MOST_LOG_LINES};
use towpath_resource::{AgentSpec, Kind, Object, Permission};

use super::{Asker, Refusal, Service, Shown};

impl Service {
    /// The newest lines of an agent's log, or those that follow a cursor.
    ///
    /// # Errors
    /// It is not there, it cannot be asked now, or its log is not the asker's to read.
    pub async fn agent_log(
        &self,
        asker: &Asker,
        name: &str,
        after: Option<String>,
        limit: u32,
    ) -> Result<AgentLog, Refusal> {
        let state = self.catalog();
        self.require(asker, &state, Permission::read(Object::AgentLog), Kind::Agent, name)?;
        let agent = state.require::<AgentSpec>(name)?;
        let page = self.plane().agent_log(agent.id, after, limit.clamp(1, MOST_LOG_LINES)).await?;
        Ok(AgentLog { agent: agent.name().clone(), page })
    }

    /// Cuts an agent off at once and for good. Doing it twice is doing it once.
    ///
    /// # Errors
    /// It is not there, or not the asker's to cut off.
    pub async fn revoke_agent(&self, asker: &Asker, name: &str) -> Result<Shown, Refusal> {
        let operate = Permission::operate(Object::Resource(Kind::Agent));
        let resource = self.require(asker, &self.catalog(), operate, Kind::Agent, name)?;
        let (revoked, cause) = (name.to_owned(), asker.cause.clone());
        self.command(move |catalog| catalog.revoke_agent(&revoked, &cause)).await?;
        Ok(self.shown(resource))
    }
}
