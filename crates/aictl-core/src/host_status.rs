//! The machine in numbers: its name, load and memory, as proc(5) and sysfs(5) tell them.

use std::path::Path;

use aictl_api::status::{HelperState, HostStatus};

use crate::{kernel_file, plain_text::plain_text};

/// The most bytes of each of these files.
const MAX_FILE: usize = 64 << 10;
/// The most characters of a name: HOST_NAME_MAX of Linux.
const MAX_NAME: usize = 64;

/// How the machine is whose proc(5) and sysfs(5) are mounted there. What they do not say is
/// unknown.
#[must_use]
pub fn host_status(proc: &Path, sys: &Path, helper: Option<HelperState>) -> HostStatus {
    let text = |path: &str| kernel_file::text(&proc.join(path), MAX_FILE);
    let memory = text("meminfo").unwrap_or_default();
    HostStatus {
        hostname: text("sys/kernel/hostname").as_deref().and_then(name),
        kernel: text("sys/kernel/osrelease").as_deref().and_then(name),
        cpus: kernel_file::text(&sys.join("devices/system/cpu/online"), MAX_FILE)
            .and_then(|list| cpus(&list)),
        load: text("loadavg").and_then(|text| load(&text)),
        memory_total_bytes: memory_field(&memory, "MemTotal"),
        memory_available_bytes: memory_field(&memory, "MemAvailable"),
        uptime_seconds: text("uptime").and_then(|text| uptime(&text)),
        helper,
    }
}

/// A name as it may stand on a terminal; `None` if there is none.
fn name(text: &str) -> Option<String> {
    let name: String = plain_text(text).chars().take(MAX_NAME).collect();
    (!name.is_empty() && name != "(none)").then_some(name)
}

/// How many CPUs a list names: `0-3,6` are five (cpuset(7), "List format").
fn cpus(list: &str) -> Option<u32> {
    list.split(',').try_fold(0_u32, |count, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        count.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

/// The load averages at the beginning of /proc/loadavg.
fn load(text: &str) -> Option<[f64; 3]> {
    let mut averages = text.split(' ').map(number);
    Some([averages.next()??, averages.next()??, averages.next()??])
}

/// The seconds at the beginning of /proc/uptime.
fn uptime(text: &str) -> Option<u64> {
    let (seconds, _idle) = text.split_once('.')?;
    seconds.parse().ok()
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

/// The bytes behind a key of /proc/meminfo.
fn memory_field(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let kib: u64 = value.strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_counted() {
        let table = [
            ("0", Some(1)),
            ("0-3", Some(4)),
            ("0-3,6", Some(5)),
            ("1,3,5-6", Some(4)),
            ("", None),
            ("x", None),
            ("3-1", None),
            ("0-4294967295", None),
            ("0-4294967294,0-4294967294", None),
            ("-1", None),
        ];
        for (list, count) in table {
            assert_eq!(cpus(list), count, "{list}");
        }
    }

    #[test]
    fn numbers_are_read_or_unknown() {
        assert_eq!(load("0.52 1.00 12.25 2/345 6789"), Some([0.52, 1.0, 12.25]));
        for odd in ["", "0.5 1.0", "0.5 x 1.0", "nan 0 0", "-1 0 0", "inf 0 0"] {
            assert_eq!(load(odd), None, "{odd}");
        }
        assert_eq!(uptime("12345.67 20000.00"), Some(12345));
        for odd in ["", "12345", "-1.0 0", "x.0"] {
            assert_eq!(uptime(odd), None, "{odd}");
        }
        let memory = "MemTotal:       16336908 kB\nMemFree: 1 kB\nMemAvailable:   99 kB\nHugePages_Total:       7\n";
        assert_eq!(memory_field(memory, "MemTotal"), Some(16_336_908 << 10));
        assert_eq!(memory_field(memory, "MemAvailable"), Some(99 << 10));
        for absent in ["Mem", "SwapTotal", "HugePages_Total"] {
            assert_eq!(memory_field(memory, absent), None, "{absent}");
        }
        assert_eq!(memory_field("MemTotal: 18446744073709551615 kB", "MemTotal"), None);
    }

    #[test]
    fn a_name_does_not_act_on_a_terminal() {
        assert_eq!(name("box-1").as_deref(), Some("box-1"));
        assert_eq!(name("a\u{1b}[31mb\u{202e}").as_deref(), Some("ab"));
        assert_eq!(name(&"x".repeat(500)).map(|name| name.len()), Some(MAX_NAME));
        assert_eq!(name(""), None);
        assert_eq!(name("(none)"), None);
    }

    #[test]
    fn this_machine_is_read_and_one_without_files_is_unknown() {
        let here = host_status(Path::new("/proc"), Path::new("/sys"), None);
        assert!(here.hostname.is_some() && here.kernel.is_some());
        assert!(here.memory_total_bytes > here.memory_available_bytes);
        assert!(here.uptime_seconds.is_some() && here.load.is_some());
        assert!(here.cpus.is_none_or(|cpus| cpus > 0));
        let nowhere = Path::new("/nonexistent");
        let unknown = host_status(nowhere, nowhere, Some(HelperState::Running));
        assert_eq!(unknown, HostStatus::new(Some(HelperState::Running)));
    }
}
