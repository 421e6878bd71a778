//! What each open file of a graphics card says about the memory behind it, in /proc/PID/fdinfo
//! (Documentation/gpu/drm-usage-stats.rst).

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

use nix::{
    dir::{Dir, Entry},
    errno::Errno,
    fcntl::{OFlag, readlinkat},
    sys::stat::Mode,
};

use super::pci::Address;
use crate::kernel_file;

/// The most of one file's text.
const MAX_FILE: usize = 64 * 1024;
/// The most regions of memory of one client.
const MAX_REGIONS: usize = 64;
/// The most open files that are looked at, of all processes.
const MAX_DESCRIPTORS: usize = 1 << 20;
/// The most open files of graphics cards that are read.
const MAX_CLIENTS: usize = 4096;
/// Input, output and errors, which every process has.
const STANDARD: u64 = 3;
/// Where graphics cards are, as processes open them.
const DRI: &[u8] = b"/dev/dri/";

/// A graphics card that processes may have open.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    /// Where its GPU sits.
    pub(super) gpu: Address,
    /// Its driver.
    pub(super) driver: String,
    /// Whether its memory is the host's own memory.
    pub(super) shared: bool,
}

/// What was found in all processes that may be looked at.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Bytes of memory by GPU and process; `None` where the driver does not tell.
    pub(super) memory: BTreeMap<(Address, u32), Option<u64>>,
    /// Whether processes can be listed at all.
    pub(super) listed: bool,
    /// Whether there are processes that may not be looked at.
    pub(super) hidden: bool,
    /// Whether there was more than is ever looked at.
    pub(super) cut: bool,
}

/// Looks for processes that have one of these cards open, which go by names such as `renderD128`.
pub(super) fn scan(proc: &Path, cards: &HashMap<String, Opened>) -> Scan {
    let mut scan = Scan::default();
    let Ok(entries) = fs::read_dir(proc) else {
        return scan;
    };
    scan.listed = true;
    let names = entries.map_while(Result::ok).map(|entry| entry.file_name());
    let mut pids: Vec<u32> = names.filter_map(|name| number(&name)).collect();
    // The one who opened a card comes before those that it is handed down to.
    pids.sort_unstable();
    // Where others are not shown at all, the first process is not either (proc(5), `hidepid`).
    scan.hidden = pids.first() != Some(&1);

    let mut clients = HashSet::new();
    let (mut descriptors, mut read) = (0, 0);
    for pid in pids {
        let of_process = match opened(proc, pid, cards, &mut descriptors) {
            Ok(of_process) => of_process,
            Err(error) => {
                // Gone in the meantime is no news.
                scan.hidden |= matches!(error, Errno::EACCES | Errno::EPERM);
                continue;
            }
        };
        for (descriptor, card) in of_process {
            read += 1;
            if read > MAX_CLIENTS {
                break;
            }
            let path = proc.join(format!("{pid}/fdinfo/{descriptor}"));
            let Some(client) =
                kernel_file::text(&path, MAX_FILE).as_deref().and_then(Client::parse)
            else {
                continue;
            };
            let gpu = client.gpu.unwrap_or(card.gpu);
            // One client can have many descriptors, in several processes; it counts once. Without
            // its number it cannot be told, and counts once in each.
            let key = client.id.map_or((gpu, Some(pid), 0), |id| (gpu, None, id));
            if gpu == card.gpu && clients.insert(key) {
                let sum = scan.memory.entry((gpu, pid)).or_default();
                *sum = match (*sum, client.memory(&card.driver, card.shared)) {
                    (Some(sum), Some(bytes)) => Some(sum.saturating_add(bytes)),
                    (sum, bytes) => sum.or(bytes),
                };
            }
        }
        scan.cut = descriptors > MAX_DESCRIPTORS || read > MAX_CLIENTS;
        if scan.cut {
            break;
        }
    }
    scan
}

/// The descriptors of a process that are open cards.
fn opened<'a>(
    proc: &Path,
    pid: u32,
    cards: &'a HashMap<String, Opened>,
    descriptors: &mut usize,
) -> Result<Vec<(u32, &'a Opened)>, Errno> {
    let path = proc.join(format!("{pid}/fd"));
    // The kernel says how many there are (Linux 6.2; 0 before), which costs much less than to look
    // at them: most processes have nothing but what they were started with.
    let count = fs::metadata(&path).map_or(0, |directory| directory.size());
    if (1..=STANDARD).contains(&count) {
        return Ok(Vec::new());
    }
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut directory = Dir::open(&path, flags, Mode::empty())?;
    let name =
        |entry: nix::Result<Entry>| number(OsStr::from_bytes(entry.ok()?.file_name().to_bytes()));
    let mut numbers: Vec<u32> = directory.iter().filter_map(name).collect();
    numbers.sort_unstable();
    *descriptors += numbers.len();
    let opened = |number: u32| {
        let target = readlinkat(&directory, number.to_string().as_str()).ok()?;
        let name = target.as_bytes().strip_prefix(DRI)?;
        Some((number, cards.get(str::from_utf8(name).ok()?)?))
    };
    Ok(numbers.into_iter().filter_map(opened).collect())
}

fn number(name: &OsStr) -> Option<u32> {
    name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

/// What one open file says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Client {
    gpu: Option<Address>,
    id: Option<u64>,
    regions: BTreeMap<String, Region>,
}

/// Bytes in one region of memory, each as the driver tells it or not.
#[derive(Debug, Default, PartialEq, Eq)]
struct Region {
    resident: Option<u64>,
    /// What older kernels call resident.
    memory: Option<u64>,
    /// Asked for, whether there is memory behind it or not.
    total: Option<u64>,
}

impl Client {
    /// Reads the text; `None` if it is none of a graphics card.
    fn parse(text: &str) -> Option<Self> {
        let mut client = Self::default();
        let mut is_card = false;
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else { continue };
            let (Some(key), value) = (key.trim_end().strip_prefix("drm-"), value.trim()) else {
                continue;
            };
            is_card = true;
            match key {
                "pdev" if client.gpu.is_none() => client.gpu = value.parse().ok(),
                "client-id" if client.id.is_none() => client.id = value.parse().ok(),
                _ => client.add_region(key, value),
            }
        }
        is_card.then_some(client)
    }

    fn add_region(&mut self, key: &str, value: &str) {
        type Field = fn(&mut Region) -> &mut Option<u64>;
        let kinds: [(&str, Field); 3] = [
            ("resident-", |region| &mut region.resident),
            ("memory-", |region| &mut region.memory),
            ("total-", |region| &mut region.total),
        ];
        for (prefix, field) in kinds {
            let Some(name) = key.strip_prefix(prefix) else { continue };
            // xe counts cycles under a key that begins in the same way.
            if name.starts_with("cycles-") || self.regions.len() == MAX_REGIONS {
                return;
            }
            let field = field(self.regions.entry(name.to_owned()).or_default());
            // What is said twice, counts as it was said first.
            *field = field.or_else(|| bytes(value));
        }
    }

    /// How much memory of the GPU the client has.
    fn memory(&self, driver: &str, shared: bool) -> Option<u64> {
        let of_gpu = |(name, region): (&String, &Region)| {
            let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
            let counts = match (driver, shared) {
                ("amdgpu", true) => matches!(stem, "vram" | "gtt"),
                ("i915", true) => stem == "system",
                ("i915", false) => stem == "local",
                ("xe", true) => stem == "gtt",
                _ => stem == "vram",
            };
            counts.then(|| region.resident.or(region.memory).or(region.total))?
        };
        self.regions.iter().filter_map(of_gpu).reduce(u64::saturating_add)
    }
}

/// A number of bytes with its unit.
fn bytes(value: &str) -> Option<u64> {
    let mut words = value.split_ascii_whitespace();
    let number: u64 = words.next()?.parse().ok()?;
    let unit = match words.next() {
        None => 1,
        Some("KiB") => 1 << 10,
        Some("MiB") => 1 << 20,
        Some("GiB") => 1 << 30,
        Some(_) => return None,
    };
    number.checked_mul(unit).filter(|_| words.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As an example in the driver's documentation.
    const XE: &str = "\
pos:\t0\nflags:\t0100002\nmnt_id:\t26\nino:\t685\ndrm-driver:\txe\ndrm-client-id:\t3\n\
drm-pdev:\t0000:03:00.0\ndrm-total-system:\t0\ndrm-resident-system:\t0\n\
drm-total-gtt:\t192 KiB\ndrm-resident-gtt:\t192 KiB\ndrm-total-vram0:\t23992 KiB\n\
drm-shared-vram0:\t16 MiB\ndrm-active-vram0:\t0\ndrm-resident-vram0:\t23 MiB\n\
drm-cycles-rcs:\t28257900\ndrm-total-cycles-rcs:\t7655183225\n";

    fn memory(text: &str, driver: &str, shared: bool) -> Option<u64> {
        Client::parse(text)?.memory(driver, shared)
    }

    #[test]
    fn a_client_says_who_it_is_and_what_it_has() {
        let client = Client::parse(XE).expect("a client");
        assert_eq!(client.gpu.map(|gpu| gpu.to_string()).as_deref(), Some("0000:03:00.0"));
        assert_eq!(client.id, Some(3));
        assert_eq!(client.regions.keys().collect::<Vec<_>>(), ["gtt", "system", "vram0"]);
        assert_eq!(client.memory("xe", false), Some(23 << 20));
        assert_eq!(client.memory("xe", true), Some(192 << 10));
    }

    #[test]
    fn each_driver_has_its_own_words_for_the_memory_of_the_gpu() {
        let amd = "drm-memory-vram:\t100 KiB\ndrm-memory-gtt: \t10 KiB\ndrm-memory-cpu: \t1 KiB\n";
        assert_eq!(memory(amd, "amdgpu", false), Some(100 << 10));
        assert_eq!(memory(amd, "amdgpu", true), Some(110 << 10));
        let intel = "drm-resident-system0:\t7 MiB\ndrm-resident-local0:\t5 MiB\n\
                     drm-resident-local1:\t6 MiB\n";
        assert_eq!(memory(intel, "i915", false), Some(11 << 20));
        assert_eq!(memory(intel, "i915", true), Some(7 << 20));
        assert_eq!(memory("drm-resident-vram:\t3\n", "nouveau", false), Some(3));
    }

    #[test]
    fn what_is_there_counts_before_what_was_asked_for() {
        let both = "drm-total-vram:\t9\ndrm-memory-vram:\t5\ndrm-resident-vram:\t4\n";
        for (text, expected) in [
            (both, Some(4)),
            ("drm-total-vram:\t9\ndrm-memory-vram:\t5\n", Some(5)),
            ("drm-total-vram:\t9\n", Some(9)),
            ("drm-resident-vram:\t0\ndrm-total-vram:\t9\n", Some(0)),
            ("drm-resident-gtt:\t9\n", None),
            ("drm-resident-vram:\tmany\ndrm-total-vram:\t9\n", Some(9)),
        ] {
            assert_eq!(memory(text, "amdgpu", false), expected, "{text}");
        }
    }

    #[test]
    fn odd_contents_are_harmless() {
        let maximum = format!("drm-resident-vram0: {0}\ndrm-resident-vram1: {0}", u64::MAX);
        for (text, expected) in [
            ("drm-resident-vram: -1", None),
            ("drm-resident-vram: 1 TiB", None),
            ("drm-resident-vram: 1 KiB KiB", None),
            ("drm-resident-vram: 18446744073709551615 KiB", None),
            ("drm-resident-vram: 99999999999999999999999", None),
            ("drm-resident-vram:", None),
            ("drm-resident-vram: 1\ndrm-resident-vram: 2", Some(1)),
            ("drm-resident-vram : 1", Some(1)),
            ("drm-: 1\ndrm-resident-: 1\n:\n::\n", None),
            ("drm-total-cycles-vram: 1", None),
            (&maximum, Some(u64::MAX)),
        ] {
            assert_eq!(memory(text, "amdgpu", false), expected, "{text}");
        }
        assert_eq!(Client::parse("pos:\t0\nflags:\t02\n"), None);
        assert_eq!(Client::parse("\u{0}\u{fffd}\n\n"), None);
        assert_eq!(Client::parse("drm-pdev: x\ndrm-client-id: -3"), Some(Client::default()));
        let many: String = (0..1000).map(|i| format!("drm-total-r{i}: 1\n")).collect();
        assert_eq!(Client::parse(&many).map(|client| client.regions.len()), Some(MAX_REGIONS));
    }

    #[test]
    fn bytes_have_units() {
        for (text, expected) in [
            ("0", Some(0)),
            ("17", Some(17)),
            ("2 KiB", Some(2048)),
            ("3 MiB", Some(3 << 20)),
            ("1 GiB", Some(1 << 30)),
            ("1 kB", None),
            ("1.5 MiB", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
