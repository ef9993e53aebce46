//! `towpath login`

use std::io::Write;
use std::path::Path;

use towpath_resource::api::LoginProvider;

use super::secret;
use crate::args::LoginArgs;
use crate::client::{Client, Granted};
use crate::context::{Context, ContextFile, DEFAULT_NAME, Session, SessionProvider};
use crate::error::CliError;
use crate::human::harmless;
use crate::provider::{DeviceLogin, ProviderClient};

/// Keeps the context only when the control plane answers to it.
pub(super) async fn run(
    args: &LoginArgs,
    (file, chosen): (Option<&Path>, Option<&str>),
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let contexts = ContextFile::open(file)?;
    let name = args.name.as_deref().or(chosen).or_else(|| contexts.current()).unwrap_or(DEFAULT_NAME);
    let blank = blank(args, &contexts, name)?;
    let context = if let Some(user) = &args.user {
        let granted =
            Client::new(&blank)?.login(user, &secret::password(user, args.password_file.as_deref())?).await?;
        logged_in(blank, granted, None)
    } else if args.device {
        by_device(args, blank, out).await?
    } else {
        let token = args.token.as_deref().unwrap_or_default();
        let token = if token == "-" { secret::from_stdin("token")? } else { token.to_owned() };
        Context { token, ..blank }
    };
    if !Client::new(&context)?.is_known().await? {
        return Err(CliError::NotTaken(context.server));
    }
    let server = context.server.clone();
    ContextFile::change(file, |contexts| contexts.keep(name, context))?;
    writeln!(out, "logged in to {server}; kept as context `{name}` in {}", contexts.path().display())?;
    Ok(())
}

/// The control plane, without a login: as given, else as known from the context.
fn blank(args: &LoginArgs, contexts: &ContextFile, name: &str) -> Result<Context, CliError> {
    let known = contexts.contexts().find(|(known, _)| *known == name).map(|(_, context)| context);
    let missing =
        |what: &str| CliError::Usage(format!("there is no context `{name}` yet, so `{what}` is needed"));
    let server = args.server.clone().or_else(|| known.map(|known| known.server.clone()));
    let ca_pem = match &args.ca {
        Some(path) => {
            let read = std::fs::read_to_string(path);
            Some(read.map_err(|source| CliError::Read { path: path.clone(), source })?)
        }
        None => known.map(|known| known.ca_pem.clone()),
    };
    let server = server.ok_or_else(|| missing("--server"))?;
    Ok(Context::with_token(server, "", ca_pem.ok_or_else(|| missing("--ca"))?))
}

fn logged_in(blank: Context, granted: Granted, provider: Option<SessionProvider>) -> Context {
    let Granted { access_token, expires_at, refresh_token } = granted;
    Context { token: access_token, session: Some(Session { expires_at, refresh_token, provider }), ..blank }
}

async fn by_device(args: &LoginArgs, blank: Context, out: &mut dyn Write) -> Result<Context, CliError> {
    let provider = choose(Client::new(&blank)?.providers().await?, args.provider.as_deref())?;
    let client = ProviderClient::new()?;
    let login = client.begin(&provider).await?;
    invite(&login, out)?;
    let granted = client.finish(&provider, &login).await?;
    let LoginProvider { name, client_id, token_endpoint, .. } = provider;
    Ok(logged_in(blank, granted, Some(SessionProvider { name: name.to_string(), client_id, token_endpoint })))
}

fn invite(login: &DeviceLogin, out: &mut dyn Write) -> std::io::Result<()> {
    let DeviceLogin { user_code, verification_uri, verification_uri_complete, .. } = login;
    writeln!(out, "open {} on any device and enter the code", harmless(verification_uri))?;
    writeln!(out, "\n    {}\n", harmless(user_code))?;
    if let Some(complete) = verification_uri_complete {
        writeln!(out, "or open {}", harmless(complete))?;
    }
    out.flush()
}

fn choose(providers: Vec<LoginProvider>, wanted: Option<&str>) -> Result<LoginProvider, CliError> {
    let names = providers.iter().map(|provider| provider.name.to_string()).collect::<Vec<_>>().join(", ");
    let mut fit =
        providers.into_iter().filter(|provider| wanted.is_none_or(|wanted| provider.name.as_str() == wanted));
    match (fit.next(), fit.next()) {
        (Some(provider), None) => Ok(provider),
        (None, _) if names.is_empty() => Err(CliError::Usage(
            "the control plane knows no identity provider; use `--user` or `--token`".to_owned(),
        )),
        (None, _) => Err(CliError::Usage(format!(
            "there is no identity provider `{}`; there are: {names}",
            wanted.unwrap_or_default()
        ))),
        (Some(_), Some(_)) => Err(CliError::Usage(format!(
            "there are several identity providers; choose with `--provider`: {names}"
        ))),
    }
}
