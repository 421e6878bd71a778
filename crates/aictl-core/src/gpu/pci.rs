//! PCI: where a GPU sits, how fast its link is, and what it is called (Documentation/ABI/testing/
//! sysfs-bus-pci).

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use aictl_api::gpu::{Gpu, Vendor};

use super::value::number;
use crate::{
    kernel_file::{self, PAGE},
    plain_text::plain_text,
};

/// The most that is read of a list of names.
const MAX_NAMES_FILE: usize = 8 * 1024 * 1024;
/// The most characters of a name.
const MAX_NAME: usize = 128;

/// Where a device sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Address {
    pub(super) domain: u32,
    pub(super) bus: u8,
    pub(super) device: u8,
    pub(super) function: u8,
}

impl FromStr for Address {
    type Err = ();

    /// Reads `0000:03:00.0`, with as many zeros before it as anyone likes to write.
    fn from_str(text: &str) -> Result<Self, ()> {
        let read = || {
            let (rest, function) = text.rsplit_once('.')?;
            let mut parts = rest.split(':');
            let mut part = || parts.next().filter(|part| is_hex(part));
            let domain = u32::from_str_radix(part()?, 16).ok()?;
            let bus = u8::from_str_radix(part()?, 16).ok()?;
            let device = u8::from_str_radix(part()?, 16).ok()?;
            let function =
                u8::from_str_radix(Some(function).filter(|part| is_hex(part))?, 16).ok()?;
            let is_device = parts.next().is_none() && device < 32 && function < 8;
            is_device.then_some(Self { domain, bus, device, function })
        };
        read().ok_or(())
    }
}

/// Whether these are digits, without a sign, which `from_str_radix` would take.
fn is_hex(part: &str) -> bool {
    !part.is_empty() && part.len() <= 8 && part.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, bus, device, function } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function:x}")
    }
}

/// Where a GPU sits that was told of.
pub(super) fn address(gpu: &Gpu) -> Option<Address> {
    gpu.pci_address.as_ref()?.parse().ok()
}

/// What a device is, by the numbers that its maker gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Ids {
    pub(super) vendor: u16,
    pub(super) device: u16,
    pub(super) revision: Option<u8>,
}

impl Ids {
    /// What the kernel knows since it found the device: this wakes nothing.
    pub(super) fn read(device: &Path) -> Option<Self> {
        Some(Self {
            vendor: u16::try_from(hexadecimal(&device.join("vendor"))?).ok()?,
            device: u16::try_from(hexadecimal(&device.join("device"))?).ok()?,
            revision: hexadecimal(&device.join("revision")).and_then(|value| value.try_into().ok()),
        })
    }

    /// Who made it, if that is one who makes GPUs.
    pub(super) fn maker(self) -> Option<Vendor> {
        match self.vendor {
            0x10de => Some(Vendor::Nvidia),
            0x1002 => Some(Vendor::Amd),
            0x8086 => Some(Vendor::Intel),
            _ => None,
        }
    }
}

/// The number in a file such as `0x1002`.
fn hexadecimal(path: &Path) -> Option<u32> {
    let text = kernel_file::text(path, PAGE)?;
    let digits = text.strip_prefix("0x").filter(|digits| is_hex(digits))?;
    u32::from_str_radix(digits, 16).ok()
}

/// Says how the card is linked to the machine. `device` is the GPU's directory.
///
/// Cards of AMD and Intel have a switch of their own, behind which the link of the GPU itself says
/// nothing: so it is the one of the last device on the way up that is still the same maker's, which
/// the port of the machine is not counted to.
pub(super) fn read_link(gpu: &mut Gpu, device: &Path) {
    let Ok(path) = device.canonicalize() else {
        return;
    };
    let is_device = |path: &&Path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| Address::from_str(name).is_ok())
    };
    let way_up: Vec<&Path> = path.ancestors().take_while(is_device).collect();
    let maker = |path: &Path| hexadecimal(&path.join("vendor"));
    let of_card = way_up.split_last().map_or(&[][..], |(_port, below)| below);
    let same = of_card.iter().take_while(|path| maker(path) == maker(device));
    let end = same.last().copied().unwrap_or(&path);

    let text = |file: &str| kernel_file::text(&end.join(file), PAGE);
    let lanes = |file: &str| {
        let lanes = number(&end.join(file))?;
        u32::try_from(lanes).ok().filter(|lanes| (1..=32).contains(lanes))
    };
    gpu.pcie_generation = text("current_link_speed").as_deref().and_then(generation);
    gpu.pcie_generation_max = text("max_link_speed").as_deref().and_then(generation);
    gpu.pcie_width = lanes("current_link_width");
    gpu.pcie_width_max = lanes("max_link_width");
}

/// The generation of PCI Express with this speed, such as `16.0 GT/s PCIe`.
fn generation(speed: &str) -> Option<u32> {
    let speeds = ["2.5", "5", "8", "16", "32", "64"];
    let speed = speed.split_ascii_whitespace().next()?;
    let speed = speed.strip_suffix(".0").unwrap_or(speed);
    (1..).zip(speeds).find_map(|(generation, of)| (speed == of).then_some(generation))
}

/// What devices are called, from the lists that distributions have, each of which is read once.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<Ids, Option<String>>);

impl Names {
    /// A GPU's name; its numbers, if no list has one.
    pub(super) fn of(&mut self, ids: Ids, vendor: Vendor, lists: &Lists) -> Option<String> {
        let look_up = || lists.name(ids, vendor).or_else(|| Some(numbers(ids, vendor)));
        self.0.entry(ids).or_insert_with(look_up).clone()
    }
}

fn numbers(ids: Ids, vendor: Vendor) -> String {
    format!("{} {:04x}:{:04x}", vendor.display(), ids.vendor, ids.device)
}

/// Where the lists of names are.
#[derive(Debug, Clone)]
pub(super) struct Lists {
    /// libdrm's list of what AMD sells its GPUs as.
    pub(super) amd: Vec<PathBuf>,
    /// The PCI ID Project's list of all devices.
    pub(super) all: Vec<PathBuf>,
}

impl Lists {
    /// Where distributions put them.
    pub(super) fn host() -> Self {
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect();
        Self {
            amd: paths(&["/usr/share/libdrm/amdgpu.ids"]),
            all: paths(&["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"]),
        }
    }

    fn name(&self, ids: Ids, vendor: Vendor) -> Option<String> {
        let find = |paths: &[PathBuf], name: &dyn Fn(&str) -> Option<String>| {
            paths.iter().find_map(|path| name(&kernel_file::text(path, MAX_NAMES_FILE)?))
        };
        let sold_as = || find(&self.amd, &|text| sold_as(text, ids));
        let listed = || find(&self.all, &|text| listed(text, ids, vendor));
        let name = (vendor == Vendor::Amd).then(sold_as).flatten().or_else(listed)?;
        Some(plain_text(&name).chars().take(MAX_NAME).collect())
    }
}

/// The name in libdrm's `amdgpu.ids`: lines of device, revision and name.
fn sold_as(text: &str, ids: Ids) -> Option<String> {
    text.lines()
        .find_map(|line| {
            let mut fields = line.splitn(3, ',').map(str::trim);
            let is_it = |field: Option<&str>, wanted: u32| {
                field.and_then(|field| u32::from_str_radix(field, 16).ok()) == Some(wanted)
            };
            let is_device = is_it(fields.next(), ids.device.into());
            (is_device && is_it(fields.next(), ids.revision?.into())).then(|| fields.next())?
        })
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

/// The name in `pci.ids`: the devices of a vendor stand below it, after a tab. What is sold stands
/// in brackets after what the makers call it.
fn listed(text: &str, ids: Ids, vendor: Vendor) -> Option<String> {
    let of_vendor = format!("{:04x} ", ids.vendor);
    let of_device = format!("\t{:04x} ", ids.device);
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&of_vendor)).skip(1);
    let below = lines.by_ref().take_while(|line| line.starts_with(['\t', '#']) || line.is_empty());
    let name = below.filter_map(|line| line.strip_prefix(&of_device)).next()?.trim();
    let sold = name.split_once('[').and_then(|(_, rest)| rest.strip_suffix(']')).unwrap_or(name);
    (!sold.is_empty()).then(|| format!("{} {sold}", vendor.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_in_one_way() {
        for (text, expected) in [
            ("0000:03:00.0", Some("0000:03:00.0")),
            ("00000000:0A:1F.7", Some("0000:0a:1f.7")),
            ("10000:e1:00.0", Some("10000:e1:00.0")),
            ("0000:03:00", None),
            ("03:00.0", None),
            ("0000:03:20.0", None),
            ("0000:03:00.8", None),
            ("0000:100:00.0", None),
            ("0000:+3:00.0", None),
            ("0000:03:00.0:1", None),
            ("0000:03:00.0 ", None),
            (":::.", None),
            ("", None),
        ] {
            let address = Address::from_str(text).ok().map(|address| address.to_string());
            assert_eq!(address.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_speed_has_a_generation() {
        for (speed, expected) in [
            ("2.5 GT/s PCIe", Some(1)),
            ("5.0 GT/s PCIe", Some(2)),
            ("8 GT/s", Some(3)),
            ("16.0 GT/s PCIe", Some(4)),
            ("32.0 GT/s PCIe", Some(5)),
            ("64.0 GT/s PCIe", Some(6)),
            ("Unknown", None),
            ("Unknown speed", None),
            ("-8.0 GT/s", None),
            ("", None),
        ] {
            assert_eq!(generation(speed), expected, "{speed:?}");
        }
    }

    const PCI_IDS: &str = "\
# A list\n\
1001  Someone\n\
\t744c  Wrong one\n\
1002  Advanced Micro Devices, Inc. [AMD/ATI]\n\
\t1586  Strix Halo [Radeon 8050S/8060S]\n\
\t744c  Navi 31 [Radeon RX 7900 XT/7900 XTX]\n\
\t\t1002 0e3b  Board\n\
\t7fff  \n\
8086  Intel Corporation\n\
\t744c  Also wrong\n\
\t5917  UHD Graphics 620\n";

    #[test]
    fn a_name_is_found_in_the_list_of_all() {
        let name = |vendor, device| {
            let ids = Ids { vendor, device, revision: None };
            listed(PCI_IDS, ids, ids.maker().expect("a maker"))
        };
        assert_eq!(name(0x1002, 0x744c).as_deref(), Some("AMD Radeon RX 7900 XT/7900 XTX"));
        assert_eq!(name(0x1002, 0x1586).as_deref(), Some("AMD Radeon 8050S/8060S"));
        assert_eq!(name(0x8086, 0x5917).as_deref(), Some("Intel UHD Graphics 620"));
        assert_eq!(name(0x1002, 0x5917), None);
        assert_eq!(name(0x1002, 0x0e3b), None);
        assert_eq!(name(0x1002, 0x7fff), None);
        assert_eq!(name(0x10de, 0x744c), None);
    }

    #[test]
    fn what_amd_sells_is_told_by_its_revision() {
        let text = "# device_id,\trevision_id,\tproduct_name\n1.0.0\n744C,\tC8,\tAMD Radeon RX 7900 \
                    XTX\n744C,\tCC,\tAMD Radeon RX 7900 XT\n744D,\n,,\n744E,\tC8,\t\n";
        let name = |device, revision| sold_as(text, Ids { vendor: 0x1002, device, revision });
        assert_eq!(name(0x744c, Some(0xc8)).as_deref(), Some("AMD Radeon RX 7900 XTX"));
        assert_eq!(name(0x744c, Some(0xcc)).as_deref(), Some("AMD Radeon RX 7900 XT"));
        assert_eq!(name(0x744c, Some(0)), None);
        assert_eq!(name(0x744c, None), None);
        assert_eq!(name(0x744d, Some(0xc8)), None);
        assert_eq!(name(0x744e, Some(0xc8)), None);
    }
}
