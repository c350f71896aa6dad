//! Telling values that are still templates from values that are already themselves.
//!
//! A workflow is checked when it is created, before anything is known that its templates will read. A check
//! of types must therefore let a template pass wherever any value could come out of it.

use serde_json::Value;

/// Whether `value` is a text with a template marker, so that its final type is not known yet.
pub(crate) fn is_template(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.contains("{{") || text.contains("{%"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_texts_with_markers_are_templates() {
        assert!(is_template(&json!("{{ steps.a.output }}")));
        assert!(is_template(&json!("{% if x %}1{% endif %}")));
        for value in [json!("plain { text }"), json!(1), json!({"a": "{{ b }}"}), json!(null)] {
            assert!(!is_template(&value), "{value}");
        }
    }
}
