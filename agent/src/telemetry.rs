//! What is seen of the agent from beside it: logs on standard error; health and metrics on an address that the
//! admin chose. By default nothing listens.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::control::status::Board;
use crate::log_ring::LogRing;

/// Environment variable with the log filter, in the syntax of `tracing_subscriber::EnvFilter`.
pub const LOG_ENV: &str = "TOWPATH_LOG";

/// What is logged unless the environment says otherwise.
const DEFAULT_LOG: &str = "info";
/// What is not logged unless the environment names it: the scheduler tells of each time that is waited for.
const QUIET: &str = "tokio_cron_scheduler=warn";

/// What is kept for admins who ask: what the agent says itself, and what goes wrong elsewhere.
const KEPT: &str = "warn,towpath=info";

/// Sends logs to standard error: readable at a terminal, JSON elsewhere if `json` is set. The ring that is returned
/// keeps the newest lines, whatever the environment says.
pub fn init_logging(json: bool) -> LogRing {
    let wanted = std::env::var(LOG_ENV).unwrap_or_else(|_| DEFAULT_LOG.to_owned());
    let filter = EnvFilter::try_new(format!("{QUIET},{wanted}"))
        .unwrap_or_else(|_| EnvFilter::new(format!("{QUIET},{DEFAULT_LOG}")));
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let logs = if json { logs.json().boxed() } else { logs.with_target(false).boxed() };
    let ring = LogRing::new();
    let kept = ring.clone().with_filter(EnvFilter::new(KEPT));
    tracing_subscriber::registry().with(logs.with_filter(filter)).with(kept).init();
    ring
}

/// Makes this process count what it does.
///
/// # Errors
/// Another recorder is installed already.
pub fn init_metrics() -> anyhow::Result<PrometheusHandle> {
    Ok(PrometheusBuilder::new().install_recorder()?)
}

/// Serves `/healthz` and `/metrics` until stopped.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(
    address: SocketAddr,
    metrics: PrometheusHandle,
    board: Arc<Board>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "health and metrics are served");
    let router = Router::new()
        .route("/healthz", get(health))
        .route(
            "/metrics",
            get(|State((metrics, board)): State<Shared>| async move {
                board.export();
                metrics.run_upkeep();
                metrics.render()
            }),
        )
        .with_state((metrics, board));
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

type Shared = (PrometheusHandle, Arc<Board>);

async fn health(State((_, board)): State<Shared>) -> (StatusCode, String) {
    match board.faults() {
        faults if faults.is_empty() => (StatusCode::OK, "ok\n".to_owned()),
        faults => (StatusCode::SERVICE_UNAVAILABLE, faults.join("\n") + "\n"),
    }
}
