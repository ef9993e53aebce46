//! Draws a moment.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Row, Table, Wrap};

use super::view::View;
use crate::human;
use crate::output::Tone;
use crate::screen::{HEADING, QUIET, TROUBLE, WELL, right, section};

/// Between two tabs.
const APART: &str = "  ";
/// Trouble has at most so many lines, so that the table keeps room.
const MOST_TROUBLE_LINES: u16 = 8;

pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let troubles = view.troubles();
    let trouble_lines = match u16::try_from(troubles.len()).unwrap_or(u16::MAX) {
        0 => 0,
        some => some.saturating_add(1).min(MOST_TROUBLE_LINES),
    };
    let [head, tabs, body, bottom] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(trouble_lines),
    ])
    .areas(frame.area());
    frame.render_widget(summary(view), head);
    frame.render_widget(tab_line(view), tabs);
    stages(frame, view, body);
    let lines: Vec<_> = troubles.iter().map(|line| Line::styled(human::harmless(line), TROUBLE)).collect();
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }).block(section(" trouble ")), bottom);
}

fn summary(view: &View) -> Line<'static> {
    let status = view.status();
    let connected = status.agents.iter().filter(|agent| agent.connected).count();
    let into_logs: f64 = status.logs.iter().map(|log| log.logged.records_per_second).sum();
    let delivered: f64 = status.routes.iter().map(|route| route.delivered.records_per_second).sum();
    let behind: u64 = status.routes.iter().map(|route| route.lag.records).sum();
    let seen = if view.is_held() { Span::styled("held", TROUBLE) } else { Span::styled("live", WELL) };
    Line::from(vec![
        Span::styled(" Towpath ", HEADING),
        Span::raw(format!("{}  ", status.version)),
        seen,
        Span::raw(format!("  {connected} of {} agents connected", status.agents.len())),
        Span::raw(format!("  in {}", human::rate(into_logs))),
        Span::raw(format!("  out {}", human::rate(delivered))),
        Span::raw(format!("  behind {}", human::count(behind))),
    ])
}

fn tab_line(view: &View) -> Line<'static> {
    let (titles, shown) = view.tabs();
    let tabs = titles.into_iter().enumerate().map(|(n, title)| {
        let text = format!("{APART}{title}");
        if n == shown { text.bold().underlined() } else { Span::styled(text, QUIET) }
    });
    tabs.collect::<Vec<_>>().into()
}

fn stages(frame: &mut Frame<'_>, view: &View, area: ratatui::layout::Rect) {
    let table = view.table();
    let (sorted, is_reversed) = view.sorted_by();
    let keys = Line::from(vec![
        " tab".bold(),
        " table  ".into(),
        "s".bold(),
        " sort  ".into(),
        "r".bold(),
        " reverse  ".into(),
        "space".bold(),
        " hold  ".into(),
        "q".bold(),
        " quit ".into(),
    ]);
    let block = section(format!(" {} ", table.title)).title(keys.right_aligned());
    if table.rows.is_empty() {
        return frame.render_widget(Paragraph::new(table.nothing).block(block), area);
    }
    let head = table.columns.iter().enumerate().map(|(n, title)| {
        let mark = if n != sorted {
            ""
        } else if is_reversed {
            " ▲"
        } else {
            " ▼"
        };
        if is_figure(&table.rows, n) {
            right(&format!("{title}{mark}"))
        } else {
            format!("{title}{mark}").into()
        }
    });
    let rows = table.rows.iter().map(|row| {
        Row::new(row.iter().enumerate().map(|(n, cell)| {
            let text = human::harmless(&cell.text);
            match Tone::of(&text) {
                _ if is_figure(&table.rows, n) => right(&text),
                Some(Tone::Good) => Span::styled(text, WELL).into(),
                Some(_) => Span::styled(text, TROUBLE).into(),
                None => text.into(),
            }
        }))
    });
    let widths = table.columns.iter().enumerate().map(|(n, title)| {
        let cells = table.rows.iter().map(|row| row[n].text.chars().count());
        // Room for the mark of the sorted column.
        let widest = cells.chain([title.len() + 2]).max().unwrap_or(0);
        Constraint::Max(u16::try_from(widest).unwrap_or(u16::MAX))
    });
    let widths: Vec<_> = widths.collect();
    let shown = Table::new(rows, widths).column_spacing(2).header(Row::new(head).style(QUIET)).block(block);
    frame.render_widget(shown, area);
}

fn is_figure(rows: &[Vec<super::super::stages::Cell>], column: usize) -> bool {
    rows.iter().any(|row| row.get(column).is_some_and(|cell| cell.figure.is_some()))
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use towpath_resource::api::FleetStatus;

    use super::super::view::Key;
    use super::*;

    const FLEET: &str = r#"{"at": "2026-01-31T12:00:00Z", "version": "0.1.0", "generation": 4, "sinks": [], "logs": [],
        "sources": [], "agents": [
          {"name": "big", "site": "plant", "condition": "running", "connected": true, "revoked": false,
           "desired_generation": 4, "applied_generation": 4, "spool": {"bytes": 9000}},
          {"name": "aged", "site": "plant", "condition": "waiting", "connected": false, "revoked": false,
           "trouble": {"message": "agent aged is not connected", "remedy": "check it"},
           "desired_generation": 4, "applied_generation": 3, "spool": {"bytes": 20}}],
        "routes": [{"name": "orders", "sink": "crm", "condition": "waiting", "paused": false, "replay": 0,
          "delivered": {"records": 1234, "bytes": 1, "records_per_second": 12.5, "bytes_per_second": 1.0},
          "lag": {"records": 7, "bytes": 900, "seconds": 75.0}, "breaker": "half_open", "failures": 1,
          "dead_letters": 2}]}"#;

    fn shown(view: &View) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(100, 16)).unwrap();
        terminal.draw(|frame| draw(frame, view)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let line = |y: u16| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol().to_owned()).collect();
        (0..buffer.area.height).map(line).collect()
    }

    fn fleet() -> View {
        View::new(serde_json::from_str::<FleetStatus>(FLEET).unwrap())
    }

    fn row_of(lines: &[String], name: &str) -> usize {
        lines.iter().position(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {lines:#?}"))
    }

    #[test]
    fn the_fleet_is_summed_up_and_its_trouble_told() {
        let lines = shown(&fleet());
        for part in ["1 of 2 agents connected", "out 13/s", "behind 7", "live"] {
            assert!(lines[0].contains(part), "{part} is missing in {}", lines[0]);
        }
        assert!(
            lines.iter().any(|line| line.contains("agent aged is not connected; check it")),
            "{lines:#?}"
        );
    }

    #[test]
    fn names_are_sorted_from_a_on_and_figures_from_the_largest() {
        let mut view = fleet();
        let lines = shown(&view);
        assert!(row_of(&lines, "aged") < row_of(&lines, "big"));
        // The spool is the fourth column.
        for _ in 0..3 {
            view.press(Key::SortByNext);
        }
        let lines = shown(&view);
        assert!(row_of(&lines, "big") < row_of(&lines, "aged"));
        view.press(Key::Reverse);
        let lines = shown(&view);
        assert!(row_of(&lines, "aged") < row_of(&lines, "big"));
    }

    #[test]
    fn each_table_is_reached_and_what_is_held_says_so() {
        let mut view = fleet();
        view.press(Key::PreviousTable);
        view.press(Key::PreviousTable);
        assert!(shown(&view).iter().any(|line| line.starts_with("orders") && line.contains("half open")));
        view.press(Key::Hold);
        assert!(view.is_held() && shown(&view)[0].contains("held"));
    }

    #[test]
    fn a_control_plane_that_does_not_answer_leaves_what_was_seen_last() {
        let mut view = fleet();
        view.miss("https://x does not answer".to_owned());
        let lines = shown(&view);
        assert!(lines.iter().any(|line| line.contains("https://x does not answer")));
        row_of(&lines, "big");
    }
}
