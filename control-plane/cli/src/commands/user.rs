//! `towpath user`

use std::io::Write;

use jiff::Timestamp;
use towpath_resource::api::{UserOrder, UserStatus};

use super::key::roles;
use super::secret::password;
use crate::args::UserCommand;
use crate::client::Client;
use crate::error::CliError;
use crate::human;
use crate::output::{self, Table};

pub(super) async fn run(client: &Client, command: UserCommand, out: &mut dyn Write) -> Result<(), CliError> {
    match command {
        UserCommand::Create { name, password_file } => {
            let password = password(name.as_str(), password_file.as_deref())?;
            let user = client.create_user(&UserOrder { name, password }).await?;
            writeln!(out, "user {} created", user.name)?;
            if user.grants.is_empty() {
                writeln!(
                    out,
                    "it may do nothing until a role binding names it: towpath explain role-binding"
                )?;
            }
        }
        UserCommand::List { output } => {
            let users = client.users().await?;
            output::list(output, &users, |user| user.name.to_string(), out, |out| table(&users, out))?;
        }
        UserCommand::Password { name, password_file } => {
            client.set_password(&name, password(&name, password_file.as_deref())?).await?;
            writeln!(out, "user {name} has a new password, and no session any more")?;
        }
        UserCommand::Delete { name } => {
            client.delete_user(&name).await?;
            writeln!(out, "user {name} deleted")?;
        }
    }
    Ok(())
}

fn table(users: &[UserStatus], out: &mut dyn Write) -> std::io::Result<()> {
    let now = Timestamp::now();
    let mut table = Table::new(["name", "roles", "created", "password set", "sessions"]);
    for user in users {
        table.row([
            user.name.to_string(),
            roles(&user.grants),
            human::ago(user.created_at, now),
            human::ago(user.password_set_at, now),
            user.sessions.to_string(),
        ]);
    }
    table.write("there are no users", out)
}
