//! The link that shows a text in the Mermaid live editor.
//!
//! All of it is in the fragment, which browsers send to nobody: the editor's state as JSON, compressed with zlib, in
//! URL-safe Base64, after the word `pako:` that names this form.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

const EDITOR: &str = "https://mermaid.live/edit#pako:";
/// The smallest that there is: links are short of room.
const LEVEL: u8 = 9;

/// The link to a Mermaid text.
pub(super) fn to(mermaid: &str) -> String {
    let state = json!({
        "code": mermaid,
        "mermaid": { "theme": "default" },
        "autoSync": true,
        "updateDiagram": true,
    });
    let compressed = miniz_oxide::deflate::compress_to_vec_zlib(state.to_string().as_bytes(), LEVEL);
    format!("{EDITOR}{}", URL_SAFE_NO_PAD.encode(compressed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_decodes_to_the_text() {
        let text = "graph TD\n  a[data\\ndownload \u{1f3b5}]\n  a --> b?&/+\"";
        let link = to(text);
        let packed = link
            .strip_prefix("https://mermaid.live/edit#pako:")
            .expect("the editor");
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        assert!(packed.bytes().all(is_safe), "{packed}");
        let compressed = URL_SAFE_NO_PAD.decode(packed).expect("Base64");
        // The header of zlib, at the highest level.
        assert_eq!(compressed[..2], [0x78, 0xda]);
        let state = miniz_oxide::inflate::decompress_to_vec_zlib(&compressed).expect("zlib");
        let state: serde_json::Value = serde_json::from_slice(&state).expect("JSON");
        assert_eq!(state["code"], text);
        assert_eq!(state["mermaid"]["theme"], "default");
    }
}
