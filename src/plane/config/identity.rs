//! The settings about certificates: which files go together, and how long an issued certificate counts.

use crate::plane::config::{ConfigError, DAY, RawConfig, within, wrong};
use std::path::PathBuf;
use std::time::Duration;

/// The longest life of a host's certificate, in days: what authorities on the public web may issue too.
const MAX_DAYS: u32 = 397;
/// Its life when nobody says, in days: renewed after half of it, so that a host may be off for two weeks.
const DAYS: u32 = 30;
/// The shortest and longest life with `testing`, in seconds: below it nothing can be done with a certificate.
const TESTING_SECS: (u64, u64) = (5, 86_400);

/// The files that TLS is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// See [`RawConfig::tls_certificate`].
    pub certificate: PathBuf,
    /// See [`RawConfig::tls_key`].
    pub key: PathBuf,
    /// See [`RawConfig::client_authorities`].
    pub client_authorities: PathBuf,
}

/// The files of the authority that issues, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerFiles {
    /// See [`RawConfig::issuer_certificate`].
    pub certificate: PathBuf,
    /// See [`RawConfig::issuer_key`].
    pub key: PathBuf,
    /// See [`RawConfig::agent_certificate_days`].
    pub life: Duration,
}

/// Checks that all or none of the files of TLS are named.
///
/// # Errors
/// [`ConfigError::Wrong`] that names the first missing one.
pub(super) fn tls_files(raw: &RawConfig) -> Result<Option<TlsFiles>, ConfigError> {
    let files = [
        ("tlsCertificate", &raw.tls_certificate),
        ("tlsKey", &raw.tls_key),
        ("clientAuthorities", &raw.client_authorities),
    ];
    let together = "tlsCertificate, tlsKey and clientAuthorities go together: set all three, or none for plain HTTP on \
                    loopback; `convoy init DIR` writes settings with all of them";
    match files {
        [(_, None), (_, None), (_, None)] => Ok(None),
        [(_, Some(certificate)), (_, Some(key)), (_, Some(client_authorities))] => Ok(Some(TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
            client_authorities: client_authorities.clone(),
        })),
        files => {
            let missing = files.iter().find(|(_, path)| path.is_none()).map_or("tlsCertificate", |(name, _)| *name);
            Err(wrong(missing, format!("it is missing. {together}")))
        }
    }
}

/// Checks what is set about issuing.
///
/// # Errors
/// [`ConfigError::Wrong`].
pub(super) fn issuer_files(raw: &RawConfig) -> Result<Option<IssuerFiles>, ConfigError> {
    let life = life(raw)?;
    let alone = |name| Err(wrong(name, "it is missing: issuerCertificate and issuerKey go together, set both or none"));
    match (&raw.issuer_certificate, &raw.issuer_key) {
        (Some(_), None) => alone("issuerKey"),
        (None, Some(_)) => alone("issuerCertificate"),
        (Some(_), Some(_)) if raw.tls_certificate.is_none() => {
            let why = "it is missing: certificates are issued over TLS only; `convoy init DIR` writes settings with it";
            Err(wrong("tlsCertificate", why))
        }
        (Some(certificate), Some(key)) => {
            Ok(Some(IssuerFiles { certificate: certificate.clone(), key: key.clone(), life }))
        }
        (None, None) if raw.first_tokens.is_some() => {
            Err(wrong("firstTokens", "tokens are of no use without issuerCertificate and issuerKey"))
        }
        (None, None) => Ok(None),
    }
}

fn life(raw: &RawConfig) -> Result<Duration, ConfigError> {
    let days = within("agentCertificateDays", raw.agent_certificate_days.unwrap_or(DAYS), (1, MAX_DAYS))?;
    match raw.agent_certificate_secs {
        None => Ok(DAY * days),
        Some(_) if !raw.testing => Err(wrong("agentCertificateSecs", "it is for tests only: use agentCertificateDays")),
        Some(secs) => Ok(Duration::from_secs(within("agentCertificateSecs", secs, TESTING_SECS)?)),
    }
}

#[cfg(test)]
mod tests {
    use crate::plane::config::{PlaneConfig, RawConfig};
    use std::path::Path;
    use std::time::Duration;

    const TLS: &str = r#""tlsCertificate": "a", "tlsKey": "b", "clientAuthorities": "c""#;
    const ISSUER: &str = r#""issuerCertificate": "d", "issuerKey": "e""#;

    fn why(text: &str) -> String {
        PlaneConfig::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn the_files_of_tls_go_together() {
        let parts = [r#""tlsCertificate": "a""#, r#""tlsKey": "b""#, r#""clientAuthorities": "c""#];
        for left_out in 0..3 {
            let named: Vec<_> = (0..3).filter(|n| *n != left_out).map(|n| parts[n]).collect();
            let said = why(&format!("{{{}}}", named.join(",")));
            assert!(said.contains("go together") && said.contains("convoy init"), "{said}");
        }
        let config = PlaneConfig::parse(&format!(r#"{{{TLS}, "listen": "0.0.0.0:7600"}}"#)).unwrap();
        assert!(config.tls.is_some() && config.issuer.is_none());
    }

    #[test]
    fn an_issuer_needs_both_files_and_tls() {
        assert!(why(&format!(r#"{{{TLS}, "issuerKey": "e"}}"#)).contains("issuerCertificate"));
        assert!(why(&format!("{{{ISSUER}}}")).contains("tlsCertificate"));
        assert!(why(&format!(r#"{{{TLS}, "firstTokens": "f"}}"#)).contains("firstTokens"));
        let config = PlaneConfig::parse(&format!("{{{TLS}, {ISSUER}}}")).unwrap();
        assert_eq!(config.issuer.unwrap().life, Duration::from_secs(30 * 86400));
    }

    #[test]
    fn the_life_of_certificates_has_bounds() {
        for days in [0, 398] {
            assert!(why(&format!(r#"{{"agentCertificateDays": {days}}}"#)).contains("between 1 and 397"));
        }
        assert!(why(r#"{"agentCertificateSecs": 60}"#).contains("tests only"));
        assert!(why(r#"{"agentCertificateSecs": 1, "testing": true}"#).contains("between 5"));
    }

    #[test]
    fn without_certificates_an_address_on_the_network_is_refused_with_what_to_do() {
        assert!(why(r#"{"listen": "0.0.0.0:7600"}"#).contains("convoy init"));
    }

    #[test]
    fn relative_paths_start_at_the_settings_file() {
        let raw = RawConfig { tls_key: Some("b".into()), database: Some("/x".into()), ..RawConfig::default() };
        let raw = raw.relative_to(Path::new("/etc/convoy"));
        assert_eq!(raw.tls_key.as_deref(), Some(Path::new("/etc/convoy/b")));
        assert_eq!(raw.database.as_deref(), Some(Path::new("/x")));
    }
}
