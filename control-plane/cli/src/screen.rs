//! The whole terminal, for what is shown live: taken and given back, its keys, and how things look on it.

mod keys;

use std::io;

use ratatui::layout::Alignment;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Cell};
use ratatui::{DefaultTerminal, Frame};

use keys::Keys;
pub(crate) use ratatui::crossterm::event::{KeyCode, KeyEvent};

/// What is there and not looked at first.
pub(crate) const QUIET: Style = Style::new().fg(Color::DarkGray);
/// What something is called.
pub(crate) const HEADING: Style = Style::new().fg(Color::Cyan).add_modifier(Modifier::BOLD);
/// What is not as it should be.
pub(crate) const TROUBLE: Style = Style::new().fg(Color::Yellow);
/// What is as it should be.
pub(crate) const WELL: Style = Style::new().fg(Color::Green);

/// The terminal while we have it. Dropped means given back.
#[derive(Debug)]
pub(crate) struct Screen<K> {
    terminal: DefaultTerminal,
    keys: Keys<K>,
}

impl<K: Send + 'static> Screen<K> {
    /// Takes the terminal. A panic gives it back, too. `meaning` says which key means what; `quit` is what ctrl-c means.
    ///
    /// # Errors
    /// There is no terminal to take.
    pub(crate) fn take(quit: K, meaning: fn(KeyEvent) -> Option<K>) -> io::Result<Self>
    where
        K: Copy,
    {
        let terminal = ratatui::try_init()?;
        Ok(Self { terminal, keys: Keys::listen(quit, meaning) })
    }

    /// Shows a moment.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(crate) fn show(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw).map(drop)
    }
}

impl<K> Screen<K> {
    /// The next key that means something. Can be cancelled without losing one.
    pub(crate) async fn key(&mut self) -> K {
        self.keys.next().await
    }
}

impl<K> Drop for Screen<K> {
    fn drop(&mut self) {
        self.keys.stop();
        ratatui::restore();
    }
}

/// A part of the screen below its title.
pub(crate) fn section<'a>(title: impl Into<Line<'a>>) -> Block<'a> {
    Block::new().borders(Borders::TOP).border_style(QUIET).title(title).title_style(HEADING)
}

/// A figure in a column of figures.
pub(crate) fn right(text: &str) -> Cell<'static> {
    Cell::from(Line::raw(text.to_owned()).alignment(Alignment::Right))
}
