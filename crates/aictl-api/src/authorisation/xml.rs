//! What the generated XML documents share.

/// How to make the generated files anew.
pub const HOW_TO_GENERATE: &str = "AICTL_BLESS=1 cargo test -p aictl-api";

/// The first lines of a generated document: what it is, and the document type.
pub fn prolog(what: &str, doctype: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!-- {what}\n     \
         Generated from crates/aictl-api/src/authorisation.rs; do not edit. To make it anew:\n     \
         {HOW_TO_GENERATE} -->\n\
         <!DOCTYPE {doctype}>\n"
    )
}

/// `text` as it stands in an XML text or between the quotes of an attribute (XML 1.0, section 2.4).
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            c => escaped.push(c),
        }
    }
    escaped
}
