//! One query with everything that belongs to it.

use jiff::Timestamp;
use towpath_record::{ResourceName, StreamName};

use crate::config::Query;
use crate::deletes::Known;
use crate::position::Place;
use crate::records::Layout;
use crate::schedule::{Schedule, ScheduleConfig};
use crate::window::Window;

/// A query that is run.
pub(super) struct Job {
    pub(super) query: Query,
    pub(super) stream: StreamName,
    pub(super) schedule: Schedule,
    /// When keys are compared; with each run if there is none.
    pub(super) compares: Option<Schedule>,
    pub(super) due: Option<Timestamp>,
    pub(super) window: Window,
    pub(super) known: Known,
    /// The columns of the last answer.
    pub(super) layout: Option<Layout>,
    /// Whether the stream is to be emptied and filled again.
    pub(super) refill: bool,
}

impl Job {
    pub(super) fn new(
        query: Query,
        schedule: &ScheduleConfig,
        source: &ResourceName,
        place: &Place,
        known: Known,
    ) -> Result<Self, String> {
        let stream = query.stream_of(source)?;
        let schedule = Schedule::new(query.schedule.as_ref().unwrap_or(schedule))?;
        let compares = query.deletes.as_ref().and_then(|deletes| deletes.schedule.as_ref());
        let compares = compares.map(Schedule::new).transpose()?;
        let window = Window::load(query.overlap, &place.remembered, place.under_way);
        Ok(Self { query, stream, schedule, compares, due: None, window, known, layout: None, refill: false })
    }
}
