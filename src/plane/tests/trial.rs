//! A control plane in a test: its store, a clock that is set by hand, a key that signs, and its router.

use crate::model::id::{HostName, RolloutId, StoreId};
use crate::model::time::Timestamp;
use crate::plane::config::{PlaneConfig, RawConfig};
use crate::plane::{Parts, Plane, app};
use crate::runtime::clock::Clock;
use crate::runtime::entropy::seeded;
use crate::store::Store;
use crate::store::memory::MemoryStore;
use crate::trust::{Lease, SigningKey, TrustFile, draft, sign_release};
use crate::wire::v1::agent::HOST_HEADER;
use crate::wire::v1::operator::{AttemptView, RolloutView};
use crate::wire::v1::release::SignedRelease;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tower::ServiceExt;

pub const BEAT: Duration = Duration::from_secs(60);
const START: i64 = 1_800_000_000_000;

/// A clock that stands still until it is moved.
pub struct HandClock {
    wall: AtomicI64,
    up: AtomicU64,
}

impl Clock for HandClock {
    fn wall(&self) -> Timestamp {
        Timestamp(self.wall.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(self.up.load(Ordering::SeqCst))
    }
}

impl HandClock {
    pub fn pass(&self, span: Duration) {
        let millis = span.as_millis() as u64;
        self.up.fetch_add(millis, Ordering::SeqCst);
        self.wall.fetch_add(millis as i64, Ordering::SeqCst);
    }

    pub fn step_wall(&self, millis: i64) {
        self.wall.fetch_add(millis, Ordering::SeqCst);
    }
}

pub struct Trial {
    pub plane: Arc<Plane>,
    pub app: Router,
    pub clock: Arc<HandClock>,
    pub store: Arc<dyn Store>,
    pub key: SigningKey,
    sequence: Arc<AtomicU64>,
}

pub fn closure(release: &str, host: &str) -> String {
    let letter = release.bytes().last().map_or('a', |b| char::from(b'a' + (b - b'0') % 4));
    format!("/nix/store/{}-nixos-system-{host}", letter.to_string().repeat(32))
}

pub fn config() -> PlaneConfig {
    PlaneConfig::check(RawConfig::default()).unwrap()
}

pub fn fresh_store(letter: char) -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(StoreId::new(letter.to_string().repeat(32)).unwrap()))
}

impl Trial {
    /// Starts one on an empty store in memory; the grace after the start is over.
    pub async fn new() -> Self {
        let trial = Self::on(fresh_store('a')).await;
        trial.clock.pass(BEAT);
        trial
    }

    pub async fn on(store: Arc<dyn Store>) -> Self {
        Self::at(store, Timestamp(START), config()).await
    }

    /// Starts one whose clock shows `now`, with these settings.
    pub async fn at(store: Arc<dyn Store>, now: Timestamp, config: PlaneConfig) -> Self {
        let clock = Arc::new(HandClock { wall: AtomicI64::new(now.0), up: AtomicU64::new(1_000_000) });
        let key = SigningKey::generate("ci", &mut seeded(7)).unwrap();
        Self::with((store, config), clock, key, Arc::new(AtomicU64::new(0))).await
    }

    async fn with(
        (store, config): (Arc<dyn Store>, PlaneConfig),
        clock: Arc<HandClock>,
        key: SigningKey,
        sequence: Arc<AtomicU64>,
    ) -> Self {
        let trust = TrustFile::new(1, [key.public()]).unwrap();
        let rng = seeded(1);
        let parts = Parts { store: store.clone(), clock: clock.clone(), rng, trust, config };
        let plane = Plane::open(parts).await.unwrap();
        Self { app: app(plane.clone()), plane, clock, store, key, sequence }
    }

    /// Ends this one and starts another on `store`, which may be the same.
    pub async fn restart_on(self, store: Arc<dyn Store>) -> Self {
        let Self { plane, clock, key, sequence, app, .. } = self;
        let config = plane.config().clone();
        drop((plane, app));
        Self::with((store, config), clock, key, sequence).await
    }

    pub async fn restart(self) -> Self {
        let store = self.store.clone();
        self.restart_on(store).await
    }

    pub fn sign(&self, manifest: &Value) -> SignedRelease {
        let sequence = self.sequence.fetch_add(1, Ordering::SeqCst) + 1;
        self.sign_as(manifest, sequence)
    }

    pub fn sign_as(&self, manifest: &Value, sequence: u64) -> SignedRelease {
        let issued = self.clock.wall();
        let lease = Lease { sequence, issued, expires: issued.plus(Duration::from_secs(86400)) };
        let release = draft(&manifest.to_string()).unwrap();
        sign_release(&release, std::slice::from_ref(&self.key), &lease).unwrap()
    }

    /// Publishes `channel@ref`, which must be taken.
    pub async fn publish(&self, id: &str, waves: Value, policy: Value) -> Value {
        let (status, answer) = self.post_release(&self.sign(&manifest(id, waves, policy))).await;
        assert_eq!(status, 201, "{answer}");
        answer
    }

    /// Publishes a release of one wave with short limits.
    pub async fn publish_simple(&self, id: &str, hosts: &[&str]) -> Value {
        self.publish(id, json!([{ "name": "all", "hosts": hosts }]), json!({})).await
    }

    pub async fn post_release(&self, signed: &SignedRelease) -> (u16, Value) {
        self.post("/v1/releases", &serde_json::to_value(signed).unwrap()).await
    }

    pub async fn send(&self, request: Request<Body>) -> (u16, Value) {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into())))
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub async fn act(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.post(path, &body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    pub async fn as_host(&self, host: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let request = Request::builder().uri(path).header(HOST_HEADER, host);
        let request = match body {
            None => request.body(Body::empty()),
            Some(body) => {
                let request = request.method("POST").header(header::CONTENT_TYPE, "application/json");
                request.body(Body::from(body.to_string()))
            }
        };
        self.send(request.unwrap()).await
    }

    pub async fn rollout(&self, id: &str) -> RolloutView {
        let (status, answer) = self.get(&format!("/v1/rollouts/{id}")).await;
        assert_eq!(status, 200, "{answer}");
        serde_json::from_value(answer).unwrap()
    }

    pub async fn attempt(&self, id: &str, host: &str) -> AttemptView {
        let page = self.plane.list_attempts(rollout(id), None, 1000).await.unwrap();
        page.items.into_iter().find(|attempt| attempt.host == host).unwrap()
    }

    pub async fn why(&self, host: &str) -> Value {
        self.get(&format!("/v1/hosts/{host}/why")).await.1
    }

    /// Lists the kinds of all events, those not applied with a `!`.
    pub async fn kinds(&self) -> Vec<String> {
        let (_, page) = self.get("/v1/events?limit=1000").await;
        let name = |event: &Value| {
            let mark = if event["refused"].is_null() { "" } else { "!" };
            format!("{mark}{}", event["kind"].as_str().unwrap())
        };
        page["items"].as_array().unwrap().iter().map(name).collect()
    }

    /// Lets silence and deadlines take effect, as the timer would.
    pub async fn look(&self) {
        self.plane.sweep().await.unwrap();
        self.plane.settle().await.unwrap();
    }
}

pub fn manifest(id: &str, waves: Value, policy: Value) -> Value {
    let names = waves.as_array().unwrap().iter().flat_map(|wave| wave["hosts"].as_array().unwrap().clone());
    let reference = id.split('@').next_back().unwrap();
    let target = |name: &str| {
        let tags: Vec<&str> = name.split('-').next().into_iter().collect();
        json!({ "closure": closure(reference, name), "tags": tags })
    };
    let hosts = names.map(|name| (name.as_str().unwrap().to_owned(), target(name.as_str().unwrap())));
    let hosts: serde_json::Map<String, Value> = hosts.collect();
    json!({ "schema": "convoy.release/1", "release": id, "hosts": hosts, "waves": waves, "policy": policy })
}

pub fn rollout(id: &str) -> RolloutId {
    id.parse().unwrap()
}

pub fn name(host: &str) -> HostName {
    HostName::new(host).unwrap()
}
