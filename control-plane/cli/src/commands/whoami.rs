//! `towpath whoami`

use std::io::Write;

use crate::args::WhoamiArgs;
use crate::client::Client;
use crate::error::CliError;
use crate::output;

pub(super) async fn run(client: &Client, args: &WhoamiArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let me = client.whoami().await?;
    Ok(output::view(args.output, &me, out, |out| output::yaml(&me, out))?)
}
