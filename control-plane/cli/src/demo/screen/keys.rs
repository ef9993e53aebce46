//! Keys, from the thread that waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc::{self, UnboundedReceiver};

/// How soon the thread notices that it shall end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a key means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::demo) enum Key {
    /// Drop another day of the export.
    Drop,
    /// End the demo.
    Quit,
}

/// The thread that listens.
#[derive(Debug)]
pub(super) struct Keys {
    pressed: UnboundedReceiver<Key>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keys {
    pub(super) fn listen() -> Self {
        let (sender, pressed) = mpsc::unbounded_channel();
        let ends = Arc::new(AtomicBool::new(false));
        let asked = ends.clone();
        let thread = thread::spawn(move || {
            while !asked.load(Ordering::Relaxed) {
                let event = match event::poll(LOOK_EVERY) {
                    Ok(false) => continue,
                    Ok(true) => event::read(),
                    Err(error) => Err(error),
                };
                // A terminal that is gone has no keys any more; its hang-up ends the demo.
                let Ok(event) = event else { return };
                if let Some(key) = meaning(&event)
                    && sender.send(key).is_err()
                {
                    return;
                }
            }
        });
        Self { pressed, ends, thread: Some(thread) }
    }

    pub(super) async fn next(&mut self) -> Key {
        match self.pressed.recv().await {
            Some(key) => key,
            None => std::future::pending().await,
        }
    }

    /// Ends the thread and waits for it, so that it takes no key from whoever has the terminal next.
    pub(super) fn stop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing to say if it panicked; the keys are gone either way.
            let _ = thread.join();
        }
    }
}

/// In raw mode the terminal sends ctrl-c as a key.
fn meaning(event: &Event) -> Option<Key> {
    let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) = event else { return None };
    match code {
        KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Key::Quit),
        KeyCode::Char('d') => Some(Key::Drop),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed(code: KeyCode, modifiers: KeyModifiers) -> Option<Key> {
        meaning(&Event::Key(KeyEvent::new(code, modifiers)))
    }

    #[test]
    fn q_escape_and_ctrl_c_quit_and_d_drops() {
        assert_eq!(pressed(KeyCode::Char('q'), KeyModifiers::NONE), Some(Key::Quit));
        assert_eq!(pressed(KeyCode::Esc, KeyModifiers::NONE), Some(Key::Quit));
        assert_eq!(pressed(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::Quit));
        assert_eq!(pressed(KeyCode::Char('c'), KeyModifiers::NONE), None);
        assert_eq!(pressed(KeyCode::Char('d'), KeyModifiers::NONE), Some(Key::Drop));
        assert_eq!(meaning(&Event::Resize(80, 24)), None);
    }
}
