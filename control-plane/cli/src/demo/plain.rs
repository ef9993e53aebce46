//! The demo without a terminal: a line whenever something has changed.

use std::io::{self, Write};
use std::time::Duration;

use super::figures::{clock, count};
use super::guide::Guide;
use super::view::View;

/// Lines come no closer than this.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// What was written last.
#[derive(Debug, Default)]
pub(super) struct Plain {
    last: Option<(Duration, String)>,
    troubles: Vec<String>,
}

impl Plain {
    /// Writes a line if there is news.
    pub(super) fn show(&mut self, view: &View, out: &mut dyn Write) -> io::Result<()> {
        if view.troubles != self.troubles {
            view.troubles.iter().try_for_each(|trouble| writeln!(out, "trouble: {trouble}"))?;
            self.troubles.clone_from(&view.troubles);
        }
        let news = news(view);
        let is_due = self
            .last
            .as_ref()
            .is_none_or(|(at, said)| *said != news && view.since_start.saturating_sub(*at) >= LINE_EVERY);
        if is_due {
            writeln!(out, "{} {news}", clock(view.since_start))?;
            out.flush()?;
            self.last = Some((view.since_start, news));
        }
        Ok(())
    }
}

fn news(view: &View) -> String {
    let letters: u64 = view.streams.iter().map(|line| line.dead_letters).sum();
    let (rows, changes) = (count(view.dropped_rows), count(view.crm_changes));
    let mut text =
        format!("dropped {rows} rows in {} files, wrote {changes} changes to the CRM", view.dropped_files);
    for stage in view.stages.iter().filter(|stage| !stage.rows.is_empty()) {
        text += &format!(" | {} {} {}", stage.stage, stage.name, stage.rows);
    }
    for stage in view.stages.iter().filter(|stage| !stage.waiting.is_empty()) {
        text += &format!(" | {} {} waits with {}", stage.stage, stage.name, stage.waiting);
    }
    text + &format!(" | {} bad rows", count(letters))
}

/// Where things lie and what to try, as lines.
pub(super) fn guide(guide: &Guide, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "everything is in {}", guide.root)?;
    for (what, place) in guide.places {
        writeln!(out, "  {what:<22}{place}")?;
    }
    writeln!(out, "try in another terminal:")?;
    let commands = guide.preparation.iter().chain(&guide.commands);
    for command in commands {
        writeln!(out, "  {command}")?;
    }
    out.flush()
}
