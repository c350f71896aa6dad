use serde_json::json;

use super::*;

fn roots(task: &Value) -> Roots<'_> {
    Roots {
        task,
        job_id: "run_1".into(),
        result: Some(json!({
            "url": "https://x/\"q\"\nline", "n": 5, "list": [1, { "a": true }], "none": null, "deep": { "x": 1 },
        })),
        error: None,
        progress: 40.into(),
    }
}

#[test]
fn a_path_is_followed_and_what_cannot_be_is_left_as_it_is_written() {
    let task = json!({ "type": "t", "payload": { "user": "Ann" } });
    for (text, filled) in [
        ("{{task.payload.user}}: {{progress}}%", "Ann: 40%"),
        ("{{jobId}}", "run_1"),
        (
            "{{result.n}}/{{result.list.0}}/{{result.list.length}}/{{result.list.1.a}}",
            "5/1/2/true",
        ),
        // The last part may be undefined or null, and is then nothing; one before it may not.
        ("<{{result.none}}{{result.missing}}{{error}}>", "<>"),
        (
            "{{result.none.x}} {{result.url.x}} {{error.x}}",
            "{{result.none.x}} {{result.url.x}} {{error.x}}",
        ),
        // Names and forms that are none of this language.
        (
            "{{item}} {{payload.x}} {{steps.0.a}}",
            "{{item}} {{payload.x}} {{steps.0.a}}",
        ),
        (
            "{{ jobId }} {{job-id}} {{}} {{.}} {{jobId.}} {{jobId} }",
            "{{ jobId }} {{job-id}} {{}} {{.}} {{jobId.}} {{jobId} }",
        ),
        ("{{{jobId}}} {{ {{jobId}}", "{run_1} {{ run_1"),
        ("{{result.deep}}", "{\"x\":1}"),
        ("ü{{jobId}}ü{{", "ürun_1ü{{"),
    ] {
        assert_eq!(roots(&task).text(text), filled, "{text}");
    }
}

#[test]
fn a_tree_is_filled_in_as_data_so_quotes_and_line_breaks_are_harmless() {
    let task = json!({ "type": "t", "payload": 1 });
    let child = json!({
        "type": "next",
        "payload": { "url": "{{result.url}}", "text": "see {{result.url}}", "all": "{{result}}", "no": "{{result.gone}}" },
        "list": ["{{result.n}}", "n={{result.n}}", 7],
        "{{jobId}}": null,
    });
    let url = "https://x/\"q\"\nline";
    let expected = json!({
        "type": "next",
        "payload": {
            "url": url, "text": format!("see {url}"), "all": roots(&task).result.unwrap(), "no": "",
        },
        "list": [5, "n=5", 7],
        "run_1": null,
    });
    assert_eq!(roots(&task).tree(&child), Ok(expected));
}

#[test]
fn templates_cannot_blow_up_what_is_sent() {
    let task = json!({ "type": "t", "payload": "x".repeat(300_000) });
    let roots = roots(&task);
    let many = |template: &str| json!(vec![template; 4]);
    assert_eq!(roots.tree(&many("{{task.payload}}")), Err(TooLarge));
    assert_eq!(roots.tree(&many("a {{task}}")), Err(TooLarge));
    assert_eq!(roots.tree(&many("a {{task.type}}")), Ok(many("a t")));
    let text = roots.text("ä{{task.payload}}{{task.payload}}");
    assert!(
        text.len() <= LONGEST_TEXT + '…'.len_utf8() && text.ends_with("x…"),
        "{}",
        text.len()
    );
    // What is written without a template is not counted.
    assert!(roots.tree(&json!("y".repeat(2 * MOST_BYTES))).is_ok());
}

#[test]
fn a_template_of_an_effect_is_told_from_one_of_a_step() {
    for (value, holds) in [
        (json!("a {{result.x}} b"), true),
        (json!([{ "a": ["{{jobId}}"] }]), true),
        (
            json!({ "steps": ["{{payload.x}}", "{{steps.a.b}}", "{{item}}"] }),
            false,
        ),
        (json!("{{ result }}"), false),
        (json!(1), false),
    ] {
        assert_eq!(holds_template(&value), holds, "{value}");
    }
}
