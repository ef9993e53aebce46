//! The control plane at work: opens what it keeps, then serves the link, the API and enrolment on one port number,
//! QUIC on UDP and HTTPS on TCP.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService;
use towpath_catalog::{Catalog, CatalogConfig};
use towpath_log::deliveries::Deliveries;
use towpath_log::{LogConfig, RegionLog};
use towpath_proto::enrol::enrolment_server::EnrolmentServer;
use towpath_segment::private;

use crate::api::{self, IdempotencyKeys};
use crate::bootstrap;
use crate::cell::Cell;
use crate::config::ControlConfig;
use crate::control::ca::CertificateAuthority;
use crate::control::clock::system_clock;
use crate::control::enrol::{CertificateIssuer, EnrolmentService};
use crate::control::export::{self, Exports, Ways};
use crate::control::identity::TrustDomain;
use crate::control::ledger::CatalogLedger;
use crate::control::server_certificate::ServerCertificate;
use crate::control::tls;
use crate::control::verifier::Revocations;
use crate::control::{audit, audit_key};
use crate::data::retention;
use crate::egress::Egress;
use crate::grpc;
use crate::http::{self, Waits};
use crate::link::endpoint;
use crate::link::reset::ResetKey;
use crate::service::{Pepper, Service, ServiceConfig};

/// How many free port numbers are tried when any will do: one must be free on both TCP and UDP.
const PORT_TRIES: usize = 20;

/// How a control plane runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it keeps everything.
    pub data_dir: PathBuf,
    /// Where it listens, on TCP and UDP.
    pub listen: SocketAddr,
    /// Where metrics are served without authentication, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// Its configuration file's content.
    pub config: ControlConfig,
}

/// Runs a control plane until `stop` is cancelled.
///
/// # Errors
/// What it keeps cannot be opened, or its port is taken.
pub async fn serve(options: Options, stop: CancellationToken) -> anyhow::Result<()> {
    let metrics = PrometheusBuilder::new().install_recorder()?;
    let Options { data_dir, listen, config, .. } = options;
    let made = private::create_dir(&data_dir);
    made.with_context(|| format!("cannot create the data directory {}", data_dir.display()))?;
    let ca_dir = data_dir.join("ca");
    let ca = CertificateAuthority::open_or_create(&ca_dir, TrustDomain::default(), SystemTime::now())?;
    let ca = Arc::new(ca);
    let catalog = open_catalog(&data_dir, &config)?;
    catalog.record_certificate_authority(&ca.fingerprint().to_string())?;
    let egress = Arc::new(Egress::new(&config.egress)?);
    let repeats = IdempotencyKeys::open(&data_dir.join("idempotency"))?;
    let (tcp, udp) = bind(listen)?;
    let address = tcp.local_addr()?;
    bootstrap::admin(&data_dir, &catalog, address, ca.certificate_pem())?;
    let server = Arc::new(ServerCertificate::issue(ca.clone(), &config.names, system_clock())?);
    let region_dir = data_dir.join("regions").join(config.region.as_str());
    let log = open_log(&region_dir.join("log"), &config)?;
    let deliveries = Deliveries::open(&region_dir.join("deliveries"))?;
    // A log restored from an older backup must not give an offset that a route has passed to another frame.
    log.skip_to(deliveries.furthest().next()).await?;
    let ledger = Arc::new(CatalogLedger(catalog.clone()));
    let issuer = CertificateIssuer::new(ca.clone(), ledger, config.certificates.agent_ttl.0, system_clock());
    let revocations = Revocations::default();
    let reset_key = ResetKey::open_or_create(&data_dir)?;
    let link = endpoint::bind(udp, tls::server_tls(&ca, server.clone(), revocations.clone())?, reset_key)?;
    let max_bytes = config.log.retention_bytes.0;
    let cell = Cell::new(catalog.clone(), log, deliveries, issuer.clone(), revocations, max_bytes);

    let following = cell.clone();
    tokio::spawn(async move { following.follow_catalog().await });
    let auditing = tokio::spawn(audit::run(catalog.clone(), config.audit.clone(), stop.clone()));
    let exports = copy_trail(&catalog, &data_dir, &egress, &stop);
    tokio::spawn(retention::run(cell.clone(), config.log.retention()));
    let linking = tokio::spawn(endpoint::serve(
        link,
        ca.trust_domain().clone(),
        Arc::new(cell.clone()),
        stop.child_token(),
    ));
    let service = Service::new(ServiceConfig {
        catalog,
        plane: Arc::new(cell),
        ca: ca.fingerprint(),
        metrics: Arc::new(move || metrics.render()),
        access: config.access,
        pepper: Pepper::open_or_create(&data_dir)?,
        data_dir,
        exports,
        egress,
        rate: config.api.rate.clone(),
        repeats,
    });
    let kept = service.clone();
    if let Some(address) = options.metrics {
        serve_metrics(address, service.clone(), stop.clone()).await?;
    }
    tokio::spawn(end_long_answers(service.clone(), stop.clone()));
    let enrolment = EnrolmentService::new(issuer).into_server();
    let router = api::router(service.clone(), &config.api, options.metrics.is_none())
        .merge(grpc::router(service))
        .route_service(&enrolment_path(), enrolment);
    let (listener, https) = (tokio::net::TcpListener::from_std(tcp)?, Arc::new(tls::https_tls(server)?));
    tracing::info!(%address, "serves the API and enrolment on TCP and the link on UDP");
    drop(sd_notify::notify(&[sd_notify::NotifyState::Ready]));
    http::serve(listener, https, router, Waits::default(), stop).await;
    auditing.await.context("the audit trail was left unsigned")?;
    written(kept).await?;
    linking.await.context("the link ended unexpectedly")
}

/// Begins to copy the audit trail to where audit exports say, and answers how the copies go.
fn copy_trail(
    catalog: &Arc<Catalog>,
    data_dir: &Path,
    egress: &Arc<Egress>,
    stop: &CancellationToken,
) -> Exports {
    let exports = Exports::default();
    let ways = Ways { dir: data_dir.join("audit-exports"), egress: egress.clone() };
    tokio::spawn(export::run(catalog.clone(), ways, exports.clone(), stop.clone()));
    exports
}

/// Ends answers that would go on for ever when the control plane stops.
async fn end_long_answers(service: Service, stop: CancellationToken) {
    stop.cancelled_owned().await;
    service.stop();
}

/// Writes what the service keeps beside the catalog, for the next start.
async fn written(service: Service) -> anyhow::Result<()> {
    let done = tokio::task::spawn_blocking(move || service.write()).await;
    done.context("what is kept beside the catalog was not written")
}

/// The gRPC paths of enrolment, which share the port with the API.
fn enrolment_path() -> String {
    format!("/{}/{{method}}", <EnrolmentServer<EnrolmentService<CatalogLedger>> as NamedService>::NAME)
}

fn open_catalog(data_dir: &Path, config: &ControlConfig) -> anyhow::Result<Arc<Catalog>> {
    let regions = [config.region.clone()].into();
    let key = Some(Arc::new(audit_key::open_or_create(&data_dir.join("audit"))?));
    let sink_regions = config.sink_regions.clone();
    let config = CatalogConfig { regions, sink_regions, key, ..CatalogConfig::default() };
    let (catalog, opened) = Catalog::open(&data_dir.join("catalog"), config)?;
    if let Some(aside) = &opened.put_aside {
        tracing::warn!(kept_as = %aside.display(), "the catalog's projection was damaged; it was rebuilt from its events");
    }
    for lost in &opened.lost {
        tracing::error!(%lost, "events of the catalog are lost; what they said must be said again");
    }
    Ok(Arc::new(catalog))
}

fn open_log(dir: &Path, config: &ControlConfig) -> anyhow::Result<RegionLog> {
    let log_config = LogConfig { region: config.region.clone(), segment_bytes: config.log.segment_bytes.0 };
    let (log, recovered) = RegionLog::open(dir, &log_config)?;
    if recovered.segments.is_clean() {
        tracing::info!(log = %log.id(), frames_read = recovered.frames_read, "the region log is open");
    } else {
        tracing::warn!(log = %log.id(), recovery = ?recovered.segments, "the region log was recovered");
    }
    Ok(log)
}

/// One port number on TCP and UDP.
fn bind(listen: SocketAddr) -> anyhow::Result<(TcpListener, UdpSocket)> {
    let mut tries = if listen.port() == 0 { PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        let tcp = TcpListener::bind(listen).with_context(|| format!("cannot listen on TCP {listen}; choose another address with --listen, or stop what listens there"))?;
        let address = tcp.local_addr()?;
        match UdpSocket::bind(address) {
            Ok(udp) => {
                tcp.set_nonblocking(true)?;
                return Ok((tcp, udp));
            }
            Err(_) if tries > 0 => {}
            Err(error) => return Err(error).with_context(|| format!("cannot listen on UDP {address}; choose another address with --listen, or stop what listens there")),
        }
    }
}

async fn serve_metrics(address: SocketAddr, service: Service, stop: CancellationToken) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot serve metrics on {address}"))?;
    let router = api::metrics_router(service);
    tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).into_future());
    Ok(())
}
