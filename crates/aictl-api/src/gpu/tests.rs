//! Tests of the GPUs' document.

use serde_json::{Value, json};

use super::*;

#[test]
fn words_lead_back_to_what_they_name_and_are_those_of_the_document() {
    for vendor in Vendor::ALL {
        assert_eq!(Vendor::from_name(vendor.name()), Some(vendor));
        assert_eq!(serde_json::to_value(vendor).unwrap(), vendor.name());
    }
    for state in GpuState::ALL {
        assert_eq!(GpuState::from_name(state.name()), Some(state));
        assert_eq!(serde_json::to_value(state).unwrap(), state.name());
    }
    assert_eq!((Vendor::from_name("NVIDIA"), GpuState::from_name("")), (None, None));
}

#[test]
fn what_is_unknown_is_null_and_is_there() {
    let document = serde_json::to_value(Gpu::new(0, Vendor::Amd, GpuState::Sleeping)).unwrap();
    let Value::Object(fields) = document else { panic!("{document}") };
    for (key, value) in &fields {
        let expected = match key.as_str() {
            "index" => json!(0),
            "vendor" => json!("amd"),
            "state" => json!("sleeping"),
            "notes" => json!([]),
            _ => Value::Null,
        };
        assert_eq!(*value, expected, "{key}");
    }
    assert_eq!(fields.len(), 32);
    let process = serde_json::to_value(GpuProcess::new(7)).unwrap();
    let expected =
        json!({"pid": 7, "name": null, "unit": null, "service": null, "memory_bytes": null});
    assert_eq!(process, expected);
}

#[test]
fn a_document_of_a_later_version_is_read() {
    let text = r#"{"gpus":[{"index":0,"vendor":"intel","state":"awake","notes":[],"new":1}],
        "notes":["a"],"more":{}}"#;
    let report: GpuReport = serde_json::from_str(text).unwrap();
    assert_eq!(report.gpus, [Gpu::new(0, Vendor::Intel, GpuState::Awake)]);
    assert_eq!(report.notes, ["a"]);
}

#[test]
fn gpus_are_in_the_order_of_their_vendors_and_then_of_their_places() {
    let gpu = |vendor, address: Option<&str>| Gpu {
        pci_address: address.map(str::to_owned),
        ..Gpu::new(9, vendor, GpuState::Awake)
    };
    let expected = [
        (Vendor::Nvidia, Some("0000:01:00.0")),
        (Vendor::Nvidia, Some("0000:41:00.0")),
        (Vendor::Nvidia, None),
        (Vendor::Amd, Some("0000:03:00.0")),
        (Vendor::Intel, Some("0000:00:02.0")),
    ];
    let mut report = GpuReport {
        gpus: expected.into_iter().rev().map(|(vendor, place)| gpu(vendor, place)).collect(),
        notes: Vec::new(),
    };
    report.sort();
    let found: Vec<_> = report.gpus.iter().map(|g| (g.vendor, g.pci_address.as_deref())).collect();
    assert_eq!(found, expected);
    assert_eq!(report.gpus.iter().map(|gpu| gpu.index).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}
