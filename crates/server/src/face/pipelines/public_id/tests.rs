//! The forms of the ids, and that nothing else is read as one.

use proptest::prelude::*;

use super::*;

const LOWEST: &str = "0000000000000000000000000";
const HIGHEST: &str = "f5lxx1zz5pnorynqglhzmsp33";

fn task_run(bits: u128, node: u32) -> TaskRunId {
    TaskRunId {
        run: RunId::from_bits(bits),
        node,
    }
}

#[test]
fn the_forms_are_those_that_are_documented() {
    let task_run = task_run(u128::MAX, 36);
    let attempt = |attempt| AttemptId { task_run, attempt }.to_string();
    assert_eq!(PipelineRunId(RunId::from_bits(0)).to_string(), format!("prun_{LOWEST}"));
    assert_eq!(task_run.to_string(), format!("trun_{HIGHEST}10"));
    assert_eq!(attempt(1), format!("trun_{HIGHEST}10"));
    assert_eq!(attempt(2), format!("trun_{HIGHEST}10~2"));
    let letter = DeadLetterId { task_run, attempt: 1 };
    assert_eq!(letter.to_string(), format!("dlq_{HIGHEST}10~1"));
    assert_eq!(
        UploadId::from_random(u128::MAX).to_string(),
        "tmp_".to_owned() + &"_".repeat(21)
    );
}

#[test]
fn a_text_that_would_not_be_written_is_no_id() {
    let one_too_high = "f5lxx1zz5pnorynqglhzmsp34";
    for digits in [
        "",
        "0",
        &LOWEST[1..],
        one_too_high,
        &"z".repeat(25),
        &LOWEST.replace('0', "A"),
    ] {
        assert_eq!(PipelineRunId::parse(&format!("prun_{digits}")), None, "{digits}");
        assert_eq!(TaskRunId::parse(&format!("trun_{digits}")), None, "{digits}");
    }
    assert!(PipelineRunId::parse(&format!("prun_{HIGHEST}")).is_some());
    assert_eq!(PipelineRunId::parse(&format!("prun_{LOWEST}0")), None);
    assert_eq!(PipelineRunId::parse(&format!("trun_{LOWEST}")), None);
    for tail in ["", "01", "A", "-1", "1z141z4", "1~2", " 1", "ä"] {
        assert_eq!(TaskRunId::parse(&format!("trun_{LOWEST}{tail}")), None, "{tail}");
    }
    assert!(TaskRunId::parse(&format!("trun_{LOWEST}1z141z3")).is_some());
    for tail in ["~", "~0", "~1", "~02", "~+2", "~2~3", "~4294967296", "~a"] {
        assert_eq!(AttemptId::parse(&format!("trun_{LOWEST}0{tail}")), None, "{tail}");
    }
    for text in [
        "dlq_",
        &format!("dlq_{LOWEST}0"),
        &format!("dlq_{LOWEST}~1"),
        &format!("dlq_{LOWEST}0~01"),
    ] {
        assert_eq!(DeadLetterId::parse(text), None, "{text}");
    }
    for letters in ["", &"a".repeat(20), &"a".repeat(22), &"+".repeat(21), "ääääääääääa"] {
        assert_eq!(UploadId::parse(&format!("tmp_{letters}")), None, "{letters}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(bits: u128, node: u32, attempt in 1..=u32::MAX) {
        let task_run = task_run(bits, node);
        let of_attempt = AttemptId { task_run, attempt };
        let letter = DeadLetterId { task_run, attempt };
        let upload = UploadId::from_random(bits);
        let pipeline_run = PipelineRunId(task_run.run);
        prop_assert_eq!(PipelineRunId::parse(&pipeline_run.to_string()), Some(pipeline_run));
        prop_assert_eq!(TaskRunId::parse(&task_run.to_string()), Some(task_run));
        prop_assert_eq!(AttemptId::parse(&of_attempt.to_string()), Some(of_attempt));
        prop_assert_eq!(AttemptId::of(of_attempt.token()), of_attempt);
        prop_assert_eq!(DeadLetterId::parse(&letter.to_string()), Some(letter));
        prop_assert_eq!(UploadId::parse(&upload.to_string()), Some(upload));
    }

    #[test]
    fn whatever_is_read_would_be_written_the_same(
        text in "(prun|trun|dlq)_[0-9a-fz]{24,26}[0-9a-zA-Z]{0,7}(~[0-9]{1,11})?|tmp_[A-Za-z0-9_+-]{20,22}|\\PC{0,40}"
    ) {
        let written = [
            PipelineRunId::parse(&text).map(|id| id.to_string()),
            AttemptId::parse(&text).map(|id| id.to_string()),
            DeadLetterId::parse(&text).map(|id| id.to_string()),
            UploadId::parse(&text).map(|id| id.to_string()),
        ];
        prop_assert!(written.iter().flatten().all(|written| *written == text));
        prop_assert!(written.iter().flatten().count() <= 1);
    }

    #[test]
    fn ids_sort_as_their_runs_do(one: u128, other: u128) {
        let text = |bits| PipelineRunId(RunId::from_bits(bits)).to_string();
        prop_assert_eq!(text(one).cmp(&text(other)), one.cmp(&other));
    }
}
