//! `towpath man`: the manual, from the same definition as the command line itself.

use std::fmt::Write as _;
use std::io::{self, Write};

use clap::{Arg, Command, CommandFactory};

use crate::args::{Cli, ManArgs};
use crate::error::CliError;

pub(super) fn run(args: &ManArgs, out: &mut dyn Write) -> Result<(), CliError> {
    if args.markdown {
        return Ok(out.write_all(markdown().as_bytes())?);
    }
    let dir = args.dir.clone().unwrap_or_default();
    let failed = |source: io::Error| CliError::Write { path: dir.clone(), source };
    std::fs::create_dir_all(&dir).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &dir).map_err(failed)?;
    writeln!(out, "the manual is in {}; try: man -l {}", dir.display(), dir.join("towpath.1").display())?;
    Ok(())
}

/// One page for all commands.
pub fn markdown() -> String {
    let mut command = Cli::command();
    command.build();
    let mut page = String::from(
        "# The command line\n\n<!-- Made by `towpath man --markdown`; change the definition of the command line instead. -->\n\n",
    );
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(page, "`towpath` {}\n", ended(&lower_first(&about)));
    page.push_str(EXIT_CODES);
    page.push_str("\nEvery command takes these options:\n\n");
    let (globals, _): (Vec<_>, Vec<_>) = command.get_arguments().partition(|arg| arg.is_global_set());
    globals.iter().for_each(|arg| argument(arg, &mut page));
    for sub in commands_of(&command) {
        section(sub, 2, &mut page);
    }
    page
}

const EXIT_CODES: &str = "Exit codes: 0 for done, 1 for what went wrong, 2 for what was asked wrongly, 3 for what was \
looked at and is not as it\nshould be (`diff`, `wait`, `doctor`, `compare`, `source check`).\n";

fn commands_of(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set())
}

fn section(command: &Command, level: usize, page: &mut String) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(page, "\n{} {name}\n\n{}\n", "#".repeat(level), ended(&about));
    let mut subs = commands_of(command).peekable();
    if subs.peek().is_none() {
        let usage = command.clone().render_usage().to_string();
        let _ = writeln!(page, "```text\n{}\n```", usage.trim_start_matches("Usage: "));
        let own = command.get_arguments().filter(|arg| !arg.is_global_set() && !arg.is_hide_set());
        let own: Vec<_> = own.filter(|arg| !["help", "version"].contains(&arg.get_id().as_str())).collect();
        if !own.is_empty() {
            page.push('\n');
            own.iter().for_each(|arg| argument(arg, page));
        }
    }
    for sub in subs {
        section(sub, level + 1, page);
    }
}

fn argument(arg: &Arg, page: &mut String) {
    let mut spelled = Vec::new();
    spelled.extend(arg.get_short().map(|short| format!("-{short}")));
    spelled.extend(arg.get_long().map(|long| format!("--{long}")));
    let values = arg.get_value_names().unwrap_or_default().join(" ");
    let takes_value = arg.get_action().takes_values();
    let term = match (spelled.is_empty(), takes_value) {
        (true, _) => values,
        (false, true) => format!("{} {values}", spelled.join(", ")),
        (false, false) => spelled.join(", "),
    };
    let mut about = ended(&arg.get_help().map(ToString::to_string).unwrap_or_default());
    let choices: Vec<_> =
        arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if takes_value && !choices.is_empty() {
        let _ = write!(about, " One of {}.", choices.join(", "));
    }
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if takes_value && !defaults.is_empty() {
        let _ = write!(about, " Default: `{}`.", defaults.join(" "));
    }
    if let Some(variable) = arg.get_env() {
        let _ = write!(about, " Also by the variable `{}`.", variable.to_string_lossy());
    }
    let _ = writeln!(page, "* `{term}`: {about}");
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// Help has no full stop behind its last sentence.
fn ended(text: &str) -> String {
    if text.ends_with('.') { text.to_owned() } else { format!("{text}.") }
}
