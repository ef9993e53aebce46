//! Draws a moment.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table, Wrap};

use super::super::figures::{clock, count};
use super::super::guide::Guide;
use super::super::view::{StreamLine, View};
use crate::screen::{HEADING, QUIET, TROUBLE, WELL, right, section};

/// Each section has a line with its title; tables have one more with the columns' names.
const TITLE: u16 = 1;
const COLUMNS: u16 = 1;
/// Between two commands in a line.
const APART: &str = "    ";
/// Trouble or bad rows have at least so many lines.
const LEAST_BAD_ROWS: u16 = 1;

/// Draws everything. It fits into 24 lines; what is more goes to the bad rows. A terminal that has less, or a path that
/// takes more, costs the last stages.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View, guide: &Guide) {
    let area = frame.area();
    let streams = TITLE + COLUMNS + lines(view.streams.len());
    let next = TITLE + next_steps_lines(guide, area.width);
    let others = streams + TITLE + LEAST_BAD_ROWS + next;
    let stages = (TITLE + COLUMNS + lines(view.stages.len())).min(area.height.saturating_sub(others));
    let [way, account, bad, rest] = Layout::vertical([
        Constraint::Length(stages),
        Constraint::Length(streams),
        Constraint::Min(TITLE + LEAST_BAD_ROWS),
        Constraint::Length(next),
    ])
    .areas(area);
    frame.render_widget(way_of_the_data(view), way);
    frame.render_widget(account_of(view), account);
    frame.render_widget(bad_rows(view), bad);
    frame.render_widget(next_steps(guide, area.width), rest);
}

fn way_of_the_data(view: &View) -> Table<'_> {
    let files = format!("{} files dropped, {} put away", view.dropped_files, view.files.archived);
    let title = Line::from(vec![
        Span::styled(" Towpath demo ", HEADING),
        Span::raw(clock(view.since_start)),
        Span::styled(format!("  {files} "), QUIET),
    ]);
    let keys = Line::from(vec![" d".bold(), " another day  ".into(), "q".bold(), " quits ".into()]);
    let widths = [
        Constraint::Length(7),
        Constraint::Length(16),
        Constraint::Length(11),
        Constraint::Length(8),
        Constraint::Length(12),
        Constraint::Length(6),
        Constraint::Min(10),
    ];
    let rows = view.stages.iter().map(|stage| {
        let state = if stage.is_well { WELL } else { TROUBLE };
        Row::new([
            Cell::from(stage.stage).style(QUIET),
            Cell::from(stage.name.as_str()),
            right(&stage.rows),
            right(&stage.pace),
            right(&stage.waiting),
            right(&stage.lag),
            Cell::from(stage.state.as_str()).style(state),
        ])
    });
    let header = [
        Cell::from("stage"),
        Cell::from("name"),
        right("rows"),
        right("pace"),
        right("waiting"),
        right("lag"),
        Cell::from("state"),
    ];
    Table::new(rows, widths)
        .header(Row::new(header).style(QUIET))
        .block(section(title).title(keys.right_aligned()))
}

fn account_of(view: &View) -> Table<'_> {
    let widths = [
        Constraint::Length(14),
        Constraint::Length(10),
        Constraint::Length(20),
        Constraint::Length(20),
        Constraint::Min(10),
    ];
    let rows = view.streams.iter().map(|line| {
        let StreamLine { name, written, repeated, expected, logged, bad, dead_letters } = line;
        Row::new([
            Cell::from(*name),
            right(&count(*written)),
            share(*logged, *expected),
            share(*dead_letters, *bad),
            right(&count(*repeated)),
        ])
    });
    let header = [
        Cell::from("stream"),
        right("written"),
        right("good: arrived / all"),
        right("bad: arrived / all"),
        right("repeated"),
    ];
    let title = match view.repeated_files {
        0 => " the sample's account ".to_owned(),
        files => format!(" the sample's account: {files} file came twice and is skipped "),
    };
    Table::new(rows, widths).header(Row::new(header).style(QUIET)).block(section(title))
}

/// How much of what was written has arrived; files and contacts of the user's own make it more.
fn share(arrived: u64, all: u64) -> Cell<'static> {
    let style = if arrived >= all { WELL } else { Style::new() };
    right(&format!("{} / {}", count(arrived), count(all))).style(style)
}

fn bad_rows(view: &View) -> Paragraph<'_> {
    let troubles = view.troubles.iter().map(|trouble| Line::styled(trouble.as_str(), TROUBLE));
    let letters = view.letters.iter().map(|letter| Line::raw(letter.as_str()));
    let title = if view.troubles.is_empty() { " newest bad rows " } else { " trouble " };
    Paragraph::new(troubles.chain(letters).collect::<Vec<_>>()).block(section(title))
}

fn next_steps(guide: &Guide, width: u16) -> Paragraph<'_> {
    let mut places = Line::default();
    for (what, place) in guide.places {
        let apart = if places.spans.is_empty() { "" } else { "  " };
        places.extend([Span::styled(format!("{apart}{what} "), QUIET), Span::raw(place)]);
    }
    let preparation = guide.preparation.iter().map(|command| Line::raw(command.as_str()));
    let commands = side_by_side(&guide.commands, width).into_iter().map(Line::raw);
    let text: Vec<_> = std::iter::once(places).chain(preparation).chain(commands).collect();
    let title = format!(" in {}, and to try in another terminal ", guide.root);
    // A path that is longer than the screen is wide must still be there to be copied.
    Paragraph::new(text).wrap(Wrap { trim: false }).block(section(title))
}

/// How many lines the next steps take. A path that is too long for the line of `export` begins on the next.
fn next_steps_lines(guide: &Guide, width: u16) -> u16 {
    const FIRST_WORD: usize = "export ".len();
    let columns = usize::from(width).max(1);
    let wrapped = |text: &String| match text.chars().count() {
        short if short <= columns => 1,
        long => 1 + (long - FIRST_WORD.min(long)).div_ceil(columns),
    };
    let preparation: usize = guide.preparation.iter().map(wrapped).sum();
    lines(1 + preparation + side_by_side(&guide.commands, width).len())
}

/// The commands in lines, as many in each as fit.
fn side_by_side(commands: &[String], width: u16) -> Vec<String> {
    let mut lines = Vec::<String>::new();
    for command in commands {
        match lines.last_mut() {
            Some(line) if line.len() + APART.len() + command.len() <= usize::from(width) => {
                line.push_str(APART);
                line.push_str(command);
            }
            _ => lines.push(command.clone()),
        }
    }
    lines
}

/// A length in lines. Nothing here comes near the largest.
fn lines(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
