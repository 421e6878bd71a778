//! The graphics cards that the kernel's drivers have made known.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use aictl_api::gpu::{Gpu, GpuState, Vendor};

use super::{
    amdgpu,
    delta::Counters,
    fdinfo::Opened,
    i915,
    pci::{self, Address, Ids, Lists, Names},
    xe,
};
use crate::{
    kernel_file::{self, PAGE},
    plain_text::plain_text,
};

/// More than a machine has cards and the plugs on them.
const MAX_ENTRIES: usize = 4096;
/// The most characters of a version.
const MAX_VERSION: usize = 64;

/// One graphics card on PCI.
#[derive(Debug)]
pub(super) struct Card {
    /// Where it sits.
    pub(super) address: Address,
    /// Who made it.
    pub(super) vendor: Vendor,
    /// The kernel driver that it is bound to.
    pub(super) driver: Option<String>,
    /// The directory of the card, `/sys/class/drm/card0`.
    directory: PathBuf,
    /// That of the device, as the card has it.
    device: PathBuf,
    ids: Option<Ids>,
    /// The names by which processes open it, in /dev/dri.
    nodes: Vec<String>,
}

impl Card {
    /// All cards whose makers make GPUs, by address. Finding them wakes none.
    pub(super) fn all(sys: &Path) -> Vec<Self> {
        let drm = sys.join("class/drm");
        let mut cards: BTreeMap<Address, Option<Self>> = BTreeMap::new();
        // The plugs of a card, card0-HDMI-A-1, are no cards. The card comes before its node.
        for name in kernel_file::names(&drm, MAX_ENTRIES) {
            if !is_numbered(&name, "card") && !is_numbered(&name, "renderD") {
                continue;
            }
            let directory = drm.join(&name);
            let address = kernel_file::link_name(&directory.join("device"));
            let Some(address) = address.and_then(|address| address.parse().ok()) else { continue };
            let card = cards.entry(address).or_insert_with(|| Self::find(address, directory));
            if let Some(card) = card {
                card.nodes.push(name);
            }
        }
        cards.into_values().flatten().collect()
    }

    fn find(address: Address, directory: PathBuf) -> Option<Self> {
        let device = directory.join("device");
        let driver = kernel_file::link_name(&device.join("driver"));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        let driver = driver.filter(|name| name.chars().all(is_plain));
        let ids = Ids::read(&device);
        let vendor = match driver.as_deref() {
            Some("nvidia" | "nouveau") => Some(Vendor::Nvidia),
            Some("amdgpu" | "radeon") => Some(Vendor::Amd),
            Some("i915" | "xe") => Some(Vendor::Intel),
            _ => ids.and_then(Ids::maker),
        };
        Some(Self { address, vendor: vendor?, driver, directory, device, ids, nodes: Vec::new() })
    }

    /// Whether NVIDIA's own driver has it, which tells by NVML alone.
    pub(super) fn is_nvml(&self) -> bool {
        self.driver.as_deref() == Some("nvidia")
    }

    /// Whether the card is powered down: then any other file of its driver would wake it
    /// (Documentation/ABI/testing/sysfs-devices-power, sysfs-devices-power_state).
    pub(super) fn is_asleep(&self) -> bool {
        let says = |file: &str, words: &[&str]| {
            let text = kernel_file::text(&self.device.join(file), PAGE);
            text.is_some_and(|text| words.contains(&text.as_str()))
        };
        says("power/runtime_status", &["suspended", "suspending"])
            || says("power_state", &["D3hot", "D3cold"])
    }

    /// This card among GPUs that were told of.
    pub(super) fn of<'a>(&self, gpus: &'a [Gpu]) -> Option<&'a Gpu> {
        gpus.iter().find(|gpu| pci::address(gpu) == Some(self.address))
    }

    /// Whether the card is still there.
    pub(super) fn is_there(&self) -> bool {
        kernel_file::link_name(&self.directory.join("device")).is_some()
    }

    /// What is known without asking the card.
    pub(super) fn found(&self, sys: &Path, names: &mut Names, lists: &Lists) -> Gpu {
        let mut gpu = Gpu::new(0, self.vendor, GpuState::Awake);
        gpu.pci_address = Some(self.address.to_string());
        gpu.name = self.ids.and_then(|ids| names.of(ids, self.vendor, lists));
        gpu.driver.clone_from(&self.driver);
        if let Some(driver) = &self.driver {
            let version = kernel_file::text(&sys.join(format!("module/{driver}/version")), PAGE);
            let version = version.filter(|version| !version.is_empty());
            gpu.driver_version =
                version.map(|text| plain_text(&text).chars().take(MAX_VERSION).collect());
        }
        gpu
    }

    /// Asks the card, which must be awake. Returns its counters.
    pub(super) fn read(&self, gpu: &mut Gpu) -> Counters {
        pci::read_link(gpu, &self.device);
        match self.driver.as_deref() {
            Some("amdgpu") => {
                amdgpu::read(gpu, &self.device);
                Counters::default()
            }
            Some("i915") => i915::read(gpu, self.address, &self.directory, &self.device),
            Some("xe") => xe::read(gpu, self.address, &self.device),
            _ => Counters::default(),
        }
    }

    /// Adds the names by which processes have the card open, unless its driver does not tell what
    /// they have there.
    pub(super) fn add_nodes(&self, gpu: &Gpu, nodes: &mut HashMap<String, Opened>) {
        let Some(driver @ ("amdgpu" | "i915" | "xe")) = self.driver.as_deref() else { return };
        let opened = Opened {
            gpu: self.address,
            driver: driver.to_owned(),
            shared: gpu.memory_shared == Some(true),
        };
        nodes.extend(self.nodes.iter().map(|name| (name.clone(), opened.clone())));
    }
}

/// Whether a name is the stem and a number.
fn is_numbered(name: &str, stem: &str) -> bool {
    name.strip_prefix(stem)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}
