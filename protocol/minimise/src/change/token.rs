//! Tokens: every value becomes another of the same form, always the same one, and who has the key can go back.
//!
//! Digits become digits, small letters small ones, capital letters capital ones; all else in ASCII stays in place. The
//! cipher is FF1 of NIST SP 800-38G with AES-256, the policy's key and an empty tweak. Its numerals are
//!
//! * the digits (radix 10), where no letters stand among them, or the letters (radix 26), where no digits do: any other
//!   implementation of FF1 gives the same token;
//! * else those of one number, in which each place counts as much as it has possible characters. It is written with as few
//!   numerals as 16 bits each allow, but at least two, in the smallest radix in which they hold all such numbers. A
//!   result that is no such number is enciphered again until it is one, as the mathematics of a permutation allows
//!   (J. Black, P. Rogaway, "Ciphers with Arbitrary Finite Domains", 2002, section 4).
//!
//! FF1 needs a million possible values (SP 800-38G Rev. 1). What has fewer, is longer than [`LONGEST`], begins with `~` or
//! has a character outside of ASCII becomes `~` and 32 hexadecimal digits of its keyed hash: nothing of it passes, equal
//! values are still equal and others still differ, but the form is lost and nobody can go back.

use aes::Aes256;
use fpe::ff1::{FF1, FlexibleNumeralString};
use num_bigint::BigUint;

use crate::key::Key;

const PURPOSE: &str = "towpath 2026-11-24 token that is a hash";

/// What hashes begin with, and tokens that can be turned back do not.
const HASHED: char = '~';

/// How many hexadecimal digits of the hash are kept: 128 bits.
const HASH_DIGITS: usize = 32;

/// The fewest values that FF1 may be used for, as SP 800-38G Rev. 1 demands.
const FEWEST_VALUES: u64 = 1_000_000;

/// The longest text that is enciphered, in characters: the work grows with the square of the length.
const LONGEST: usize = 128;

/// Makes tokens of values, and values of tokens.
pub struct Tokeniser {
    digits: FF1<Aes256>,
    letters: FF1<Aes256>,
    key: Key,
    hash: Key,
}

/// A text that is no token that can be turned back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no token that can be turned back: a value that is too short, too long or not of ASCII was hashed instead"
)]
pub struct NotReversible;

/// A character that is exchanged: where it stands, the first of its kind, and how many there are.
struct Place {
    at: usize,
    first: u8,
    radix: u8,
}

#[derive(Clone, Copy)]
enum Way {
    Forth,
    Back,
}

impl Tokeniser {
    /// One with this key.
    pub fn new(key: &Key) -> Self {
        Self { digits: ff1(key, 10), letters: ff1(key, 26), key: key.clone(), hash: key.derive(PURPOSE) }
    }

    /// The token of a value.
    pub fn tokenise(&self, value: &str) -> String {
        let mut token = String::new();
        self.append_token(value, &mut token);
        token
    }

    /// The value of a token.
    ///
    /// # Errors
    /// The token is a hash, from which nobody can go back.
    pub fn detokenise(&self, token: &str) -> Result<String, NotReversible> {
        let mut value = String::with_capacity(token.len());
        let places = places(token).ok_or(NotReversible)?;
        self.exchange(token, &places, Way::Back, &mut value);
        Ok(value)
    }

    /// Appends the token of a value.
    pub(super) fn append_token(&self, value: &str, out: &mut String) {
        if let Some(places) = places(value) {
            return self.exchange(value, &places, Way::Forth, out);
        }
        out.push(HASHED);
        let hash = blake3::keyed_hash(self.hash.bytes(), value.as_bytes()).to_hex();
        out.push_str(&hash[..HASH_DIGITS]);
    }

    /// Appends the text with the characters at these places exchanged.
    fn exchange(&self, text: &str, places: &[Place], way: Way, out: &mut String) {
        let before = places.iter().map(|place| u16::from(text.as_bytes()[place.at] - place.first)).collect();
        let after = match places[0].radix {
            10 if places.iter().all(|place| place.radix == 10) => permute(&self.digits, before, way),
            26 if places.iter().all(|place| place.radix == 26) => permute(&self.letters, before, way),
            _ => self.permute_mixed(&before, places, way),
        };
        let mut exchanged = places.iter().zip(after).peekable();
        for (at, byte) in text.bytes().enumerate() {
            let new = exchanged.next_if(|(place, _)| place.at == at);
            let new = new.map_or(byte, |(place, n)| place.first + u8::try_from(n).expect("below its radix"));
            out.push(char::from(new));
        }
    }

    fn permute_mixed(&self, numerals: &[u16], places: &[Place], way: Way) -> Vec<u16> {
        let (mut number, mut count) = (BigUint::ZERO, BigUint::from(1_u8));
        for (numeral, place) in numerals.iter().zip(places) {
            number = number * place.radix + *numeral;
            count *= place.radix;
        }
        let (length, radix) = numeral_form(&count);
        let cipher = ff1(&self.key, radix);
        loop {
            let permuted = permute(&cipher, written(number, radix, length), way);
            number = permuted.into_iter().fold(BigUint::ZERO, |number, numeral| number * radix + numeral);
            if number < count {
                break;
            }
        }
        let mut numerals = vec![0; places.len()];
        for (numeral, place) in numerals.iter_mut().zip(places).rev() {
            *numeral = u16::try_from(&number % place.radix).expect("below its radix");
            number /= place.radix;
        }
        numerals
    }
}

fn ff1(key: &Key, radix: u32) -> FF1<Aes256> {
    FF1::new(key.bytes(), radix).expect("a radix of FF1 is 2 to 65,536")
}

/// How many numerals, and of which radix, hold so many numbers: few numerals, and hardly any number more.
fn numeral_form(count: &BigUint) -> (u32, u32) {
    let bits = u32::try_from((count - 1_u8).bits()).expect("a few hundred bits");
    let length = bits.div_ceil(16).max(2);
    let root = count.nth_root(length);
    let radix = if root.pow(length) < *count { root + 1_u8 } else { root };
    (length, radix.try_into().expect("16 bits for each numeral are enough"))
}

/// The numerals of a number, the greatest first.
fn written(mut number: BigUint, radix: u32, length: u32) -> Vec<u16> {
    let mut numerals = vec![0; length as usize];
    for numeral in numerals.iter_mut().rev() {
        *numeral = u16::try_from(&number % radix).expect("below a radix of at most 65,536");
        number /= radix;
    }
    numerals
}

fn permute(cipher: &FF1<Aes256>, numerals: Vec<u16>, way: Way) -> Vec<u16> {
    let numerals = FlexibleNumeralString::from(numerals);
    let permuted = match way {
        Way::Forth => cipher.encrypt(&[], &numerals),
        Way::Back => cipher.decrypt(&[], &numerals),
    };
    permuted.expect("below the radix, and enough of them; see `places`").into()
}

/// The places whose characters are exchanged; none if the text cannot be enciphered.
fn places(text: &str) -> Option<Vec<Place>> {
    if !text.is_ascii() || text.starts_with(HASHED) || text.len() > LONGEST {
        return None;
    }
    let place = |(at, byte): (usize, u8)| match byte {
        b'0'..=b'9' => Some(Place { at, first: b'0', radix: 10 }),
        b'a'..=b'z' => Some(Place { at, first: b'a', radix: 26 }),
        b'A'..=b'Z' => Some(Place { at, first: b'A', radix: 26 }),
        _ => None,
    };
    let places: Vec<_> = text.bytes().enumerate().filter_map(place).collect();
    let values = places.iter().fold(1_u64, |values, place| values.saturating_mul(place.radix.into()));
    (values >= FEWEST_VALUES).then_some(places)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The key of the AES-256 samples that NIST publishes for FF1 ("FF1samples.pdf", samples 7 to 9).
    const NIST_KEY: &str = "2b7e151628aed2a6abf7158809cf4f3cef4359d8d580aa4f7f036d6f04fc6a94";

    fn tokeniser() -> Tokeniser {
        Tokeniser::new(&Key::from_hex(NIST_KEY).unwrap())
    }

    /// The form of a text: which kind of character stands where.
    fn form(text: &str) -> String {
        text.chars()
            .map(|one| match one {
                '0'..='9' => '0',
                'a'..='z' => 'a',
                'A'..='Z' => 'A',
                other => other,
            })
            .collect()
    }

    #[test]
    fn the_samples_of_nist_come_out() {
        assert_eq!(tokeniser().tokenise("0123456789"), "6657667009");
        let sample = |radix: u32, tweak: &str, plain: &str| {
            let numerals: Vec<_> = plain.chars().map(|one| one.to_digit(radix).unwrap() as u16).collect();
            let cipher = FF1::<Aes256>::new(&hex::decode(NIST_KEY).unwrap(), radix).unwrap();
            let tweak = hex::decode(tweak).unwrap();
            let out: Vec<u16> =
                cipher.encrypt(&tweak, &FlexibleNumeralString::from(numerals)).unwrap().into();
            out.iter().map(|one| char::from_digit(u32::from(*one), radix).unwrap()).collect::<String>()
        };
        assert_eq!(sample(10, "", "0123456789"), "6657667009");
        assert_eq!(sample(10, "39383736353433323130", "0123456789"), "1001623463");
        assert_eq!(sample(36, "3737373770717273373737", "0123456789abcdefghi"), "xs8a0azh2avyalyzuwd");
    }

    /// From another implementation, written by the words of `docs/policies.md`, that gives the samples of NIST as well.
    #[test]
    fn tokens_of_digits_and_letters_are_those_of_the_documentation() {
        for (value, token) in [
            ("DE89370400440532013000", "AQ36275097055933110864"),
            ("AB-1234", "VH-4082"),
            ("ABC12", "ABJ47"),
            ("ann.smith99@example.com", "nkd.nwiaj65@lbraati.hqa"),
        ] {
            assert_eq!(tokeniser().tokenise(value), token);
        }
    }

    #[test]
    fn numerals_hold_every_number_and_hardly_any_more() {
        let form = |count: u64| numeral_form(&BigUint::from(count));
        assert_eq!(form(1_000_000), (2, 1_000));
        assert_eq!(form(1_000_001), (2, 1_001));
        assert_eq!(form(1 << 32), (2, 65_536));
        assert_eq!(form((1 << 32) + 1).0, 3);
    }

    #[test]
    fn tokens_keep_the_form_and_can_be_turned_back() {
        let tokeniser = tokeniser();
        for value in
            ["4111 1111 1111 1111", "DE89370400440532013000", "ann.smith@example.com", "AB-1234", "Annie"]
        {
            let token = tokeniser.tokenise(value);
            assert_eq!(form(&token), form(value));
            assert_ne!(token, value);
            assert_eq!(tokeniser.detokenise(&token).as_deref(), Ok(value));
        }
    }

    #[test]
    fn what_cannot_be_enciphered_is_hashed_and_nothing_of_it_passes() {
        let tokeniser = tokeniser();
        let long = "7".repeat(LONGEST + 1);
        let values =
            ["", "7", "12345", "AB12", "---", "Müller-Lüdenscheidt", "山田太郎", "~1234567890", &long];
        let mut seen = BTreeSet::new();
        for value in values {
            let token = tokeniser.tokenise(value);
            assert_eq!(token.len(), 1 + HASH_DIGITS, "{value}");
            assert!(token.starts_with(HASHED), "{value}");
            assert_eq!(tokeniser.detokenise(&token), Err(NotReversible));
            assert!(seen.insert(token), "{value}");
        }
    }

    #[test]
    fn another_key_gives_other_tokens() {
        let other = Tokeniser::new(&Key::new([9; 32]));
        for value in ["0123456789", "AB-123456", "Ü"] {
            assert_ne!(other.tokenise(value), tokeniser().tokenise(value));
        }
    }

    proptest! {
        #[test]
        fn a_token_is_turned_back_into_its_value(value in "[ -~]{0,40}") {
            let tokeniser = tokeniser();
            let token = tokeniser.tokenise(&value);
            prop_assert_eq!(&tokeniser.tokenise(&value), &token);
            match tokeniser.detokenise(&token) {
                Ok(back) => {
                    prop_assert_eq!(form(&token), form(&value));
                    prop_assert_eq!(back, value);
                }
                Err(NotReversible) => prop_assert!(places(&value).is_none()),
            }
        }
    }
}
