//! Keeps this host's identity good below the transport: read, made, renewed or recovered before an exchange, by one
//! exchange at a time, and never more often than the pauses here say.

use crate::agent::identity::ask::{Asking, no_identity};
use crate::agent::identity::board::Board;
use crate::agent::identity::current::Current;
use crate::agent::identity::failed::Failed;
use crate::agent::identity::files::{self, Files, Held, Stamps, Whole};
use crate::agent::identity::verdict::{Verdict, gist, verdict};
use crate::agent::identity::{IdentitySettings, Source};
use crate::client::{Answer, ClientError, Request, Transport};
use crate::model::id::HostName;
use crate::runtime::clock::Clock;
use crate::trust::TrustError;
use crate::trust::key::read_pem;
use crate::trust::tls::{self, Credentials};
use async_trait::async_trait;
use rand::{Rng, RngCore};
use rustls::ClientConfig;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A certificate that was just issued is used at least this long, whatever this host's clock says of its dates.
const SETTLED: Duration = Duration::from_secs(30);

/// Makes a transport over TLS, or says why the address can't be used.
pub type Dial = Arc<dyn Fn(&str, ClientConfig) -> Result<Arc<dyn Transport>, String> + Send + Sync>;

/// What a keeper touches.
pub struct KeeperParts {
    /// This host.
    pub host: HostName,
    /// Its wall time.
    pub clock: Arc<dyn Clock>,
    /// Spreads renewals.
    pub rng: Box<dyn RngCore + Send>,
    /// Makes transports.
    pub dial: Dial,
    /// Shows what is wrong.
    pub board: Arc<Board>,
}

/// See the module.
pub struct Keeper {
    host: HostName,
    clock: Arc<dyn Clock>,
    rng: Mutex<Box<dyn RngCore + Send>>,
    dial: Dial,
    board: Arc<Board>,
    files: Files,
    source: Source,
    state: Mutex<State>,
    /// Held by the one that asks for a certificate.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    current: Option<Arc<Current>>,
    /// The current certificate was turned down.
    doubted: bool,
    /// Until then the current certificate is used whatever is said of it.
    settled: Option<Instant>,
    renew_again: Option<Instant>,
    failed: Option<Failed>,
}

/// What is to be done before an exchange.
enum Look {
    Good(Arc<Current>),
    Aging(Arc<Current>),
    Missing,
}

/// A transport to one control plane under this host's identity.
struct Identified {
    keeper: Arc<Keeper>,
    address: String,
}

#[async_trait]
impl Transport for Identified {
    async fn send(&self, request: Request) -> Result<Answer, ClientError> {
        let current = self.keeper.ready(&self.address).await?;
        let answer = current.transport.send(request).await;
        self.keeper.judge(&current, &answer);
        answer
    }
    fn address(&self) -> String {
        self.address.trim_end_matches('/').to_owned()
    }
}

impl Keeper {
    /// Makes one; nothing is read yet. `None` without an authority to verify the control plane with.
    #[must_use]
    pub fn new(settings: IdentitySettings, parts: KeeperParts) -> Option<Arc<Self>> {
        let ca = settings.ca?;
        let files = match &settings.source {
            Source::Own { dir, .. } => Files::of_own(&ca, dir),
            Source::Elsewhere { certificate, key } => Files { ca, certificate: certificate.clone(), key: key.clone() },
        };
        let KeeperParts { host, clock, rng, dial, board } = parts;
        let (rng, state, asking) = (Mutex::new(rng), Mutex::default(), tokio::sync::Mutex::default());
        let source = settings.source;
        Some(Arc::new(Self { host, clock, rng, dial, board, files, source, state, asking }))
    }

    /// Makes a transport that speaks as this host.
    #[must_use]
    pub fn connect(self: &Arc<Self>, address: &str) -> Arc<dyn Transport> {
        Arc::new(Identified { keeper: Arc::clone(self), address: address.to_owned() })
    }

    async fn ready(&self, address: &str) -> Result<Arc<Current>, ClientError> {
        match self.look(address)? {
            Look::Good(current) => return Ok(current),
            Look::Aging(current) => {
                // Whoever comes second goes on with the certificate that there is.
                let Ok(_asking) = self.asking.try_lock() else { return Ok(current) };
                return Ok(self.renewed(current).await);
            }
            Look::Missing => {}
        }
        let _asking = self.asking.lock().await;
        match self.look(address)? {
            Look::Good(current) | Look::Aging(current) => Ok(current),
            Look::Missing => self.obtain(address).await,
        }
    }

    /// Finds out what is there, and takes up what has changed on disk.
    fn look(&self, address: &str) -> Result<Look, ClientError> {
        let stamps = self.files.stamps();
        let current = self.lock().current.clone().filter(|current| current.address == address);
        let current = match current {
            Some(current) if current.stamps == stamps => Some(current),
            before => self.load(address, stamps, before)?,
        };
        let Some(current) = current else { return Ok(Look::Missing) };
        let Source::Own { .. } = &self.source else { return Ok(Look::Good(current)) };
        let (now, wall) = (Instant::now(), self.clock.wall());
        let state = self.lock();
        let settled = state.settled.is_some_and(|until| now < until);
        if !settled && (state.doubted || current.is_over(wall)) {
            return Ok(Look::Missing);
        }
        let rests = state.renew_again.is_some_and(|at| now < at);
        Ok(if wall >= current.renew_from && !rests { Look::Aging(current) } else { Look::Good(current) })
    }

    /// Reads the files; where they can't be used now, goes on with what was read before.
    fn load(
        &self,
        address: &str,
        stamps: Stamps,
        before: Option<Arc<Current>>,
    ) -> Result<Option<Arc<Current>>, ClientError> {
        let own = matches!(self.source, Source::Own { .. });
        let held = self.files.held(&self.host);
        let wrong = match held {
            Ok(Held::Whole(whole)) => match self.take_up(address, stamps, *whole) {
                Ok(current) => return Ok(Some(current)),
                Err(why) => why,
            },
            Ok(Held::Nothing) if own => return Ok(None),
            Ok(Held::Key(why, _)) if own => {
                tracing::debug!(host.name = %self.host, "{why}");
                return Ok(None);
            }
            Ok(Held::Nothing) => {
                ClientError::NoIdentity { detail: format!("{} is not there", self.files.key.display()) }
            }
            Ok(Held::Key(why, _)) => ClientError::NoIdentity { detail: why },
            Err(why) => no_identity(&why),
        };
        self.trouble(&wrong);
        before.map(Some).ok_or(wrong)
    }

    fn take_up(&self, address: &str, stamps: Stamps, whole: Whole) -> Result<Arc<Current>, ClientError> {
        let own = Credentials { certificate: &whole.certificate, key: &whole.key };
        let transport = self.dial(address, Some(own))?;
        let draw = self.rng.lock().unwrap_or_else(PoisonError::into_inner).random::<f64>();
        let current = Arc::new(Current::new((address, transport), stamps, whole, draw));
        let mut state = self.lock();
        state.current = Some(Arc::clone(&current));
        (state.doubted, state.settled, state.renew_again) = (false, None, None);
        Ok(current)
    }

    fn dial(&self, address: &str, own: Option<Credentials<'_>>) -> Result<Arc<dyn Transport>, ClientError> {
        let named = |why: TrustError| ClientError::NoIdentity {
            detail: format!("{why} (`ca` is {})", self.files.ca.display()),
        };
        let ca = read_pem(&self.files.ca).map_err(|why| no_identity(&why))?;
        let settings = tls::client(&ca, own).map_err(named)?;
        (self.dial)(address, settings).map_err(|detail| ClientError::NoIdentity { detail })
    }

    /// Asks for a certificate, unless that failed a moment ago and nothing has changed since.
    async fn obtain(&self, address: &str) -> Result<Arc<Current>, ClientError> {
        let Source::Own { token, .. } = &self.source else {
            return Err(ClientError::NoIdentity { detail: "certificate and key are managed by others".to_owned() });
        };
        let stamp = token.as_deref().map(files::stamp);
        if let Some(failed) = &self.lock().failed
            && failed.rests(stamp)
        {
            return Err(failed.why.clone());
        }
        let asking = Asking { host: &self.host, files: &self.files, token: token.as_deref() };
        // Noted before the try, so that one that is cut short in the middle counts too.
        self.failed(stamp, ClientError::NoIdentity { detail: "asking for a certificate was cut short".to_owned() });
        let asked = async {
            let presented = asking.enroll(self.dial(address, None)?.as_ref()).await?;
            tracing::info!(host.name = %self.host, key = %presented.key, "the control plane let this host in");
            let loaded = self.load(address, self.files.stamps(), None)?;
            loaded.ok_or_else(|| ClientError::NoIdentity { detail: "the new certificate has vanished".to_owned() })
        };
        match asked.await {
            Ok(current) => {
                let mut state = self.lock();
                state.failed = None;
                state.settled = Some(Instant::now() + SETTLED);
                drop(state);
                self.board.trouble(None);
                Ok(current)
            }
            Err(why) => {
                self.trouble(&why);
                self.failed(stamp, why.clone());
                Err(why)
            }
        }
    }

    fn failed(&self, token: Option<files::Stamp>, why: ClientError) {
        self.lock().failed = Some(Failed::now(token, why));
    }

    /// Renews, or goes on with the certificate that there is.
    async fn renewed(&self, current: Arc<Current>) -> Arc<Current> {
        self.lock().renew_again = Some(Instant::now() + current.pause);
        let asking = Asking { host: &self.host, files: &self.files, token: None };
        let asked = async {
            asking.renew(current.transport.as_ref(), &current.key).await?;
            if self.files.stamps() == current.stamps {
                // The control plane finds that this one is good for a while yet.
                return Ok(None);
            }
            self.load(&current.address, self.files.stamps(), Some(Arc::clone(&current)))
        };
        let board = &self.board;
        match asked.await {
            Ok(next) => {
                board.renewal(None);
                self.lock().renew_again = Some(Instant::now() + current.pause);
                next.unwrap_or(current)
            }
            Err(why) => {
                let text = format!("the certificate can't be renewed yet: {why}; trying again");
                board.renewal(Some((gist(&why), text)));
                current
            }
        }
    }

    /// Learns from an exchange whether the certificate counts.
    fn judge(&self, used: &Arc<Current>, answer: &Result<Answer, ClientError>) {
        match verdict(answer) {
            Verdict::Known => self.board.trouble(None),
            Verdict::Nothing => {}
            Verdict::Cut(why) => self.trouble(&why),
            Verdict::TurnedDown(why) => {
                self.trouble(&why);
                let mut state = self.lock();
                state.doubted |= state.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, used));
            }
        }
    }

    fn trouble(&self, why: &ClientError) {
        let whose = match &self.source {
            Source::Own { .. } => "",
            Source::Elsewhere { .. } => "; this host's certificate and key are managed by others, who have to mend it",
        };
        self.board.trouble(Some((gist(why), format!("not known to the control plane: {why}{whose}"))));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
