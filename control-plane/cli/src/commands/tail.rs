//! `towpath tail`

use std::io::Write;

use crate::args::TailArgs;
use crate::client::{self, Client};
use crate::error::CliError;
use crate::output;

pub(super) async fn run(client: &Client, args: &TailArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let order = client::TailArgs {
        from: args.from.map(|from| from.to_string()),
        limit: args.limit,
        follow: args.follow,
    };
    let mut records = client.tail(&args.stream, &order).await?;
    while let Some(record) = records.next().await? {
        output::json_line(&record, out)?;
        // Whoever reads along sees a record when it comes, not when a buffer is full.
        out.flush()?;
    }
    Ok(())
}
