//! Who may ask.

use std::fmt;
use std::hint::black_box;

use sha2::{Digest, Sha256};

/// The tokens of which a client has to show one; none where everybody may ask. They are kept as checksums, and
/// never shown.
#[derive(Clone, Default)]
pub struct Tokens(Vec<[u8; 32]>);

impl Tokens {
    /// These.
    pub fn new<T: AsRef<str>>(tokens: impl IntoIterator<Item = T>) -> Self {
        Self(tokens.into_iter().map(|token| Sha256::digest(token.as_ref()).into()).collect())
    }

    /// Whether everybody may ask.
    pub fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this `authorization` header lets its client in. How long that takes does not depend on how much of
    /// a token was guessed.
    pub(crate) fn admit(&self, header: Option<&str>) -> bool {
        if self.are_none() {
            return true;
        }
        let Some((scheme, shown)) = header.and_then(|header| header.split_once(' ')) else { return false };
        let shown: [u8; 32] = Sha256::digest(shown.trim()).into();
        let differs = |token: &[u8; 32]| token.iter().zip(&shown).fold(0, |all, (a, b)| black_box(all | (a ^ b)));
        let known = self.0.iter().fold(false, |known, token| known | (differs(token) == 0));
        known && scheme.eq_ignore_ascii_case("bearer")
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_them_opens() {
        let tokens = Tokens::new(["first", "second"]);
        for header in ["Bearer first", "bearer second", "Bearer  second "] {
            assert!(tokens.admit(Some(header)), "{header}");
        }
        for header in ["Bearer", "Bearer ", "first", "Basic first", "Bearer firs", "Bearer first second"] {
            assert!(!tokens.admit(Some(header)), "{header}");
        }
        assert!(!tokens.admit(None) && Tokens::default().admit(None));
        assert_eq!(format!("{tokens:?}"), "Tokens(2)");
    }
}
