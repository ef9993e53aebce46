//! Draws a moment.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table, Wrap};

use super::super::figures::{clock, count};
use super::super::guide::Guide;
use super::super::view::{Stage, StreamLine, View};

const QUIET: Style = Style::new().fg(Color::DarkGray);
const HEADING: Style = Style::new().fg(Color::Cyan).add_modifier(Modifier::BOLD);
const TROUBLE: Style = Style::new().fg(Color::Yellow);

/// Each section has a line with its title; tables have one more with the columns' names.
const TITLE: u16 = 1;
const COLUMNS: u16 = 1;
const COMMANDS_IN_A_LINE: usize = 2;

/// Draws everything. It fits into 24 lines; what is more goes to the bad rows.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View, guide: &Guide) {
    let stages = TITLE + COLUMNS + lines(view.stages.len());
    let streams = TITLE + COLUMNS + lines(view.streams.len());
    let next = TITLE + next_steps_lines(guide, frame.area().width);
    let [head, way, account, bad, rest] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(stages),
        Constraint::Length(streams),
        Constraint::Min(TITLE + 1),
        Constraint::Length(next),
    ])
    .areas(frame.area());
    header(frame, head, view);
    frame.render_widget(way_of_the_data(&view.stages), way);
    frame.render_widget(account_of(view), account);
    frame.render_widget(bad_rows(view), bad);
    frame.render_widget(next_steps(guide), rest);
}

fn header(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let [left, right] = Layout::horizontal([Constraint::Min(20), Constraint::Length(30)]).areas(area);
    let files = view.files;
    let files = format!("{} files dropped, {} put away", view.dropped_files, files.archived);
    let title = vec![
        Span::styled("Towpath demo ", HEADING),
        Span::raw(clock(view.since_start)),
        Span::styled(format!("  {files}"), QUIET),
    ];
    frame.render_widget(Line::from(title), left);
    let keys = Line::from(vec!["d".bold(), " drops another day  ".into(), "q".bold(), " quits".into()]);
    frame.render_widget(keys.right_aligned(), right);
}

fn way_of_the_data(stages: &[Stage]) -> Table<'_> {
    let widths = [
        Constraint::Length(7),
        Constraint::Length(16),
        Constraint::Length(11),
        Constraint::Length(8),
        Constraint::Length(12),
        Constraint::Length(6),
        Constraint::Min(10),
    ];
    let rows = stages.iter().map(|stage| {
        let state = if stage.is_well { Style::new().fg(Color::Green) } else { TROUBLE };
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
    Table::new(rows, widths).header(Row::new(header).style(QUIET)).block(section(" the way of the data "))
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
        let StreamLine { name, dropped, repeated, expected, logged, bad, dead_letters } = line;
        Row::new([
            Cell::from(*name),
            right(&count(*dropped)),
            share(*logged, *expected),
            share(*dead_letters, *bad),
            right(&count(*repeated)),
        ])
    });
    let header = [
        Cell::from("stream"),
        right("dropped"),
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

/// How much of what was dropped has arrived; files of the user's own make it more.
fn share(arrived: u64, all: u64) -> Cell<'static> {
    let style = if arrived >= all { Style::new().fg(Color::Green) } else { Style::new() };
    right(&format!("{} / {}", count(arrived), count(all))).style(style)
}

fn bad_rows(view: &View) -> Paragraph<'_> {
    let troubles = view.troubles.iter().map(|trouble| Line::styled(trouble.as_str(), TROUBLE));
    let letters = view.letters.iter().map(|letter| Line::raw(letter.as_str()));
    let title = if view.troubles.is_empty() { " newest bad rows " } else { " trouble " };
    Paragraph::new(troubles.chain(letters).collect::<Vec<_>>()).block(section(title))
}

fn next_steps(guide: &Guide) -> Paragraph<'_> {
    let mut places = Line::default();
    for (what, place) in guide.places {
        places.extend([Span::styled(format!("{what} "), QUIET), Span::raw(place), Span::raw("  ")]);
    }
    let preparation = guide.preparation.iter().map(|command| Line::raw(command.as_str()));
    let pairs = guide.commands.chunks(COMMANDS_IN_A_LINE).map(|pair| Line::raw(pair.join("    ")));
    let text: Vec<_> = std::iter::once(places).chain(preparation).chain(pairs).collect();
    let title = format!(" in {}, and to try in another terminal ", guide.root);
    // A path that is longer than the screen is wide must still be there to be copied.
    Paragraph::new(text).wrap(Wrap { trim: false }).block(section(title))
}

/// How many lines the next steps take. A path that is too long for the line of `export` begins on the next.
fn next_steps_lines(guide: &Guide, width: u16) -> u16 {
    const FIRST_WORD: usize = "export ".len();
    let width = usize::from(width).max(1);
    let wrapped = |text: &String| match text.chars().count() {
        short if short <= width => 1,
        long => 1 + (long - FIRST_WORD.min(long)).div_ceil(width),
    };
    let preparation: usize = guide.preparation.iter().map(wrapped).sum();
    lines(1 + preparation + guide.commands.len().div_ceil(COMMANDS_IN_A_LINE))
}

fn section<'a>(title: impl Into<Line<'a>>) -> Block<'a> {
    Block::new().borders(Borders::TOP).border_style(QUIET).title(title).title_style(HEADING)
}

fn right(text: &str) -> Cell<'static> {
    Cell::from(Line::raw(text.to_owned()).right_aligned())
}

/// A length in lines. Nothing here comes near the largest.
fn lines(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
