//! `towpath tail`

use std::io::Write;

use crate::args::TailArgs;
use crate::client::{self, Client};
use crate::error::CliError;

pub(super) async fn run(client: &Client, args: &TailArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let order = client::TailArgs {
        from: args.from.map(|from| from.to_string()),
        limit: args.limit,
        follow: args.follow,
    };
    let mut records = client.tail(&args.stream, &order).await?;
    while let Some(record) = records.next().await? {
        let line = serde_json::to_string(&record).map_err(std::io::Error::other)?;
        writeln!(out, "{line}")?;
        // Whoever reads along sees a record when it comes, not when a buffer is full.
        out.flush()?;
    }
    Ok(())
}
