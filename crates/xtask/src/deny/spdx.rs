//! Licence expressions, as far as manifests write them: names, `WITH` exceptions, `AND`, `OR` (also as `/`), brackets.
//!
//! An expression is allowed when some choice of its alternatives needs only allowed licences. `AND` binds tighter than
//! `OR`, as SPDX says.

use std::iter::Peekable;
use std::str::SplitWhitespace;

/// Whether the allowed licences are enough for the expression, or why it cannot be read.
pub fn allows(expression: &str, allowed: &[String]) -> Result<bool, String> {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let outcome = any(&mut words, allowed)?;
    match words.next() {
        None => Ok(outcome),
        Some(word) => Err(format!("unexpected `{word}`")),
    }
}

fn any(words: &mut Peekable<SplitWhitespace>, allowed: &[String]) -> Result<bool, String> {
    let mut outcome = all(words, allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        outcome |= all(words, allowed)?;
    }
    Ok(outcome)
}

fn all(words: &mut Peekable<SplitWhitespace>, allowed: &[String]) -> Result<bool, String> {
    let mut outcome = one(words, allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        outcome &= one(words, allowed)?;
    }
    Ok(outcome)
}

fn one(words: &mut Peekable<SplitWhitespace>, allowed: &[String]) -> Result<bool, String> {
    let name = match words.next() {
        Some("(") => {
            let outcome = any(words, allowed)?;
            return words
                .next_if_eq(&")")
                .map(|_| outcome)
                .ok_or_else(|| "a bracket is not closed".to_owned());
        }
        Some(name) if !["OR", "AND", "WITH", ")"].contains(&name) => name,
        Some(word) => return Err(format!("unexpected `{word}`")),
        None => return Err("it ends too early".to_owned()),
    };
    if words.next_if_eq(&"WITH").is_none() {
        return Ok(allowed.iter().any(|license| license == name));
    }
    let exception = words.next().ok_or("it ends after WITH")?;
    let both = format!("{name} WITH {exception}");
    Ok(allowed.contains(&both))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(expression: &str) -> Result<bool, String> {
        let allowed = ["MIT", "ISC", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
        allows(expression, &allowed)
    }

    #[test]
    fn one_allowed_alternative_is_enough() {
        assert_eq!(verdict("MIT"), Ok(true));
        assert_eq!(verdict("GPL-3.0 OR MIT"), Ok(true));
        assert_eq!(verdict("GPL-3.0/MIT"), Ok(true));
        assert_eq!(verdict("GPL-3.0 OR LGPL-2.1"), Ok(false));
    }

    #[test]
    fn every_part_of_a_conjunction_is_needed() {
        assert_eq!(verdict("MIT AND ISC"), Ok(true));
        assert_eq!(verdict("MIT AND GPL-3.0"), Ok(false));
        assert_eq!(verdict("(MIT OR GPL-3.0) AND ISC"), Ok(true));
        assert_eq!(verdict("MIT OR ISC AND GPL-3.0"), Ok(true));
        assert_eq!(verdict("(MIT OR ISC) AND GPL-3.0"), Ok(false));
    }

    #[test]
    fn an_exception_is_allowed_by_its_full_name_only() {
        assert_eq!(verdict("Apache-2.0 WITH LLVM-exception"), Ok(true));
        assert_eq!(verdict("MIT WITH LLVM-exception"), Ok(false));
    }

    #[test]
    fn what_cannot_be_read_is_not_allowed() {
        for broken in ["", "MIT OR", "(MIT", "MIT)", "MIT ISC", "OR MIT", "MIT WITH"] {
            assert!(verdict(broken).is_err(), "{broken}");
        }
    }
}
