//! Keys, from the thread that waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc::{self, UnboundedReceiver};

/// How soon the thread notices that it shall end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The thread that listens.
#[derive(Debug)]
pub(super) struct Keys<K> {
    pressed: UnboundedReceiver<K>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<K: Copy + Send + 'static> Keys<K> {
    pub(super) fn listen(quit: K, meaning: fn(KeyEvent) -> Option<K>) -> Self {
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
                // A terminal that is gone has no keys any more; its hang-up ends us.
                let Ok(event) = event else { return };
                if let Some(key) = pressed_key(&event, quit, meaning)
                    && sender.send(key).is_err()
                {
                    return;
                }
            }
        });
        Self { pressed, ends, thread: Some(thread) }
    }
}

impl<K> Keys<K> {
    pub(super) async fn next(&mut self) -> K {
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
fn pressed_key<K>(event: &Event, quit: K, meaning: fn(KeyEvent) -> Option<K>) -> Option<K> {
    let Event::Key(key) = event else { return None };
    let KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. } = *key else { return None };
    match code {
        KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => Some(quit),
        _ => meaning(*key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed(code: KeyCode, modifiers: KeyModifiers) -> Option<char> {
        let meaning = |key: KeyEvent| key.code.as_char().filter(|c| *c == 'd');
        pressed_key(&Event::Key(KeyEvent::new(code, modifiers)), 'q', meaning)
    }

    #[test]
    fn ctrl_c_quits_and_other_keys_mean_what_they_are_said_to() {
        assert_eq!(pressed(KeyCode::Char('c'), KeyModifiers::CONTROL), Some('q'));
        assert_eq!(pressed(KeyCode::Char('c'), KeyModifiers::NONE), None);
        assert_eq!(pressed(KeyCode::Char('d'), KeyModifiers::NONE), Some('d'));
        assert_eq!(pressed_key(&Event::Resize(80, 24), 'q', |_| None), None);
    }
}
