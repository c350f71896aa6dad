//! Ids of workflows, which say their runs: `wf_<intent>_<the run's 26 digits>`.
//!
//! Nothing has to be looked up to find the run of a workflow. The intent's id is in it for people; where it holds what
//! a path cannot, it is written as `~` and two hexadecimal digits for each byte, and what is longer than 80 characters is
//! cut. So two texts can only be ids of one workflow if they are the same: whoever looks a workflow up compares.

use quintet_core::id::RunId;

/// Most characters of an intent's id that are shown in a workflow's.
const SHOWN: usize = 80;
const PREFIX: &str = "wf_";

/// The id of the workflow that a run of an intent is.
pub(crate) fn workflow_id(intent: &str, run: RunId) -> String {
    let run = run.to_string();
    let digits = run.split_once('_').map_or(run.as_str(), |(_, digits)| digits);
    let mut id = String::with_capacity(PREFIX.len() + SHOWN + 1 + digits.len());
    id.push_str(PREFIX);
    push_shown(intent, &mut id);
    id.push('_');
    id.push_str(digits);
    id
}

/// The run that a workflow's id means; `None` where it is no such id. Whether it is *the* id of that run only the run
/// can tell: [`workflow_id`] of its intent must be the same text.
pub(crate) fn run_id(text: &str) -> Option<RunId> {
    let (_, digits) = text.strip_prefix(PREFIX)?.rsplit_once('_')?;
    format!("run_{digits}").parse().ok()
}

fn push_shown(intent: &str, id: &mut String) {
    let most = id.len() + SHOWN;
    for byte in intent.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' if id.len() < most => {
                id.push(char::from(byte))
            }
            _ if id.len() + 3 <= most => {
                id.push('~');
                id.push_str(&format!("{byte:02X}"));
            }
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RUN: RunId = RunId::from_bits(31);

    #[test]
    fn an_id_shows_the_intent_and_fits_into_a_path() {
        for (intent, id) in [
            ("build-42", "wf_build-42_0000000000000000000000000z"),
            ("a_b.c", "wf_a_b.c_0000000000000000000000000z"),
            ("a/b ü~", "wf_a~2Fb~20~C3~BC~7E_0000000000000000000000000z"),
            ("", "wf__0000000000000000000000000z"),
        ] {
            assert_eq!(workflow_id(intent, RUN), id);
            assert_eq!(run_id(id), Some(RUN));
        }
    }

    #[test]
    fn a_long_intent_is_cut_between_characters() {
        let id = workflow_id(&format!("{}/x", "a".repeat(79)), RUN);
        assert_eq!(id.len(), "wf_".len() + 79 + 27);
        assert_eq!(workflow_id(&"é".repeat(200), RUN).len(), "wf_".len() + 78 + 27);
    }

    #[test]
    fn foreign_text_means_no_run() {
        for text in [
            "",
            "wf_",
            "wf_a",
            "run_0000000000000000000000000z",
            "wf_a_000000000000000000000000z",
            "wf_a_0000000000000000000000000U",
        ] {
            assert_eq!(run_id(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_id_means_its_run_and_needs_no_escapes(intent in ".{0,120}", bits in any::<u128>()) {
            let run = RunId::from_bits(bits);
            let id = workflow_id(&intent, run);
            prop_assert_eq!(run_id(&id), Some(run));
            prop_assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b)), "{}", id);
        }

        #[test]
        fn short_intents_have_different_ids(one in "[ -~]{0,3}", other in "[ -~]{0,3}") {
            let same = workflow_id(&one, RUN) == workflow_id(&other, RUN);
            prop_assert_eq!(same, one == other);
        }
    }
}
