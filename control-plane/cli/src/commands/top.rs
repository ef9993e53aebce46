//! `towpath top`: how everything goes, live.

mod draw;
mod view;

use std::io::{IsTerminal, stdin, stdout};
use std::time::Duration;

use tokio::sync::mpsc;
use towpath_resource::api::FleetStatus;

use crate::args::TopArgs;
use crate::client::{Client, ClientError};
use crate::error::CliError;
use crate::screen::{KeyCode, KeyEvent, Screen};

use view::{Key, View};

/// Nobody reads faster, and the control plane has other things to do.
const AT_MOST_EVERY: Duration = Duration::from_millis(250);

pub(super) async fn run(client: Client, args: &TopArgs) -> Result<(), CliError> {
    if !(stdin().is_terminal() && stdout().is_terminal()) {
        return Err(CliError::Usage("`top` needs a terminal; use `towpath status`".to_owned()));
    }
    // What keeps it from working at all is better told on an ordinary screen.
    let mut view = View::new(client.status().await?);
    let mut screen = Screen::take(Key::Quit, meaning)?;
    let mut seen = look(client, args.every.0.max(AT_MOST_EVERY));
    loop {
        screen.show(|frame| draw::draw(frame, &view))?;
        tokio::select! {
            key = screen.key() => {
                if key == Key::Quit {
                    return Ok(());
                }
                view.press(key);
            }
            Some(answer) = seen.recv(), if !view.is_held() => match answer {
                Ok(status) => view.see(status),
                // It goes on as soon as the control plane answers again.
                Err(error) => view.miss(error.to_string()),
            },
        }
    }
}

/// Looks again and again in a task of its own, which no key interrupts, until nobody takes what it sees.
fn look(client: Client, every: Duration) -> mpsc::Receiver<Result<FleetStatus, ClientError>> {
    let (seen, answers) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(every).await;
            // There is room before it is asked for, so that what is shown next is not older than it must be.
            let Ok(room) = seen.reserve().await else { return };
            room.send(client.status().await);
        }
    });
    answers
}

fn meaning(key: KeyEvent) -> Option<Key> {
    Some(match key.code {
        KeyCode::Char('q') | KeyCode::Esc => Key::Quit,
        KeyCode::Char(' ') => Key::Hold,
        KeyCode::Char('s') => Key::SortByNext,
        KeyCode::Char('r') => Key::Reverse,
        KeyCode::Tab | KeyCode::Right => Key::NextTable,
        KeyCode::BackTab | KeyCode::Left => Key::PreviousTable,
        KeyCode::Down => Key::Down,
        KeyCode::Up => Key::Up,
        _ => return None,
    })
}
