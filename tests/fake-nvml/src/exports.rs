//! The functions of nvml.h, as C sees them.
//!
//! A pointer that may be null is an `Option` of a reference, which looks the same to C; the header
//! asks of every caller that a pointer which is not null is good for what it points to.
#![allow(unsafe_code, reason = "names that C finds, and buffers of C")]
#![allow(non_snake_case, reason = "the names are NVML's")]

use std::ffi::{CStr, c_char, c_uint, c_ulonglong};
use std::mem::MaybeUninit;
use std::path::Path;
use std::slice;

use serde_json::{Value, json};

use crate::code::Code;
use crate::layout::{self, FanSpeedInfo, Memory, PciInfo, ProcessInfo, Utilization};
use crate::script::wrong;
use crate::{process, state};

/// Where a result goes; it need not hold anything yet.
type Out<'a, T> = Option<&'a mut MaybeUninit<T>>;
/// `nvmlDevice_t`.
type Handle = usize;

/// The return value for what a function came to.
fn returned(result: Result<(), Code>) -> Code {
    result.err().unwrap_or(Code::SUCCESS)
}

/// The place for a result. Like the real library, it asks first whether it is initialised.
fn place<'a, T>(out: Out<'a, T>) -> Result<&'a mut MaybeUninit<T>, Code> {
    state::check_initialised()?;
    out.ok_or(Code::INVALID_ARGUMENT)
}

/// A number of the script as the type of the function's result.
fn number<T: TryFrom<u64>>(value: &Value) -> Result<T, Code> {
    let number = value.as_u64().and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| wrong(&format!("no number, or too large: {value}")))
}

/// A number of an object of the script.
fn part<T: TryFrom<u64>>(value: &Value, name: &str) -> Result<T, Code> {
    number(value.get(name).unwrap_or(&Value::Null))
}

/// What the script says about a device, for calls without a default.
fn ask(device: Handle, call: &str) -> Result<Value, Code> {
    state::ask_device(device, call, |_| None).map(|(_, value)| value)
}

/// A function with one number as its result, which is what the script says.
fn number_of<T: TryFrom<u64>>(device: Handle, call: &str, out: Out<'_, T>) -> Code {
    returned(place(out).and_then(|out| {
        out.write(number(&ask(device, call)?)?);
        Ok(())
    }))
}

/// The bytes of a string of the script.
fn bytes(value: &Value) -> Result<Vec<u8>, Code> {
    if let Some(text) = value.as_str() {
        return Ok(text.as_bytes().to_vec());
    }
    let list = value.get("bytes").and_then(Value::as_array);
    let list = list.ok_or_else(|| wrong(&format!("no string: {value}")))?;
    list.iter().map(number).collect()
}

/// Writes a string of the script into a buffer of the caller, with a zero at its end.
///
/// # Safety
/// `buffer` is null, or good for `length` bytes.
unsafe fn write_string(
    buffer: *mut c_char,
    length: c_uint,
    value: impl FnOnce() -> Result<Value, Code>,
) -> Code {
    let write = || {
        state::check_initialised()?;
        if buffer.is_null() {
            return Err(Code::INVALID_ARGUMENT);
        }
        let text = bytes(&value()?)?;
        let length = usize::try_from(length).unwrap_or(0);
        if text.len() >= length {
            return Err(Code::INSUFFICIENT_SIZE);
        }
        // SAFETY: not null, and so good for `length` bytes, as the caller promises.
        let buffer = unsafe { slice::from_raw_parts_mut(buffer.cast::<MaybeUninit<u8>>(), length) };
        for (to, byte) in buffer.iter_mut().zip(text.into_iter().chain([0])) {
            to.write(byte);
        }
        Ok(())
    };
    returned(write())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlInit_v2() -> Code {
    returned(state::init())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlShutdown() -> Code {
    returned(state::shut_down())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlErrorString(code: Code) -> *const c_char {
    let text: &CStr = match code {
        Code::SUCCESS => c"The operation was successful",
        Code::NOT_SUPPORTED => c"Not Supported",
        Code::DRIVER_NOT_LOADED => c"Driver Not Loaded",
        Code::GPU_IS_LOST => c"GPU is lost",
        _ => c"Unknown Error",
    };
    text.as_ptr()
}

/// # Safety
/// `version` is null, or good for `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlSystemGetDriverVersion(version: *mut c_char, length: c_uint) -> Code {
    let value = || state::ask("SystemGetDriverVersion", |_| json!("580.95.05"));
    // SAFETY: the caller promises the same.
    unsafe { write_string(version, length, value) }
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCount_v2(count: Out<'_, c_uint>) -> Code {
    returned(place(count).and_then(|count| {
        count.write(number(&state::ask("DeviceGetCount", |gpus| json!(gpus.len()))?)?);
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, device: Out<'_, Handle>) -> Code {
    let is_wanted = |place: usize, _: &Value| u32::try_from(place) == Ok(index);
    returned(place(device).and_then(|device| {
        device.write(state::handle("HandleByIndex", is_wanted, Code::INVALID_ARGUMENT)?);
        Ok(())
    }))
}

/// # Safety
/// `bus_id` is null, or a string with a zero at its end.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetHandleByPciBusId_v2(
    bus_id: *const c_char,
    device: Out<'_, Handle>,
) -> Code {
    returned(place(device).and_then(|device| {
        if bus_id.is_null() {
            return Err(Code::INVALID_ARGUMENT);
        }
        // SAFETY: not null, and so a string with an end, as the caller promises.
        let text = unsafe { CStr::from_ptr(bus_id) };
        let wanted = text.to_str().ok().and_then(address).ok_or(Code::INVALID_ARGUMENT)?;
        let is_wanted = |_: usize, gpu: &Value| address(bus_id_of(gpu)) == Some(wanted);
        device.write(state::handle("HandleByPciBusId", is_wanted, Code::NOT_FOUND)?);
        Ok(())
    }))
}

/// A GPU's place on the bus, by its entry in the script.
fn bus_id_of(gpu: &Value) -> &str {
    gpu.get("bus_id").and_then(Value::as_str).unwrap_or_default()
}

/// Domain, bus and device of `domain:bus:device.function`, whatever the number of leading zeros.
fn address(text: &str) -> Option<[u32; 3]> {
    let (domain, rest) = text.split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (device, _) = rest.split_once('.')?;
    let hex = |text: &str| u32::from_str_radix(text, 16).ok();
    Some([hex(domain)?, hex(bus)?, hex(device)?])
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPciInfo_v3(device: Handle, pci: Out<'_, PciInfo>) -> Code {
    returned(place(pci).and_then(|pci| {
        let (_, value) = state::ask_device(device, "PciInfo", |gpu| Some(json!(bus_id_of(gpu))))?;
        let text = bytes(&value)?;
        let [domain, bus, device] =
            std::str::from_utf8(&text).ok().and_then(address).unwrap_or_default();
        let mut info = PciInfo {
            bus_id_legacy: [0; 16],
            domain,
            bus,
            device,
            pci_device_id: 0x2684_10de,
            pci_sub_system_id: 0,
            bus_id: [0; 32],
        };
        // One less, so that the zero at the end stays.
        for (to, byte) in info.bus_id[..31].iter_mut().zip(text) {
            *to = c_char::from_ne_bytes([byte]);
        }
        pci.write(info);
        Ok(())
    }))
}

/// # Safety
/// `name` is null, or good for `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetName(device: Handle, name: *mut c_char, length: c_uint) -> Code {
    // SAFETY: the caller promises the same.
    unsafe { write_string(name, length, || ask(device, "Name")) }
}

/// # Safety
/// `uuid` is null, or good for `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetUUID(device: Handle, uuid: *mut c_char, length: c_uint) -> Code {
    // SAFETY: the caller promises the same.
    unsafe { write_string(uuid, length, || ask(device, "UUID")) }
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: Handle, memory: Option<&mut Memory>) -> Code {
    let fill = || {
        state::check_initialised()?;
        let memory = memory.ok_or(Code::INVALID_ARGUMENT)?;
        if memory.version != layout::version::<Memory>(2) {
            return Err(Code::ARGUMENT_VERSION_MISMATCH);
        }
        let value = ask(device, "MemoryInfo")?;
        memory.total = part(&value, "total")?;
        memory.reserved = part(&value, "reserved")?;
        memory.used = part(&value, "used")?;
        memory.free = memory.total.saturating_sub(memory.reserved + memory.used);
        Ok(())
    };
    returned(fill())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetUtilizationRates(device: Handle, out: Out<'_, Utilization>) -> Code {
    returned(place(out).and_then(|out| {
        let value = ask(device, "UtilizationRates")?;
        out.write(Utilization { gpu: part(&value, "gpu")?, memory: part(&value, "memory")? });
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTemperature(
    device: Handle,
    sensor: c_uint,
    temperature: Out<'_, c_uint>,
) -> Code {
    // NVML_TEMPERATURE_GPU is the only sensor.
    if sensor == 0 { number_of(device, "Temperature", temperature) } else { bad_argument() }
}

/// An argument that no function of the header takes.
fn bad_argument() -> Code {
    returned(state::check_initialised().and(Err(Code::INVALID_ARGUMENT)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPowerUsage(device: Handle, milliwatts: Out<'_, c_uint>) -> Code {
    number_of(device, "PowerUsage", milliwatts)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetEnforcedPowerLimit(device: Handle, milliwatts: Out<'_, c_uint>) -> Code {
    number_of(device, "EnforcedPowerLimit", milliwatts)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPowerManagementLimit(
    device: Handle,
    milliwatts: Out<'_, c_uint>,
) -> Code {
    number_of(device, "PowerManagementLimit", milliwatts)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetClockInfo(device: Handle, kind: c_uint, clock: Out<'_, c_uint>) -> Code {
    // NVML_CLOCK_GRAPHICS, NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_CLOCK_VIDEO.
    let Some(name) =
        usize::try_from(kind).ok().and_then(|kind| ["graphics", "sm", "memory", "video"].get(kind))
    else {
        return bad_argument();
    };
    returned(place(clock).and_then(|clock| {
        let value = ask(device, "ClockInfo")?;
        let value = value.get(name).ok_or(Code::NOT_SUPPORTED)?;
        clock.write(number(value)?);
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetNumFans(device: Handle, count: Out<'_, c_uint>) -> Code {
    number_of(device, "NumFans", count)
}

/// The speed of a fan, of an answer with one for each.
fn fan(device: Handle, call: &str, fan: c_uint) -> Result<c_uint, Code> {
    let value = ask(device, call)?;
    let fans = value.get("fans").ok_or_else(|| wrong(&format!("no fans: {value}")))?;
    let place = usize::try_from(fan).unwrap_or(usize::MAX);
    number(fans.get(place).ok_or(Code::INVALID_ARGUMENT)?)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetFanSpeed_v2(
    device: Handle,
    number: c_uint,
    speed: Out<'_, c_uint>,
) -> Code {
    returned(place(speed).and_then(|speed| {
        speed.write(fan(device, "FanSpeed", number)?);
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetFanSpeedRPM(device: Handle, info: Option<&mut FanSpeedInfo>) -> Code {
    let fill = || {
        state::check_initialised()?;
        let info = info.ok_or(Code::INVALID_ARGUMENT)?;
        if info.version != layout::version::<FanSpeedInfo>(1) {
            return Err(Code::ARGUMENT_VERSION_MISMATCH);
        }
        info.speed = fan(device, "FanSpeedRPM", info.fan)?;
        Ok(())
    };
    returned(fill())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCurrPcieLinkGeneration(device: Handle, out: Out<'_, c_uint>) -> Code {
    number_of(device, "CurrPcieLinkGeneration", out)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMaxPcieLinkGeneration(device: Handle, out: Out<'_, c_uint>) -> Code {
    number_of(device, "MaxPcieLinkGeneration", out)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCurrPcieLinkWidth(device: Handle, out: Out<'_, c_uint>) -> Code {
    number_of(device, "CurrPcieLinkWidth", out)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMaxPcieLinkWidth(device: Handle, out: Out<'_, c_uint>) -> Code {
    number_of(device, "MaxPcieLinkWidth", out)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCurrentClocksThrottleReasons(
    device: Handle,
    reasons: Out<'_, c_ulonglong>,
) -> Code {
    number_of(device, "CurrentClocksThrottleReasons", reasons)
}

/// Two numbers, of now and after the next start.
fn now_and_then(
    device: Handle,
    call: &str,
    current: Out<'_, c_uint>,
    pending: Out<'_, c_uint>,
) -> Code {
    returned(place(current).and_then(|current| {
        let pending = place(pending)?;
        let value = ask(device, call)?;
        current.write(part(&value, "current")?);
        pending.write(part(&value, "pending")?);
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetEccMode(
    device: Handle,
    current: Out<'_, c_uint>,
    pending: Out<'_, c_uint>,
) -> Code {
    now_and_then(device, "EccMode", current, pending)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTotalEccErrors(
    device: Handle,
    kind: c_uint,
    counter: c_uint,
    count: Out<'_, c_ulonglong>,
) -> Code {
    // NVML_MEMORY_ERROR_TYPE_…, NVML_VOLATILE_ECC and NVML_AGGREGATE_ECC.
    let name = match (kind, counter) {
        (0, 0 | 1) => "corrected",
        (1, 0 | 1) => "uncorrected",
        _ => return bad_argument(),
    };
    returned(place(count).and_then(|count| {
        count.write(part(&ask(device, "TotalEccErrors")?, name)?);
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMigMode(
    device: Handle,
    current: Out<'_, c_uint>,
    pending: Out<'_, c_uint>,
) -> Code {
    now_and_then(device, "MigMode", current, pending)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMaxMigDeviceCount(device: Handle, count: Out<'_, c_uint>) -> Code {
    // The most that there can be, not those that there are.
    let most = |gpu: &Value| gpu.get("mig").map(|_| json!(7));
    returned(place(count).and_then(|count| {
        count.write(number(&state::ask_device(device, "MaxMigDeviceCount", most)?.1)?);
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    device: Handle,
    index: c_uint,
    mig_device: Out<'_, Handle>,
) -> Code {
    returned(place(mig_device).and_then(|mig_device| {
        let mig = usize::try_from(index).map_err(|_| Code::INVALID_ARGUMENT)?;
        let there = |gpu: &Value| gpu.get("mig")?.get(mig).map(|_| Value::Null);
        match state::ask_device(device, "MigDeviceHandleByIndex", there) {
            Ok((parent, _)) => {
                mig_device.write(state::Device { mig: Some(mig), ..parent }.handle());
                Ok(())
            }
            // There is a place for an instance, but none in it.
            Err(Code::NOT_SUPPORTED) => Err(Code::NOT_FOUND),
            Err(code) => Err(code),
        }
    }))
}

/// Lists processes as NVML does: who brings too small a buffer is told how large it must be.
///
/// # Safety
/// `infos` is null, or good for as many structures as `count` says.
unsafe fn write_processes(
    device: Handle,
    call: &str,
    count: Option<&mut c_uint>,
    infos: *mut ProcessInfo,
) -> Code {
    let write = || {
        state::check_initialised()?;
        let count = count.ok_or(Code::INVALID_ARGUMENT)?;
        let room = usize::try_from(*count).unwrap_or(0);
        if room > 0 && infos.is_null() {
            return Err(Code::INVALID_ARGUMENT);
        }
        let list = process::list(&ask(device, call)?, Path::new("/proc"))?;
        *count = u32::try_from(list.len()).unwrap_or(u32::MAX);
        if list.len() > room {
            return Err(Code::INSUFFICIENT_SIZE);
        }
        if list.is_empty() {
            return Ok(());
        }
        // SAFETY: there is room for at least one, so it is not null, and good for `room`
        // structures, as the caller promises.
        let infos =
            unsafe { slice::from_raw_parts_mut(infos.cast::<MaybeUninit<ProcessInfo>>(), room) };
        for (to, info) in infos.iter_mut().zip(list) {
            to.write(info);
        }
        Ok(())
    };
    returned(write())
}

/// The functions that list processes; versions 2 and 3 fill the same structure.
macro_rules! process_functions {
    ($($name:ident: $call:literal),* $(,)?) => {$(
        /// # Safety
        /// `infos` is null, or good for as many structures as `count` says.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(
            device: Handle,
            count: Option<&mut c_uint>,
            infos: *mut ProcessInfo,
        ) -> Code {
            // SAFETY: the caller promises the same.
            unsafe { write_processes(device, $call, count, infos) }
        }
    )*};
}

process_functions! {
    nvmlDeviceGetComputeRunningProcesses_v2: "ComputeRunningProcesses",
    nvmlDeviceGetComputeRunningProcesses_v3: "ComputeRunningProcesses",
    nvmlDeviceGetGraphicsRunningProcesses_v2: "GraphicsRunningProcesses",
    nvmlDeviceGetGraphicsRunningProcesses_v3: "GraphicsRunningProcesses",
    nvmlDeviceGetMPSComputeRunningProcesses_v3: "MPSComputeRunningProcesses",
}
