//! `convoy keygen NAME`: makes a signing key. Must not overwrite or print a secret.

use crate::ctl::exit::Exit;
use crate::ctl::session::{Session, write_file};
use crate::ctl::table::fields;
use crate::runtime::entropy;
use crate::trust::{SigningKey, TrustFile};
use anyhow::Context;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Which key, and where to.
#[derive(Debug, clap::Args)]
#[command(after_help = "Writes NAME.key (secret, readable by you only) and NAME.pub. Releases are signed with\n\
    `convoy release sign --key NAME.key`; hosts and control plane believe the keys of their trust file.")]
pub struct Args {
    /// The key's name, as trust files and signatures name it
    pub name: String,
    /// The folder to write NAME.key and NAME.pub to; made when it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Add the public key to this trust file too; a new one asks for one signature
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// See [`crate::ctl::run`].
pub fn run(session: &Session, args: &Args) -> anyhow::Result<Exit> {
    let key = SigningKey::generate(&args.name, &mut entropy::generator()?)?;
    let trust = args.trust.as_deref().map(|path| extended(path, &key)).transpose()?;
    fs::create_dir_all(&args.out).with_context(|| format!("can't make the folder {}", args.out.display()))?;
    let secret = args.out.join(format!("{}.key", args.name));
    let public = args.out.join(format!("{}.pub", args.name));
    key.save(&secret)?;
    key.public().save(&public).inspect_err(|_| {
        // A secret without its public half would block the next try; the error of the public half is told.
        let _ = fs::remove_file(&secret);
    })?;
    if let (Some(path), Some(trust)) = (&args.trust, &trust) {
        write_file(path, &trust.to_json())?;
    }
    if session.json() {
        let made = json!({ "name": args.name, "secret": secret, "public": public, "trust": args.trust });
        return session.show(&made, |_| String::new());
    }
    let mut made = vec![
        ("secret key", format!("{} (keep it private)", secret.display())),
        ("public key", public.display().to_string()),
    ];
    if let (Some(path), Some(trust)) = (&args.trust, &trust) {
        made.push(("trust file", format!("{} (asks for {})", path.display(), asks_for(trust))));
    }
    session.print(&fields(&made))
}

fn asks_for(trust: &TrustFile) -> String {
    format!("{} of {} keys", trust.threshold(), trust.keys().count())
}

/// Reads a trust file and adds a key to it; one that is not there begins with a threshold of 1.
fn extended(path: &Path, key: &SigningKey) -> anyhow::Result<TrustFile> {
    let public = key.public();
    if !path.exists() {
        return Ok(TrustFile::new(1, [public])?);
    }
    let old = TrustFile::load(path)?;
    Ok(TrustFile::new(old.threshold(), old.keys().cloned().chain([public]))?)
}
