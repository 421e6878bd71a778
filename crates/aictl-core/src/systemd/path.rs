//! Object paths of units, in which every other byte than a letter or a digit is escaped
//! (systemd's `bus_label_escape`).

/// Where systemd's units stand on the bus.
pub(super) const UNITS: &str = "/org/freedesktop/systemd1/unit";

/// The name of the unit at this path; `None` if it is no path of a unit.
pub(super) fn unit_name(path: &str) -> Option<String> {
    let label = path.strip_prefix(UNITS)?.strip_prefix('/')?;
    let mut name = Vec::new();
    let mut rest = label.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'_' => {
                let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
                name.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => name.push(byte),
            _ => return None,
        }
    }
    String::from_utf8(name).ok().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_unit() {
        let table = [
            ("ollama_2eservice", Some("ollama.service")),
            ("llama_2dcpp_2dnative_2eservice", Some("llama-cpp-native.service")),
            ("_3122_2eservice", Some("122.service")),
            ("user_401000_2eservice", Some("user@1000.service")),
            ("a_5cx2db_2eservice", Some("a\\x2db.service")),
            ("", None),
            ("a_", None),
            ("a_2", None),
            ("a_zz", None),
            ("a/b", None),
            ("a.service", None),
            ("_ff", None),
        ];
        for (label, name) in table {
            assert_eq!(unit_name(&format!("{UNITS}/{label}")).as_deref(), name, "{label}");
        }
        assert_eq!(unit_name(UNITS), None);
        assert_eq!(unit_name("/org/freedesktop/systemd1/unitx/a"), None);
        assert_eq!(unit_name("/elsewhere/a"), None);
    }
}
