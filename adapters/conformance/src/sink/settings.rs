//! A target whose sink has more settings than the suite gives it.

use async_trait::async_trait;
use serde_json::Value;
use towpath_record::{StreamName, StreamSchema};

use crate::cell::Row;
use crate::sink::SinkTarget;

/// A target with further settings of its sink.
pub(crate) struct Set {
    pub(crate) target: Box<dyn SinkTarget>,
    pub(crate) settings: Value,
}

#[async_trait]
impl SinkTarget for Set {
    fn config(&self) -> Value {
        let mut config = self.target.config();
        if let (Some(config), Some(settings)) = (config.as_object_mut(), self.settings.as_object()) {
            config.extend(settings.clone());
        }
        config
    }

    async fn rows(&self, stream: &StreamName, schema: &StreamSchema) -> anyhow::Result<Vec<Row>> {
        self.target.rows(stream, schema).await
    }

    fn keeps_order(&self) -> bool {
        self.target.keeps_order()
    }

    async fn forbid(
        &self,
        stream: &StreamName,
        schema: &StreamSchema,
        column: &str,
        value: i64,
    ) -> anyhow::Result<()> {
        self.target.forbid(stream, schema, column, value).await
    }
}
