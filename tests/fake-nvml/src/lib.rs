//! A library that answers like NVIDIA's `libnvidia-ml.so.1` on a machine that a script describes.
//!
//! It is written from NVIDIA's documentation (nvml.h and the NVML API reference), and is as strict:
//! who asks before `nvmlInit`, with a null pointer, a handle that is none, a buffer that is too
//! small or a structure of another version is told so. It has the functions that aictl uses.
//!
//! # The script
//!
//! It is a JSON file, found at the first of:
//! 1. where the environment variable `FAKE_NVML` says;
//! 2. beside the library: its file name with `.json` added;
//! 3. `/etc/fake-nvml.json`.
//!
//! It is read when the library is used for the first time in a process. Without one, NVML answers
//! that no driver is loaded, as the real one does on a machine without.
//!
//! ```json
//! {
//!   "calls": {"SystemGetDriverVersion": "580.95.05"},
//!   "gpus": [
//!     {
//!       "bus_id": "00000000:01:00.0",
//!       "lost_after": 9,
//!       "calls": {
//!         "Name": "NVIDIA GeForce RTX 4090",
//!         "Temperature": [41, 43, {"error": "GPU_IS_LOST"}],
//!         "PowerUsage": {"hang": true},
//!         "ComputeRunningProcesses": {"processes": [{"pid": 4711, "memory": 7900000000}]}
//!       },
//!       "mig": [{"calls": {"ComputeRunningProcesses": {"processes": []}}}]
//!     }
//!   ]
//! }
//! ```
//!
//! The calls of a GPU are named as NVML names them, without `nvmlDeviceGet` and without a version;
//! those of the whole without `nvml`: `Init`, `Shutdown`, `SystemGetDriverVersion`,
//! `DeviceGetCount`. What a call answers:
//! - a number, a string, or an object with the names in the table below;
//! - `{"bytes": [255, 27]}`: a string of these bytes;
//! - `{"error": "NOT_SUPPORTED"}`: an error by its name in nvml.h without `NVML_ERROR_`, or a number;
//! - `{"hang": true}`: nothing, ever;
//! - a list of these: the first call gets the first, and so on; later ones get the last.
//!
//! Beside `calls` and `gpus` there can be `"print": "…"`, which `nvmlInit` writes to standard output,
//! as libraries should not; and `"log": "/…"`, a file to which a line is added for each call that
//! gets as far as the script, such as `Init`, `0 Temperature` or `0/1 ComputeRunningProcesses`: the
//! GPU, the instance that it is divided into, and the call.
//!
//! A call of a GPU that is not in the script is `NOT_SUPPORTED`. A GPU with `lost_after` answers so
//! many calls, and `GPU_IS_LOST` from then on.
//!
//! | call | answer |
//! |---|---|
//! | `HandleByIndex`, `HandleByPciBusId` | only `error` or `hang`; otherwise they work |
//! | `PciInfo` | the same; otherwise what `bus_id` says |
//! | `MemoryInfo` | `{"total", "reserved", "used"}`, in bytes |
//! | `UtilizationRates` | `{"gpu", "memory"}`, in percent |
//! | `ClockInfo` | `{"graphics", "memory"}`, in MHz |
//! | `FanSpeed`, `FanSpeedRPM` | `{"fans": […]}` |
//! | `EccMode`, `MigMode` | `{"current", "pending"}`, 0 or 1 |
//! | `TotalEccErrors` | `{"corrected", "uncorrected"}` |
//! | `MaxMigDeviceCount` | works if there is a `mig`, or else as the script says |
//! | `ComputeRunningProcesses`, `GraphicsRunningProcesses`, `MPSComputeRunningProcesses` | `{"processes": […]}` |
//!
//! A process is `{"pid", "memory"}`; without `memory`, NVML does not know how much it has. In the
//! place of `pid` can stand `"pid_of_comm": "ollama"` or `"pids_of_unit_cgroup":
//! "/system.slice/ollama.service"`: every process of this name, or in this control group or below,
//! at the time of the call. These are looked for in `/proc`, as whoever uses the library sees it.

mod code;
mod exports;
mod layout;
mod process;
mod script;
mod state;

/// The name that the shared object has beside the programs of the tests.
pub const FILE_NAME: &str = "libaictl_fake_nvml.so";
