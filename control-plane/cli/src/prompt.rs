//! A secret from the terminal, unseen.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const KILL: u8 = 0x15;
const DELETE: u8 = 0x7f;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// Nobody can be asked.
    #[error("there is no terminal to ask at ({0}); use `--password-file`")]
    NoTerminal(io::Error),
    /// The user does not want to.
    #[error("interrupted")]
    Interrupted,
}

/// Asks for a secret at the terminal, wherever input and output go.
pub(crate) fn secret(question: &str) -> Result<String, PromptError> {
    let mut terminal =
        OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(PromptError::NoTerminal)?;
    let _unseen = Unseen::from_now(&terminal).map_err(PromptError::NoTerminal)?;
    let read = terminal.write_all(question.as_bytes()).map_err(PromptError::NoTerminal);
    let secret = read.and_then(|()| line(&mut terminal));
    // The line break was not seen either.
    let _ = terminal.write_all(b"\n");
    secret
}

/// Reads a line key by key, so that an interruption is a key as well and the terminal is put back in any case.
fn line(keys: &mut impl Read) -> Result<String, PromptError> {
    let mut line = Vec::new();
    let mut key = [0];
    loop {
        if keys.read(&mut key).map_err(PromptError::NoTerminal)? == 0 {
            break;
        }
        match key[0] {
            b'\r' | b'\n' | END => break,
            INTERRUPT => return Err(PromptError::Interrupted),
            KILL => line.clear(),
            BACKSPACE | DELETE => {
                // All bytes of one character.
                while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            byte => line.push(byte),
        }
    }
    String::from_utf8(line).map_err(|error| PromptError::NoTerminal(io::Error::other(error)))
}

/// The terminal while it shows no keys. Dropped means as before.
struct Unseen {
    terminal: File,
    before: Termios,
}

impl Unseen {
    fn from_now(terminal: &File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut unseen = before.clone();
        unseen.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(terminal, OptionalActions::Flush, &unseen)?;
        Ok(Self { terminal: terminal.try_clone()?, before })
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // There is nobody to tell, and nothing else to try.
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_corrected_while_it_is_typed() {
        let typed = |keys: &str| line(&mut keys.as_bytes()).unwrap();
        assert_eq!(typed("secret\n"), "secret");
        assert_eq!(typed("secrex\u{7f}t\r"), "secret");
        assert_eq!(typed("wrong\u{15}geheim\u{fc}\u{8}nis\n"), "geheimnis");
        assert_eq!(typed("no end"), "no end");
    }

    #[test]
    fn an_interruption_gives_no_secret() {
        assert!(matches!(line(&mut "sec\u{3}".as_bytes()), Err(PromptError::Interrupted)));
    }
}
