//! Which adapters an agent was built with.

use serde_json::Value;
use towpath_record::ResourceName;

use crate::check::Checking;
use crate::error::{AdapterError, ErrorKind};
use crate::sink::Sink;
use crate::source::Source;
use crate::table::TableReader;

/// An adapter: a kind of system that can be read, written or both.
#[derive(Clone, Copy)]
pub struct Adapter {
    /// The word by which resources name it.
    pub kind: &'static str,
    /// How it is read.
    pub source: Option<SourceFactory>,
    /// How it is written.
    pub sink: Option<SinkFactory>,
}

/// Makes sources from configuration.
#[derive(Clone, Copy)]
pub struct SourceFactory {
    /// The JSON Schema of the configuration.
    pub config_schema: fn() -> Value,
    /// Makes a source; reads and connects to nothing yet.
    pub build: fn(&Value) -> Result<Box<dyn Source>, AdapterError>,
    /// Looks whether the system is ready to be read by the source of this name, where the adapter knows what can be
    /// wrong with it.
    pub check: Option<fn(&ResourceName, &Value) -> Checking>,
    /// Reads the system's tables as they are now, where it has tables.
    pub reader: Option<MakeReader>,
}

/// Makes a reader of tables from configuration; connects to nothing yet.
pub type MakeReader = fn(&Value) -> Result<Box<dyn TableReader>, AdapterError>;

/// Makes sinks from configuration.
#[derive(Clone, Copy)]
pub struct SinkFactory {
    /// The JSON Schema of the configuration.
    pub config_schema: fn() -> Value,
    /// Makes a sink; connects to nothing yet.
    pub build: fn(&Value) -> Result<Box<dyn Sink>, AdapterError>,
    /// Reads back what the sink wrote, where the system has tables.
    pub reader: Option<MakeReader>,
}

/// The adapters at hand.
#[derive(Clone)]
pub struct Registry(Vec<Adapter>);

impl Registry {
    /// A registry of these adapters.
    pub fn new(adapters: Vec<Adapter>) -> Self {
        Self(adapters)
    }

    /// Every adapter.
    pub fn iter(&self) -> impl Iterator<Item = &Adapter> {
        self.0.iter()
    }

    /// Makes the source that a resource describes.
    ///
    /// # Errors
    /// No such adapter can be read, or it refuses the configuration.
    pub fn source(&self, kind: &str, config: &Value) -> Result<Box<dyn Source>, AdapterError> {
        let factory = self.find(kind).and_then(|adapter| adapter.source);
        let factory = factory.ok_or_else(|| self.unknown(kind, "source", |a| a.source.is_some()))?;
        (factory.build)(config)
    }

    /// Makes the sink that a resource describes.
    ///
    /// # Errors
    /// No such adapter can be written, or it refuses the configuration.
    pub fn sink(&self, kind: &str, config: &Value) -> Result<Box<dyn Sink>, AdapterError> {
        let factory = self.find(kind).and_then(|adapter| adapter.sink);
        let factory = factory.ok_or_else(|| self.unknown(kind, "sink", |a| a.sink.is_some()))?;
        (factory.build)(config)
    }

    /// A check of the system that a source resource describes; none if the adapter knows of nothing to check.
    ///
    /// # Errors
    /// No such adapter can be read.
    pub fn check(
        &self,
        kind: &str,
        name: &ResourceName,
        config: &Value,
    ) -> Result<Option<Checking>, AdapterError> {
        let factory = self.find(kind).and_then(|adapter| adapter.source);
        let factory = factory.ok_or_else(|| self.unknown(kind, "source", |a| a.source.is_some()))?;
        Ok(factory.check.map(|check| check(name, config)))
    }

    /// A reader of the tables of the system that a source resource describes.
    ///
    /// # Errors
    /// The adapter has no tables, or refuses the configuration.
    pub fn source_reader(&self, kind: &str, config: &Value) -> Result<Box<dyn TableReader>, AdapterError> {
        let reader = |adapter: &Adapter| adapter.source.and_then(|source| source.reader);
        let make = self.find(kind).and_then(reader);
        make.ok_or_else(|| self.no_tables(kind, "source", |a| reader(a).is_some()))?(config)
    }

    /// A reader of the tables that a sink resource describes.
    ///
    /// # Errors
    /// The adapter has no tables, or refuses the configuration.
    pub fn sink_reader(&self, kind: &str, config: &Value) -> Result<Box<dyn TableReader>, AdapterError> {
        let reader = |adapter: &Adapter| adapter.sink.and_then(|sink| sink.reader);
        let make = self.find(kind).and_then(reader);
        make.ok_or_else(|| self.no_tables(kind, "sink", |a| reader(a).is_some()))?(config)
    }

    fn find(&self, kind: &str) -> Option<&Adapter> {
        self.0.iter().find(|adapter| adapter.kind == kind)
    }

    fn no_tables(&self, kind: &str, role: &str, fits: impl Fn(&Adapter) -> bool) -> AdapterError {
        let fitting: Vec<_> = self.0.iter().filter(|a| fits(a)).map(|a| a.kind).collect();
        AdapterError::new(
            ErrorKind::Config,
            format!("adapter {kind:?}"),
            format!("as a {role} it has no tables that can be read back; those have: {}", fitting.join(", ")),
        )
    }

    fn unknown(&self, kind: &str, role: &str, fits: fn(&Adapter) -> bool) -> AdapterError {
        let known: Vec<_> = self.0.iter().filter(|a| fits(a)).map(|a| a.kind).collect();
        AdapterError::new(
            ErrorKind::Config,
            format!("adapter {kind:?}"),
            format!("this agent has no such {role} adapter; it has: {}", known.join(", ")),
        )
    }
}
