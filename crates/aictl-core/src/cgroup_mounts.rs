//! Where the hierarchies of control groups are mounted (cgroups(7), proc_pid_mountinfo(5)), and
//! where in them a group lies that systemd names.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

/// Where version 2 is mounted on a machine that has nothing else.
const USUAL: &str = "/sys/fs/cgroup";

/// Where to look for control groups and their processes. A hierarchy that there is not is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roots {
    /// Version 2. On a hybrid machine it has no controllers.
    pub unified: Option<Hierarchy>,
    /// systemd's own hierarchy of version 1, which holds every process.
    pub named: Option<Hierarchy>,
    /// The controller `memory` of version 1.
    pub memory: Option<Hierarchy>,
    /// The controller `cpuacct` of version 1.
    pub cpuacct: Option<Hierarchy>,
    /// The controller `pids` of version 1.
    pub pids: Option<Hierarchy>,
    /// Where proc(5) is mounted.
    pub proc: PathBuf,
}

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// The group that is mounted: `/` but in some containers.
    root: String,
    /// Where.
    point: PathBuf,
}

impl Roots {
    /// Those of this machine.
    #[must_use]
    pub fn host() -> Self {
        let proc = PathBuf::from("/proc");
        let mountinfo = fs::read_to_string(proc.join("self/mountinfo")).unwrap_or_default();
        Self::read(&mountinfo, proc)
    }

    /// Those that the text of a /proc/PID/mountinfo names.
    #[must_use]
    pub fn read(mountinfo: &str, proc: PathBuf) -> Self {
        let mut roots = Self { proc, ..Self::default() };
        for mount in mountinfo.lines().filter_map(Mount::read) {
            let Mount { hierarchy, kind, options } = mount;
            if kind == "cgroup2" {
                // Sandboxes mount it elsewhere too.
                let is_usual = hierarchy.point.starts_with(USUAL);
                if roots.unified.is_none() || is_usual {
                    roots.unified = Some(hierarchy);
                }
                continue;
            }
            for option in options.split(',') {
                let place = match option {
                    "name=systemd" => &mut roots.named,
                    "memory" => &mut roots.memory,
                    "cpuacct" => &mut roots.cpuacct,
                    "pids" => &mut roots.pids,
                    _ => continue,
                };
                place.get_or_insert_with(|| hierarchy.clone());
            }
        }
        roots
    }

    /// The number of a control group of version 2: what the kernel calls its id, and the inode of
    /// its directory. `None` if there is no such group.
    #[must_use]
    pub fn id(&self, control_group: &str) -> Option<u64> {
        let directory = self.unified.as_ref()?.directory(control_group)?;
        fs::metadata(directory).ok().map(|metadata| metadata.ino())
    }
}

impl Hierarchy {
    /// The directory of a group, as systemd names it: `/system.slice/ollama.service`. `None` if it
    /// is no such name, or is not below what is mounted. Whether it is there is not looked at.
    #[must_use]
    pub fn directory(&self, control_group: &str) -> Option<PathBuf> {
        let name = Path::new(control_group);
        let is_plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
        if !name.is_absolute() || !name.components().all(is_plain) {
            return None;
        }
        let below = name.strip_prefix(&self.root).ok()?;
        Some(self.point.join(below))
    }

    /// Where it is mounted.
    #[must_use]
    pub fn point(&self) -> &Path {
        &self.point
    }

    /// The name of the group whose directory this is: `None` if it is not in this hierarchy.
    #[must_use]
    pub fn control_group(&self, directory: &Path) -> Option<String> {
        let below = directory.strip_prefix(&self.point).ok()?;
        Path::new(&self.root).join(below).to_str().map(str::to_owned)
    }
}

/// A line of mountinfo about control groups.
struct Mount<'a> {
    hierarchy: Hierarchy,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut filesystem = filesystem.split(' ');
        let kind = filesystem.next().filter(|kind| matches!(*kind, "cgroup" | "cgroup2"))?;
        let options = filesystem.nth(1).unwrap_or_default();
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (unescape(fields.next()?)?, unescape(fields.next()?)?);
        Some(Self { hierarchy: Hierarchy { root, point: PathBuf::from(point) }, kind, options })
    }
}

/// The text without mountinfo's escapes: a blank is `\040`.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:3 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    fn at(root: &str, point: &str) -> Option<Hierarchy> {
        Some(Hierarchy { root: root.to_owned(), point: PathBuf::from(point) })
    }

    #[test]
    fn every_arrangement_is_found() {
        let read = |text: &str| Roots::read(text, PathBuf::from("/proc"));
        let proc = PathBuf::from("/proc");
        let only = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
        let unified =
            |hierarchy| Roots { unified: hierarchy, proc: proc.clone(), ..Roots::default() };
        assert_eq!(read(only), unified(at("/", "/sys/fs/cgroup")));
        let hybrid = read(HYBRID);
        assert_eq!(
            hybrid,
            Roots {
                unified: at("/", "/sys/fs/cgroup/unified"),
                named: at("/", "/sys/fs/cgroup/systemd"),
                memory: at("/", "/sys/fs/cgroup/memory"),
                cpuacct: at("/", "/sys/fs/cgroup/cpu,cpuacct"),
                pids: at("/", "/sys/fs/cgroup/pids"),
                proc: proc.clone(),
            }
        );
        let legacy: String =
            HYBRID.lines().filter(|line| !line.contains("cgroup2")).collect::<Vec<_>>().join("\n");
        assert_eq!(read(&legacy), Roots { unified: None, ..hybrid });
        // A sandbox's own mount, before or after the usual one.
        let other = "99 23 0:26 / /run/box/cg rw - cgroup2 cgroup2 rw";
        for text in [format!("{other}\n{only}"), format!("{only}\n{other}")] {
            assert_eq!(read(&text), unified(at("/", "/sys/fs/cgroup")), "{text}");
        }
        assert_eq!(read(other), unified(at("/", "/run/box/cg")));
        let escaped = "99 23 0:26 /a\\040b /run/my\\040box\\134x rw - cgroup2 cgroup2 rw";
        assert_eq!(read(escaped), unified(at("/a b", "/run/my box\\x")));
        for odd in ["", "x", " - cgroup2", "1 2 3 - cgroup2 x y", "30 23 0:26 / - cgroup2"] {
            assert_eq!(read(odd), unified(None), "{odd}");
        }
    }

    #[test]
    fn a_group_lies_below_what_is_mounted() {
        let unit = "/system.slice/ollama.service";
        let table = [
            ("/", unit, Some("/c/system.slice/ollama.service")),
            ("/", "/", Some("/c")),
            ("/system.slice", unit, Some("/c/ollama.service")),
            ("/system", unit, None),
            ("/elsewhere", unit, None),
            ("/", "system.slice", None),
            ("/", "", None),
            ("/", "/../etc", None),
            ("/", "/system.slice/../../etc", None),
        ];
        for (root, group, expected) in table {
            let hierarchy = at(root, "/c").unwrap();
            let directory = hierarchy.directory(group);
            assert_eq!(directory.as_deref(), expected.map(Path::new), "{root} {group}");
            if let Some(directory) = directory {
                assert_eq!(hierarchy.control_group(&directory).unwrap(), group.to_owned());
            }
        }
    }
}
