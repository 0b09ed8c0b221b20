//! The manifests in `deploy/kubernetes`: held to the API's own schemas, to each other, and to the programs that they start. No cluster is here; what a pod
//! asks of its container is.

mod manifests;
mod pods;
mod schemas;
mod wiring;
