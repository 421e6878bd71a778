use zbus::Message;

use super::*;

/// Numbers that are the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn chance(&mut self) -> bool {
        !self.next().is_multiple_of(3)
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.chance().then(|| make(self))
    }

    fn text(&mut self) -> String {
        ["", "x", "NVIDIA GeForce RTX 4090", "ünïcode", "a\nb"][self.index(5)].to_owned()
    }

    fn texts(&mut self) -> Vec<String> {
        (0..self.index(3)).map(|_| self.text()).collect()
    }

    fn index(&mut self, most: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % most
    }

    fn small(&mut self) -> u32 {
        [0, 1, u32::MAX, 1410][self.index(4)]
    }

    fn large(&mut self) -> u64 {
        [0, 1, u64::MAX, 24 << 30][self.index(4)]
    }

    fn number(&mut self) -> f64 {
        [0.0, -1.5, 99.9, f64::MAX][self.index(4)]
    }

    fn process(&mut self) -> GpuProcess {
        GpuProcess {
            pid: self.small(),
            name: self.maybe(Self::text),
            unit: self.maybe(Self::text),
            service: self.maybe(Self::text),
            memory_bytes: self.maybe(Self::large),
        }
    }

    fn gpu(&mut self) -> Gpu {
        Gpu {
            index: self.small(),
            vendor: Vendor::ALL[self.index(3)],
            state: GpuState::ALL[self.index(3)],
            name: self.maybe(Self::text),
            uuid: self.maybe(Self::text),
            pci_address: self.maybe(Self::text),
            driver: self.maybe(Self::text),
            driver_version: self.maybe(Self::text),
            memory_total_bytes: self.maybe(Self::large),
            memory_used_bytes: self.maybe(Self::large),
            memory_shared: self.maybe(Self::chance),
            utilisation_percent: self.maybe(Self::number),
            memory_utilisation_percent: self.maybe(Self::number),
            temperature_celsius: self.maybe(Self::number),
            power_watts: self.maybe(Self::number),
            power_limit_watts: self.maybe(Self::number),
            clock_graphics_mhz: self.maybe(Self::small),
            clock_memory_mhz: self.maybe(Self::small),
            fan_percent: self.maybe(Self::small),
            fan_rpm: self.maybe(Self::small),
            pcie_generation: self.maybe(Self::small),
            pcie_generation_max: self.maybe(Self::small),
            pcie_width: self.maybe(Self::small),
            pcie_width_max: self.maybe(Self::small),
            throttling: self.maybe(Self::texts),
            ecc_enabled: self.maybe(Self::chance),
            ecc_corrected: self.maybe(Self::large),
            ecc_uncorrected: self.maybe(Self::large),
            mig_enabled: self.maybe(Self::chance),
            processes: self.maybe(|from| (0..from.index(3)).map(|_| from.process()).collect()),
            processes_hidden: self.maybe(Self::chance),
            notes: self.texts(),
        }
    }
}

/// The records as they come off a bus.
fn over_a_bus(records: Vec<Record>) -> Vec<Record> {
    let call = Message::method_call("/", "List").build(&()).unwrap();
    let reply = Message::method_return(&call.header()).build(&(records,)).unwrap();
    let body = reply.body();
    assert_eq!(body.signature().to_string_no_parens(), "aa{sv}");
    let (records,): (Vec<Record>,) = body.deserialize().unwrap();
    records
}

#[test]
fn what_goes_onto_the_bus_comes_off_it() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..300 {
        let gpus: Vec<Gpu> = (0..2).map(|_| random.gpu()).collect();
        let records = over_a_bus(gpus.iter().map(gpu_fields).collect());
        let back: Result<Vec<Gpu>, _> = records.into_iter().map(gpu).collect();
        assert_eq!(back, Ok(gpus));
    }
}

/// One of which everything is known, with two processes.
fn all() -> Gpu {
    let mut random = Random(1);
    let mut whole = Gpu::new(0, Vendor::Amd, GpuState::Awake);
    // Of so many, each field is known once.
    for _ in 0..100 {
        let other = random.gpu();
        macro_rules! fill {
            ($($field:ident)+) => {$( whole.$field = whole.$field.take().or(other.$field); )+};
        }
        fill! {
            name uuid pci_address driver driver_version memory_total_bytes memory_used_bytes
            memory_shared utilisation_percent memory_utilisation_percent temperature_celsius
            power_watts power_limit_watts clock_graphics_mhz clock_memory_mhz fan_percent fan_rpm
            pcie_generation pcie_generation_max pcie_width pcie_width_max throttling ecc_enabled
            ecc_corrected ecc_uncorrected mig_enabled processes_hidden
        }
    }
    let process = GpuProcess {
        pid: 7,
        name: Some("ollama".to_owned()),
        unit: Some("ollama.service".to_owned()),
        service: Some("ollama".to_owned()),
        memory_bytes: Some(1),
    };
    whole.processes = Some(vec![process, GpuProcess::new(8)]);
    whole
}

#[test]
fn every_key_is_there_with_its_type() {
    let record = gpu_fields(&all());
    assert_eq!(record.len(), key::ALL.len());
    for field in key::FIELDS {
        let signature = record[field.key].value_signature().to_string();
        assert_eq!(signature, field.signature, "{}", field.key);
    }
    let empty = Gpu { processes: Some(vec![]), throttling: Some(vec![]), ..all() };
    let record = gpu_fields(&empty);
    // An empty list has a type too.
    for (key, signature) in [(key::PROCESSES, "aa{sv}"), (key::THROTTLING, "as")] {
        assert_eq!(record[key].value_signature().to_string(), signature, "{key}");
    }
    let process = &all().processes.unwrap()[0];
    let record = gpu_process_fields(process);
    assert_eq!(record.len(), process_key::ALL.len());
    for field in process_key::FIELDS {
        let signature = record[field.key].value_signature().to_string();
        assert_eq!(signature, field.signature, "{}", field.key);
    }
}

#[test]
fn the_unknown_is_left_out_and_unknown_keys_are_ignored() {
    let bare = Gpu::new(3, Vendor::Intel, GpuState::Sleeping);
    let mut record = gpu_fields(&bare);
    let mut keys: Vec<&str> = record.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, [key::INDEX, key::NOTES, key::STATE, key::VENDOR]);
    record.insert("of_tomorrow".to_owned(), 7_u32.into());
    assert_eq!(gpu(record), Ok(bare));
}

#[test]
fn what_is_no_number_is_unknown() {
    for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let odd = Gpu { power_watts: Some(odd), ..Gpu::new(0, Vendor::Amd, GpuState::Awake) };
        assert_eq!(gpu(gpu_fields(&odd)).unwrap().power_watts, None);
    }
}

#[test]
fn a_value_of_another_type_is_an_error() {
    for field in key::FIELDS {
        let mut record = gpu_fields(&all());
        let other: OwnedVariant = if field.signature == "i" { 0_u32.into() } else { 0_i32.into() };
        record.insert(field.key.to_owned(), other);
        assert_eq!(gpu(record), Err(RecordError { key: field.key }));
    }
    for (key, odd) in [(key::VENDOR, "matrox"), (key::STATE, "")] {
        let mut record = gpu_fields(&all());
        record.insert(key.to_owned(), text(odd));
        assert_eq!(gpu(record), Err(RecordError { key }));
    }
    for required in [key::VENDOR, key::STATE] {
        let mut record = gpu_fields(&all());
        record.remove(required);
        assert_eq!(gpu(record), Err(RecordError { key: required }));
    }
    let mut record = gpu_process_fields(&GpuProcess::new(1));
    record.remove(process_key::PID);
    assert_eq!(gpu_process(record), Err(RecordError { key: process_key::PID }));
    // In a process of a GPU.
    let mut process = gpu_process_fields(&GpuProcess::new(1));
    process.insert(process_key::PID.to_owned(), text("1"));
    let mut record = gpu_fields(&all());
    let list = OwnedVariant::try_from(Variant::from(vec![process])).unwrap();
    record.insert(key::PROCESSES.to_owned(), list);
    assert_eq!(gpu(record), Err(RecordError { key: process_key::PID }));
}
