//! Signing with a key that is not here: a command gets the exact bytes on its standard input and prints the
//! signature. The operator's command starts processes here, for Nix, and in the demo only.

use crate::ctl::exit::Mistake;
use crate::ctl::human::clean;
use crate::system::exec::{ExecSpec, run_with_input};
use crate::trust::PublicKey;
use crate::trust::unsigned::{MadeElsewhere, Unsigned};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// How long one signature may take: somebody may have to touch a token, or type a PIN.
const LIMIT: Duration = Duration::from_secs(120);
/// How much of the command's output is kept, in bytes: a signature has 64, the rest is what it complains of.
const OUTPUT: usize = 16 * 1024;
/// The bytes of an ed25519 signature.
const SIGNATURE: usize = 64;
/// The most of a command's complaints that is shown, in characters.
const SHOWN: usize = 600;

/// A signer outside.
#[derive(Debug, clap::Args)]
pub struct Outside {
    /// A command that signs instead of a key file: it gets the bytes to sign on its standard input and prints the
    /// ed25519 signature in base 64 or hexadecimal. Program and arguments, separated by spaces; no shell
    #[arg(long, value_name = "COMMAND", requires = "public")]
    pub signer: Option<String>,
    /// The public key that --signer signs for, as `convoy keygen` writes it
    #[arg(long, value_name = "FILE", requires = "signer")]
    pub public: Option<PathBuf>,
}

impl Outside {
    /// Has everything signed that has to be; nothing when no command was given.
    ///
    /// # Errors
    /// What the command says when it fails, and when what it prints is no signature.
    pub async fn sign(&self, unsigned: &Unsigned) -> anyhow::Result<Vec<MadeElsewhere>> {
        let (Some(command), Some(public)) = (&self.signer, &self.public) else { return Ok(Vec::new()) };
        let by = PublicKey::load(public)?;
        let mut signatures = Vec::new();
        for message in unsigned.messages() {
            signatures.push(sign(command, message).await?);
        }
        Ok(vec![MadeElsewhere { by, signatures }])
    }
}

async fn sign(command: &str, message: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let mut words = command.split_whitespace().map(OsString::from);
    let program = words.next().ok_or_else(|| Mistake::new("--signer names no command", "give the program's path"))?;
    let args = words.collect();
    let spec = ExecSpec { program, args, env: Vec::new(), cwd: None, timeout: LIMIT, output_cap: OUTPUT };
    let hint = "it gets the bytes to sign on standard input, and prints the 64 bytes of an ed25519 signature in base \
                64 or hexadecimal";
    let wrong = |what: String| Mistake::new(format!("the signer `{command}` {what}"), hint);
    let ended = run_with_input(spec, message).await.map_err(|error| wrong(format!("could not be run: {error}")))?;
    let said: String = String::from_utf8_lossy(&ended.stderr).trim().chars().take(SHOWN).collect();
    let said = if said.is_empty() { "it said nothing".to_owned() } else { format!("it said: {}", clean(&said)) };
    if ended.timed_out {
        return Err(wrong(format!("did not end within {} s; {said}", LIMIT.as_secs())).into());
    }
    if !ended.status.is_success() {
        return Err(wrong(format!("ended with {}; {said}", ended.status)).into());
    }
    let printed = String::from_utf8_lossy(&ended.stdout);
    signature(printed.trim()).ok_or_else(|| wrong(format!("printed no signature; {said}")).into())
}

/// Reads a signature as text; `None` for anything else.
fn signature(text: &str) -> Option<Vec<u8>> {
    let hex = || -> Option<Vec<u8>> {
        let digits = text.is_ascii() && text.len() == SIGNATURE * 2;
        let pair = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
        if digits { (0..text.len()).step_by(2).map(pair).collect() } else { None }
    };
    let read = hex().or_else(|| STANDARD.decode(text).ok());
    read.filter(|bytes| bytes.len() == SIGNATURE)
}

#[cfg(test)]
mod tests {
    use crate::ctl::release::signer::{sign, signature};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn signatures_are_read_in_both_spellings_and_nothing_else_is() {
        let base64 = format!("{}==", "A".repeat(86));
        assert_eq!(signature(&base64), Some(vec![0; 64]));
        assert_eq!(signature(&"0f".repeat(64)), Some(vec![15; 64]));
        for bad in ["", "AAAA", &"0".repeat(127), &"zz".repeat(64), &"é".repeat(64)] {
            assert_eq!(signature(bad), None, "{bad}");
        }
    }

    async fn signed(script: &str) -> Result<Vec<u8>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("signer");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        sign(&format!("{} an-argument", path.display()), b"message".to_vec()).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_signer_gets_the_bytes_and_its_arguments() {
        let script = r#"read -r line; [ "$line" = message ] || [ "$1" = an-argument ] && printf '%0128d' 0"#;
        assert_eq!(signed(script).await, Ok(vec![0; 64]));
    }

    #[tokio::test]
    async fn a_signer_that_fails_is_quoted() {
        let said = signed("echo 'no token in the slot' >&2; exit 3").await.unwrap_err();
        assert!(said.contains("exit status 3") && said.contains("no token in the slot"), "{said}");
        let said = signed("echo hello").await.unwrap_err();
        assert!(said.contains("printed no signature"), "{said}");
        let said = sign("/nowhere/signer", Vec::new()).await.unwrap_err().to_string();
        assert!(said.contains("/nowhere/signer"), "{said}");
    }
}
