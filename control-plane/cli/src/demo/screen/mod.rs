//! The live screen: the way of the data from top to bottom.

mod draw;
#[cfg(test)]
mod tests;

use std::io;

use super::guide::Guide;
use super::view::View;
use crate::screen::{self, KeyCode, KeyEvent};

/// What a key means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    /// Drop another day of the export.
    Drop,
    /// End the demo.
    Quit,
}

/// The terminal while the screen has it. Dropped means given back.
#[derive(Debug)]
pub(super) struct Screen {
    screen: screen::Screen<Key>,
    guide: Guide,
}

impl Screen {
    /// Takes the terminal. A panic gives it back, too.
    pub(super) fn take(guide: Guide) -> io::Result<Self> {
        Ok(Self { screen: screen::Screen::take(Key::Quit, meaning)?, guide })
    }

    /// Shows a moment.
    pub(super) fn show(&mut self, view: &View) -> io::Result<()> {
        self.screen.show(|frame| draw::draw(frame, view, &self.guide))
    }

    /// The next key that means something. Can be cancelled without losing one.
    pub(super) async fn key(&mut self) -> Key {
        self.screen.key().await
    }
}

fn meaning(key: KeyEvent) -> Option<Key> {
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => Some(Key::Quit),
        KeyCode::Char('d') => Some(Key::Drop),
        _ => None,
    }
}
