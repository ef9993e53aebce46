//! PEM, written; it is read by `rustls_pki_types`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The bytes between the lines that PEM puts around them (RFC 7468, 64 characters a line).
pub(super) fn encode(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for (index, character) in STANDARD.encode(der).chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text + &format!("\n-----END {label}-----\n")
}
