//! NVIDIA's library: finding it, and saying why it does not work.

use std::{ffi::OsStr, path::Path};

use nvml_wrapper::{Nvml, error::NvmlError};

/// Where the library is: as the system's linker finds it, then where some systems keep it.
const LIBRARIES: [&str; 4] = [
    "libnvidia-ml.so.1",
    "libnvidia-ml.so",
    // Windows Subsystem for Linux.
    "/usr/lib/wsl/lib/libnvidia-ml.so.1",
    // NixOS.
    "/run/opengl-driver/lib/libnvidia-ml.so.1",
];

/// Loads the library and initialises it, without any GPU yet.
///
/// # Errors
/// Why that cannot be done, as a note.
pub fn open(library: Option<&Path>) -> Result<Nvml, String> {
    let all = LIBRARIES.map(OsStr::new);
    let one = library.map(|path| [path.as_os_str()]);
    for name in one.as_ref().map_or(&all[..], |one| &one[..]) {
        match Nvml::builder().lib_path(name).init() {
            Ok(nvml) => return Ok(nvml),
            Err(error) if is_absent(name, &error) => {}
            Err(error) => return Err(note(name, &error)),
        }
    }
    Err("NVIDIA's library libnvidia-ml.so.1 is not installed: install the one of the driver \
         (on Debian the package libnvidia-ml1)."
        .to_owned())
}

/// Whether there is no such file, by the words of the dynamic linker.
fn is_absent(name: &OsStr, error: &NvmlError) -> bool {
    // A library that it needs in its turn would be named in its place.
    let words = format!("{}: cannot open shared object file: No such file", name.display());
    matches!(error, NvmlError::LibloadingError(error) if error.to_string().starts_with(&words))
}

/// Why the library, which is there, does not work, with what to do about it.
fn note(name: &OsStr, error: &NvmlError) -> String {
    let name = name.display();
    match error {
        NvmlError::LibloadingError(error) => {
            format!("NVIDIA's library cannot be loaded ({error}): install the driver anew.")
        }
        NvmlError::FailedToLoadSymbol(_) => {
            format!("{name} is no library of NVIDIA's driver: install the driver anew.")
        }
        NvmlError::DriverNotLoaded => "NVIDIA's driver is not loaded: `modprobe nvidia` loads \
             it, and `journalctl -k --grep=nvidia` may say why it was not."
            .to_owned(),
        NvmlError::LibRmVersionMismatch => "NVIDIA's driver in the kernel and its library are \
             of different versions, as after an update: reboot, or unload and load the nvidia \
             modules."
            .to_owned(),
        NvmlError::NoPermission => "NVIDIA's driver may not be asked by this user: look who may \
             open /dev/nvidiactl and /dev/nvidia0."
            .to_owned(),
        NvmlError::GpuLost => format!("An NVIDIA GPU {}", lost()),
        error => unexpected(error),
    }
}

/// What to say of a GPU that is not there any more.
pub fn lost() -> &'static str {
    "fell off the bus: reboot, and look for Xid in `journalctl -k --grep=NVRM`."
}

/// The note for any other error.
pub fn unexpected(error: &NvmlError) -> String {
    format!(
        "NVIDIA's driver does not answer as it should ({error}): `journalctl -k --grep=NVRM` may \
         say why."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_has_words_and_a_next_step_of_its_own() {
        let name = OsStr::new("libnvidia-ml.so.1");
        let mut notes = Vec::new();
        for (error, word) in [
            (NvmlError::DriverNotLoaded, "modprobe"),
            (NvmlError::LibRmVersionMismatch, "reboot"),
            (NvmlError::NoPermission, "/dev/nvidiactl"),
            (NvmlError::GpuLost, "Xid"),
            (NvmlError::FailedToLoadSymbol(String::new()), "anew"),
            (NvmlError::Unknown, "internal driver error"),
            (NvmlError::UnexpectedVariant(77), "77"),
        ] {
            let note = note(name, &error);
            assert!(note.contains(word), "{note}");
            assert!(!notes.contains(&note), "{note}");
            notes.push(note);
        }
    }
}
