//! A control plane that only lets hosts in, over real TLS.

use crate::model::id::Digest;
use crate::model::identity::{Identity, Presented};
use crate::runtime::clock::{Clock, SystemClock};
use crate::trust::authority::{Authority, CertificateRequest, Pair, Term, request};
use crate::trust::certificate::presented;
use crate::trust::tls::{self, Credentials};
use crate::trust::token::Token;
use crate::wire::v1::error::ErrorBody;
use crate::wire::v1::identity::{CertificateIssued, EnrollRequest, RenewRequest};
use crate::wire::v1::release::date;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What it knows and has seen.
pub(crate) struct Memory {
    authority: Authority,
    lasts: Duration,
    rng: ChaCha20Rng,
    open: Option<String>,
    spent: Option<(String, Digest)>,
    key: Option<Digest>,
    pub(crate) revoked: bool,
    /// So many answers to `enroll` are lost after the certificate was issued.
    pub(crate) lose: u32,
    pub(crate) asked: u32,
    pub(crate) enrolled: u32,
    pub(crate) by_key: u32,
    pub(crate) renewed: u32,
    /// Every key that was let in.
    pub(crate) keys: BTreeSet<Digest>,
    /// The keys that spoke, in order.
    pub(crate) seen: Vec<Digest>,
}

pub(crate) struct FakePlane {
    pub(crate) url: String,
    memory: Arc<Mutex<Memory>>,
}

fn web1() -> Identity {
    "agent/web1".parse().unwrap()
}

fn term(lasts: Duration) -> Term {
    Term { from: SystemClock.wall(), lasts }
}

impl FakePlane {
    pub(crate) async fn start(lasts: Duration) -> Self {
        let mut rng = ChaCha20Rng::from_os_rng();
        let year = term(Duration::from_secs(365 * 86_400));
        let authority = Authority::generate("a fleet", year, &mut rng).unwrap().0;
        let pair = authority.issue_server(&["127.0.0.1".into()], year, &mut rng).unwrap();
        let own = Credentials { certificate: &pair.certificate, key: &pair.key };
        let acceptor = TlsAcceptor::from(Arc::new(tls::server(own, authority.bundle()).unwrap()));
        let open = Some(Token::generate(&mut rng).to_text());
        let memory = Memory {
            authority,
            lasts,
            rng,
            open,
            spent: None,
            key: None,
            revoked: false,
            lose: 0,
            asked: 0,
            enrolled: 0,
            by_key: 0,
            renewed: 0,
            keys: BTreeSet::new(),
            seen: Vec::new(),
        };
        let memory = Arc::new(Mutex::new(memory));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let shared = Arc::clone(&memory);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, memory) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move { serve(acceptor.accept(socket).await?, &memory).await });
            }
        });
        Self { url, memory }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap()
    }

    pub(crate) fn ca(&self) -> String {
        self.lock().authority.bundle().to_owned()
    }

    pub(crate) fn token(&self) -> String {
        self.lock().open.clone().unwrap()
    }

    /// Makes a token that also lets a revoked host in again.
    pub(crate) fn new_token(&self) -> String {
        let mut memory = self.lock();
        let token = Token::generate(&mut memory.rng).to_text();
        memory.open = Some(token.clone());
        token
    }

    /// Issues a certificate of a key that is long over.
    pub(crate) fn over(&self, key: &str) -> String {
        let mut memory = self.lock();
        let asked = CertificateRequest::parse(&request(key, &web1()).unwrap()).unwrap();
        let long_ago = Term { from: SystemClock.wall().minus(Duration::from_secs(90)), lasts: Duration::from_secs(60) };
        let Memory { authority, rng, .. } = &mut *memory;
        authority.issue(&asked, (&web1(), long_ago), rng).unwrap()
    }

    /// Makes a pair for the host, as another tool would.
    pub(crate) fn pair(&self) -> Pair {
        let mut memory = self.lock();
        let Memory { authority, rng, lasts, .. } = &mut *memory;
        authority.issue_client(&web1(), term(*lasts), rng).unwrap()
    }
}

/// A pair for the host whose key it does not have.
pub(crate) fn spare_pair(plane: &FakePlane) -> Pair {
    plane.pair()
}

impl Memory {
    fn issue(&mut self, request: &CertificateRequest) -> (u16, String) {
        let term = term(self.lasts);
        let certificate = self.authority.issue(request, (&web1(), term), &mut self.rng).unwrap();
        self.key = Some(request.key());
        self.keys.insert(request.key());
        let expires = date(term.from.plus(term.lasts));
        let issued = CertificateIssued { certificate, expires, renew_after: date(term.from.plus(term.lasts / 2)) };
        (200, serde_json::to_string(&issued).unwrap())
    }

    fn enroll(&mut self, body: &EnrollRequest) -> (u16, String) {
        self.asked += 1;
        let asked = CertificateRequest::parse(&body.request).unwrap();
        if let Some(token) = &body.token {
            let again = self.spent.as_ref().is_some_and(|(spent, key)| spent == token && *key == asked.key());
            if self.open.as_ref() != Some(token) && !again {
                return refusal(403, "token_spent");
            }
            if self.revoked && again {
                return refusal(403, "token_revoked");
            }
            self.revoked = false;
            if !again {
                (self.open, self.spent) = (None, Some((token.clone(), asked.key())));
            }
            self.enrolled += 1;
            return self.issue(&asked);
        }
        if self.revoked {
            return refusal(403, "revoked");
        }
        if self.key != Some(asked.key()) {
            return refusal(403, "not_enrolled");
        }
        self.by_key += 1;
        self.issue(&asked)
    }

    fn answer(&mut self, peer: Option<&Presented>, (path, body): (&str, &[u8])) -> (u16, String) {
        if path == "/v1/enroll" {
            return self.enroll(&serde_json::from_slice(body).unwrap());
        }
        let Some(peer) = peer else { return refusal(401, "no_certificate") };
        if self.revoked {
            return refusal(403, "revoked");
        }
        self.seen.push(peer.key.clone());
        if path == "/v1/agent/renew" {
            self.renewed += 1;
            let body: RenewRequest = serde_json::from_slice(body).unwrap();
            let asked = CertificateRequest::parse(&body.request).unwrap();
            assert_eq!(asked.key(), peer.key);
            return self.issue(&asked);
        }
        (200, peer.identity.to_string())
    }
}

fn refusal(status: u16, code: &str) -> (u16, String) {
    let message = "make a token with `convoy token create --host web1`".to_owned();
    let body =
        ErrorBody { code: code.to_owned(), message, request_id: format!("r{}", SystemClock.uptime().as_nanos()) };
    (status, serde_json::to_string(&body).unwrap())
}

async fn serve(stream: TlsStream<TcpStream>, memory: &Mutex<Memory>) -> io::Result<()> {
    let peer = stream.get_ref().1.peer_certificates().map(|chain| presented(&chain[0]).unwrap());
    let mut stream = BufReader::new(stream);
    loop {
        let (mut path, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            match line.trim_end() {
                "" => break,
                line if path.is_empty() => path = line.split(' ').nth(1).unwrap_or_default().to_owned(),
                line => {
                    let (name, value) = line.split_once(':').unwrap_or_default();
                    if name.eq_ignore_ascii_case("content-length") {
                        length = value.trim().parse().unwrap();
                    }
                }
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let (status, text) = {
            let mut memory = memory.lock().unwrap();
            let answer = memory.answer(peer.as_ref(), (&path, &body));
            if path == "/v1/enroll" && memory.lose > 0 {
                memory.lose -= 1;
                return Ok(());
            }
            answer
        };
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{text}", text.len());
        stream.write_all(head.as_bytes()).await?;
        stream.flush().await?;
    }
}
