//! The vm tier: the same Debian on a kernel of its own, under qemu without KVM, for what a container
//! cannot show: control groups that limit, AppArmor, and the kernel's knobs.
//!
//! The image is a disk that is made once, and that no run changes. A second disk brings what is
//! tested and the tests, which run inside.

mod boot;
mod payload;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::image::{self, Image};
use super::{file, plain_command};
use crate::args::TestOptions;
use crate::debian::{self, Need};
use crate::failure::Failure;
use crate::workspace::{self, Workspace};

/// Programs without which there is no virtual machine.
pub const NEEDS: &[Need] = &[
    Need { program: "mmdebstrap", package: "mmdebstrap" },
    Need { program: QEMU, package: "qemu-system-x86" },
    Need { program: "mke2fs", package: "e2fsprogs" },
    Need { program: "strip", package: "binutils" },
    Need { program: "setpriv", package: "util-linux" },
];

const QEMU: &str = "qemu-system-x86_64";

/// The size of the image's disk; what nothing is written to takes no place.
const IMAGE_SIZE: u64 = 4 << 30;
/// The size of the other one: programs with what finds their faults, at the most.
const PAYLOAD_SIZE: u64 = 1 << 30;

/// What the machine is made of. At the end of its boot it starts what the second disk brings, and
/// ends with it; see systemd.service(5).
const IMAGE: Image = Image {
    suite: "trixie",
    base: image::SMALL,
    fetched: &[],
    packages: &["linux-image-cloud-amd64", "apparmor"],
    apt: &[],
    hooks: &[
        "cat > \"$1/etc/systemd/system/payload.service\" <<'END'
[Unit]
After=multi-user.target
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'mount -o ro /dev/vdb /mnt && sh /mnt/start; echo payload ended: $$?'
Delegate=yes
DelegateSubgroup=tests
StandardOutput=tty
StandardError=inherit
TTYPath=/dev/ttyS1
END",
        "mkdir -p \"$1/etc/systemd/system/graphical.target.wants\" \
         && ln -s ../payload.service \"$1/etc/systemd/system/graphical.target.wants/\"",
    ],
};

/// Runs the tier; returns what could not be run.
///
/// # Errors
/// A failure if the machine does not come up, or if a test fails.
pub fn run(workspace: &Workspace, options: &TestOptions) -> Result<Vec<String>, Failure> {
    if !cfg!(target_arch = "x86_64") {
        return Ok(vec!["all of it: the machine that is emulated is an x86_64".to_owned()]);
    }
    if !debian::is_root() {
        return Ok(vec!["all of it: only root can make the machine's disk".to_owned()]);
    }
    if let Some(need) = NEEDS.iter().find(|need| !debian::is_installed(need.program)) {
        return Ok(vec![format!("all of it, without {}", need.program)]);
    }
    super::build(workspace, options)?;
    let directory = workspace.target.join("machine");
    let image = image::provide(&IMAGE, &directory)?;
    let disk = image.with_extension("ext4");
    if !disk.exists() {
        make_disk(&image, IMAGE_SIZE, &disk)?;
    }
    let staging = directory.join("vm-payload");
    payload::stage(workspace, options, &staging)?;
    let second = staging.with_extension("ext4");
    make_disk(&staging, PAYLOAD_SIZE, &second)?;
    let boot = image.join("boot");
    let machine = boot::Hardware {
        kernel: starting_with(&boot, "vmlinuz-")?,
        initrd: starting_with(&boot, "initrd.img-")?,
        disks: [disk, second],
    };
    machine.run(&directory.join("vm-console.log")).map(|()| Vec::new())
}

/// Makes a file with a file system that holds what is in `from`, in one step.
fn make_disk(from: &Path, size: u64, disk: &Path) -> Result<(), Failure> {
    let new = disk.with_extension("new");
    let made = File::create(&new).and_then(|disk| disk.set_len(size));
    made.map_err(|error| file("cannot make", &new, error))?;
    let mut command = plain_command("mke2fs");
    command.args(["-q", "-t", "ext4", "-m", "0", "-d"]).arg(from).arg(&new);
    workspace::run(command, "mke2fs")?;
    fs::rename(&new, disk).map_err(|error| file("cannot make", disk, error))
}

/// The one file in `directory` whose name starts with `start`.
fn starting_with(directory: &Path, start: &str) -> Result<PathBuf, Failure> {
    let files = fs::read_dir(directory).map_err(|error| file("cannot read", directory, error))?;
    let mut paths = files.flatten().map(|entry| entry.path());
    let is_it = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start))
    };
    paths
        .find(is_it)
        .ok_or_else(|| Failure::Machine(format!("the image has no {start}* in its /boot")))
}
