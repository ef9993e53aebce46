//! The control plane: catalog, region log, ingest, routing and delivery.
