//! Values into their places.

use std::collections::BTreeMap;
use std::sync::Arc;

use quintet_core::expr::MASK;
use quintet_core::outcome::{Failure, Work};
use serde_json::Value;

use super::{Masker, Plain, Secrets, Slot};

/// What an input may grow to, in bytes over all strings that hold secrets.
const MAX_FILLED: usize = 4 << 20;

/// An input that is ready to be sent.
pub struct Filled {
    /// The input with the values in it.
    pub input: Value,
    /// Takes the values out of what comes back.
    pub masker: Masker,
}

/// The input of an attempt with its secrets in their places. Each is looked up once.
pub async fn fill(secrets: Option<&Arc<dyn Secrets>>, work: &Work) -> Result<Filled, Failure> {
    let mut values: BTreeMap<&str, Plain> = BTreeMap::new();
    for slot in &work.secrets {
        if !values.contains_key(&*slot.name) {
            values.insert(&slot.name, look_up(secrets, &work.namespace, &slot.name).await?);
        }
    }
    let mut input = work.input.clone();
    let mut room = MAX_FILLED;
    for slots in work.secrets.chunk_by(|a, b| a.pointer == b.pointer) {
        let text = input.pointer_mut(&slots[0].pointer);
        let filled = text
            .as_deref()
            .and_then(Value::as_str)
            .and_then(|text| put_in(text, slots, &values));
        let (Some(text), Some(filled)) = (text, filled) else {
            return Err(Failure::permanent(
                "secret_misplaced",
                "a secret has no place in the input",
            ));
        };
        room = room.checked_sub(filled.len()).ok_or_else(|| {
            let message = format!("the input is larger than {MAX_FILLED} bytes with its secrets");
            Failure::permanent("invalid_input", message)
        })?;
        *text = Value::String(filled);
    }
    let masker = Masker::of(values.values().map(Plain::reveal));
    Ok(Filled { input, masker })
}

async fn look_up(secrets: Option<&Arc<dyn Secrets>>, namespace: &str, name: &str) -> Result<Plain, Failure> {
    let found = match secrets {
        Some(secrets) => secrets.reveal(namespace, name).await,
        None => Ok(None),
    };
    match found {
        Ok(Some(value)) => Ok(value),
        Ok(None) => {
            let message = format!("there is no secret \"{name}\" in the namespace \"{namespace}\"");
            Err(Failure::permanent("secret_not_found", message))
        }
        Err(error) => {
            let message = format!("the secret \"{name}\" cannot be read: {error}");
            Err(Failure {
                retryable: (!error.is_retryable).then_some(false),
                ..Failure::new("secret_unreadable", message)
            })
        }
    }
}

/// `None` when a place does not fit the text, which the renderer rules out.
fn put_in(text: &str, slots: &[Slot], values: &BTreeMap<&str, Plain>) -> Option<String> {
    let mut filled = String::with_capacity(text.len());
    let mut done = 0;
    for slot in slots {
        filled.push_str(text.get(done..slot.at)?);
        if !text.get(slot.at..)?.starts_with(MASK) {
            return None;
        }
        filled.push_str(values.get(&*slot.name)?.reveal());
        done = slot.at + MASK.len();
        if filled.len() > MAX_FILLED {
            break;
        }
    }
    filled.push_str(text.get(done..)?);
    Some(filled)
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use serde_json::json;

    use super::super::RevealError;
    use super::*;
    use crate::builtin::tests::work;

    struct Known;

    #[async_trait]
    impl Secrets for Known {
        async fn reveal(&self, namespace: &str, name: &str) -> Result<Option<Plain>, RevealError> {
            match (namespace, name) {
                ("default", "A") => Ok(Some(Plain::new("alpha-value"))),
                ("default", "B") => Ok(Some(Plain::new("***{{ secrets.A }}"))),
                ("default", "BIG") => Ok(Some(Plain::new("x".repeat(64 << 10)))),
                ("default", "SEALED") => Err(RevealError {
                    reason: "no such key".to_owned(),
                    is_retryable: false,
                }),
                _ => Ok(None),
            }
        }
    }

    fn slot(pointer: &str, at: usize, name: &str) -> Slot {
        Slot {
            pointer: pointer.into(),
            at,
            name: name.into(),
        }
    }

    async fn filled(input: Value, secrets: Vec<Slot>) -> Result<Value, Failure> {
        let known: Arc<dyn Secrets> = Arc::new(Known);
        let work = Work {
            secrets,
            ..work("http", input)
        };
        fill(Some(&known), &work).await.map(|filled| filled.input)
    }

    #[tokio::test]
    async fn values_go_where_the_places_are_and_nowhere_else() {
        let input = json!({ "url": "*** a=***&b=***", "x/~": "***", "free": "{{ secrets.A }} ***" });
        let places = vec![slot("/url", 6, "A"), slot("/url", 12, "B"), slot("/x~1~0", 0, "A")];
        let expected = json!({
            "url": "*** a=alpha-value&b=***{{ secrets.A }}",
            "x/~": "alpha-value",
            "free": "{{ secrets.A }} ***",
        });
        assert_eq!(filled(input, places).await, Ok(expected));
    }

    #[tokio::test]
    async fn a_secret_that_is_not_there_fails_for_good_and_is_named() {
        let failure = filled(json!("***"), vec![slot("", 0, "GHOST")])
            .await
            .expect_err("none");
        assert_eq!(
            (failure.kind.as_deref(), failure.retryable),
            (Some("secret_not_found"), Some(false))
        );
        assert_eq!(
            failure.message,
            "there is no secret \"GHOST\" in the namespace \"default\""
        );
        let sealed = filled(json!("***"), vec![slot("", 0, "SEALED")])
            .await
            .expect_err("sealed");
        assert_eq!(
            (sealed.kind.as_deref(), sealed.retryable),
            (Some("secret_unreadable"), Some(false))
        );
        let work = Work {
            secrets: vec![slot("", 0, "A")],
            ..work("http", json!("***"))
        };
        let nowhere = fill(None, &work).await.err().expect("no secrets here");
        assert_eq!(nowhere.kind.as_deref(), Some("secret_not_found"));
    }

    #[tokio::test]
    async fn a_place_without_a_mask_is_refused() {
        for place in [
            slot("/a", 1, "A"),
            slot("/a", 90, "A"),
            slot("/b", 0, "A"),
            slot("/n", 0, "A"),
        ] {
            let failure = filled(json!({ "a": "***", "n": 1 }), vec![place.clone()])
                .await
                .expect_err("misplaced");
            assert_eq!(failure.kind.as_deref(), Some("secret_misplaced"), "{place:?}");
        }
    }

    #[tokio::test]
    async fn what_secrets_make_of_an_input_is_bounded() {
        let text = "***".repeat(100);
        let places = (0..100).map(|nth| slot("", nth * 3, "BIG")).collect();
        let failure = filled(json!(text), places).await.expect_err("too large");
        assert_eq!(failure.kind.as_deref(), Some("invalid_input"));
    }
}
