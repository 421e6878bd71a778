//! Gauges out of Prometheus' text format.

/// The sum of a gauge over all that it is labelled with; `None` if it is not in the text, or if a
/// value is none that counts something.
///
/// Servers that spread one model over several GPUs (`tp_rank`, `pp_rank`) may tell of the same
/// requests once for each: only the first rank counts.
pub(crate) fn gauge(text: &str, name: &str) -> Option<u64> {
    let mut sum = None;
    for line in text.lines() {
        let Some(rest) = line.strip_prefix(name) else { continue };
        let (labels, rest) = match rest.strip_prefix('{') {
            // No label that counts things holds a brace; a model's name might, so from behind.
            Some(rest) => rest.rsplit_once('}')?,
            None if rest.starts_with([' ', '\t']) => ("", rest),
            // Another gauge, whose name only begins alike.
            None => continue,
        };
        if is_other_rank(labels, "tp_rank=\"") || is_other_rank(labels, "pp_rank=\"") {
            continue;
        }
        let value: f64 = rest.split_ascii_whitespace().next()?.parse().ok()?;
        if !(0.0..=f64::from(u32::MAX)).contains(&value) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
        let value = value as u64;
        sum = Some(sum.unwrap_or(0) + value);
    }
    sum
}

fn is_other_rank(labels: &str, label: &str) -> bool {
    labels.split_once(label).is_some_and(|(_, rest)| !rest.starts_with("0\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_are_summed() {
        let table = [
            ("", None),
            ("# HELP g Gauge.\n# TYPE g gauge\n", None),
            ("g 3\n", Some(3)),
            ("g 3.0 1700000000000\n", Some(3)),
            (
                "g{engine=\"0\",model_name=\"a}b\"} 2.0\ng{engine=\"1\",model_name=\"c\"} 3.0\n",
                Some(5),
            ),
            ("g_other 7\ng_other{} 7\n", None),
            ("g{} 1.0\n", Some(1)),
            ("g{tp_rank=\"0\"} 4\ng{tp_rank=\"1\"} 4\n", Some(4)),
            ("g{dp_rank=\"0\",pp_rank=\"0\"} 4\ng{dp_rank=\"1\",pp_rank=\"0\"} 1\n", Some(5)),
            ("g NaN\n", None),
            ("g +Inf\n", None),
            ("g -1\n", None),
            ("g 1e300\n", None),
            ("g\n", None),
            ("g{x=\"1\" 5\n", None),
            ("g x\n", None),
        ];
        for (text, sum) in table {
            assert_eq!(gauge(text, "g"), sum, "{text:?}");
        }
    }
}
