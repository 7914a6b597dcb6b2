//! Metrics on certificates, identities and tokens.

use crate::plane::Plane;
use crate::plane::error::Done;
use crate::plane::listen::outcome::Outcome;
use crate::plane::metrics::{Labels, whole};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Plane {
    /// Registers them; nothing where there are no identities.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn identity_metrics(self: &Arc<Self>, registry: &mut Registry) -> Done<()> {
        let stale = Gauge::<i64>::default();
        stale.set(i64::from(self.credentials.is_stale()));
        let help = "1 while files of certificates, keys or the trust file can't be used and older ones are in use";
        registry.register("credentials_stale", help, stale);
        let set = self.credentials.set();
        let Some(tls) = set.tls else { return Ok(()) };
        let mut gauge = |name: &str, help: &str, value: i64| {
            let gauge = Gauge::<i64>::default();
            gauge.set(value);
            registry.register(name, help, gauge);
        };
        let seconds = |at: crate::model::time::Timestamp| at.0.div_euclid(1000);
        gauge(
            "server_certificate_expires_seconds",
            "When the server's certificate ends, Unix time",
            seconds(tls.expires),
        );
        if let Some(issuer) = set.issuer {
            let help = "When the issuing authority's certificate ends, Unix time";
            gauge("issuer_certificate_expires_seconds", help, seconds(issuer.expires));
        }
        let open = self.look(|desk| Ok(desk.tx.open_tokens(desk.now)?)).await?;
        gauge("tokens_open", "Enrollment tokens that can be spent", whole(open));
        let (known, revoked) = self.identities.counts();
        let identities = Family::<Labels, Gauge>::default();
        identities.get_or_create(&vec![("state", "known".to_owned())]).set(whole(known as u64));
        identities.get_or_create(&vec![("state", "revoked".to_owned())]).set(whole(revoked as u64));
        registry.register("identities", "Identities that are let in, and those shut out", identities);
        let handshakes = Family::<Labels, Counter>::default();
        for outcome in Outcome::ALL {
            let count = self.metrics.handshakes[outcome as usize].load(Ordering::Relaxed);
            handshakes.get_or_create(&vec![("result", outcome.name().to_owned())]).inc_by(count);
        }
        registry.register("tls_handshakes", "TLS handshakes since the start, by how they ended", handshakes);
        Ok(())
    }
}
