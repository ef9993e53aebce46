//! The live screen: the way of the data from top to bottom.

mod draw;
mod keys;
#[cfg(test)]
mod tests;

use std::io;

use ratatui::DefaultTerminal;

use super::guide::Guide;
use super::view::View;
use keys::Keys;

pub(super) use keys::Key;

/// The terminal while the screen has it. Dropped means given back.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: DefaultTerminal,
    keys: Keys,
    guide: Guide,
}

impl Screen {
    /// Takes the terminal. A panic gives it back, too.
    pub(super) fn take(guide: Guide) -> io::Result<Self> {
        let terminal = ratatui::try_init()?;
        Ok(Self { terminal, keys: Keys::listen(), guide })
    }

    /// Shows a moment.
    pub(super) fn show(&mut self, view: &View) -> io::Result<()> {
        self.terminal.draw(|frame| draw::draw(frame, view, &self.guide)).map(drop)
    }

    /// The next key that means something. Can be cancelled without losing one.
    pub(super) async fn key(&mut self) -> Key {
        self.keys.next().await
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.keys.stop();
        ratatui::restore();
    }
}
